//! `plan`: what a run would do, without doing any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{Failure, chain};
use mimeograph_manifest::inventory::{Inventory, Structure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, disk, fetched};
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::Wish;
use mimeograph_manifest::wish::named::{Change, Named, diff};
use serde::Serialize;

use crate::cache::Cache;
use crate::course::{Asked, Chooser, Course, Shelf};
use crate::late::{Patience, Waiting};
use crate::ledger::Ledger;
use crate::open::{Gate, Opened};
use crate::origin::{self, OriginError};
use crate::verified::staged;

/// What a run would do.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    /// The bundle that would be loaded.
    load: Option<u64>,
    /// Those whose blobs would go into the cache first.
    merge: Vec<u64>,
    /// Those that it makes unnecessary.
    skip: Vec<u64>,
    /// What the target would hold by name.
    content: Option<Named>,
    /// What changes there.
    changes: Vec<Change>,
    /// Chunks that are not whole in the store yet.
    arriving_chunks: usize,
    /// Bytes that would be fetched.
    fetch_bytes: u64,
    /// Bytes of room that staging takes at most.
    staging_bytes: u64,
    /// Bytes that `oc-mirror`'s cache would grow by.
    cache_bytes: u64,
    /// Bundles that signatures are waited for.
    waiting: Vec<Waiting>,
}

/// Says what a run would do.
pub(crate) fn plan(
    config: &Config,
    store: &dyn Fetch,
    trusted: &TrustedKeys,
) -> Result<Report, Failure> {
    let metadata = &config.artefacts.metadata_dir;
    let ledger = Ledger::read_by(metadata, trusted)?;
    let listing = Listing::of(store)?;
    let from = ledger.mark().or(ledger.begins.map(|link| link.sequence));
    let gate = Gate {
        config,
        trusted,
        ledger: &ledger,
    };
    let Opened {
        manifests: found,
        arriving,
        ..
    } = gate.open(store, &listing, from)?;
    let first = found.first().map(|first| first.sequence);
    if ledger.is_empty() && from.is_none() && first.is_some_and(|first| first != Sequence::FIRST) {
        return Err(OriginError::NoFirst.into());
    }
    if ledger.is_empty()
        && let Some(first) = found.first()
        && let Some(known) = origin::known_elsewhere(config, trusted, &first.stream)?
    {
        let text = format!(
            "STATE LOST: bundle {known} was applied here, as the second copy of the state says; a run takes that up first, and \
             only then can it be told what is to be done"
        );
        return Ok(Report::new("state lost", text).with(&Plan::default())?);
    }
    let chooser = Chooser {
        now: clock::now(),
        ledger: &ledger,
        metadata,
        cache: &Cache::of(config),
        shelf: &Shelf {
            store,
            listing: &listing,
            trusted,
        },
        found: &found,
        set_aside: &BTreeSet::new(),
    };
    let mut plan = match chooser.choose(Asked::Newest)? {
        None => Plan::default(),
        Some(course) => Plan::of(&course, &chooser)?,
    };
    let patience = Patience::of(config);
    let mut too_long = None;
    for (sequence, error) in arriving {
        if Some(sequence) > ledger.mark() {
            match patience.wait(&ledger, clock::now(), sequence, chain(&error)) {
                Ok(waiting) => plan.waiting.push(waiting),
                Err(failure) => drop(too_long.get_or_insert(failure)),
            }
        }
    }
    let mut text = text(&plan, &ledger);
    if let Some(set_back) = ledger.set_back() {
        let _ = write!(text, "\n{set_back}");
    }
    if plan.load.is_some() {
        let bundle_dir = disk::free_space(&config.artefacts.bundle_dir)?;
        let cache = disk::free_space(Cache::of(config).root())?;
        let _ = write!(
            text,
            " (free: {bundle_dir} bytes in `bundleDir`, {cache} where the cache is)"
        );
    }
    let report = Report::new("done", text).with(&plan)?;
    Ok(match too_long {
        Some(failure) => report.but(failure),
        None => report,
    })
}

