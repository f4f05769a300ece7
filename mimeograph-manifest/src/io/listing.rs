//! What manifests and signatures lie in a store, and reading one of them, bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Fetch, Listed, StoreError};
use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::layout::{CHUNKS, Key, MANIFESTS};
use crate::limits;
use crate::manifest::Manifest;
use crate::name::Sequence;
use crate::signed::{FoundSignature, Signed};

/// The manifests and signatures that lie in a store.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    manifests: BTreeSet<Sequence>,
    signatures: BTreeMap<Sequence, Vec<(String, String)>>,
    /// Names of objects that are not ours, the first few of them.
    pub foreign: Vec<String>,
    /// How many there are.
    pub foreign_count: usize,
}

impl Listing {
    /// Lists the manifests' folder.
    pub fn of(store: &dyn Fetch) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        store.list(MANIFESTS, &mut |object| listing.add(&object))?;
        Ok(listing)
    }

    /// Lists everything, chunks included, each of which is handed to `chunk` with its size.
    pub fn of_everything(
        store: &dyn Fetch,
        mut chunk: impl FnMut(Digest, u64),
    ) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        store.list("", &mut |object| match Key::parse(&object.name) {
            Some(Key::Chunk(digest)) => chunk(digest, object.size),
            _ => listing.add(&object),
        })?;
        Ok(listing)
    }

    fn add(&mut self, object: &Listed) {
        match Key::parse(&object.name) {
            Some(Key::Manifest(sequence)) => drop(self.manifests.insert(sequence)),
            Some(Key::Signature {
                sequence,
                manifest,
                signer,
            }) => {
                self.signatures
                    .entry(sequence)
                    .or_default()
                    .push((manifest, signer));
            }
            Some(_) => {}
            None => {
                self.foreign_count += 1;
                if self.foreign.len() < 10 {
                    self.foreign.push(object.name.escape_default().to_string());
                }
            }
        }
    }

    /// The numbers of the manifests, in order.
    pub fn sequences(&self) -> impl DoubleEndedIterator<Item = Sequence> {
        self.manifests.iter().copied()
    }

    /// The newest.
    pub fn newest(&self) -> Option<Sequence> {
        self.manifests.last().copied()
    }

    /// Whether there is a manifest with this number.
    pub fn has(&self, sequence: Sequence) -> bool {
        self.manifests.contains(&sequence)
    }

    /// Reads a manifest and the signatures of its number; nothing of it is looked into. `None`: it is not there.
    pub fn open(
        &self,
        store: &dyn Fetch,
        sequence: Sequence,
    ) -> Result<Option<Signed<Manifest>>, StoreError> {
        let mut payload = Vec::new();
        if !store.get(
            &Key::Manifest(sequence),
            limits::MANIFEST_SIZE,
            &mut payload,
        )? {
            return Ok(None);
        }
        let digest = Digest::of(&payload).short();
        let mut found: Vec<_> = self.signatures.get(&sequence).cloned().unwrap_or_default();
        // Those over these very bytes first: junk beside them must not use up the bound.
        found.sort_by_key(|(manifest, _)| *manifest != digest);
        let mut signatures = Vec::new();
        for (manifest, signer) in found.into_iter().take(limits::SIGNATURES) {
            let mut bytes = Vec::new();
            let key = Key::Signature {
                sequence,
                manifest: manifest.clone(),
                signer: signer.clone(),
            };
            if store.get(&key, limits::SIGNATURE_SIZE, &mut bytes)? {
                signatures.push(FoundSignature {
                    manifest,
                    signer,
                    bytes,
                });
            }
        }
        Ok(Some(Signed::new(sequence, payload, signatures)))
    }
}

/// The chunks that lie in a store, with their sizes.
pub fn chunks(store: &dyn Fetch) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let mut found = BTreeMap::new();
    store.list(CHUNKS, &mut |object| {
        if let Some(Key::Chunk(digest)) = Key::parse(&object.name) {
            found.insert(digest, object.size);
        }
    })?;
    Ok(found)
}

/// Whether a chunk is there as far as a listing can tell.
pub fn is_listed(found: &BTreeMap<Digest, u64>, chunk: &Chunk) -> bool {
    found.get(&chunk.stored) == Some(&chunk.stored_size)
}
