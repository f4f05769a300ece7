//! The ledger: which bundles were applied here, and whose turn it is next.
//!
//! Only a bundle that reaches the content mark by a chain of `requires`, or is full, gets a [`Turn`];
//! replay, gap, fork and rollback are errors with names of their own. State moves at the very end of a
//! run and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::{Before, Inventory};
use mimeograph_manifest::io::disk::{self, DiskError};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use serde::{Deserialize, Serialize};

const FILE: &str = "state.json";
/// A ledger has about 200 bytes for each bundle of the stream.
const SIZE: u64 = 64 << 20;

/// What must last between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ledger {
    /// The stream that is followed, from the first bundle on.
    pub stream: Option<StreamId>,
    /// Every bundle that was accepted.
    pub bundles: BTreeMap<Sequence, Accepted>,
    /// The latest `created` that was accepted: the clock is never before it.
    pub latest: Option<Timestamp>,
    /// Since when a bundle is waited for.
    pub waiting: BTreeMap<Sequence, Timestamp>,
}

/// A bundle that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accepted {
    /// Its manifest's digest.
    pub sha256: Digest,
    /// Its kind.
    pub kind: Kind,
    /// What it required.
    pub requires: Option<Link>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Loaded and confirmed; a heartbeat: seen.
    Applied,
    /// Below the content mark, on no applied chain.
    Skipped,
}

/// Leave to apply one bundle, which only the ledger gives.
#[derive(Debug)]
pub struct Turn {
    manifest: Verified<Manifest>,
    before: Before,
}

impl Turn {
    /// The bundle.
    pub fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// What the bundles brought that it builds on.
    pub fn before(&self) -> &Before {
        &self.before
    }
}

/// Why no bundle has its turn, or a manifest cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The state cannot be read or written.
    #[error("failed to keep the state")]
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
    /// It does not fit the one before it.
    #[error("bundle {sequence} does not fit the one before it: {problem}")]
    Series {
        /// The bundle.
        sequence: Sequence,
        /// What does not fit.
        problem: &'static str,
    },
    /// Something newer is there, and what it needs is not.
    #[error("bundle {needed} is missing, which bundle {found} builds on")]
    Gap {
        /// What is there.
        found: Sequence,
        /// What is missing.
        needed: Sequence,
    },
}

impl Fault for LedgerError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Damaged { .. } => ErrorId::StateDamaged,
            Self::OtherStream { .. } => ErrorId::WrongStream,
            Self::Fork(_) => ErrorId::Fork,
            Self::Rollback { .. } => ErrorId::Rollback,
            Self::Gap { .. } => ErrorId::Gap,
            Self::Series { .. } => ErrorId::ManifestMalformed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Disk(error) => return error.hint(),
            Self::Damaged { .. } => "restore `artefacts.metadataDir` from a copy".into(),
            Self::OtherStream { .. } => {
                "correct the store, or give this stream its own `artefacts.metadataDir`; `trust.stream` pins it".into()
            }
            Self::Fork(_) => "two bundlers share one stream, or someone replaced a manifest: compare `list` on both sides".into(),
            Self::Rollback { .. } => "the transfer brought an old copy of the store: have it brought up to date".into(),
            Self::Series { .. } => "no bundler writes this: ask who holds the key, and compare `show` on both sides".into(),
            Self::Gap { needed, .. } => format!(
                "carry bundle {needed} over; if it is lost, `mimeograph-bundler run --full` on the connected side makes one \
                 that needs none before it"
            ),
        })
    }
}

impl Ledger {
    /// Reads it; an empty one where there is none yet.
    pub fn read(metadata: &Path) -> Result<Self, LedgerError> {
        let path = metadata.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = disk::read_bounded(&path, SIZE).map_err(LedgerError::Disk)?;
        serde_json::from_slice(&bytes).map_err(|source| LedgerError::Damaged { path, source })
    }

    /// Writes it so that a crash leaves the old one or this one.
    pub fn write(&self, metadata: &Path) -> Result<(), LedgerError> {
        let path = metadata.join(FILE);
        let bytes = serde_json::to_vec(self).map_err(|source| LedgerError::Damaged {
            path: path.clone(),
            source,
        })?;
        disk::write_durably(&path, &bytes, 0o600).map_err(LedgerError::Disk)
    }

    /// The highest applied bundle with content.
    pub fn mark(&self) -> Option<Sequence> {
        let applied = |(_, bundle): &(&Sequence, &Accepted)| {
            bundle.fate == Fate::Applied && bundle.kind != Kind::Heartbeat
        };
        self.bundles
            .iter()
            .filter(applied)
            .map(|(sequence, _)| *sequence)
            .next_back()
    }

