//! A file in the making: under a temporary name until it is whole and lasts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Action, DiskError, folder_of, sync_folder};

/// What will lie at a path: written beside it, removed unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct Draft {
    temporary: NamedTempFile,
    path: PathBuf,
    mode: u32,
}

impl Draft {
    /// Begins one of permissions `mode`.
    pub fn beside(path: &Path, mode: u32) -> Result<Self, DiskError> {
        let temporary = tempfile::Builder::new()
            .prefix(".")
            .suffix(".tmp")
            .make_in(folder_of(path), |path| {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600).open(path)
            })
            .map_err(|source| DiskError::new(Action::Create, path, source))?;
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
        let file = temporary.as_file();
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(failed)?;
        file.sync_all().map_err(failed)?;
        temporary
            .persist(&path)
            .map_err(|error| DiskError::new(Action::Create, &path, error.error))?;
        sync_folder(folder_of(&path))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}
