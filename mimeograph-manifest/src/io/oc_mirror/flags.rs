//! What a help text says about flags.

use std::collections::BTreeSet;

/// The flags of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(BTreeSet<String>);

impl Flags {
    /// Reads the flags off a help text: `  -c, --config string   Path to …`.
    pub fn of_help(text: &str) -> Self {
        Self(text.lines().filter_map(flag_of_line).collect())
    }

    /// Whether the help shows the flag, `--cache-dir` for instance.
    pub fn has(&self, flag: &str) -> bool {
        flag.strip_prefix("--")
            .is_some_and(|name| self.0.contains(name))
    }
}

fn flag_of_line(line: &str) -> Option<String> {
    let line = line.trim_start();
    let long = match line.split_once(", ") {
        Some((short, rest)) if short.len() == 2 && short.starts_with('-') => rest.trim_start(),
        _ => line,
    };
    let name = long.strip_prefix("--")?;
    let end = name
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
        .unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_from_the_beginnings_of_lines_alone() {
        let flags = Flags::of_help(
            "Mirror.\n\nFlags:\n      --cache-dir string   not with --authfile\n  -p, --port uint16   the port\n\
             \x20     --registries.d DIR   use DIR\n      --dry-run=false: Print\n  -h, --help\nUse --nothing\n",
        );
        for flag in [
            "--cache-dir",
            "--port",
            "--registries.d",
            "--dry-run",
            "--help",
        ] {
            assert!(flags.has(flag), "{flag}");
        }
        for flag in ["--authfile", "--nothing", "cache-dir", "-p", "--"] {
            assert!(!flags.has(flag), "{flag}");
        }
    }
}
