//! One run on the disconnected side: the checks in their order, and only then `oc-mirror`.

use std::path::PathBuf;

use mimeograph_manifest::failure::{ErrorId, Failure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::{Front, NewestBundle};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, release_keys};
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::apply::{Applied, Applier, HeldUp, Reached};
use crate::cache::Cache;
use crate::course::{Asked, Chooser, Course, Shelf};
use crate::fresh;
use crate::handover::Note;
use crate::late::{Late, Patience, Waiting};
use crate::ledger::{Accepted, Ledger, SetBack};
use crate::open::{Gate, Opened};
use crate::origin::{Ask, Ground, OriginError, Start};
use crate::receipt::Receipts;
use crate::resources;
use crate::told;
use crate::verified;

/// What a run is given.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where progress and facts go.
    pub front: &'a Front,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
    /// Where the stream is followed from, where nothing was applied yet.
    pub start: Start,
    /// What is to be applied.
    pub asked: Asked,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// What came of a run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Populated {
    /// The bundles that were applied, oldest first.
    pub applied: Vec<Applied>,
    /// The bundles that a later one made unnecessary.
    pub skipped: Vec<u64>,
    /// A bundle that is still arriving, and why it waits.
    pub waiting: Option<Waiting>,
    /// The highest applied bundle.
    pub mark: Option<u64>,
    /// The newest bundle of all, a heartbeat perhaps: how fresh the stream is.
    pub newest: Option<Newest>,
    /// Where the target stands below that.
    pub set_back: Option<SetBack>,
    /// Where its receipt was put.
    pub receipt: Option<PathBuf>,
}

impl Populated {
    /// Whether a bundle is in the target now, or a later one.
    pub(crate) fn has(&self, sequence: Sequence) -> bool {
        let number = sequence.number();
        self.mark >= Some(number) || self.applied.iter().any(|one| one.sequence == number)
    }
}

/// The newest bundle that was accepted.
#[derive(Debug, Serialize)]
pub struct Newest {
    /// Its number.
    pub sequence: u64,
    /// Its kind.
    pub kind: &'static str,
    /// When it was made.
    pub created: String,
}

impl Newest {
    fn of(found: &[Verified<Manifest>], ledger: &Ledger) -> Option<Self> {
        let accepted = |one: &&Verified<Manifest>| Some(one.sequence) == ledger.newest();
        found.iter().find(accepted).map(|one| Self {
            sequence: one.sequence.number(),
            kind: one.kind.as_str(),
            created: one.created.to_string(),
        })
    }
}

/// Runs once: the newest bundle that can be applied, with all that it needs. The caller holds the lock.
pub fn populate(request: &Request<'_>, store: &dyn Fetch) -> Result<Populated, Failure> {
    Run::new(request, store, store)?.run(None)
}

