//! Where a stream lies: three narrow traits, split by right. The populator never sees [`Shelve`]; [`Discard`] is for
//! retention alone.

use std::io;

use bytes::Bytes;

use super::disk;
use super::landing::Landing;
use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::layout::Key;
use crate::time::Timestamp;

/// An object found by listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name below the stream's place.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, by the store's own clock.
    pub modified: Timestamp,
}

/// Reading from a store.
pub trait Fetch: Send + Sync {
    /// The store in words, for messages: `directory /mnt/transfer`, `s3://bucket/prefix at https://…`.
    fn describe(&self) -> String;

    /// Hands every object whose name begins with `prefix` (a folder with its `/`, or nothing) to `each`.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;

    /// Reads an object into `into` (emptied first). Of one longer than `limit` bytes only `limit + 1`
    /// are read, so that the caller sees that it is too long. `false`: there is none.
    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError>;

    /// Reads all that lies under a name: one object or none, but for a store that others have added to.
    fn get_each(
        &self,
        key: &Key,
        limit: u64,
        each: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        if self.get(key, limit, &mut bytes)? {
            each(bytes);
        }
        Ok(())
    }

    /// Reads an object to its place in a file; one that is longer than that is cut off. `None`: there is none.
    fn land(&self, key: &Key, landing: Landing) -> Result<Option<Landing>, StoreError> {
        let mut bytes = Vec::new();
        let found = self.get(key, landing.size(), &mut bytes)?;
        Ok(found.then(|| landing.filled(&bytes)))
    }

    /// The store's own clock, where it has one.
    fn clock(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// What became of an object that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Written,
    /// The same bytes lay there already.
    AlreadyThere,
}

/// Writing to a store. Objects are written once.
pub trait Shelve: Fetch {
    /// Writes `body`, whose digest is `sha256`, under `key`, unless something lies there.
    ///
    /// Other bytes under the name are [`StoreError::Occupied`]: for a chunk, whose bytes do not match
    /// their name, [`Shelve::replace`] repairs; for a manifest or signature it is a fork.
    fn put(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<Put, StoreError>;

    /// The same for an object that a listing has shown: it is looked at before anything is sent.
    fn put_again(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<Put, StoreError> {
        self.put(key, body, sha256)
    }

    /// Writes over whatever lies under `key`: the repair of an object whose bytes do not match its name.
    fn replace(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<(), StoreError>;

    /// Whether the store refuses to write over an object (probed under [`Key::Probe`]).
    fn refuses_overwrite(&self) -> Result<bool, StoreError>;
}

/// Removing from a store.
pub trait Discard: Fetch {
    /// Removes an object, for good before this returns. Where there is none, nothing is wrong.
    fn remove(&self, key: &Key) -> Result<(), StoreError>;

    /// Removes what writers that were killed left behind before this moment, by the store's clock. Returns how many.
    fn remove_unfinished(&self, before: Timestamp) -> Result<usize, StoreError>;
}

/// A store that can be written to and read from.
pub type Store = Box<dyn Shelve>;

/// What goes wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or bucket does not exist.
    #[error("there is no {place}")]
    Missing {
        /// The directory or bucket.
        place: String,
        /// What the system or the server said.
        source: Option<Source>,
    },
    /// Something else lies under the name.
    #[error("`{key}` is there already with other bytes, in {place}")]
    Occupied {
        /// The object.
        key: Key,
        /// The store.
        place: String,
    },
    /// The store refuses us.
    #[error("{place} forbids us to {operation}")]
    Forbidden {
        /// What we tried, for instance `put chunks/ab/…`.
        operation: String,
        /// The store.
        place: String,
        /// What it said.
        source: Source,
    },
    /// The store does not answer, after our own tries.
    #[error("failed to {operation}: {place} does not answer as it should")]
    Unreachable {
        /// What we tried.
        operation: String,
        /// The store.
        place: String,
        /// What came back.
        source: Source,
    },
    /// There is no space left.
    #[error("failed to {operation}: no space left in {place}")]
    Full {
        /// What we tried.
        operation: String,
        /// The store.
        place: String,
        /// What the system said.
        source: Source,
    },
    /// Reading or writing failed.
    #[error("failed to {operation} in {place}")]
    Io {
        /// What we tried.
        operation: String,
        /// The store.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What lies there is nothing that we read: a link, a folder or a special file in an object's place, too many objects.
    #[error("failed to {operation} in {place}")]
    Refused {
        /// What we tried.
        operation: String,
        /// The store.
        place: String,
        /// What lies there.
        source: std::io::Error,
    },
    /// Its settings cannot work.
    #[error("the settings for {place} cannot work: {reason}")]
    Settings {
        /// The store.
        place: String,
        /// Why.
        reason: String,
    },
}

/// A cause of any kind.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

impl Fault for StoreError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Missing { .. } => ErrorId::InputMissing,
            Self::Occupied {
                key: Key::Chunk(_), ..
            } => ErrorId::ChunkDamaged,
            Self::Occupied { .. } => ErrorId::Fork,
            Self::Forbidden { .. } => ErrorId::StoreForbidden,
            Self::Unreachable { .. } => ErrorId::StoreUnreachable,
            Self::Full { .. } => ErrorId::NoSpace,
            Self::Io { .. } => ErrorId::Io,
            Self::Refused { .. } => ErrorId::StoreDamaged,
            Self::Settings { .. } => ErrorId::ConfigInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some(
                "create it, or correct `store.directory` or `s3.bucket` in the configuration".into(),
            ),
            Self::Forbidden { source, .. } => Some(match source.downcast_ref::<io::Error>() {
                Some(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    "it is mounted so that it can only be read: mount it so that it can be written to".into()
                }
                Some(_) => disk::closed_to_us(),
                None => "check the credentials (the standard AWS chain: environment, profile, web identity, \
                         instance role), and what they allow here"
                    .into(),
            }),
            Self::Full { .. } => Some("make room there, then run the same command again".into()),
            Self::Refused { .. } => Some(
                "nothing of ours looks like this: find out who put it there, then copy the object itself there, as a regular file"
                    .into(),
            ),
            _ => None,
        }
    }
}
