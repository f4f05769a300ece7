//! Reading chunks back: bound, hash, decompress within the signed size, hash again.

use std::io;

use super::landing::{Landed, Landing};
use super::store::{Fetch, StoreError};
use crate::chunk::{Chunk, ChunkError};
use crate::failure::{ErrorId, Fault};
use crate::layout::Key;
use crate::manifest::File;

/// Why a chunk is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store failed.
    #[error("failed to fetch a chunk of `{file}`")]
    Store {
        /// The file it belongs to.
        file: String,
        /// What the store said.
        source: StoreError,
    },
    /// It is not there, or not whole: it may still be arriving.
    #[error("`{key}`, a chunk of `{file}`, is {state}")]
    Incomplete {
        /// The chunk.
        key: Key,
        /// The file it belongs to.
        file: String,
        /// `not there yet` or how much of it is.
        state: String,
    },
    /// It is there in full length, and is something else.
    #[error("`{key}`, a chunk of `{file}`, is damaged")]
    Damaged {
        /// The chunk.
        key: Key,
        /// The file it belongs to.
        file: String,
        /// What is wrong with it.
        source: ChunkError,
    },
}

impl Fault for FetchError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Store { source, .. } => source.id(),
            Self::Incomplete { .. } => ErrorId::Incomplete,
            Self::Damaged { .. } => ErrorId::ChunkDamaged,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.hint(),
            Self::Incomplete { .. } => {
                Some("wait for the transfer to end, or have this object sent again".into())
            }
            Self::Damaged { .. } => {
                Some("have this object sent again: remove it here and copy it anew".into())
            }
        }
    }
}

/// Reads one chunk, which is stored as it is, to its place in a file.
pub fn land(
    store: &dyn Fetch,
    file: &File,
    chunk: &Chunk,
    landing: Landing,
) -> Result<io::Result<Landed>, FetchError> {
    let (key, name) = (Key::Chunk(chunk.stored), file.name.to_string());
    let landing = store
        .land(&key, landing)
        .map_err(|source| FetchError::Store {
            file: name.clone(),
            source,
        })?;
    let Some(landing) = landing else {
        return Err(incomplete(key, name, None, chunk));
    };
    let landed = match landing.end() {
        Ok(landed) => landed,
        Err(error) => return Ok(Err(error)),
    };
    if landed.seen < chunk.stored_size {
        return Err(incomplete(key, name, Some(landed.seen), chunk));
    }
    if landed.seen > chunk.stored_size || landed.digest != chunk.raw {
        return Err(FetchError::Damaged {
            key,
            file: name,
            source: ChunkError::Stored,
        });
    }
    Ok(Ok(landed))
}

fn incomplete(key: Key, file: String, found: Option<u64>, chunk: &Chunk) -> FetchError {
    let state = match found {
        Some(found) => format!("still short: {found} of {} bytes", chunk.stored_size),
        None => "not there yet".into(),
    };
    FetchError::Incomplete { key, file, state }
}

/// Reads one chunk and returns its raw bytes; `stored` and `raw` are room for its two forms.
pub fn chunk<'a>(
    store: &dyn Fetch,
    file: &File,
    chunk: &Chunk,
    stored: &'a mut Vec<u8>,
    raw: &'a mut Vec<u8>,
) -> Result<&'a [u8], FetchError> {
    let (key, name) = (Key::Chunk(chunk.stored), file.name.to_string());
    let there = store
        .get(&key, chunk.stored_size, stored)
        .map_err(|source| FetchError::Store {
            file: name.clone(),
            source,
        })?;
    let found = stored.len() as u64;
    if !there || found < chunk.stored_size {
        return Err(incomplete(key, name, there.then_some(found), chunk));
    }
    chunk
        .open(stored, raw)
        .map_err(|source| FetchError::Damaged {
            key,
            file: name,
            source,
        })
}

/// What lies under a chunk's name.
#[derive(Debug)]
pub enum Lies {
    /// The bytes that were signed.
    Whole,
    /// Nothing.
    Absent,
    /// So many bytes, fewer than were signed.
    Short(u64),
    /// Something else.
    Damaged(ChunkError),
}

/// Reads and hashes what lies under a chunk's name.
pub fn look(store: &dyn Fetch, chunk: &Chunk) -> Result<Lies, StoreError> {
    let (mut stored, mut raw) = (Vec::new(), Vec::new());
    if !store.get(&Key::Chunk(chunk.stored), chunk.stored_size, &mut stored)? {
        return Ok(Lies::Absent);
    }
    let found = stored.len() as u64;
    if found < chunk.stored_size {
        return Ok(Lies::Short(found));
    }
    Ok(match chunk.open(&stored, &mut raw) {
        Ok(_) => Lies::Whole,
        Err(error) => Lies::Damaged(error),
    })
}

/// Reads a small file whole; its size was bounded by its role when its manifest was verified.
pub fn small_file(store: &dyn Fetch, file: &File) -> Result<Vec<u8>, FetchError> {
    let (mut stored, mut raw, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for part in &file.chunks {
        whole.extend_from_slice(chunk(store, file, part, &mut stored, &mut raw)?);
    }
    Ok(whole)
}