/// What is needed for a run.
pub(crate) struct Run<'a> {
    pub request: &'a Request<'a>,
    pub store: &'a dyn Fetch,
    /// The same store, where the large files are fetched from.
    pub bulk: &'a dyn Fetch,
    pub metadata: PathBuf,
    pub cache: Cache,
    pub release_keys: ReleaseKeys,
    receipts: Option<Receipts>,
    listing: Listing,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        request: &'a Request<'a>,
        store: &'a dyn Fetch,
        bulk: &'a dyn Fetch,
    ) -> Result<Self, Failure> {
        Ok(Self {
            request,
            store,
            bulk,
            metadata: request.config.artefacts.metadata_dir.to_path_buf(),
            cache: Cache::of(request.config),
            release_keys: release_keys::read(request.config)?,
            receipts: Receipts::open(request.config)?,
            listing: Listing::of(store)?,
        })
    }

    /// All of it; or what is left of it once another process has fetched, as its note says.
    pub(crate) fn run(&self, fetched: Option<Note>) -> Result<Populated, Failure> {
        let mut ledger = Ledger::read_by(&self.metadata, self.request.trusted)?;
        let opened = self.front().stage("open", || self.open(&ledger))?;
        self.settle(&opened, &mut ledger, Ask::All)?;
        let found = opened.manifests;
        let mut late = match &fetched {
            Some(note) => Late::but(&note.staged, &found),
            None => Late::of(opened.arriving),
        };
        self.scrub(&mut ledger)?;
        let mut populated = Populated::default();
        self.apply(&found, &mut ledger, &mut late, &mut populated)?;
        populated.skipped.extend(ledger.pass_over(&found));
        ledger.write(&self.metadata)?;
        told::tell(self.request.config, &self.metadata, &found, &mut ledger)?;
        self.tidy(&found, &ledger)?;
        if let Some(receipts) = &self.receipts {
            populated.receipt = receipts.write(&self.metadata, &ledger)?;
        }
        resources::hand_on(self.request.config, &ledger)?;
        populated.mark = ledger.mark().map(Sequence::number);
        self.front().note(|facts| {
            let above = |one: &&Verified<Manifest>| {
                one.kind != Kind::Heartbeat && Some(one.sequence) > ledger.mark()
            };
            facts.applied = populated.mark;
            facts.behind = Some(found.iter().filter(above).count() as u64);
        });
        populated.waiting = match fetched {
            Some(note) => note.end(late, &populated)?,
            None => late.wait(&mut ledger, &Patience::of(self.request.config))?,
        };
        for note in fresh::notes(
            self.request.trusted,
            found.last().map(|one| &**one),
            clock::now(),
        ) {
            tracing::warn!("{note}");
        }
        fresh::check(&self.request.config.trust, ledger.latest, clock::now())?;
        populated.newest = Newest::of(&found, &ledger);
        populated.set_back = ledger.set_back();
        Ok(populated)
    }

    /// Steps 2 to 6: list, read, verify; stream, audience, time, place in the chain.
    pub(crate) fn open(&self, ledger: &Ledger) -> Result<Opened, Failure> {
        let Request {
            config,
            trusted,
            asked,
            ..
        } = self.request;
        if self.listing.foreign_count > 0 {
            tracing::info!(
                count = self.listing.foreign_count,
                first = self.listing.foreign.join(", "),
                "objects that are not ours: left alone"
            );
        }
        let from = match asked {
            Asked::ThisOrOlder(sequence) => ledger.mark().min(Some(*sequence)),
            _ => ledger.mark(),
        };
        let from = from.or_else(|| self.request.start.from(ledger));
        let gate = Gate {
            config,
            trusted,
            ledger,
        };
        let opened = gate.open(self.store, &self.listing, from)?;
        self.front().note(|facts| {
            let newest = opened.manifests.last();
            facts.stream = newest.map(|newest| newest.stream.clone());
            facts.sequence = newest.map(|newest| newest.sequence.number());
            facts.newest = newest.map(|newest| NewestBundle::from(&**newest));
            let signers = newest.map(Verified::signers).unwrap_or_default();
            facts.key_ids = signers.iter().map(ToString::to_string).collect();
        });
        Ok(opened)
    }

    /// Where it starts from: what was accepted here, or what the second copy of the state knows.
    pub(crate) fn settle(
        &self,
        opened: &Opened,
        ledger: &mut Ledger,
        ask: Ask,
    ) -> Result<(), Failure> {
        let Request {
            config,
            trusted,
            start,
            ..
        } = self.request;
        let ground = Ground {
            config,
            trusted,
            metadata: &self.metadata,
            cache: &self.cache,
            found: &opened.manifests,
            ask,
        };
        ground.settle(*start, ledger)?;
        if opened.manifests.is_empty() && opened.arriving.is_empty() && ledger.is_empty() {
            return Err(OriginError::Nothing(self.store.describe()).into());
        }
        // It may know more now.
        let pinned = config.trust.stream.as_ref();
        Ok(ledger.check(pinned, config.upkeep, &opened.manifests, opened.passed)?)
    }

    /// What a load that did not end well wrote to the cache is not believed.
    pub(crate) fn scrub(&self, ledger: &mut Ledger) -> Result<(), Failure> {
        let Some(loading) = ledger.loading else {
            return Ok(());
        };
        let inventory = Ledger::inventory(&self.metadata, loading.sequence)?;
        let removed = self
            .front()
            .stage("scrub", || self.cache.scrub(inventory.as_ref()))?;
        tracing::warn!(
            bundle = %loading.sequence, removed,
            "the last load did not end well: what it could have written to the cache was hashed"
        );
        ledger.loading = None;
        Ok(ledger.write(&self.metadata)?)
    }

    /// Steps 7 to 15: the newest that can be applied. What is not whole is set aside, and the next one is tried.
    fn apply(
        &self,
        found: &[Verified<Manifest>],
        ledger: &mut Ledger,
        late: &mut Late,
        populated: &mut Populated,
    ) -> Result<(), Failure> {
        let applier = self.applier(found);
        while let Some(course) = self.choose(found, ledger, late)? {
            tell(&course);
            // Before anything is loaded that the second copy could not be told of.
            told::check_writable(self.request.config)?;
            match applier.follow(course, ledger) {
                Ok(bundle) => {
                    populated.skipped.extend(&bundle.skipped);
                    populated.applied.push(bundle);
                    if self.request.asked != Asked::Newest {
                        break;
                    }
                }
                Err(held_up) if is_not_closed(&held_up) && self.unfold(ledger)? => {}
                Err(held_up) => late.set_aside(held_up)?,
            }
        }
        Ok(())
    }

    pub(crate) fn applier<'r>(&'r self, found: &'r [Verified<Manifest>]) -> Applier<'r> {
        Applier {
            config: self.request.config,
            front: self.front(),
            store: self.store,
            bulk: self.bulk,
            metadata: &self.metadata,
            cache: &self.cache,
            release_keys: &self.release_keys,
            interrupt: self.request.interrupt,
            found,
        }
    }

    /// Where the whole cache stood for what a delta builds on, and that was not enough: from now on it is asked for, if
    /// the store still says what it was. `false`: nothing stood for anything.
    pub(crate) fn unfold(&self, ledger: &mut Ledger) -> Result<bool, Failure> {
        let below = self.shelf();
        let stands_in = |(sequence, bundle): (&Sequence, &Accepted)| {
            let link = Link {
                sequence: *sequence,
                sha256: bundle.sha256,
            };
            (bundle.kind == Kind::Delta && bundle.requires.is_none()).then_some(link)
        };
        let standing: Vec<_> = ledger.bundles.iter().filter_map(stands_in).collect();
        if standing.is_empty() {
            return Ok(false);
        }
        let mut changed = false;
        for link in standing {
            if let Some(manifest) = below.get(link)? {
                changed |= ledger.builds_on(&manifest);
            }
        }
        ledger.write(&self.metadata)?;
        Ok(changed)
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf {
            store: self.store,
            listing: &self.listing,
            trusted: self.request.trusted,
        }
    }

    pub(crate) fn choose(
        &self,
        found: &[Verified<Manifest>],
        ledger: &Ledger,
        late: &mut Late,
    ) -> Result<Option<Course>, Failure> {
        let chooser = Chooser {
            ledger,
            metadata: &self.metadata,
            cache: &self.cache,
            shelf: &self.shelf(),
            found,
            set_aside: &late.set_aside,
            now: clock::now(),
        };
        match chooser.choose(self.request.asked) {
            Err(failure) if failure.id() == ErrorId::Gap => {
                late.gap = Some(failure);
                Ok(None)
            }
            chosen => chosen,
        }
    }

    /// What nobody comes back for goes.
    fn tidy(&self, found: &[Verified<Manifest>], ledger: &Ledger) -> Result<(), Failure> {
        ledger.forget_inventories(&self.metadata)?;
        self.sweep(found, ledger)
    }

    /// What was staged goes, but for what is still to be applied.
    pub(crate) fn sweep(
        &self,
        found: &[Verified<Manifest>],
        ledger: &Ledger,
    ) -> Result<(), Failure> {
        let above = found
            .iter()
            .filter(|one| Some(one.sequence) > ledger.mark());
        let waited_for: Vec<_> = above.map(Verified::digest).collect();
        verified::sweep(&self.request.config.artefacts.bundle_dir, &waited_for)
    }

    pub(crate) fn front(&self) -> &Front {
        self.request.front
    }
}

pub(crate) fn is_not_closed(held_up: &HeldUp) -> bool {
    held_up.reached == Reached::Verifying && held_up.failure.id() == ErrorId::NotClosed
}

pub(crate) fn tell(course: &Course) {
    let merged: Vec<_> = course
        .merge
        .iter()
        .map(|one| one.sequence.to_string())
        .collect();
    if !merged.is_empty() {
        tracing::info!(
            "bundle {} builds on what is not here: first the blobs of {} go into `oc-mirror`'s cache",
            course.load.sequence,
            merged.join(", ")
        );
    }
}
