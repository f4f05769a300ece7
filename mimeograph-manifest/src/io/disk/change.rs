//! The steps by which a disk is changed, each with its [failpoint]: other modules take these.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::io::failpoint;

/// Makes a folder and those above it, each with permissions `mode`, unless they are there.
pub fn make(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    failpoint::reach("make", path)?;
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Removes a file, a link, or a folder with all that is in it. No link is followed; that nothing is there is no fault.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => remove_folder(path),
        Ok(_) => failpoint::reach("remove", path).and_then(|()| fs::remove_file(path)),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(not(feature = "failpoints"))]
use fs::remove_dir_all as remove_folder;

/// Empties it first, so that a test finds it in between.
#[cfg(feature = "failpoints")]
fn remove_folder(path: &Path) -> io::Result<()> {
    failpoint::reach("empty", path)?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folder(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    failpoint::reach("remove", path)?;
    fs::remove_dir(path)
}

/// Gives what lies at `from` the name `to`, in the place of a file that has it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::reach("rename", to)?;
    fs::rename(from, to)
}

/// Makes the bytes of a file, or the names in a folder, last.
pub fn sync(opened: &File, path: &Path) -> io::Result<()> {
    failpoint::reach("sync", path)?;
    opened.sync_all()
}
