//! Retention: bundles that need not be kept go, and with them the chunks that no kept bundle names.
//!
//! A signed list of all that will go is written first. From then on what it names counts as absent, here, on other hosts
//! and on the far side; so a run that is killed is simply done again, and nobody builds on what is about to go. What is
//! removed is computed from the bundles that are there at that moment: one that another host has published meanwhile
//! keeps what it names, and what was written after the list is left alone. Of a bundle the manifest goes first, so that a
//! reader misses the bundle and never a part of it.

mod list;
mod stream;
mod sweep;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::form::FormError;
use mimeograph_manifest::io::config::{Config, Period};
use mimeograph_manifest::io::console::{Front, Report};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::store::{Discard, Shelve};
use mimeograph_manifest::io::{clock, keys};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::pruned::Dropped;
use mimeograph_manifest::signed::VerifyError;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use self::stream::Stream;
use self::sweep::Doomed;
use crate::acknowledged::Lowest;
use crate::head::Published;
use crate::journal::{Journal, Stage};
use crate::seal;

/// What is kept, whatever else.
#[derive(Clone, Debug)]
pub struct Keep {
    /// So many full bundles, and all that came after the oldest of them.
    pub full: NonZeroUsize,
    /// All that is younger than so many days.
    pub days: Option<u16>,
    /// This one, the last that every enclave has applied by its own word, and all that came after it.
    pub applied: Option<Lowest>,
}

/// What becomes of chunks that neither a bundle nor a list names: those of runs that came to nothing, or of one that is
/// under way on another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They stay.
    Keep,
    /// They go, once they are old enough.
    Drop,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is.
    Drop,
    /// It is only said what would be.
    Tell,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where facts go.
    pub front: &'a Front,
    /// The signing key.
    pub key: &'a SigningKey,
    /// What is kept.
    pub keep: Keep,
    /// What becomes of orphans.
    pub orphans: Orphans,
    /// How old a chunk must be that may be one of a run under way.
    pub grace: Period,
    /// Whether anything is done.
    pub act: Act,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// Why nothing is dropped.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A bundle is in the making.
    #[error("the last run did not end: a bundle is in the making")]
    Unfinished,
    /// Nobody knows what it names.
    #[error(
        "a manifest in the store does not verify: what it names is not known, so nothing is dropped"
    )]
    Unverified(#[source] VerifyError),
    /// The list cannot be made.
    #[error("failed to sign the list of what is dropped")]
    List(#[source] FormError),
    /// Another host has written one.
    #[error("another host drops bundles of this stream at this moment: list {0} is its")]
    Taken(Sequence),
    /// Another host has published at the same time.
    #[error(
        "another host has published bundle {0} at this very moment, and chunks of it were dropped"
    )]
    Raced(Sequence),
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while dropping")]
    Interrupted,
}

impl Fault for PruneError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Unfinished => ErrorId::Unfinished,
            Self::Unverified(error) => error.id(),
            Self::List(_) => ErrorId::Bug,
            Self::Taken(_) => ErrorId::Locked,
            Self::Raced(_) => ErrorId::StoreDamaged,
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unfinished => "`mimeograph-bundler run` finishes it",
            Self::Unverified(_) => {
                "`mimeograph-bundler check-store` says more, and with `--repair` may mend it"
            }
            Self::List(_) => return None,
            Self::Taken(_) => "wait for it to end, and run again",
            Self::Raced(_) => {
                "that host sends them again as it ends, or when it runs next: let it, then see `mimeograph-bundler check-store`"
            }
            Self::Interrupted => "run it again: it goes on where it was",
        };
        Some(hint.into())
    }
}

/// Drops what need not be kept. The caller holds the lock.
pub fn prune(
    request: &Request<'_>,
    store: &dyn Shelve,
    bin: &dyn Discard,
) -> Result<Report, Failure> {
    let retention = Retention {
        request,
        ours: keys::own(request.config)?,
        store,
        bin,
    };
    let told = retention.run()?;
    request.front.note(|facts| {
        facts.chunks = Some(told.chunks as u64);
        facts.bytes = Some(told.bytes);
    });
    let outcome = match request.act {
        _ if told.is_nothing() => "nothing to do",
        Act::Tell => "planned",
        Act::Drop => "dropped",
    };
    Ok(Report::new(outcome, told.text(request.act)).with(&told)?)
}

