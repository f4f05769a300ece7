//! The ledger: what became of every bundle here. State moves along the signed chain, at the very end of what was done, and
//! nowhere else.

mod error;
mod inventories;
mod series;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::config::Upkeep;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::key::PublicKey;
use mimeograph_manifest::manifest::{Generation, Kind, Link, Manifest};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use serde::{Deserialize, Serialize};

pub use self::error::{LedgerError, Lost};
use self::series::check_series;

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
    /// Where the stream is followed from, as a person said so before anything was applied.
    #[serde(default)]
    pub begins: Option<Link>,
    /// Nothing below this is accepted: the second copy of the state knows of it.
    #[serde(default)]
    pub floor: Option<Sequence>,
    /// A load that has begun and was not seen to end well: what it wrote to the cache is not believed.
    #[serde(default)]
    pub loading: Option<Link>,
    /// The newest accepted bundle that the second copy of the state knows of.
    #[serde(default)]
    pub copied: Option<Sequence>,
    /// What a person said was there already, oldest first.
    #[serde(default)]
    pub adopted: Vec<Adopted>,
    /// The bundle below the content mark that was loaded last, as a person asked.
    #[serde(default)]
    pub set_back_to: Option<Link>,
}

/// The target does not stand at the content mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetBack {
    /// The bundle that was loaded last.
    pub to: Sequence,
    /// The highest applied.
    pub mark: Sequence,
}

impl fmt::Display for SetBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, mark } = self;
        write!(
            f,
            "the target was set back to bundle {to}: `run --sequence {mark}` loads the highest applied one again, and so does a newer one"
        )
    }
}

/// A bundle that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accepted {
    /// Its manifest's digest.
    pub sha256: Digest,
    /// Its kind.
    pub kind: Kind,
    /// What it builds on; nothing also where the inventory that is kept for it is that of the whole cache.
    pub requires: Option<Link>,
    /// v1 or v2.
    pub generation: Generation,
    /// What became of it.
    pub fate: Fate,
    /// Of a heartbeat, who signed it: one bundler alone may do that, and be found out later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<Digest>,
}

/// What became of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Loaded and confirmed; a heartbeat: seen.
    Applied,
    /// Its verified blobs are in the cache, under a newer bundle that is loaded.
    Merged,
    /// Below the content mark, on no applied chain.
    Skipped,
}

impl Fate {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Merged => "merged",
            Self::Skipped => "skipped",
        }
    }
}

/// A bundle that a person said was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adopted {
    /// Which.
    pub bundle: Link,
    /// When that was said.
    pub at: Timestamp,
}

