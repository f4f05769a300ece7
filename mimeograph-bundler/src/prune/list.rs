//! The signed lists of what will go, written before anything goes.

use std::collections::BTreeMap;

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::age::Ages;
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::listing;
use mimeograph_manifest::io::store::StoreError;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::pruned::{Object, Pruned, TYPE};
use mimeograph_manifest::signed::{Signed, Verified};

use super::stream::Stream;
use super::{Orphans, PruneError, Retention};
use crate::seal;

/// Most chunks in one list: more make another.
const MOST: usize = 500_000;

impl Retention<'_> {
    /// What is to be listed that is on no list yet.
    pub(super) fn lists(&self, stream: &Stream) -> Result<Vec<Pruned>, Failure> {
        let Some(id) = stream.id() else {
            return Ok(Vec::new());
        };
        let now = clock::now();
        let kept = stream.kept(&self.request.keep, now);
        let going = stream
            .alive()
            .filter(|one| !kept.contains(&one.sequence))
            .map(Verified::link);
        let mut manifests: Vec<_> = going.collect();
        let numbers = manifests.iter().map(|link| link.sequence).collect();
        let mut chunks = stream.objects(&numbers);
        if self.request.orphans == Orphans::Drop {
            chunks.extend(self.orphans(stream)?);
        }
        let wanted = stream.objects(&kept);
        chunks.retain(|stored, _| !wanted.contains_key(stored));
        let chunks = chunks.into_iter().map(|(stored, stored_size)| Object {
            stored,
            stored_size,
        });
        let chunks: Vec<_> = chunks.collect();
        let mut parts: Vec<_> = chunks.chunks(MOST).collect();
        if parts.is_empty() && !manifests.is_empty() {
            parts.push(&[]);
        }
        let mut number = stream.next_list;
        let mut lists = Vec::new();
        for part in parts {
            lists.push(Pruned {
                r#type: TYPE.to_owned(),
                stream: id.clone(),
                number,
                created: now,
                manifests: std::mem::take(&mut manifests),
                chunks: part.to_vec(),
            });
            number = number.next();
        }
        Ok(lists)
    }

    /// Chunks that neither a bundle nor a list names, old enough not to be those of a run under way.
    fn orphans(&self, stream: &Stream) -> Result<BTreeMap<Digest, u64>, Failure> {
        let all = stream.bundles.iter().map(|bundle| bundle.sequence);
        let named = stream.objects(&all.collect());
        let ages = Ages::now(self.store, self.request.grace)?;
        let there = listing::dated_chunks(self.store)?.into_iter();
        let orphans = there.filter(|(stored, (size, modified))| {
            let is_chunk = *size > 0 && *size <= limits::CHUNK_SIZE;
            let is_named = named.contains_key(stored) || stream.dropped.since(stored).is_some();
            is_chunk && !is_named && ages.is_old(*modified)
        });
        Ok(orphans.map(|(stored, (size, _))| (stored, size)).collect())
    }

    /// Signature first, then the list: from then on what it names counts as absent.
    pub(super) fn publish(&self, list: &Pruned) -> Result<(), Failure> {
        let sealed = Signed::sign(list, self.request.key).map_err(PruneError::List)?;
        let (name, signature) = &sealed.signature;
        seal::put_signature(self.store, name, signature)?;
        let key = Key::Pruned(list.number);
        match self
            .store
            .put(&key, Bytes::from(sealed.payload), &sealed.digest)
        {
            Ok(_) => Ok(()),
            Err(StoreError::Occupied { .. }) => Err(PruneError::Taken(list.number).into()),
            Err(error) => Err(error.into()),
        }
    }
}
