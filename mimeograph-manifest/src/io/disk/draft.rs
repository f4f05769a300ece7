//! A file in the making: under a temporary name until it is whole and lasts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::{Action, DiskError, folder_of, remove, rename, sync, sync_folder};
use crate::digest::Digest;
use crate::io::failpoint;

/// What will lie at a path: written beside it, removed unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct Draft {
    temporary: NamedTempFile,
    path: PathBuf,
    mode: u32,
}

impl Draft {
    /// Begins one of permissions `mode`. What a killed run left of an earlier one of this path goes.
    pub fn beside(path: &Path, mode: u32) -> Result<Self, DiskError> {
        let folder = folder_of(path);
        let prefix = prefix(path);
        let begin = || {
            clear(folder, &prefix)?;
            failpoint::reach("create", path)?;
            let mut named = tempfile::Builder::new();
            named
                .prefix(&prefix)
                .suffix(SUFFIX)
                .make_in(folder, |path| {
                    let mut options = OpenOptions::new();
                    options.write(true).create_new(true).mode(0o600).open(path)
                })
        };
        let temporary = begin().map_err(|source| DiskError::new(Action::Create, path, source))?;
        Ok(Self {
            temporary,
            path: path.to_owned(),
            mode,
        })
    }

    /// Gives it its name, in place of what bore it: fsync, rename, fsync of the folder.
    pub fn keep(self) -> Result<(), DiskError> {
        let Self {
            temporary,
            path,
            mode,
        } = self;
        let failed = |source| DiskError::new(Action::Write, &path, source);
        let (file, temporary) = temporary.into_parts();
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(failed)?;
        sync(&file, &path).map_err(failed)?;
        name(temporary, &path).map_err(|source| DiskError::new(Action::Create, &path, source))?;
        sync_folder(folder_of(&path))
    }
}

fn name(temporary: TempPath, path: &Path) -> io::Result<()> {
    rename(&temporary, path)?;
    // It has its name now, so there is nothing left to remove.
    Ok(temporary.keep().map(drop)?)
}

const SUFFIX: &str = ".tmp";

/// What the temporary names for a path begin with: `.NAME.`, or its digest where that leaves no room.
fn prefix(path: &Path) -> String {
    const LONGEST: usize = 240;
    let name = path.file_name().unwrap_or_default();
    if name.len() > LONGEST {
        format!(".{}.", Digest::of(name.as_encoded_bytes()))
    } else {
        format!(".{}.", name.to_string_lossy())
    }
}

fn clear(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if random.is_some_and(|random| random.len() == 6 + SUFFIX.len() && random.ends_with(SUFFIX))
        {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = &mut self.temporary;
        failpoint::write(&self.path, bytes, |part, _| file.write_all(part))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let other = folder.path().join("state.json.old");
        for path in [&path, &other] {
            // As a run that is killed leaves them.
            std::mem::forget(Draft::beside(path, 0o600).unwrap());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let mut draft = Draft::beside(&path, 0o600).unwrap();
        draft.write_all(b"new").unwrap();
        draft.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_name_without_room_for_more_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n".repeat(255));
        super::super::write_durably(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