struct Retention<'a> {
    request: &'a Request<'a>,
    ours: TrustedKeys,
    store: &'a dyn Shelve,
    bin: &'a dyn Discard,
}

impl Retention<'_> {
    fn run(&self) -> Result<Told, Failure> {
        let mut stream = Stream::read(self.store, &self.ours)?;
        self.check(&stream)?;
        let held_back = self.held_back(&stream);
        let lists = self.lists(&stream)?;
        let numbers = lists.iter().map(|list| list.number).collect();
        let doomed = if self.request.act == Act::Tell {
            for list in &lists {
                stream.dropped.add(list);
            }
            self.doomed(&stream)?
        } else {
            for list in &lists {
                self.publish(list)?;
            }
            self.sweep()?
        };
        Ok(Told {
            held_back,
            ..Told::of(doomed, numbers)
        })
    }

    /// The enclave for whose sake more is kept than was asked for.
    fn held_back(&self, stream: &Stream) -> Option<String> {
        let (now, keep) = (clock::now(), &self.request.keep);
        let lowest = keep.applied.as_ref()?;
        let asked = Keep {
            applied: None,
            ..keep.clone()
        };
        let is_more = stream.kept(keep, now) != stream.kept(&asked, now);
        is_more.then(|| format!("{} has bundle {}", lowest.enclave, lowest.bundle.sequence))
    }

    /// It must be our stream, nothing may be in the making, and our clock must be right.
    fn check(&self, stream: &Stream) -> Result<(), Failure> {
        let config = self.request.config;
        let journal = Journal::read(&config.artefacts.metadata_dir)?;
        let stage = journal.as_ref().map(|journal| &journal.stage);
        if stage.is_some_and(|stage| *stage != Stage::Idle) {
            return Err(PruneError::Unfinished.into());
        }
        let published = Published {
            bundles: stream.alive().cloned().collect(),
            dropped: Dropped::default(),
        };
        published.adopt(self.store, journal, config.upkeep)?;
        let head = published.head().map(|head| head.created);
        Ok(seal::check_clock(clock::now(), head, self.store.clock()?)?)
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    /// The bundles that go.
    bundles: BTreeSet<Sequence>,
    /// The chunks that go.
    chunks: usize,
    /// Their bytes.
    bytes: u64,
    /// Chunks that nothing names and that are too young to go.
    left: usize,
    /// The bundles that stay.
    kept: BTreeSet<Sequence>,
    /// The lists that are written for it.
    lists: Vec<Sequence>,
    /// Which enclave's receipt keeps more than was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back: Option<String>,
}

impl Told {
    fn of(doomed: Doomed, lists: Vec<Sequence>) -> Self {
        Self {
            chunks: doomed.chunks.len(),
            bytes: doomed.chunks.values().sum(),
            bundles: doomed.bundles,
            left: doomed.left,
            kept: doomed.kept,
            lists,
            held_back: None,
        }
    }

    fn is_nothing(&self) -> bool {
        self.bundles.is_empty() && self.chunks == 0
    }

    fn text(&self, act: Act) -> String {
        let going = match act {
            _ if self.is_nothing() => "nothing is to be dropped".to_owned(),
            Act::Tell => format!("would drop {}", self.going()),
            Act::Drop => format!("dropped {}", self.going()),
        };
        let mut kept = format!("bundles {} are kept", numbers(&self.kept));
        if let Some(enclave) = &self.held_back {
            kept.push_str(", more than was asked for: by its last receipt, ");
            kept.push_str(enclave);
        }
        let left = match self.left {
            0 => String::new(),
            left => format!("; {left} chunks that nothing names are too young to go"),
        };
        format!("{going}; {kept}{left}")
    }

    fn going(&self) -> String {
        let (chunks, bytes) = (self.chunks, self.bytes);
        let bundles = numbers(&self.bundles);
        format!("bundles {bundles} and {chunks} chunks, {bytes} bytes")
    }
}

/// Numbers in few words: `1-3, 5`.
fn numbers(of: &BTreeSet<Sequence>) -> String {
    let mut runs: Vec<(Sequence, Sequence)> = Vec::new();
    for number in of {
        match runs.last_mut() {
            Some((_, last)) if last.next() == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    if runs.is_empty() {
        return "none".to_owned();
    }
    let runs = runs.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    runs.collect::<Vec<_>>().join(", ")
}