    /// Whether nothing was ever accepted here.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    /// Checks manifests, oldest first, against the stream, against each other, and against what was accepted.
    pub fn check(
        &self,
        pinned: Option<&StreamId>,
        found: &[Verified<Manifest>],
    ) -> Result<(), LedgerError> {
        let followed = self
            .stream
            .as_ref()
            .or(pinned)
            .or_else(|| found.first().map(|first| &first.stream));
        let mut digests: BTreeMap<_, _> = self
            .bundles
            .iter()
            .map(|(sequence, bundle)| (*sequence, bundle.sha256))
            .collect();
        for manifest in found {
            let sequence = manifest.sequence;
            if let Some(followed) = followed.filter(|followed| **followed != manifest.stream) {
                let (found, followed) = (manifest.stream.clone(), followed.clone());
                return Err(LedgerError::OtherStream {
                    sequence,
                    found,
                    followed,
                });
            }
            if digests
                .insert(sequence, manifest.digest())
                .is_some_and(|known| known != manifest.digest())
            {
                return Err(LedgerError::Fork(sequence));
            }
            let links = manifest.previous.into_iter().chain(manifest.requires);
            for link in links {
                if digests
                    .get(&link.sequence)
                    .is_some_and(|known| *known != link.sha256)
                {
                    return Err(LedgerError::Fork(link.sequence));
                }
            }
        }
        for pair in found.windows(2) {
            check_series(&pair[0], &pair[1])?;
        }
        let accepted = self.bundles.keys().next_back().copied();
        match (found.last().map(|newest| newest.sequence), accepted) {
            (Some(newest), Some(accepted)) if newest < accepted => {
                Err(LedgerError::Rollback { newest, accepted })
            }
            _ => Ok(()),
        }
    }

    /// The bundle whose turn it is among `found`; `None` where nothing is above the mark.
    ///
    /// The newest full one above the mark comes first, for it makes all before it unnecessary; then each
    /// bundle that requires an applied one, oldest first.
    pub fn turn(
        &self,
        found: &[Verified<Manifest>],
        metadata: &Path,
    ) -> Result<Option<Turn>, Failure> {
        let mark = self.mark();
        let above: Vec<_> = found
            .iter()
            .filter(|manifest| manifest.kind != Kind::Heartbeat && Some(manifest.sequence) > mark)
            .collect();
        let full = above
            .iter()
            .rposition(|manifest| manifest.kind == Kind::Full);
        let next = full.or_else(|| {
            above
                .iter()
                .position(|manifest| self.has(manifest.requires))
        });
        if let Some(next) = next {
            let manifest = above[next].clone();
            let before = self.before(&manifest, metadata)?;
            return Ok(Some(Turn { manifest, before }));
        }
        match above.first() {
            None => Ok(None),
            Some(first) => {
                let needed = first.requires.map_or(Sequence::FIRST, |link| link.sequence);
                Err(LedgerError::Gap {
                    found: first.sequence,
                    needed,
                }
                .into())
            }
        }
    }

    /// Whether the bundle that is required was applied here.
    pub fn has(&self, requires: Option<Link>) -> bool {
        requires
            .and_then(|link| Some((self.bundles.get(&link.sequence)?, link)))
            .is_some_and(|(bundle, link)| {
                bundle.fate == Fate::Applied && bundle.sha256 == link.sha256
            })
    }

    fn before(&self, manifest: &Manifest, metadata: &Path) -> Result<Before, Failure> {
        let mut before = Before::default();
        let mut next = manifest.requires;
        while let Some(link) = next {
            let bytes = disk::read_bounded(
                &inventory_path(metadata, link.sequence),
                limits::INVENTORY_SIZE,
            )?;
            before.add_older(Inventory::from_bytes(&bytes)?);
            next = self
                .bundles
                .get(&link.sequence)
                .and_then(|bundle| bundle.requires);
        }
        Ok(before)
    }

    /// Records that a bundle was applied; those below it that were not are passed over.
    pub fn apply(&mut self, manifest: &Verified<Manifest>) {
        self.accept(manifest, Fate::Applied);
        self.waiting
            .retain(|sequence, _| *sequence > manifest.sequence);
    }

    /// Records that a heartbeat was seen, or that a bundle was passed over.
    pub fn accept(&mut self, manifest: &Verified<Manifest>, fate: Fate) {
        self.stream.get_or_insert_with(|| manifest.stream.clone());
        self.latest = self.latest.max(Some(manifest.created));
        let accepted = Accepted {
            sha256: manifest.digest(),
            kind: manifest.kind,
            requires: manifest.requires,
            fate,
        };
        self.bundles.insert(manifest.sequence, accepted);
    }
}

/// What FORMAT.md asks of two manifests, one after the other.
fn check_series(before: &Manifest, after: &Manifest) -> Result<(), LedgerError> {
    let is_next = after.sequence == before.sequence.next();
    let names_heartbeat = after
        .requires
        .is_some_and(|link| link.sequence == before.sequence && before.kind == Kind::Heartbeat);
    let problem = if after.created < before.created {
        "it was made earlier"
    } else if is_next && after.kind != Kind::Full && after.audience != before.audience {
        "it is for other enclaves, which only a full bundle may be"
    } else if names_heartbeat {
        "it requires a heartbeat"
    } else {
        return Ok(());
    };
    Err(LedgerError::Series {
        sequence: after.sequence,
        problem,
    })
}

fn inventory_path(metadata: &Path, sequence: Sequence) -> PathBuf {
    metadata
        .join("inventories")
        .join(format!("{}.json", sequence.padded()))
}

/// Keeps a verified inventory, for the closure of the bundles that build on it.
pub fn keep_inventory(
    metadata: &Path,
    sequence: Sequence,
    inventory: &[u8],
) -> Result<(), Failure> {
    disk::create_folder(&metadata.join("inventories"), 0o700)?;
    Ok(disk::write_durably(
        &inventory_path(metadata, sequence),
        inventory,
        0o600,
    )?)
}
