//! What documents and signatures lie in a store, and reading one of them, bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Fetch, Listed, StoreError};
use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::failure::chain;
use crate::form::Document;
use crate::layout::{CHUNKS, Key, MANIFESTS, PRUNED};
use crate::limits;
use crate::manifest::Manifest;
use crate::name::Sequence;
use crate::pruned::Pruned;
use crate::signed::{FoundSignature, Signed, Verified, VerifyError};
use crate::time::Timestamp;
use crate::trust::TrustedKeys;

/// The manifests and signatures that lie in a store.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    manifests: Documents,
    /// Names of objects that are not ours, the first few of them.
    pub foreign: Vec<String>,
    /// How many there are.
    pub foreign_count: usize,
}

/// Documents of one kind, by number, with the names of the signatures beside them.
#[derive(Clone, Debug, Default)]
struct Documents {
    numbers: BTreeSet<Sequence>,
    signatures: BTreeMap<Sequence, Vec<(String, String)>>,
}

impl Documents {
    fn sign(&mut self, number: Sequence, document: String, signer: String) {
        let found = self.signatures.entry(number).or_default();
        found.push((document, signer));
    }

    fn open<T: Document>(
        &self,
        store: &dyn Fetch,
        number: Sequence,
        trusted: &TrustedKeys,
        signature: fn(Sequence, String, String) -> Key,
    ) -> Result<Option<Signed<T>>, StoreError> {
        let mut payload = Vec::new();
        if !store.get(&T::key(number), T::SIZE, &mut payload)? {
            return Ok(None);
        }
        let digest = Digest::of(&payload).short();
        let mut found: Vec<_> = self.signatures.get(&number).cloned().unwrap_or_default();
        // Those over these very bytes that are named for trusted keys first: junk beside them must not use up the bound.
        found.sort_by_key(|(document, signer)| {
            (*document != digest, trusted.named(signer).next().is_none())
        });
        let mut signatures = Vec::new();
        for (manifest, signer) in found.into_iter().take(limits::SIGNATURES) {
            let key = signature(number, manifest.clone(), signer.clone());
            store.get_each(&key, limits::SIGNATURE_SIZE, &mut |bytes| {
                signatures.push(FoundSignature {
                    manifest: manifest.clone(),
                    signer: signer.clone(),
                    bytes,
                });
            })?;
        }
        Ok(Some(Signed::new(number, payload, signatures)))
    }
}

fn signature(sequence: Sequence, manifest: String, signer: String) -> Key {
    Key::Signature {
        sequence,
        manifest,
        signer,
    }
}

fn pruned_signature(number: Sequence, list: String, signer: String) -> Key {
    Key::PrunedSignature {
        number,
        list,
        signer,
    }
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
            Some(Key::Manifest(sequence)) => drop(self.manifests.numbers.insert(sequence)),
            Some(Key::Signature {
                sequence,
                manifest,
                signer,
            }) => self.manifests.sign(sequence, manifest, signer),
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
        self.manifests.numbers.iter().copied()
    }

    /// The newest.
    pub fn newest(&self) -> Option<Sequence> {
        self.manifests.numbers.last().copied()
    }

    /// Whether there is a manifest with this number.
    pub fn has(&self, sequence: Sequence) -> bool {
        self.manifests.numbers.contains(&sequence)
    }

    /// The signatures under a number, with a manifest or without.
    pub fn signatures(&self, sequence: Sequence) -> Vec<Key> {
        let found = self.manifests.signatures.get(&sequence);
        let found = found.into_iter().flatten();
        found
            .map(|(manifest, signer)| signature(sequence, manifest.clone(), signer.clone()))
            .collect()
    }

    /// Reads a manifest and the signatures of its number, those that may count by `trusted` first; nothing of it is looked
    /// into. `None`: it is not there.
    pub fn open(
        &self,
        store: &dyn Fetch,
        sequence: Sequence,
        trusted: &TrustedKeys,
    ) -> Result<Option<Signed<Manifest>>, StoreError> {
        self.manifests.open(store, sequence, trusted, signature)
    }
}

/// The lists of what is dropped.
#[derive(Debug, Default)]
pub struct Lists {
    /// Those that trusted keys have signed, in order of their numbers.
    pub verified: Vec<Verified<Pruned>>,
    /// Those that they have not.
    pub refused: Vec<(Sequence, VerifyError)>,
}

impl Lists {
    /// Reads them.
    pub fn read(store: &dyn Fetch, trusted: &TrustedKeys) -> Result<Self, StoreError> {
        let mut found = Documents::default();
        store.list(PRUNED, &mut |object| match Key::parse(&object.name) {
            Some(Key::Pruned(number)) => drop(found.numbers.insert(number)),
            Some(Key::PrunedSignature {
                number,
                list,
                signer,
            }) => found.sign(number, list, signer),
            _ => {}
        })?;
        let mut lists = Self::default();
        for number in &found.numbers {
            let Some(signed) = found.open(store, *number, trusted, pruned_signature)? else {
                continue;
            };
            match signed.verify(trusted) {
                Ok(list) => lists.verified.push(list),
                Err(error) => lists.refused.push((*number, error)),
            }
        }
        Ok(lists)
    }

    /// The number of the next one.
    pub fn next_number(&self) -> Sequence {
        let verified = self.verified.iter().map(|list| list.number);
        let refused = self.refused.iter().map(|(number, _)| *number);
        let newest = verified.chain(refused).max();
        newest.map_or(Sequence::FIRST, Sequence::next)
    }

    /// Tells of those that count for nothing.
    pub fn warn(&self) {
        for (number, error) in &self.refused {
            tracing::warn!(list = %number, error = %chain(error), "a list of what is dropped does not count");
        }
    }
}

/// The chunks that lie in a store, with their sizes.
pub fn chunks(store: &dyn Fetch) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let found = dated_chunks(store)?.into_iter();
    Ok(found.map(|(digest, (size, _))| (digest, size)).collect())
}

/// The same, with the time at which each was written, by the store's own clock.
pub fn dated_chunks(store: &dyn Fetch) -> Result<BTreeMap<Digest, (u64, Timestamp)>, StoreError> {
    let mut found = BTreeMap::new();
    store.list(CHUNKS, &mut |object| {
        if let Some(Key::Chunk(digest)) = Key::parse(&object.name) {
            found.insert(digest, (object.size, object.modified));
        }
    })?;
    Ok(found)
}

/// Whether a chunk is there as far as a listing can tell.
pub fn is_listed(found: &BTreeMap<Digest, u64>, chunk: &Chunk) -> bool {
    found.get(&chunk.stored) == Some(&chunk.stored_size)
}
