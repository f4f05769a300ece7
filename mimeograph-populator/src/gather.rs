//! The two parts of a run, done by processes that have different secrets: `fetch`, which reads the store and knows no
//! registry, and `load`, which knows the registry and no store. What one hands to the other is told in [`crate::handover`].

use std::collections::BTreeSet;

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Generation, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use serde::Serialize;

use crate::course::Asked;
use crate::handover::{HandoverError, Note, Told};
use crate::late::{Late, Patience, Waiting};
use crate::ledger::Ledger;
use crate::origin::Ask;
use crate::populate::{Populated, Request, Run, is_not_closed, tell};

/// What came of a fetch.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// The bundles that are staged to be loaded, oldest first.
    pub staged: Vec<u64>,
    /// A bundle that is still arriving, and why it waits.
    pub waiting: Option<Waiting>,
}

/// Fetches and verifies what a run would load, and leaves it on disk; `store` is written down as it is read, `bulk` is the
/// same one. The caller holds the lock.
///
/// What is wrong with other bundles is an error where nothing can be loaded; else it is handed over.
pub(crate) fn fetch(
    request: &Request<'_>,
    store: &dyn Fetch,
    bulk: &dyn Fetch,
) -> Result<(Fetched, Note), Failure> {
    let run = Run::new(request, store, bulk)?;
    let mut ledger = Ledger::read_by(&run.metadata, request.trusted)?;
    run.scrub(&mut ledger)?;
    let opened = run.front().stage("open", || run.open(&ledger))?;
    run.settle(&opened, &mut ledger, Ask::FilesAlone)?;
    let mut late = Late::of(opened.arriving);
    let found = opened.manifests;
    run.sweep(&found, &ledger)?;
    let staged = run.stage(&found, &mut ledger, &mut late)?;
    // What was only supposed here is not written down: since when a bundle is waited for is.
    let mut written = Ledger::read_by(&run.metadata, request.trusted)?;
    let waited = late.wait(&mut written, &Patience::of(request.config));
    let mut note = Note {
        last: staged.loads.last().copied(),
        staged: staged.all,
        ..Note::default()
    };
    match waited {
        Err(failure) if note.last.is_some() => {
            tracing::error!(
                "[{}] {failure}: `load` ends with this, once it has loaded what is staged",
                failure.id()
            );
            note.failure = Some(Told::of(&failure));
        }
        waited => note.waiting = waited?,
    }
    let fetched = Fetched {
        staged: staged.loads.into_iter().map(Sequence::number).collect(),
        waiting: note.waiting.clone(),
    };
    Ok((fetched, note))
}

/// Loads what was handed over. The caller holds the lock.
pub(crate) fn load(
    request: &Request<'_>,
    handed_over: &dyn Fetch,
    note: Note,
) -> Result<Populated, Failure> {
    Run::new(request, handed_over, handed_over)?.run(Some(note))
}

/// What is staged.
#[derive(Debug, Default)]
struct Staged {
    all: BTreeSet<Sequence>,
    /// What is loaded, oldest first.
    loads: Vec<Sequence>,
}

impl Note {
    /// Says what is waited for; what was wrong is an error, and so is that what was staged could not be loaded.
    pub(crate) fn end(self, late: Late, populated: &Populated) -> Result<Option<Waiting>, Failure> {
        if let Some(last) = self.last.filter(|last| !populated.has(*last)) {
            let changed = HandoverError::Changed(last).into();
            return Err(late.into_failure().unwrap_or(changed));
        }
        match self.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(self.waiting),
        }
    }
}

impl Run<'_> {
    /// Stages what would be applied, one load after the other; in `ledger`, which is not written, each counts as applied.
    fn stage(
        &self,
        found: &[Verified<Manifest>],
        ledger: &mut Ledger,
        late: &mut Late,
    ) -> Result<Staged, Failure> {
        let applier = self.applier(found);
        let mut staged = Staged::default();
        while let Some(course) = self.choose(found, ledger, late)? {
            tell(&course);
            let merged: Vec<_> = course.merge.iter().map(|one| one.sequence).collect();
            match applier.stage(course) {
                Ok(bundle) => {
                    let manifest = bundle.turn().manifest();
                    staged.all.extend(merged);
                    staged.all.insert(manifest.sequence);
                    staged.loads.push(manifest.sequence);
                    if self.request.asked != Asked::Newest {
                        break;
                    }
                    if bundle.generation() == Generation::V1 {
                        // Each asks for what the one before it brought.
                        let inventory = bundle.inventory_bytes();
                        Ledger::keep_inventory(&self.metadata, manifest.sequence, inventory)?;
                    }
                    ledger.apply(manifest);
                }
                Err(held_up)
                    if staged.loads.is_empty()
                        && is_not_closed(&held_up)
                        && self.unfold(ledger)? => {}
                Err(held_up) => late.set_aside(held_up)?,
            }
        }
        Ok(staged)
    }
}
