//! One run at a time: a lock that goes with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::{Action, DiskError};
use crate::io::{clock, failpoint};

/// A lock on a file (flock), held until this is dropped or the process ends in whatever way.
///
/// The file itself stays: removing it would let two runs hold locks on two files of one name. It says
/// who holds the lock; that text is for people and decides nothing.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A holder's line is short; what else may lie in the file is not read.
const HOLDER: u64 = 256;

impl Lock {
    /// Takes the lock, or says at once who holds it.
    pub fn acquire(path: &Path) -> Result<Self, DiskError> {
        let mut file = open(path).map_err(|source| DiskError::new(Action::Create, path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError::Locked {
                    path: path.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(DiskError::new(Action::Lock, path, source));
            }
        }
        sign(&mut file, path).map_err(|source| DiskError::new(Action::Write, path, source))?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    failpoint::reach("create", path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

fn sign(file: &mut File, path: &Path) -> io::Result<()> {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let holder = format!(
        "process {} on {host} since {}\n",
        std::process::id(),
        clock::now()
    );
    failpoint::reach("resize", path)?;
    file.set_len(0)?;
    file.rewind()?;
    failpoint::write(path, holder.as_bytes(), |part, _| file.write_all(part))
}

fn holder(file: &mut File) -> String {
    let mut text = Vec::new();
    let read = file.take(HOLDER).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    match (read, text.lines().next()) {
        (Ok(_), Some(line)) if !line.trim().is_empty() => {
            line.chars().filter(|c| !c.is_control()).collect()
        }
        _ => "it does not say who it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorId, Fault as _};

    #[test]
    fn a_second_run_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(
            &path,
            "the text of a longer holder that ended long ago, and more\n",
        )
        .unwrap();
        let held = Lock::acquire(&path).unwrap();
        let error = Lock::acquire(&path).unwrap_err();
        assert_eq!(error.id(), ErrorId::Locked);
        let DiskError::Locked { holder, .. } = &error else {
            panic!("{error}");
        };
        let start = format!("process {} on ", std::process::id());
        assert!(holder.starts_with(&start), "{holder}");
        let (_, since) = holder.split_once(" since ").unwrap();
        since.parse::<crate::time::Timestamp>().unwrap();
        drop(held);
        Lock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_where_nothing_can_be_created_says_so() {
        let error = Lock::acquire(Path::new("/proc/no/lock")).unwrap_err();
        assert_eq!(error.id(), ErrorId::CannotCreate);
    }
}
