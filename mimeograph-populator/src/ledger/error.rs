//! Why a manifest cannot be accepted, or no bundle has its turn.

use std::path::PathBuf;

use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::disk::DiskError;
use mimeograph_manifest::name::{Sequence, StreamId};

/// Why no bundle has its turn, or a manifest cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The state cannot be read or written.
    #[error("failed to read or write the state")]
    Disk(#[source] DiskError),
    /// It is not one.
    #[error("the state `{}` cannot be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another stream.
    #[error("bundle {sequence} is of stream {found}, but {followed} is followed here")]
    OtherStream {
        /// The bundle.
        sequence: Sequence,
        /// Its stream.
        found: StreamId,
        /// The one that is followed.
        followed: StreamId,
    },
    /// Two manifests claim one place.
    #[error("bundle {0} is not the one that was accepted before, or that its successor names")]
    Fork(Sequence),
    /// The store is older than what was accepted.
    #[error("the store's newest bundle is {newest}, but {accepted} was accepted before")]
    Rollback {
        /// The store's newest.
        newest: Sequence,
        /// The newest accepted.
        accepted: Sequence,
    },
    /// The store is empty, and was not.
    #[error("there is no bundle in the store, but {0} was accepted before")]
    Emptied(Sequence),
    /// It does not fit the one before it.
    #[error("bundle {sequence} does not fit the one before it: {problem}")]
    Series {
        /// The bundle.
        sequence: Sequence,
        /// What does not fit.
        problem: &'static str,
    },
    /// Something newer is there, and what it needs is not.
    #[error("bundle {needed} is missing, which bundle {found} builds on{}", why(*cache))]
    Gap {
        /// What is there.
        found: Sequence,
        /// What is missing.
        needed: Sequence,
        /// Whether it came here once, and the cache has lost it.
        cache: Lost,
        /// The newest bundle that all is still here of, with what it builds on.
        holds: Option<Sequence>,
    },
    /// An old bundle is asked for.
    #[error(
        "bundle {asked} is below bundle {mark}, which is applied: its tags would go back to what they were"
    )]
    Older {
        /// What is asked for.
        asked: Sequence,
        /// The highest applied.
        mark: Sequence,
    },
    /// It holds nothing that could be loaded.
    #[error("there is no bundle {0} with content in the store")]
    NoContent(Sequence),
}

/// Whether the cache has lost what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It never came here.
    Never,
    /// It came here, and `oc-mirror`'s cache does not hold all of it any more.
    FromCache,
}

fn why(cache: Lost) -> &'static str {
    match cache {
        Lost::Never => "",
        Lost::FromCache => " and which `oc-mirror`'s cache does not hold any more",
    }
}

impl Fault for LedgerError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Damaged { .. } => ErrorId::StateDamaged,
            Self::OtherStream { .. } => ErrorId::WrongStream,
            Self::Fork(_) => ErrorId::Fork,
            Self::Rollback { .. } | Self::Older { .. } | Self::Emptied(_) => ErrorId::Rollback,
            Self::NoContent(_) => ErrorId::InputMissing,
            Self::Gap { .. } => ErrorId::Gap,
            Self::Series { .. } => ErrorId::ManifestMalformed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Disk(error) => return error.hint(),
            Self::Damaged { .. } => {
                "restore `artefacts.metadataDir` from a copy; or move the file away: the second copy of the state (`state.copy`) \
                 then tells what was applied"
                    .into()
            }
            Self::OtherStream { .. } => {
                "correct the store, or give this stream its own `artefacts.metadataDir`; `trust.stream` pins it".into()
            }
            Self::Fork(_) => "two bundlers share one stream, or someone replaced a manifest: compare `list` on both sides".into(),
            Self::Rollback { .. } => "the transfer brought an old copy of the store: have it brought up to date".into(),
            Self::Emptied(_) => {
                "see that the drive is mounted and the right store is named; where a transport takes away what it has carried, set \
                 `store.drained: true`"
                    .into()
            }
            Self::Series { .. } => "no bundler writes this: ask who holds the key, and compare `show` on both sides".into(),
            Self::Older { .. } => "`--allow-rollback` does it all the same".into(),
            Self::NoContent(_) => "`mimeograph-populator list` shows what there is".into(),
            Self::Gap { needed, holds: Some(holds), .. } => format!(
                "carry bundle {needed} over; if it is lost, run `mimeograph-bundler run --since-sequence {holds}` on the \
                 connected side: it makes a bundle that holds everything after {holds}"
            ),
            Self::Gap { needed, holds: None, .. } => format!(
                "carry bundle {needed} over; if it is lost, run `mimeograph-bundler run --full` on the connected side: it \
                 makes a bundle that needs none before it"
            ),
        })
    }
}
