//! What the store holds already, and how far that is believed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::fetched::{self, Lies};
use mimeograph_manifest::io::listing::is_listed;
use mimeograph_manifest::io::store::{Put, Shelve, StoreError};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::pruned::Dropped;

/// How far it is believed that what was published is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belief {
    /// A listing with the right size will do.
    #[default]
    Listing,
    /// Its bytes are read and hashed.
    Bytes,
    /// Not at all: everything is sent.
    Nothing,
}

/// The chunks that need not be sent.
#[derive(Debug, Default)]
pub struct Held {
    /// Named by a published bundle and listed now, by raw digest.
    published: HashMap<Digest, Chunk>,
    /// Everything that is listed.
    listed: BTreeMap<Digest, u64>,
    /// What retention drops.
    dropped: Dropped,
    /// What was published before all was sent again.
    before: HashSet<Digest>,
    belief: Belief,
    seen: Mutex<Seen>,
}

/// What this run has found out.
#[derive(Debug, Default)]
struct Seen {
    /// By raw digest.
    sure: HashMap<Digest, Chunk>,
    damaged: HashSet<Digest>,
}

impl Held {
    /// Nothing yet, in a store that lists these, of which retention drops those.
    pub fn new(listed: BTreeMap<Digest, u64>, dropped: Dropped, belief: Belief) -> Self {
        Self {
            listed,
            dropped,
            belief,
            ..Self::default()
        }
    }

    /// Adds the chunks of a published bundle that are there, with the right size.
    pub fn add(&mut self, manifest: &Manifest) {
        if self.belief != Belief::Nothing {
            let chunks = manifest.chunks();
            let there = chunks.filter(|chunk| is_listed(&self.listed, chunk));
            self.published
                .extend(there.map(|chunk| (chunk.raw, *chunk)));
        }
    }

    /// Notes the chunks of a bundle that was published before all was sent again: they may have been lost since, beyond the
    /// store that we see.
    pub fn add_before(&mut self, manifest: &Manifest) {
        self.before.extend(manifest.chunks().map(|one| one.stored));
    }

    /// The chunk with these raw bytes, if it need not be sent.
    pub fn find(&self, store: &dyn Shelve, raw: &Digest) -> Result<Option<Chunk>, StoreError> {
        if let Some(chunk) = self.seen().sure.get(raw) {
            return Ok(Some(*chunk));
        }
        let Some(chunk) = self.published.get(raw) else {
            return Ok(None);
        };
        let is_there =
            self.belief == Belief::Listing || matches!(fetched::look(store, chunk)?, Lies::Whole);
        let mut seen = self.seen();
        if is_there {
            seen.sure.insert(*raw, *chunk);
        } else {
            seen.damaged.insert(chunk.stored);
        }
        Ok(is_there.then_some(*chunk))
    }

    /// Puts a chunk into the store, whose stored bytes are `body`; says whether they had to be sent.
    pub fn put(&self, store: &dyn Shelve, chunk: &Chunk, body: Bytes) -> Result<Put, StoreError> {
        let key = Key::Chunk(chunk.stored);
        let put = if self.is_sent_anew(&chunk.stored) {
            store.replace(&key, body, &chunk.stored)?;
            Put::Written
        } else {
            let put = if self.listed.contains_key(&chunk.stored) {
                store.put_again(&key, body.clone(), &chunk.stored)
            } else {
                store.put(&key, body.clone(), &chunk.stored)
            };
            or_repair(put, store, &key, body)?
        };
        self.seen().sure.insert(chunk.raw, *chunk);
        Ok(put)
    }

    /// What was found damaged; what a transport is to see as new; and what retention may be about to remove, for that leaves
    /// what was written after its list.
    fn is_sent_anew(&self, stored: &Digest) -> bool {
        self.belief == Belief::Nothing
            || self.before.contains(stored)
            || self.dropped.since(stored).is_some()
            || self.seen().damaged.contains(stored)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that do not match their name are written over: the one exception to write-once.
pub(crate) fn or_repair(
    put: Result<Put, StoreError>,
    store: &dyn Shelve,
    key: &Key,
    body: Bytes,
) -> Result<Put, StoreError> {
    match (put, key) {
        (Err(StoreError::Occupied { .. }), Key::Chunk(digest)) => {
            tracing::warn!(object = %key, "bytes in the store do not match their name: repaired");
            store.replace(key, body, digest)?;
            Ok(Put::Written)
        }
        (put, _) => put,
    }
}