impl Ledger {
    /// Reads it; an empty one where there is none yet.
    pub fn read(metadata: &Path) -> Result<Self, LedgerError> {
        let path = metadata.join(FILE);
        let Some(bytes) = disk::read_if_there(&path, SIZE).map_err(LedgerError::Disk)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|source| LedgerError::Damaged { path, source })
    }

    /// Reads it as far as it counts by these keys.
    pub fn read_by(metadata: &Path, trusted: &TrustedKeys) -> Result<Self, LedgerError> {
        let mut ledger = Self::read(metadata)?;
        ledger.forget_heartbeats_of(trusted.revoked());
        Ok(ledger)
    }

    /// Writes it so that a crash leaves the old one or this one.
    pub fn write(&self, metadata: &Path) -> Result<(), LedgerError> {
        let path = metadata.join(FILE);
        let bytes = serde_json::to_vec(self).map_err(|source| LedgerError::Damaged {
            path: path.clone(),
            source,
        })?;
        // Nothing in it is secret, and whoever approves as another user looks into it.
        disk::write_durably(&path, &bytes, 0o644).map_err(LedgerError::Disk)
    }

    /// The content mark: the highest applied bundle with content.
    pub fn mark(&self) -> Option<Sequence> {
        let is_applied =
            |bundle: &Accepted| bundle.fate == Fate::Applied && bundle.kind != Kind::Heartbeat;
        let mut newest = self.bundles.iter().rev();
        newest
            .find(|(_, bundle)| is_applied(bundle))
            .map(|(sequence, _)| *sequence)
    }

    /// Whether the target stands below the content mark, and where.
    pub fn set_back(&self) -> Option<SetBack> {
        let (link, mark) = self.set_back_to.zip(self.mark())?;
        let to = link.sequence;
        Some(SetBack { to, mark })
    }

    /// The newest bundle that was accepted.
    pub fn newest(&self) -> Option<Sequence> {
        self.bundles.keys().next_back().copied()
    }

    /// The last applied full bundle that what is applied builds on, or what stands for one.
    pub fn base(&self) -> Option<Sequence> {
        self.chain(self.mark()?).last().copied()
    }

    /// Whether nothing was ever accepted here. Times of first sight are no state.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    /// Whether exactly this manifest was accepted here.
    pub fn has_accepted(&self, sequence: Sequence, sha256: Digest) -> bool {
        let known = self.bundles.get(&sequence);
        known.is_some_and(|known| known.sha256 == sha256)
    }

    /// Whether the blobs of the bundle that is required came here, by this ledger.
    pub fn has(&self, requires: Option<Link>) -> bool {
        requires.is_some_and(|link| {
            let bundle = self.bundles.get(&link.sequence);
            bundle
                .is_some_and(|bundle| bundle.sha256 == link.sha256 && bundle.fate != Fate::Skipped)
        })
    }

    /// A bundle and all that it builds on, newest first, as far as they came here.
    pub fn chain(&self, newest: Sequence) -> Vec<Sequence> {
        let mut chain = Vec::new();
        let mut next = Some(newest);
        while let Some((sequence, bundle)) = next.and_then(|next| self.bundles.get_key_value(&next))
        {
            chain.push(*sequence);
            next = bundle
                .requires
                .filter(|link| link.sequence < *sequence && self.has(Some(*link)))
                .map(|link| link.sequence);
        }
        chain
    }

    /// Forgets the heartbeats that nobody but these has signed: what a thief of a key put there must not stand in the way
    /// of the stream once the key is revoked.
    fn forget_heartbeats_of(&mut self, revoked: &[PublicKey]) {
        let is_revoked = |id: &Digest| revoked.iter().any(|key| key.id() == *id);
        self.bundles.retain(|sequence, bundle| {
            let forgotten =
                !bundle.signers.is_empty() && bundle.signers.iter().all(is_revoked);
            if forgotten {
                tracing::warn!(
                    "heartbeat {sequence} was accepted, but only keys that are revoked by now have signed it: it counts no more"
                );
            }
            !forgotten
        });
        self.copied = self.copied.min(self.newest());
    }

    /// Checks manifests, oldest first, against the stream, against each other, and against what was accepted. `passed` is
    /// the newest that lies there, too, was accepted, and would not be today.
    pub fn check(
        &self,
        pinned: Option<&StreamId>,
        upkeep: Upkeep,
        found: &[Verified<Manifest>],
        passed: Option<Sequence>,
    ) -> Result<(), LedgerError> {
        self.check_places(pinned, found)?;
        for pair in found.windows(2) {
            check_series(&pair[0], &pair[1])?;
        }
        // Whoever has a key that was retired in good order can still write any time that he likes.
        let accepted = self.newest().max(self.floor);
        let is_early = |one: &&Verified<Manifest>| {
            Some(one.sequence) > accepted && Some(one.created) < self.latest
        };
        if let Some(early) = found.iter().find(is_early) {
            return Err(LedgerError::Series {
                sequence: early.sequence,
                problem: "it was made earlier than what was accepted before it",
            });
        }
        let newest = found.last().map(|newest| newest.sequence).max(passed);
        match (newest, accepted) {
            (Some(newest), Some(accepted)) if newest < accepted && upkeep == Upkeep::Kept => {
                Err(LedgerError::Rollback { newest, accepted })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a store in which nothing lies although something was accepted.
    pub fn check_not_emptied(
        &self,
        newest: Option<Sequence>,
        upkeep: Upkeep,
    ) -> Result<(), LedgerError> {
        match self.newest().max(self.floor) {
            Some(accepted) if newest.is_none() && upkeep == Upkeep::Kept => {
                Err(LedgerError::Emptied(accepted))
            }
            _ => Ok(()),
        }
    }

    /// Checks manifests against the stream, and against what was accepted in their places.
    pub fn check_places(
        &self,
        pinned: Option<&StreamId>,
        found: &[Verified<Manifest>],
    ) -> Result<(), LedgerError> {
        self.check_stream(pinned, found)?;
        self.check_links(found)
    }

    fn check_stream(
        &self,
        pinned: Option<&StreamId>,
        found: &[Verified<Manifest>],
    ) -> Result<(), LedgerError> {
        let first = found.first().map(|first| &first.stream);
        // A stream that a person pins counts also where another one was followed before.
        for followed in pinned.into_iter().chain(&self.stream).chain(first) {
            let other = found.iter().find(|manifest| manifest.stream != *followed);
            if let Some(other) = other {
                return Err(LedgerError::OtherStream {
                    sequence: other.sequence,
                    found: other.stream.clone(),
                    followed: followed.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_links(&self, found: &[Verified<Manifest>]) -> Result<(), LedgerError> {
        let known = self.bundles.iter();
        let mut digests: BTreeMap<_, _> = known
            .map(|(sequence, bundle)| (*sequence, bundle.sha256))
            .collect();
        for manifest in found {
            let before = digests.insert(manifest.sequence, manifest.digest());
            if before.is_some_and(|known| known != manifest.digest()) {
                return Err(LedgerError::Fork(manifest.sequence));
            }
            for link in manifest.previous.into_iter().chain(manifest.requires) {
                let known = digests.get(&link.sequence);
                if known.is_some_and(|known| *known != link.sha256) {
                    return Err(LedgerError::Fork(link.sequence));
                }
            }
        }
        Ok(())
    }

    /// Records that a bundle was applied; what was waited for below it is waited for no more.
    pub fn apply(&mut self, manifest: &Verified<Manifest>) {
        self.accept(manifest, Fate::Applied);
        let is_below = Some(manifest.sequence) < self.mark();
        self.set_back_to = is_below.then(|| manifest.link());
        self.waiting
            .retain(|sequence, _| *sequence > manifest.sequence);
        self.loading = None;
    }

    /// Records what is below the mark now: heartbeats that were seen, and bundles that a later one made unnecessary, whose
    /// numbers are returned.
    pub fn pass_over(&mut self, found: &[Verified<Manifest>]) -> Vec<u64> {
        let mark = self.mark();
        let mut skipped = Vec::new();
        for manifest in found {
            let known = self.bundles.contains_key(&manifest.sequence);
            let requires = manifest.requires.map(|link| link.sequence);
            if manifest.kind == Kind::Heartbeat {
                if self.has(manifest.requires) || requires <= mark {
                    self.accept(manifest, Fate::Applied);
                }
            } else if !known && Some(manifest.sequence) < mark {
                tracing::info!(
                    "bundle {} is not needed: a later one holds what it brought, or what came after it",
                    manifest.sequence
                );
                self.accept(manifest, Fate::Skipped);
                skipped.push(manifest.sequence.number());
            }
        }
        skipped
    }

    /// From now on a bundle that is known builds on what its manifest says, not on the whole cache: to be written before
    /// its own inventory takes the place of the cache's.
    pub fn builds_on(&mut self, manifest: &Verified<Manifest>) -> bool {
        let known = self.bundles.get_mut(&manifest.sequence);
        let known = known.filter(|known| known.sha256 == manifest.digest());
        known.is_some_and(|known| {
            let is_new = known.requires != manifest.requires;
            known.requires = manifest.requires;
            is_new
        })
    }

    /// Records what became of a bundle.
    pub fn accept(&mut self, manifest: &Verified<Manifest>, fate: Fate) {
        self.stream.get_or_insert_with(|| manifest.stream.clone());
        self.latest = self.latest.max(Some(manifest.created));
        let accepted = Accepted {
            sha256: manifest.digest(),
            kind: manifest.kind,
            requires: manifest.requires,
            generation: manifest.producer.generation,
            fate,
            signers: match manifest.kind {
                Kind::Heartbeat => manifest.signers().to_vec(),
                _ => Vec::new(),
            },
        };
        self.bundles.insert(manifest.sequence, accepted);
    }
}