impl Plan {
    fn of(course: &Course, chooser: &Chooser<'_>) -> Result<Self, Failure> {
        let store = chooser.shelf.store;
        let mut plan = Self::default();
        let listed = listing::chunks(store)?;
        let mut lacking = BTreeMap::new();
        for bundle in course.merge.iter().chain([&course.load]) {
            let inventory = inventory(store, bundle)?;
            lacking.extend(chooser.cache.lacking(&inventory)?);
            plan.add(bundle, &listed);
            if bundle.sequence == course.load.sequence {
                plan.content = Some(Named::of(&inventory.wish));
                let before = match chooser.ledger.mark() {
                    Some(mark) => Ledger::inventory(chooser.metadata, mark)?,
                    None => None,
                };
                plan.changes = diff(&before.unwrap_or_else(nothing), &inventory);
            }
        }
        plan.cache_bytes = lacking.values().sum();
        plan.load = Some(course.load.sequence.number());
        plan.merge = numbers(course.merge.iter());
        let is_skipped = |one: &&Verified<Manifest>| {
            !one.files.is_empty()
                && Some(one.sequence) > chooser.ledger.mark()
                && one.sequence < course.load.sequence
                && !plan.merge.contains(&one.sequence.number())
        };
        plan.skip = numbers(chooser.found.iter().filter(is_skipped));
        Ok(plan)
    }

    fn add(&mut self, bundle: &Manifest, listed: &BTreeMap<Digest, u64>) {
        let chunks: BTreeMap<_, _> = bundle.chunks().map(|chunk| (chunk.stored, chunk)).collect();
        let absent = chunks
            .values()
            .filter(|chunk| !listing::is_listed(listed, chunk));
        self.arriving_chunks += absent.count();
        self.fetch_bytes += chunks.values().map(|chunk| chunk.stored_size).sum::<u64>();
        let staging = staged(bundle).map(|file| file.size).sum();
        self.staging_bytes = self.staging_bytes.max(staging);
    }
}

fn numbers<'a>(bundles: impl Iterator<Item = &'a Verified<Manifest>>) -> Vec<u64> {
    bundles.map(|one| one.sequence.number()).collect()
}

fn inventory(store: &dyn Fetch, bundle: &Manifest) -> Result<Inventory, Failure> {
    let file = bundle.files(Role::Inventory).next();
    let file = file.ok_or(crate::ledger::LedgerError::NoContent(bundle.sequence))?;
    Ok(Inventory::from_bytes(&fetched::small_file(store, file)?)?)
}

/// What the target holds before the first bundle.
fn nothing() -> Inventory {
    Inventory::new(Structure::default(), Wish::default())
}

fn text(plan: &Plan, ledger: &Ledger) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    for waiting in &plan.waiting {
        let _ = writeln!(text, "{waiting}");
    }
    let Some(load) = plan.load else {
        let _ = match (ledger.mark(), plan.waiting.is_empty()) {
            (Some(mark), true) => write!(
                text,
                "nothing to do: bundle {mark} is applied, and nothing newer is in the store"
            ),
            (Some(mark), false) => write!(text, "nothing to do yet: bundle {mark} is applied"),
            (None, true) => write!(text, "nothing to do: there is no bundle in the store"),
            (None, false) => write!(text, "nothing to do yet: no bundle was applied"),
        };
        return text;
    };
    for sequence in &plan.merge {
        let _ = writeln!(
            text,
            "bundle {sequence}: its blobs go into `oc-mirror`'s cache"
        );
    }
    for sequence in &plan.skip {
        let _ = writeln!(text, "bundle {sequence}: not needed");
    }
    if let Some(content) = &plan.content {
        let _ = writeln!(text, "bundle {load}: is loaded: {content}");
    }
    for change in plan.changes.iter().filter(|change| !change.is_of_digest()) {
        let _ = writeln!(text, "  {change}");
    }
    let by_digest = plan
        .changes
        .iter()
        .filter(|change| change.is_of_digest())
        .count();
    if by_digest > 0 {
        let _ = writeln!(
            text,
            "  and {by_digest} tags made of digests (`--output json` names them)"
        );
    }
    if plan.arriving_chunks > 0 {
        let _ = writeln!(
            text,
            "{} chunks are not whole in the store yet",
            plan.arriving_chunks
        );
    }
    let _ = write!(
        text,
        "to fetch: {} bytes at most; room: {} bytes for staging, {} more in the cache",
        plan.fetch_bytes, plan.staging_bytes, plan.cache_bytes
    );
    text
}
