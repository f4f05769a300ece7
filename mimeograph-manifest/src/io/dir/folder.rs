//! A folder by its file descriptor. Below the root no link is followed: every step is an `openat`
//! with `O_NOFOLLOW`, so a name cannot lead out of the store.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::io::{disk, failpoint};
use crate::time::Timestamp;

/// What lies under a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    File {
        size: u64,
        /// In seconds since 1970.
        modified: i64,
    },
    Folder,
    /// A link, a device, a pipe: never opened.
    Other,
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Folder {
    /// The root, which may itself be reached through links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// Another descriptor of this folder.
    pub(super) fn again(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// A folder in this one, if there is one.
    pub(super) fn enter(&self, name: &str) -> io::Result<Option<Self>> {
        match rustix::fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(refused(name, "is not a folder, and links are not followed"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A folder in this one, made if there is none.
    pub(super) fn enter_or_make(&self, name: &str) -> io::Result<Self> {
        if let Some(folder) = self.enter(name)? {
            return Ok(folder);
        }
        failpoint::reach("store-make", name)?;
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {} // another writer was first
            Err(error) => return Err(error.into()),
        }
        self.enter(name)?.ok_or_else(|| Errno::NOENT.into())
    }

    /// What lies under `name`, without following it.
    pub(super) fn look(&self, name: &str) -> io::Result<Option<Entry>> {
        let stat = match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Entry::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified: stat.st_mtime,
            },
            FileType::Directory => Entry::Folder,
            _ => Entry::Other,
        }))
    }

    /// A regular file to read, if there is one. Other names of it (hard links) are no fault: a drive that was made on
    /// Windows shows two for every file (`posix_nlink` in ntfs-3g(8)), and what counts are the bytes that are read.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        // NONBLOCK: to open a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused(name, "is a link, and links are not followed")),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(refused(name, "is not a regular file"));
        }
        Ok(Some(file))
    }

    /// At most `most` names, in the order in which S3 lists them: a folder sorts as `name/`.
    pub(super) fn names(&self, most: usize) -> io::Result<Vec<(String, Entry)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue; // `.`, `..`, what is being written, `.Trash` and the like
            }
            // Gone since: it was not there.
            if let Some(kind) = self.look(&name)? {
                if found.len() == most {
                    return Err(refused(&name, "is one object too many"));
                }
                found.push((name, kind));
            }
        }
        let sorted_as = |(name, kind): &(String, Entry)| match kind {
            Entry::Folder => format!("{name}/"),
            _ => name.clone(),
        };
        found.sort_by_cached_key(sorted_as);
        Ok(found)
    }

    /// Removes a file, for good; a folder or link under the name stays, and is an error.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match self.look(name)? {
            None => return Ok(()),
            Some(Entry::File { .. }) => {}
            Some(_) => return Err(refused(name, "is not a regular file")),
        }
        failpoint::reach("store-remove", name)?;
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()), // another was first
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was staged before this moment and never got its name.
    pub(super) fn remove_staged(&self, before: Timestamp) -> io::Result<usize> {
        let mut count = 0;
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !is_staged(&name) {
                continue;
            }
            let is_old = |modified| Timestamp::from_unix(modified) < before;
            if matches!(self.look(&name)?, Some(Entry::File { modified, .. }) if is_old(modified)) {
                self.remove(&name)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Makes the names in this folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        failpoint::reach("store-sync", ".")?;
        match rustix::fs::fsync(&self.0) {
            // Some file systems (FUSE, SMB, read-only ones) have nothing to do for a folder.
            Ok(()) | Err(Errno::INVAL | Errno::ROFS | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes `body` durably under a temporary name.
    pub(super) fn stage(&self, name: &str, body: &[u8]) -> io::Result<Staged<'_>> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let staged = format!(".{name}.{random:016x}.part");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        failpoint::reach("store-create", &staged)?;
        let fd = rustix::fs::openat(&self.0, &staged, flags, Mode::from_raw_mode(0o666))?;
        let staged = Staged {
            folder: self,
            name: staged,
        };
        let mut file = File::from(fd);
        failpoint::write(name, body, |part, _| file.write_all(part))?;
        disk::sync(&file, Path::new(name))?;
        Ok(staged)
    }
}

/// `.NAME.RANDOM.part`
fn is_staged(name: &str) -> bool {
    let inner = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".part"));
    let random = inner.and_then(|inner| inner.rsplit_once('.'));
    random.is_some_and(|(name, random)| {
        !name.is_empty() && random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Whether an object got its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Yes,
    /// The name is taken.
    Taken,
}

/// A whole file under a temporary name, removed unless it gets its own.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    folder: &'a Folder,
    name: String,
}

impl Staged<'_> {
    /// Gives the file its name, unless something bears it.
    pub(super) fn name(self, name: &str) -> io::Result<Named> {
        let fd = &self.folder.0;
        failpoint::reach("store-rename", name)?;
        match rustix::fs::renameat_with(fd, &self.name, fd, name, RenameFlags::NOREPLACE) {
            Ok(()) => self.folder.sync().map(|()| Named::Yes),
            Err(Errno::EXIST) => Ok(Named::Taken),
            // NFS and some FUSE file systems do not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.link(name),
            Err(error) => Err(error.into()),
        }
    }

    fn link(self, name: &str) -> io::Result<Named> {
        let fd = &self.folder.0;
        failpoint::reach("store-link", name)?;
        match rustix::fs::linkat(fd, &self.name, fd, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(Named::Taken),
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return Err(io::Error::other(format!(
                    "`{name}` cannot be written: this file system can neither rename without replacing nor link"
                )));
            }
            Err(error) => return Err(error.into()),
        }
        let folder = self.folder;
        drop(self); // the temporary name goes, the file stays
        folder.sync().map(|()| Named::Yes)
    }

    /// Gives the file its name, whatever bore it.
    pub(super) fn name_over(self, name: &str) -> io::Result<()> {
        failpoint::reach("store-rename", name)?;
        rustix::fs::renameat(&self.folder.0, &self.name, &self.folder.0, name)?;
        self.folder.sync()
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Once renamed there is nothing to remove, which is no fault.
        let _ = rustix::fs::unlinkat(&self.folder.0, &self.name, AtFlags::empty());
    }
}

/// Trying again will not help.
pub(super) fn refused(name: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{name}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock;

    #[test]
    fn what_a_killed_writer_left_goes_once_it_is_old_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        std::mem::forget(folder.stage("a", b"one").unwrap());
        std::fs::write(dir.path().join(".a.part"), b"a user's").unwrap();
        std::fs::write(dir.path().join("a"), b"an object").unwrap();
        let at = |seconds| Timestamp::from_unix(clock::now().unix() + seconds);
        assert_eq!(folder.remove_staged(at(-60)).unwrap(), 0);
        assert_eq!(folder.remove_staged(at(60)).unwrap(), 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_system_without_rename_flags_gets_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(
            folder.stage("a", b"one").unwrap().link("a").unwrap(),
            Named::Yes
        );
        assert_eq!(
            folder.stage("a", b"two").unwrap().link("a").unwrap(),
            Named::Taken
        );
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
