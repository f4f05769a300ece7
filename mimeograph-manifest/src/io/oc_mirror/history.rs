//! v2's history: `working-dir/.history/.history-<UTC time>`, a list of every blob that it believes shipped. The
//! newest name counts. It is written when an archive is built, not when one arrives, so it is ours to keep right.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::io::disk::{self, Action, id_of};
use crate::io::failpoint;
use crate::limits::HISTORY_SIZE;
use crate::time::Timestamp;

const PREFIX: &str = ".history-";
/// Most entries of the folder that are looked at.
const FILES: usize = 100_000;

/// A history file, kept.
#[derive(Clone, PartialEq, Eq)]
pub struct History {
    /// The time in its name.
    pub time: Timestamp,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History")
            .field("time", &self.time)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl History {
    /// The file's name.
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.time)
    }

    /// The blobs that it lists.
    pub fn digests(&self) -> Result<BTreeSet<Digest>, HistoryError> {
        let malformed = || HistoryError::Malformed { name: self.name() };
        let text = std::str::from_utf8(&self.bytes).map_err(|_| malformed())?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| Digest::from_oci(line).map_err(|_| malformed()))
            .collect()
    }
}

/// The times of the histories below `output`, which holds `working-dir`; the last one counts.
pub fn list(output: &Path) -> Result<BTreeSet<Timestamp>, HistoryError> {
    let (times, _) = look(output)?;
    Ok(times)
}

/// The history that counts, to be kept.
pub fn newest(output: &Path) -> Result<Option<History>, HistoryError> {
    let Some(time) = list(output)?.pop_last() else {
        return Ok(None);
    };
    let path = folder(output).join(format!("{PREFIX}{time}"));
    let mut bytes = Vec::new();
    fs::File::open(&path)
        .and_then(|file| file.take(HISTORY_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|source| HistoryError::Io { path, source })?;
    let history = History { time, bytes };
    if u64::try_from(history.bytes.len()).is_ok_and(|size| size > HISTORY_SIZE) {
        return Err(HistoryError::Malformed {
            name: history.name(),
        });
    }
    Ok(Some(history))
}

/// Makes the folder hold exactly `history`, or nothing (the next archive is a full one then). Whatever else lies
/// there goes: one foreign name of its kind makes `oc-mirror` fail after hours.
pub fn hold_exactly(output: &Path, history: Option<&History>) -> Result<(), HistoryError> {
    let folder = folder(output);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| HistoryError::Io { path, source }
    };
    let (_, entries) = look(output)?;
    let kept = history.map(History::name);
    if let Some(history) = history {
        disk::make(&folder, 0o755).map_err(failed(&folder))?;
        write(&folder, history).map_err(failed(&folder.join(history.name())))?;
    }
    for name in entries {
        if kept.as_deref() != Some(name.as_str()) {
            let path = folder.join(name);
            disk::remove(&path).map_err(failed(&path))?;
        }
    }
    if folder.exists() {
        sync(&folder).map_err(failed(&folder))?;
    }
    Ok(())
}

/// The times, and every name in the folder.
fn look(output: &Path) -> Result<(BTreeSet<Timestamp>, Vec<String>), HistoryError> {
    let folder = folder(output);
    let failed = |source| HistoryError::Io {
        path: folder.clone(),
        source,
    };
    for path in [&output.join("working-dir"), &folder] {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(HistoryError::NotADirectory { path: path.clone() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((BTreeSet::new(), Vec::new()));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let (mut times, mut names) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().map_err(failed)?.is_file();
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| HistoryError::Malformed {
                name: name.to_string_lossy().into_owned(),
            })?;
        if names.len() == FILES {
            return Err(HistoryError::TooMany { path: folder });
        }
        let time = name.strip_prefix(PREFIX).and_then(|time| time.parse().ok());
        if let Some(time) = time.filter(|_| is_file) {
            times.insert(time);
        }
        names.push(name);
    }
    Ok((times, names))
}

fn folder(output: &Path) -> PathBuf {
    output.join("working-dir").join(".history")
}

/// Writes beside the folder, then moves into it: a half-written file must never bear a name that counts.
fn write(folder: &Path, history: &History) -> io::Result<()> {
    let beside = folder.parent().unwrap_or(folder).join(".history.tmp");
    disk::remove(&beside)?;
    failpoint::reach("create", &beside)?;
    let mut file = fs::File::create_new(&beside)?;
    failpoint::write(&beside, &history.bytes, |part, _| file.write_all(part))?;
    disk::sync(&file, &beside)?;
    let target = folder.join(history.name());
    if fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_dir()) {
        disk::remove(&target)?;
    }
    disk::rename(&beside, &target)?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    disk::sync(&fs::File::open(folder)?, folder)
}

