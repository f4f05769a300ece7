//! The last line of a run, where a scheduler looks for it (Kubernetes: `terminationMessagePath`).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Where Kubernetes mounts the file of a container.
const DEFAULT: &str = "/dev/termination-log";

/// Writes `line` to `named`, else to the default place where that is there and takes it. The file is
/// written in place, since it may be a mount. A failure is a warning: the run has ended already.
pub(super) fn write(named: Option<&Path>, line: &str) {
    write_to(named, Path::new(DEFAULT), line);
}

fn write_to(named: Option<&Path>, default: &Path, line: &str) {
    let path = named.unwrap_or(default);
    let written = OpenOptions::new()
        .write(true)
        .truncate(true)
        .create(named.is_some())
        .open(path)
        .map(|mut file| file.write_all(line.as_bytes()));
    match written {
        Ok(Ok(())) => {}
        Err(_) if named.is_none() => {}
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(
                "failed to write the termination message `{}`: {error}",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_default_place_is_used_where_it_is_there_and_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let default = folder.path().join("termination-log");
        write_to(None, &default, "{}\n");
        assert!(!default.exists());
        fs::write(&default, "an older and longer line").unwrap();
        write_to(None, &default, "{}\n");
        assert_eq!(fs::read_to_string(&default).unwrap(), "{}\n");
        let named = folder.path().join("named");
        write_to(Some(&named), &default, "{\"a\":1}\n");
        assert_eq!(fs::read_to_string(&named).unwrap(), "{\"a\":1}\n");
        assert_eq!(fs::read_to_string(&default).unwrap(), "{}\n");
    }
}
