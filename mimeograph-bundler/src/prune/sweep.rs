//! What lists name -> removed, unless a bundle that is kept names it, too.

use std::collections::{BTreeMap, BTreeSet};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::Period;
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::time::Timestamp;

use super::stream::Stream;
use super::{PruneError, Retention};
use crate::{kept, workers};

/// After so many chunks it is looked again whether another host has published.
const BATCH: usize = 1000;

/// What goes, and what stays.
pub(super) struct Doomed {
    pub bundles: BTreeSet<Sequence>,
    /// With their sizes.
    pub chunks: BTreeMap<Digest, u64>,
    /// Chunks that nothing names and that are too young to go.
    pub left: usize,
    pub kept: BTreeSet<Sequence>,
}

/// How old things are: objects by the store's own clock, lists by ours.
pub(super) struct Ages {
    now: Timestamp,
    store: Timestamp,
    grace: Period,
}

impl Ages {
    pub fn is_past_grace(&self, modified: Timestamp) -> bool {
        self.store.since(modified) >= self.grace.signed()
    }

    /// Whether an object lay there when a list was made. One that was written later is of a run that heeded the list.
    fn is_listed(&self, modified: Timestamp, list: Timestamp) -> bool {
        self.store.since(modified) >= self.now.since(list)
    }
}

impl Retention<'_> {
    pub(super) fn ages(&self) -> Result<Ages, Failure> {
        let now = clock::now();
        Ok(Ages {
            now,
            store: self.store.clock()?.unwrap_or(now),
            grace: self.request.grace,
        })
    }

    /// What of all that lists name is there, and may go.
    pub(super) fn doomed(&self, stream: &Stream) -> Result<Doomed, Failure> {
        let kept = stream.kept_by_lists();
        let wanted = stream.objects(&kept);
        let bundles = stream.bundles.iter().map(|bundle| bundle.sequence);
        let mut doomed = Doomed {
            bundles: bundles.filter(|one| !kept.contains(one)).collect(),
            chunks: BTreeMap::new(),
            left: 0,
            kept,
        };
        if stream.dropped.is_empty() {
            return Ok(doomed);
        }
        let ages = self.ages()?;
        for (stored, (size, modified)) in listing::dated_chunks(self.store)? {
            let Some(list) = stream.dropped.since(&stored) else {
                continue;
            };
            if wanted.contains_key(&stored) {
                continue;
            }
            if ages.is_listed(modified, list) || ages.is_past_grace(modified) {
                doomed.chunks.insert(stored, size);
            } else {
                doomed.left += 1;
            }
        }
        Ok(doomed)
    }

    /// Removes it: of each bundle the manifest first, then its signatures; then chunks.
    pub(super) fn sweep(&self) -> Result<Doomed, Failure> {
        let mut stream = Stream::read(self.store, &self.ours)?;
        let doomed = self.doomed(&stream)?;
        // Of a run that was killed also those whose manifest is gone already.
        for sequence in stream.dropped.numbers() {
            if doomed.kept.contains(&sequence) {
                continue;
            }
            for paper in stream.papers(sequence) {
                self.heed_signals()?;
                self.bin.remove(&paper)?;
            }
            kept::forget(&self.request.config.artefacts.metadata_dir, sequence)?;
        }
        let chunks: Vec<_> = doomed.chunks.keys().collect();
        let mut wanted = BTreeMap::new();
        for batch in chunks.chunks(BATCH) {
            if Listing::of(self.store)?.newest() != stream.newest() {
                stream = Stream::read(self.store, &self.ours)?;
                wanted = stream.objects(&stream.kept_by_lists());
            }
            let batch: Vec<_> = batch
                .iter()
                .filter(|one| !wanted.contains_key(**one))
                .collect();
            let parallel = self.request.config.transfer.parallel.count();
            workers::each(&batch, parallel, |stored| {
                self.heed_signals()?;
                Ok::<_, Failure>(self.bin.remove(&Key::Chunk(***stored))?)
            })?;
        }
        Ok(doomed)
    }

    fn heed_signals(&self) -> Result<(), PruneError> {
        if self.request.interrupt.is_raised() {
            return Err(PruneError::Interrupted);
        }
        Ok(())
    }
}
