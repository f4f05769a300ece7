//! What lists name -> removed, unless a bundle that is kept names it, too.

use std::collections::{BTreeMap, BTreeSet};

use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::age::Ages;
use mimeograph_manifest::io::listing::{self, Listing, is_listed};
use mimeograph_manifest::io::workers;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::name::Sequence;

use super::stream::Stream;
use super::{PruneError, Retention};
use crate::kept;

/// After so many chunks it is looked again whether another host has published: so many it may miss, which it then sends
/// again.
const BATCH: usize = 100;

/// What goes, and what stays.
pub(super) struct Doomed {
    pub bundles: BTreeSet<Sequence>,
    /// With their sizes.
    pub chunks: BTreeMap<Digest, u64>,
    /// Chunks that nothing names and that are too young to go.
    pub left: usize,
    pub kept: BTreeSet<Sequence>,
}

impl Retention<'_> {
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
        let ages = Ages::now(self.store, self.request.grace)?;
        for (stored, (size, modified)) in listing::dated_chunks(self.store)? {
            let Some(list) = stream.dropped.since(&stored) else {
                continue;
            };
            if wanted.contains_key(&stored) {
                continue;
            }
            if ages.may_go(modified, list) {
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
        let mut removed = BTreeSet::new();
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
            removed.extend(batch.into_iter().copied());
        }
        self.look_back(&stream, &removed)?;
        let ages = Ages::now(self.store, self.request.grace)?;
        self.bin.remove_unfinished(ages.horizon())?;
        Ok(doomed)
    }

    /// A bundle that another host has published since we last looked may name what was removed. That host looks, too, and
    /// sends it again; where it has not, somebody must know.
    fn look_back(&self, before: &Stream, removed: &BTreeSet<&Digest>) -> Result<(), Failure> {
        if Listing::of(self.store)?.newest() == before.newest() {
            return Ok(());
        }
        let stream = Stream::read(self.store, &self.ours)?;
        let wanted = stream.objects(&stream.kept_by_lists());
        if !wanted.keys().any(|stored| removed.contains(stored)) {
            return Ok(());
        }
        let listed = listing::chunks(self.store)?;
        let is_lost = |chunk: &Chunk| removed.contains(&chunk.stored) && !is_listed(&listed, chunk);
        let mut newest = stream.alive().rev();
        match newest.find(|bundle| bundle.chunks().any(is_lost)) {
            Some(bundle) => Err(PruneError::Raced(bundle.sequence).into()),
            None => Ok(()),
        }
    }

    fn heed_signals(&self) -> Result<(), PruneError> {
        if self.request.interrupt.is_raised() {
            return Err(PruneError::Interrupted);
        }
        Ok(())
    }
}
