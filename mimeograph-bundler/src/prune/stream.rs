//! All that the store has of a stream, and what of it is to be kept.

use std::collections::{BTreeMap, BTreeSet};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::listing::{Listing, Lists};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::pruned::{self, Dropped};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;

use super::{Keep, PruneError};

/// A stream, with what lists name and what they do not.
pub(super) struct Stream {
    pub bundles: Vec<Verified<Manifest>>,
    pub dropped: Dropped,
    /// The number of the next list.
    pub next_list: Sequence,
    listing: Listing,
}

impl Stream {
    /// Reads it whole. A manifest that does not verify may name anything, and ends it.
    pub fn read(store: &dyn Fetch, ours: &TrustedKeys) -> Result<Self, Failure> {
        let listing = Listing::of(store)?;
        let mut bundles = Vec::new();
        for sequence in listing.sequences() {
            if let Some(signed) = listing.open(store, sequence, ours)? {
                bundles.push(signed.verify(ours).map_err(PruneError::Unverified)?);
            }
        }
        let lists = Lists::read(store, ours)?;
        lists.warn();
        let mut stream = Self {
            bundles,
            dropped: Dropped::default(),
            next_list: lists.next_number(),
            listing,
        };
        if let Some(id) = stream.id() {
            stream.dropped = Dropped::of(&lists.verified, id);
        }
        Ok(stream)
    }

    pub fn id(&self) -> Option<&StreamId> {
        self.bundles.last().map(|head| &head.stream)
    }

    /// The newest manifest.
    pub fn newest(&self) -> Option<Sequence> {
        self.listing.newest()
    }

    /// A bundle's manifest and then its signatures, as objects.
    pub fn papers(&self, sequence: Sequence) -> Vec<Key> {
        let mut papers = vec![Key::Manifest(sequence)];
        papers.extend(self.listing.signatures(sequence));
        papers
    }

    /// The bundles that no list names.
    pub fn alive(&self) -> impl DoubleEndedIterator<Item = &Verified<Manifest>> {
        let bundles = self.bundles.iter();
        bundles.filter(|bundle| !self.dropped.has_bundle(bundle))
    }

    /// Those that are to be kept of them, with all that they require, on a list or not.
    pub fn kept(&self, keep: &Keep, now: Timestamp) -> BTreeSet<Sequence> {
        let mut fulls = self.alive().rev().filter(|one| one.kind == Kind::Full);
        let oldest = fulls.nth(keep.full.get() - 1).map(|full| full.sequence);
        let is_young = |bundle: &Manifest| {
            let days = now.since(bundle.created).as_secs() / (24 * 60 * 60);
            keep.days.is_some_and(|keep| days < keep.into())
        };
        // That one too: `--since-acknowledged` builds on it.
        let is_ahead = |sequence| {
            let applied = keep.applied.as_ref();
            applied.is_some_and(|applied| sequence >= applied.bundle.sequence)
        };
        let wanted = self
            .alive()
            .filter(|one| Some(one.sequence) >= oldest || is_young(one) || is_ahead(one.sequence));
        pruned::kept(&self.bundles, wanted.map(|one| one.sequence))
    }

    /// Those that no list names, with all that they require, on a list or not.
    pub fn kept_by_lists(&self) -> BTreeSet<Sequence> {
        pruned::kept(&self.bundles, self.alive().map(|one| one.sequence))
    }

    /// What these bundles name.
    pub fn objects(&self, of: &BTreeSet<Sequence>) -> BTreeMap<Digest, u64> {
        let bundles = self.bundles.iter();
        pruned::objects(bundles.filter(|bundle| of.contains(&bundle.sequence)))
    }
}
