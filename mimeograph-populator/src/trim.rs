//! `cache`: what `oc-mirror`'s cache holds, and what of it nothing needs any more.
//!
//! What a bundle carried that an applied one builds on, back to the last full one, stays: the connected side counts it as
//! shipped and will never send it again.

use std::collections::BTreeSet;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::name::Sequence;

use crate::cache::Cache;
use crate::ledger::{Fate, Ledger};

/// What is needed cannot be told.
#[derive(Debug, thiserror::Error)]
enum TrimError {
    #[error("nothing was applied here yet: nothing is removed from the cache")]
    Nothing,
    #[error(
        "the inventory of bundle {0} is not kept here: what the cache must hold cannot be told"
    )]
    Unknown(Sequence),
}

impl Fault for TrimError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Nothing => ErrorId::InputMissing,
            Self::Unknown(_) => ErrorId::StateLost,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Nothing => "run `mimeograph-populator run` first",
                Self::Unknown(_) => "have a full bundle made (`mimeograph-bundler run --full`) and applied: it needs none before it",
            }
            .into(),
        )
    }
}

/// The blobs of a cache, told apart.
#[derive(Debug, Default)]
struct Sorted {
    needed: (u64, u64),
    /// Needed, and not there.
    missing: usize,
    stale: Vec<(Digest, u64)>,
}

/// Says what is there; changes nothing.
pub(crate) fn report(config: &Config) -> Result<Report, Failure> {
    let sorted = sort(config)?;
    text_of(&sorted, "could be removed (`--trim`)", "done")
}

/// Removes what nothing needs. The caller holds the lock.
pub(crate) fn trim(config: &Config) -> Result<Report, Failure> {
    let (sorted, cache) = (sort(config)?, Cache::of(config));
    for (blob, _) in &sorted.stale {
        cache.remove(blob)?;
    }
    text_of(&sorted, "were removed", "trimmed")
}

fn sort(config: &Config) -> Result<Sorted, Failure> {
    let mut needed = needed(config)?;
    let mut sorted = Sorted::default();
    for (blob, size) in Cache::of(config).list()? {
        if needed.remove(&blob) {
            sorted.needed.0 += 1;
            sorted.needed.1 += size;
        } else {
            sorted.stale.push((blob, size));
        }
    }
    sorted.missing = needed.len();
    Ok(sorted)
}

/// What bundles carried that an applied one builds on, and those that were merged above it.
fn needed(config: &Config) -> Result<BTreeSet<Digest>, Failure> {
    let metadata = &config.artefacts.metadata_dir;
    let ledger = Ledger::read(metadata)?;
    let mark = ledger.mark().ok_or(TrimError::Nothing)?;
    let above = ledger.bundles.range(mark..);
    let merged = above.filter(|(_, bundle)| bundle.fate == Fate::Merged);
    let mut chains: Vec<_> = merged.map(|(sequence, _)| *sequence).collect();
    let chain = ledger.chain(mark);
    let last = chain.last().and_then(|last| ledger.bundles[last].requires);
    if let Some(unknown) = last {
        return Err(TrimError::Unknown(unknown.sequence).into());
    }
    chains.extend(chain);
    chains.extend(ledger.loading.map(|link| link.sequence));
    let mut needed = BTreeSet::new();
    for sequence in chains {
        let inventory =
            Ledger::inventory(metadata, sequence)?.ok_or(TrimError::Unknown(sequence))?;
        needed.extend(inventory.structure.blobs.into_keys());
    }
    Ok(needed)
}

fn text_of(sorted: &Sorted, what: &str, outcome: &'static str) -> Result<Report, Failure> {
    let (blobs, bytes) = sorted.needed;
    let stale: u64 = sorted.stale.iter().map(|(_, size)| size).sum();
    let missing = match sorted.missing {
        0 => String::new(),
        missing => format!(
            ", and {missing} more are missing (the next run fetches them again, if the store has them)"
        ),
    };
    let text = format!(
        "{blobs} blobs ({bytes} bytes) are what applied bundles build on{missing}; {} others ({stale} bytes) {what}",
        sorted.stale.len()
    );
    Ok(Report::new(outcome, text).with(&serde_json::json!({
        "neededBlobs": blobs,
        "neededBytes": bytes,
        "missingBlobs": sorted.missing,
        "otherBlobs": sorted.stale.len(),
        "otherBytes": stale,
    }))?)
}
