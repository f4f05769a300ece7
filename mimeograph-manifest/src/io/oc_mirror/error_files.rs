//! The files in which v2 lists the images that failed: `working-dir/logs/mirroring_errors_<local time>.txt`. On the
//! far side those of the connected side arrive in the archives and lie beside our own.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::{ErrorId, Fault};

use super::image::FailedImage;

/// Most of such a file that is read, in bytes.
const FILE_SIZE: u64 = 16 << 20;
/// Most images that are listed.
const IMAGES: usize = 10_000;
/// Most files that are looked at.
const FILES: usize = 10_000;

/// Which files a run wrote itself.
#[derive(Clone, Copy, Debug)]
pub enum Ours<'a> {
    /// All but these: what lay there before the run, and what came inside the archives.
    NotAmong(&'a BTreeSet<String>),
    /// Those from this local time on, `20261124_014938`: [`LogSummary::begun`](super::summary::LogSummary::begun).
    Since(&'a str),
}

impl Ours<'_> {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::NotAmong(known) => !known.contains(name),
            Self::Since(begun) => stamp(name).is_some_and(|stamp| stamp >= *begun),
        }
    }
}

/// The local time in a name, if it is one of these files.
pub fn stamp(name: &str) -> Option<&str> {
    let stamp = name
        .strip_prefix("mirroring_errors_")?
        .strip_suffix(".txt")?;
    let fits = stamp.len() == 15
        && stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'_',
            _ => byte.is_ascii_digit(),
        });
    fits.then_some(stamp)
}

/// The names of such files below `output`, which holds `working-dir`.
pub fn names(output: &Path) -> Result<BTreeSet<String>, ErrorFileError> {
    let logs = logs(output);
    let failed = |source| ErrorFileError {
        path: logs.clone(),
        source,
    };
    let entries = match std::fs::read_dir(&logs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().map_err(failed)?.is_file();
        let name = entry.file_name().into_string().unwrap_or_default();
        if is_file && stamp(&name).is_some() && names.len() < FILES {
            names.insert(name);
        }
    }
    Ok(names)
}

/// What the run's own files list.
pub fn read(output: &Path, ours: Ours<'_>) -> Result<Vec<FailedImage>, ErrorFileError> {
    let mut failed = Vec::new();
    for name in names(output)? {
        if ours.includes(&name) {
            let path = logs(output).join(name);
            let text = read_file(&path).map_err(|source| ErrorFileError { path, source })?;
            let more = text.lines().filter_map(FailedImage::parse);
            failed.extend(more.take(IMAGES.saturating_sub(failed.len())));
        }
    }
    Ok(failed)
}

fn logs(output: &Path) -> PathBuf {
    output.join("working-dir").join("logs")
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_SIZE)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Such a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read `{}`, in which `oc-mirror` lists what failed", path.display())]
pub struct ErrorFileError {
    path: PathBuf,
    source: io::Error,
}

impl Fault for ErrorFileError {
    fn id(&self) -> ErrorId {
        ErrorId::Io
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_the_runs_own_files_count() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("working-dir/logs");
        assert_eq!(names(dir.path()).unwrap(), BTreeSet::new());
        fs::create_dir_all(&logs).unwrap();
        let line =
            |image: &str| format!("error mirroring image r/{image} error: manifest unknown\n");
        fs::write(
            logs.join("mirroring_errors_20261123_154730.txt"),
            line("near:1"),
        )
        .unwrap();
        let before = names(dir.path()).unwrap();
        assert_eq!(before.len(), 1);
        fs::write(
            logs.join("mirroring_errors_20261124_014938.txt"),
            line("far:1") + "\nnoise\n" + &line("far:2"),
        )
        .unwrap();
        for foreign in [
            "mirroring_errors_x.txt",
            "mirroring_errors_20261124_014938.txt.bak",
            "oc-mirror.log",
        ] {
            fs::write(logs.join(foreign), line("foreign:1")).unwrap();
        }
        std::os::unix::fs::symlink(
            "/etc/hostname",
            logs.join("mirroring_errors_20261124_014939.txt"),
        )
        .unwrap();
        for ours in [Ours::NotAmong(&before), Ours::Since("20261124_014900")] {
            let failed = read(dir.path(), ours).unwrap();
            let found: Vec<_> = failed
                .iter()
                .map(|image| image.reference.as_str())
                .collect();
            assert_eq!(found, ["r/far:1", "r/far:2"], "{ours:?}");
        }
    }
}
