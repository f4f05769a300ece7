//! What is not whole in the store: it is set aside for what can do without it, waited for, and in the end an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use mimeograph_manifest::failure::{ErrorId, Exit, Failure, Fault, chain};
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::{Config, Period};
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Verified, VerifyError};
use mimeograph_manifest::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::apply::{HeldUp, Reached};
use crate::ledger::{Ledger, LedgerError};

/// A bundle that is waited for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Its number.
    pub sequence: u64,
    /// Why it waits.
    pub because: String,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for bundle {}: {}", self.sequence, self.because)
    }
}

/// Waited for too long.
#[derive(Debug, thiserror::Error)]
#[error("bundle {sequence} has been incomplete for longer than `trust.waitAtMost`: {because}")]
struct Stale {
    sequence: Sequence,
    because: String,
}

impl Fault for Stale {
    fn id(&self) -> ErrorId {
        ErrorId::Stale
    }

    fn hint(&self) -> Option<String> {
        Some(
            "ask whoever carries the store what became of it; have the missing objects sent again"
                .into(),
        )
    }
}

/// Bundles that are not whole in the store, and why a run ends with an error although it went on.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// What each of those that are still arriving lacks.
    arriving: BTreeMap<Sequence, String>,
    /// Those that are not applied now: still arriving, or damaged.
    pub set_aside: BTreeSet<Sequence>,
    /// What was wrong with the first damaged one.
    failure: Option<HeldUp>,
    /// Something newer is there, and what it needs is not.
    pub gap: Option<Failure>,
}

/// Most bundles that are waited for at once, the oldest first.
const MOST: usize = 1000;

/// How long something is waited for.
pub(crate) struct Patience<'a> {
    /// Where it is noted since when.
    metadata: &'a Path,
    /// `trust.waitAtMost`
    at_most: Period,
}

impl Late {
    /// Bundles whose signatures are not all there yet.
    pub(crate) fn of(arriving: Vec<(Sequence, VerifyError)>) -> Self {
        let says = |(sequence, error): (Sequence, VerifyError)| (sequence, chain(&error));
        Self {
            arriving: arriving.into_iter().map(says).collect(),
            ..Self::default()
        }
    }

    /// All but these are left alone: nobody can fetch what another has not.
    pub(crate) fn but(staged: &BTreeSet<Sequence>, found: &[Verified<Manifest>]) -> Self {
        let found = found.iter().map(|one| one.sequence);
        Self {
            set_aside: found.filter(|one| !staged.contains(one)).collect(),
            ..Self::default()
        }
    }

    /// What was wrong with the first bundle that is damaged.
    pub(crate) fn into_failure(self) -> Option<Failure> {
        self.failure.map(|held_up| held_up.failure)
    }

    /// A bundle that is not whole must not hold up those that can do without it; any other failure ends the run.
    pub(crate) fn set_aside(&mut self, held_up: HeldUp) -> Result<(), Failure> {
        let HeldUp {
            sequence,
            failure,
            reached,
        } = held_up;
        let says = chain(failure.as_error());
        match failure.id() {
            // What began to be loaded is not loaded over by an older one.
            _ if reached == Reached::Loading => return Err(failure),
            ErrorId::StateDamaged => return Err(failure),
            ErrorId::Incomplete => drop(self.arriving.insert(sequence, says)),
            id if id.exit() == Exit::Damaged => {
                tracing::error!(%sequence, "[{id}] {says}");
                self.failure.get_or_insert(HeldUp {
                    sequence,
                    failure,
                    reached,
                });
            }
            _ => return Err(failure),
        }
        self.set_aside.insert(sequence);
        Ok(())
    }

    /// Says what is waited for; what is damaged, or missing for too long, is an error.
    pub(crate) fn wait(
        self,
        ledger: &mut Ledger,
        patience: &Patience<'_>,
    ) -> Result<Option<Waiting>, Failure> {
        let mark = ledger.mark();
        if let Some(HeldUp { failure, .. }) = self.failure.filter(|one| Some(one.sequence) > mark) {
            return Err(failure);
        }
        let missing = self
            .gap
            .as_ref()
            .map(|gap| match gap.as_error().downcast_ref() {
                Some(LedgerError::Gap { needed, .. }) => *needed,
                _ => Sequence::FIRST,
            });
        let arriving = self.arriving.into_iter();
        let arriving = arriving.filter(|(sequence, _)| Some(*sequence) > mark);
        // Whoever writes to the store can have any number of them arrive.
        let arriving: BTreeMap<_, _> = arriving.take(MOST).collect();
        // What is not there any more is not waited for, and has been seen for the first time when it comes again.
        let is_waited_for =
            |sequence: &Sequence| arriving.contains_key(sequence) || missing == Some(*sequence);
        let before = ledger.waiting.clone();
        ledger.waiting.retain(|sequence, _| is_waited_for(sequence));
        let now = clock::now();
        for sequence in arriving.keys().chain(&missing) {
            ledger.waiting.entry(*sequence).or_insert(now);
        }
        if ledger.waiting != before {
            ledger.write(patience.metadata)?;
        }
        let mut waiting = None;
        for (sequence, because) in arriving {
            let one = patience.wait(ledger, now, sequence, because)?;
            waiting.get_or_insert(one);
        }
        // What is arriving explains a gap, but not for longer.
        if let Some((gap, missing)) = self.gap.zip(missing) {
            match patience.wait(ledger, now, missing, chain(gap.as_error())) {
                Err(failure) if failure.id() == ErrorId::Stale => return Err(gap),
                other => drop(waiting.get_or_insert(other?)),
            }
        }
        Ok(waiting)
    }
}

impl<'a> Patience<'a> {
    /// As the configuration says.
    pub(crate) fn of(config: &'a Config) -> Self {
        Self {
            metadata: &config.artefacts.metadata_dir,
            at_most: config.trust.wait_at_most,
        }
    }

    /// Too long is an error.
    pub(crate) fn wait(
        &self,
        ledger: &Ledger,
        now: Timestamp,
        sequence: Sequence,
        because: String,
    ) -> Result<Waiting, Failure> {
        let since = ledger.waiting.get(&sequence).copied().unwrap_or(now);
        if now.since(since) >= self.at_most.signed() {
            return Err(Stale { sequence, because }.into());
        }
        tracing::info!(%sequence, "waiting: {because}");
        Ok(Waiting {
            sequence: sequence.number(),
            because,
        })
    }
}