/// What goes wrong with the history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It cannot be read or written.
    #[error("failed to read or write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A link or file where a folder must be.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// What lies there.
        path: PathBuf,
    },
    /// A file is not a list of digests, or too large.
    #[error("the history `{name}` is not a list of digests, or is too large")]
    Malformed {
        /// Its name.
        name: String,
    },
    /// There are more files than anyone needs.
    #[error("`{}` holds too many files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

impl Fault for HistoryError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Io { source, .. } => id_of(Action::Write, source),
            Self::NotADirectory { .. } | Self::Malformed { .. } | Self::TooMany { .. } => {
                ErrorId::StateDamaged
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the real one left it (fixture `oc-mirror-5.2/v2-history.txt`).
    const REAL: &str = "sha256:0a3b1f8f4da2fc63468dea734bc744b043bc63c3633e4e33a719679ec511b3f5\n\
                        sha256:9a999dea30acb0fbaba5cd9864701e04d5b69ead1b0a27f69a23cefbeeb42860\n";

    fn put(output: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder(output)).unwrap();
        fs::write(folder(output).join(name), text).unwrap();
    }

    fn names(output: &Path) -> BTreeSet<String> {
        fs::read_dir(folder(output))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_newest_name_counts_and_foreign_names_do_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path()).unwrap(), None);
        put(dir.path(), ".history-2026-11-23T22:32:52Z", "");
        put(dir.path(), ".history-2026-11-23T22:32:54Z", REAL);
        put(dir.path(), ".history-2027", "");
        put(dir.path(), "zzz", "");
        let found = newest(dir.path()).unwrap().unwrap();
        assert_eq!(found.name(), ".history-2026-11-23T22:32:54Z");
        assert_eq!(found.digests().unwrap().len(), 2);
        assert_eq!(list(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_a_list_of_digests_is_refused() {
        let time: Timestamp = "2026-11-23T22:32:54Z".parse().unwrap();
        for text in ["sha256:abc\n", "../x\n", "\u{0}\n"] {
            let bytes = text.as_bytes().to_vec();
            assert!(History { time, bytes }.digests().is_err(), "{text}");
        }
    }

    #[test]
    fn the_folder_is_made_to_hold_exactly_one() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), ".history-2026-11-23T22:32:52Z", REAL);
        let kept = newest(dir.path()).unwrap().unwrap();
        put(dir.path(), ".history-2026-11-23T22:32:54Z", "sha256:…");
        put(dir.path(), ".history-by-hand", "");
        hold_exactly(dir.path(), Some(&kept)).unwrap();
        assert_eq!(names(dir.path()), BTreeSet::from([kept.name()]));
        assert_eq!(newest(dir.path()).unwrap().as_ref(), Some(&kept));
        hold_exactly(dir.path(), None).unwrap();
        assert_eq!(names(dir.path()), BTreeSet::new());
        let fresh = tempfile::tempdir().unwrap();
        hold_exactly(fresh.path(), None).unwrap();
        hold_exactly(fresh.path(), Some(&kept)).unwrap();
        assert_eq!(newest(fresh.path()).unwrap(), Some(kept));
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        put(&elsewhere, ".history-2026-11-23T22:32:52Z", REAL);
        let output = dir.path().join("output");
        fs::create_dir_all(output.join("working-dir")).unwrap();
        std::os::unix::fs::symlink(folder(&elsewhere), folder(&output)).unwrap();
        let error = hold_exactly(&output, None).unwrap_err();
        assert!(
            matches!(error, HistoryError::NotADirectory { .. }),
            "{error}"
        );
        assert_eq!(list(&elsewhere).unwrap().len(), 1);
    }
}
