//! One line of `oc-mirror`'s output.

/// What the events of `oc-mirror`'s lines are called.
pub const TARGET: &str = "oc-mirror";

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `[TRACE]`
    Trace,
    /// `[DEBUG]`
    Debug,
    /// `[INFO]`
    Info,
    /// `[WARN]`
    Warn,
    /// `[ERROR]`
    Error,
}

/// A line of v2, or one without the form of v2: of v1, of a panic, or the continuation of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The local time, as `oc-mirror` puts it into the names of its own logs: `20261124_014938`.
    pub stamp: Option<String>,
    /// The level, where there is one.
    pub level: Option<Level>,
    /// The text without colour codes and other control characters.
    pub text: String,
}

impl LogLine {
    /// Reads `2026/11/24 01:49:38 [1;94m [INFO] [0m  : 👋 text`.
    pub fn parse(line: &str) -> Self {
        let text = without_controls(line);
        let parsed = stamp(&text).and_then(|(stamp, rest)| {
            let (level, rest) = level(rest.trim_start())?;
            let rest = rest.trim_start().strip_prefix(':')?.trim();
            Some((stamp, level, rest.to_owned()))
        });
        match parsed {
            Some((stamp, level, text)) => Self {
                stamp: Some(stamp),
                level: Some(level),
                text,
            },
            None => Self {
                stamp: None,
                level: None,
                text,
            },
        }
    }

    /// Passes the line on to our own log.
    pub fn pass_on(&self) {
        let text = self.text.trim();
        if text.is_empty() {
            return;
        }
        match self.level.unwrap_or(Level::Info) {
            Level::Trace => tracing::trace!(target: TARGET, "{text}"),
            Level::Debug => tracing::debug!(target: TARGET, "{text}"),
            Level::Info => tracing::info!(target: TARGET, "{text}"),
            Level::Warn => tracing::warn!(target: TARGET, "{text}"),
            Level::Error => tracing::error!(target: TARGET, "{text}"),
        }
    }
}

/// Cuts a text to so many bytes at most, between characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Drops colour codes (`ESC [ … m` and its like) and every other control character but the tab.
fn without_controls(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next() == Some('[') {
                // ECMA-48, 5.4: parameters and intermediates end with a byte of 0x40 to 0x7e.
                chars.by_ref().find(|c| matches!(c, '@'..='~'));
            }
        } else if !c.is_control() || c == '\t' {
            text.push(c);
        }
    }
    text
}

/// `2026/11/24 01:49:38` as `20261124_014938`, and what follows.
fn stamp(text: &str) -> Option<(String, &str)> {
    let (time, rest) = text.split_at_checked(19)?;
    let form = "dddd/dd/dd dd:dd:dd";
    let fits = time
        .bytes()
        .zip(form.bytes())
        .all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    let compact = |c: char| match c {
        '/' | ':' => None,
        ' ' => Some('_'),
        other => Some(other),
    };
    fits.then(|| (time.chars().filter_map(compact).collect(), rest))
}

fn level(text: &str) -> Option<(Level, &str)> {
    [
        ("[TRACE]", Level::Trace),
        ("[DEBUG]", Level::Debug),
        ("[INFO]", Level::Info),
        ("[WARN]", Level::Warn),
        ("[ERROR]", Level::Error),
    ]
    .into_iter()
    .find_map(|(name, level)| Some((level, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_v2_is_taken_apart() {
        let line = "2026/11/23 15:47:30 \u{1b}[1;91m [ERROR] \u{1b}[0m : [Worker] error mirroring ";
        let parsed = LogLine::parse(line);
        assert_eq!(parsed.stamp.as_deref(), Some("20261123_154730"));
        assert_eq!(parsed.level, Some(Level::Error));
        assert_eq!(parsed.text, "[Worker] error mirroring");
    }

    #[test]
    fn any_other_line_is_text() {
        for line in [
            "\t * removing",
            "error: no",
            "2026/11/23 15:47:30 no level",
            "2026/11/23 15:47:30 [INFO] no colon",
            "",
        ] {
            let parsed = LogLine::parse(line);
            assert_eq!((parsed.level, parsed.text.as_str()), (None, line));
        }
    }

    #[test]
    fn nothing_that_moves_a_terminal_comes_through() {
        let parsed = LogLine::parse("a\u{1b}[2J\u{1b}[31;1mb\u{7}c\rd\u{1b}");
        assert_eq!(parsed.text, "abcd");
    }
}
