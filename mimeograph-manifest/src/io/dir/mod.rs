//! The directory store: a drive, an NFS share, a diode's drop folder.
//!
//! An object appears under its name whole and durable or not at all: temporary name, fsync, rename
//! without replacing, fsync of the folder. Reading never writes, so read-only media will do. Names
//! that begin with a dot are not ours to see; links are never followed.

mod folder;
mod listing;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use self::folder::{Folder, Named};
use self::listing::Listing;
use super::disk;
use super::landing::Landing;
use super::store::{Discard, Fetch, Listed, Put, Shelve, StoreError};
use crate::digest::Digest;
use crate::layout::Key;
use crate::time::Timestamp;

/// A directory in which a stream lies.
#[derive(Debug)]
pub struct DirStore {
    root: Folder,
    path: PathBuf,
}

impl DirStore {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place = format!("directory {}", path.display());
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => StoreError::Missing {
                place: place.clone(),
                source: Some(source.into()),
            },
            ErrorKind::NotADirectory => StoreError::Settings {
                place: place.clone(),
                reason: "it is not a directory".to_owned(),
            },
            _ => failure("open it".to_owned(), place.clone(), source),
        };
        Ok(Self {
            root: Folder::open(path).map_err(failed)?,
            path: path.to_owned(),
        })
    }

    fn failed(&self, operation: &str, key: &Key) -> impl FnOnce(io::Error) -> StoreError {
        let (operation, place) = (format!("{operation} `{key}`"), self.describe());
        |source| failure(operation, place, source)
    }

    /// The file of that name, if there is one.
    fn find(&self, name: &str) -> io::Result<Option<File>> {
        let (folders, file) = split(name);
        match self.enter(folders)? {
            Some(folder) => folder.file(file),
            None => Ok(None),
        }
    }

    /// The folder at `path` below the root, if there is one.
    fn enter(&self, path: &str) -> io::Result<Option<Folder>> {
        let mut at = self.root.again()?;
        for name in components(path) {
            match at.enter(name)? {
                Some(folder) => at = folder,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The folder at `path` below the root, made if there is none.
    fn enter_or_make(&self, path: &str) -> io::Result<Folder> {
        let root = self.root.again()?;
        components(path).try_fold(root, |at, name| at.enter_or_make(name))
    }
}

/// Files of any name, for media: their papers, and what is written to them without trust.
impl DirStore {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file from the medium itself: what the system has of it in memory is dropped first. Of one longer than `limit`
    /// bytes only `limit + 1` are read. `false`: there is none.
    pub fn read_name(
        &self,
        name: &str,
        limit: u64,
        into: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        into.clear();
        let mut read = || -> io::Result<bool> {
            let Some(file) = self.find(name)? else {
                return Ok(false);
            };
            // What cannot be dropped is read from memory: a file system without a medium.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            file.take(limit.saturating_add(1)).read_to_end(into)?;
            Ok(true)
        };
        read().map_err(|source| failure(format!("read `{name}`"), self.describe(), source))
    }

    /// Writes a file durably, in place of what lies there.
    pub fn write_name(&self, name: &str, body: &[u8]) -> Result<(), StoreError> {
        self.write_over(name, body)
            .map_err(|source| failure(format!("write `{name}`"), self.describe(), source))
    }

    fn write_over(&self, name: &str, body: &[u8]) -> io::Result<()> {
        let (folders, file) = split(name);
        let folder = self.enter_or_make(folders)?;
        folder.stage(file, body)?.name_over(file)
    }
}

impl Fetch for DirStore {
    fn describe(&self) -> String {
        format!("directory {}", self.path.display())
    }

    /// In name order. A folder that is not ours is handed on as `name/` and not looked into.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        Listing::new(prefix, each)
            .folder(&self.root, "")
            .map_err(|source| failure(format!("list `{prefix}`"), self.describe(), source))
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        into.clear();
        let mut read = || -> io::Result<bool> {
            let Some(file) = self.find(&key.to_string())? else {
                return Ok(false);
            };
            let most = limit.saturating_add(1);
            let size = file.metadata()?.len().min(most);
            into.try_reserve(usize::try_from(size).unwrap_or(usize::MAX))
                .map_err(io::Error::other)?;
            file.take(most).read_to_end(into)?;
            Ok(true)
        };
        let read = read().map_err(self.failed("read", key));
        if read.is_err() {
            into.clear();
        }
        read
    }

    fn land(&self, key: &Key, mut landing: Landing) -> Result<Option<Landing>, StoreError> {
        const PIECE: usize = 128 << 10;
        let mut read = || -> io::Result<bool> {
            let Some(mut file) = self.find(&key.to_string())? else {
                return Ok(false);
            };
            landing.begin();
            let mut piece = vec![0; PIECE];
            loop {
                let count = match file.read(&mut piece) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    count => count?,
                };
                if count == 0 || landing.take(&piece[..count]).is_break() {
                    return Ok(true);
                }
            }
        };
        let found = read().map_err(self.failed("read", key))?;
        Ok(found.then_some(landing))
    }

    /// A directory has no clock but our own.
    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

impl Shelve for DirStore {
    fn put(&self, key: &Key, body: Bytes, _: &Digest) -> Result<Put, StoreError> {
        if let Some(there) = self
            .find(&key.to_string())
            .map_err(self.failed("read back", key))?
        {
            return self.settle(key, &there, &body);
        }
        let write = || {
            let name = key.to_string();
            let (folders, file) = split(&name);
            let folder = self.enter_or_make(folders)?;
            folder.stage(file, &body)?.name(file)
        };
        let named = write().map_err(self.failed("write", key))?;
        match named {
            Named::Yes => Ok(Put::Written),
            Named::Taken => match self
                .find(&key.to_string())
                .map_err(self.failed("read back", key))?
            {
                Some(there) => self.settle(key, &there, &body),
                None => Err(self.failed("write", key)(io::Error::other(
                    "it was there and is gone",
                ))),
            },
        }
    }

    fn replace(&self, key: &Key, body: Bytes, _: &Digest) -> Result<(), StoreError> {
        let written = self.write_over(&key.to_string(), &body);
        written.map_err(self.failed("replace", key))
    }

    /// It does: the rename sees to it.
    fn refuses_overwrite(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

impl Discard for DirStore {
    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let name = key.to_string();
        let (folders, file) = split(&name);
        let remove = || match self.enter(folders)? {
            Some(folder) => folder.remove(file),
            None => Ok(()),
        };
        remove().map_err(self.failed("remove", key))
    }

    fn remove_unfinished(&self, before: Timestamp) -> Result<usize, StoreError> {
        let remove = || {
            let mut count = self.root.remove_staged(before)?;
            for path in listing::folders() {
                if let Some(folder) = self.enter(&path)? {
                    count += folder.remove_staged(before)?;
                }
            }
            Ok(count)
        };
        remove().map_err(|source| {
            let operation = "remove what was left unfinished".to_owned();
            failure(operation, self.describe(), source)
        })
    }
}

impl DirStore {
    /// Something lies under the name: the same bytes, made durable (its writer may have been killed
    /// before it did that), or others.
    fn settle(&self, key: &Key, there: &File, body: &[u8]) -> Result<Put, StoreError> {
        let same = || -> io::Result<bool> {
            if there.metadata()?.len() != body.len() as u64 || !same_bytes(there, body)? {
                return Ok(false);
            }
            match disk::sync(there, &self.path) {
                Err(error) if error.kind() != ErrorKind::ReadOnlyFilesystem => return Err(error),
                _ => {}
            }
            let name = key.to_string();
            if let Some(folder) = self.enter(split(&name).0)? {
                folder.sync()?;
            }
            Ok(true)
        };
        if same().map_err(self.failed("read back", key))? {
            return Ok(Put::AlreadyThere);
        }
        Err(StoreError::Occupied {
            key: key.clone(),
            place: self.describe(),
        })
    }
}

/// `chunks/ab/abc…` as `chunks/ab` and `abc…`.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn same_bytes(mut there: &File, mut body: &[u8]) -> io::Result<bool> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = match there.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(body.is_empty());
        }
        match body.split_at_checked(read) {
            Some((head, rest)) if head == &piece[..read] => body = rest,
            _ => return Ok(false),
        }
    }
}

fn failure(operation: String, place: String, source: io::Error) -> StoreError {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Forbidden {
            operation,
            place,
            source: source.into(),
        },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full {
            operation,
            place,
            source: source.into(),
        },
        ErrorKind::InvalidData => StoreError::Refused {
            operation,
            place,
            source,
        },
        _ => StoreError::Io {
            operation,
            place,
            source,
        },
    }
}
