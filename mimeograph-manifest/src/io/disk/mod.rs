//! Files and folders: reading within a bound, writing so that a crash leaves the old or the new, the lock of a run.

mod change;
mod draft;
mod error;
mod lock;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

pub use self::change::{make, remove, rename, sync};
pub use self::draft::Draft;
pub(crate) use self::error::closed_to_us;
pub use self::error::{Action, DiskError, id_of};
pub use self::lock::Lock;

/// Reads a whole file of at most `limit` bytes; a longer one is an error, and no more of it is read.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    let bytes = read_head(path, limit.saturating_add(1))?;
    if bytes.len() as u64 > limit {
        return Err(DiskError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// The first `most` bytes of a file, or all of a shorter one.
pub fn read_head(path: &Path, most: u64) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|source| DiskError::new(Action::Read, path, source))?;
    Ok(bytes)
}

/// The same as [`read_bounded`] of a file that may be absent. A link that leads nowhere is not absent.
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DiskError> {
    match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        _ => read_bounded(path, limit).map(Some),
    }
}

/// Writes a file of permissions `mode` so that, whatever happens, `path` holds the old bytes or all of
/// the new ones: see [`Draft`].
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
    let mut draft = Draft::beside(path, mode)?;
    draft
        .write_all(bytes)
        .map_err(|source| DiskError::new(Action::Write, path, source))?;
    draft.keep()
}

/// Makes names that were added to a folder, or taken from it, last.
pub fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    File::open(folder)
        .and_then(|opened| sync(&opened, folder))
        .map_err(|source| DiskError::new(Action::Write, folder, source))
}

/// Makes a folder and those above it, each with permissions `mode`, unless they are there.
pub fn create_folder(path: &Path, mode: u32) -> Result<(), DiskError> {
    make(path, mode).map_err(|source| DiskError::new(Action::Create, path, source))
}

/// Whether `folder` can be written to or, where it does not exist yet, made. Nothing is written.
pub fn check_writable(folder: &Path) -> Result<(), DiskError> {
    let there = nearest(folder);
    rustix::fs::access(
        there,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .map_err(|errno| DiskError::new(Action::Create, folder, errno.into()))
}

/// Free bytes, for one who is not root, on the file system of `path` or, where that does not exist yet,
/// of the nearest folder above it.
pub fn free_space(path: &Path) -> Result<u64, DiskError> {
    let there = nearest(path);
    let found = rustix::fs::statvfs(there)
        .map_err(|errno| DiskError::new(Action::Read, there, errno.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// `path`, or the nearest folder above it that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .map(|folder| {
            if folder == Path::new("") {
                Path::new(".")
            } else {
                folder
            }
        })
        .find(|folder| folder.exists())
        .unwrap_or(path)
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::failure::{ErrorId, Fault as _, chain};

    #[test]
    fn a_file_is_replaced_whole_with_its_permissions_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_durably(&path, b"old", 0o644).unwrap();
        write_durably(&path, b"new", 0o600).unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap(), b"new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_over_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        let error = read_bounded(&path, 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` is longer than 4 bytes", path.display())
        );
        assert_eq!(error.id(), ErrorId::StateDamaged);
    }

    #[test]
    fn a_missing_file_and_a_missing_folder_have_different_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("file");
        let error = read_bounded(&path, 5).unwrap_err();
        assert_eq!(error.id(), ErrorId::InputMissing);
        assert_eq!(
            chain(&error),
            format!(
                "failed to read `{}`: No such file or directory (os error 2)",
                path.display()
            )
        );
        let error = write_durably(&path, b"", 0o644).unwrap_err();
        assert_eq!(error.id(), ErrorId::CannotCreate);
        assert_eq!(
            chain(&error),
            format!(
                "failed to create `{}`: No such file or directory (os error 2)",
                path.display()
            )
        );
    }

    #[test]
    fn a_full_disk_is_no_space_wherever_it_shows() {
        for action in [Action::Create, Action::Write] {
            let source = io::Error::from_raw_os_error(28); // ENOSPC
            let error = DiskError::new(action, Path::new("/x"), source);
            assert_eq!(error.id(), ErrorId::NoSpace);
        }
        let full = Path::new("/dev/full");
        let error = fs::write(full, b"x").unwrap_err();
        assert_eq!(
            DiskError::new(Action::Write, full, error).id(),
            ErrorId::NoSpace
        );
    }

    #[test]
    fn a_read_only_or_forbidden_place_cannot_be_created_in() {
        for errno in [13, 30, 20] {
            // EACCES, EROFS, ENOTDIR
            let source = io::Error::from_raw_os_error(errno);
            let error = DiskError::new(Action::Create, Path::new("/x"), source);
            assert_eq!(error.id(), ErrorId::CannotCreate, "{errno}");
        }
    }

    #[test]
    fn free_space_of_what_does_not_exist_yet_is_that_of_the_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b/c");
        assert!(free_space(&below).unwrap() > 0);
        assert!(free_space(Path::new("not-there")).unwrap() > 0);
    }

    #[test]
    fn folders_are_made_with_their_permissions_and_may_be_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        create_folder(&path, 0o700).unwrap();
        create_folder(&path, 0o700).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
