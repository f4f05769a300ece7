//! Where a run starts from: what was accepted here, what the second copy of the state knows, or a first bundle.
//!
//! A lost volume must not pass for a first run: everything would be accepted again, however old. So nothing begins where
//! the second copy says that something was applied; and that copy counts by its own signatures, as a floor and no more.

use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::{Config, EnclaveName, StateCopy};
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;

use crate::cache::Cache;
use crate::copy::{Copies, Found, VerifiedCopy};
use crate::known::Known;
use crate::ledger::{Fate, Ledger};
use crate::open::{check_audience, check_created};
use crate::registry::{ASKED_AT_ONCE, Registry};
use crate::told;

/// Where the stream is followed from, where nothing was applied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// From bundle 1, or where an earlier run was told.
    #[default]
    Follow,
    /// From bundle 1: a person says that this is the first run.
    First,
    /// From this full bundle.
    Join(Link),
}

impl Start {
    /// The first manifest that is looked at.
    pub(crate) fn from(self, ledger: &Ledger) -> Option<Sequence> {
        match self {
            Self::Join(link) => Some(link.sequence),
            _ => ledger.begins.map(|link| link.sequence),
        }
    }
}

/// Why nothing can begin.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The first bundle is not there.
    #[error("this is the first run here, and bundle 1 is not in the store")]
    NoFirst,
    /// A first run cannot be told from a lost volume.
    #[error(
        "nothing was applied here, and `state.copy` is `none`: a lost volume cannot be told from a first run"
    )]
    NotSaid,
    /// The second copy does not count, and there is no first.
    #[error("our own state is gone, and its second copy cannot be used: {why}")]
    Lost {
        /// Why.
        why: String,
    },
    /// The store has another one than was applied.
    #[error(
        "bundle {0} in the store is not the one that was applied here, as the second copy of the state says"
    )]
    CopyDiffers(Sequence),
    /// Something was applied here already.
    #[error("the stream is followed here already, up to bundle {0}: nothing is joined")]
    Following(Sequence),
    /// What is to be joined or adopted is not what was named.
    #[error("the manifest of bundle {sequence} is {found}, not {named} as was said")]
    Other {
        /// The bundle.
        sequence: Sequence,
        /// Its digest.
        found: Digest,
        /// What was said.
        named: Digest,
    },
    /// It needs another one before it.
    #[error("bundle {0} is no full bundle: a stream is joined at one that needs none before it")]
    NotFull(Sequence),
    /// It is not there.
    #[error("bundle {0} is not in the store")]
    Missing(Sequence),
    /// Nothing is, and nothing ever was: the wrong place, or a drive that is not mounted, looks the same.
    #[error("there is no bundle in {0}, and none was ever applied here")]
    Nothing(String),
}

impl Fault for OriginError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoFirst => ErrorId::Gap,
            Self::NotSaid | Self::Lost { .. } => ErrorId::StateLost,
            Self::Following(_) | Self::NotFull(_) => ErrorId::Usage,
            Self::Other { .. } | Self::CopyDiffers(_) => ErrorId::Fork,
            Self::Missing(_) | Self::Nothing(_) => ErrorId::InputMissing,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NoFirst => {
                    "carry the whole stream over, from bundle 1 on; or begin at a full bundle: `mimeograph-populator run --join \
                     SEQUENCE --manifest-sha256 D`, both as `mimeograph-bundler list` shows them, asked for over another channel"
                }
                Self::NotSaid => "if nothing was ever applied here, say so: `mimeograph-populator run --first`",
                Self::Lost { .. } => {
                    "trust the key that it was signed with (`trust.keys`), or find out over another channel which bundle was \
                     applied last, and say so: `mimeograph-populator adopt SEQUENCE --manifest-sha256 D`"
                }
                Self::CopyDiffers(_) => {
                    "someone replaced a manifest, or wrote to the copy (`state.copy`): compare `mimeograph-bundler list` with what the far \
                     side's records say"
                }
                Self::Following(_) => "leave `--join` out; each stream has its own `artefacts.metadataDir`",
                Self::Other { .. } => "ask for the digest again, over another channel: `mimeograph-bundler list` shows it",
                Self::NotFull(_) => "name a full bundle, or have one made: `mimeograph-bundler run --full`",
                Self::Missing(_) => "`mimeograph-populator list` shows what there is",
                Self::Nothing(_) => {
                    "look whether this is the place that the bundler publishes to (`s3.bucket.subDir`, `store.directory`) and whether \
                     the drive is mounted; before the first bundle has been carried over, there is nothing else to be done"
                }
            }
            .into(),
        )
    }
}

/// Who is asked where a run starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The second copy of the state, and the target; what comes of it is written down.
    All,
    /// What needs no registry, and nothing is written down: a later `load` asks again.
    FilesAlone,
}

/// What the start of a run looks at.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub config: &'a Config,
    pub trusted: &'a TrustedKeys,
    pub metadata: &'a Path,
    pub cache: &'a Cache,
    /// Verified manifests in the store, oldest first.
    pub found: &'a [Verified<Manifest>],
    pub ask: Ask,
}

impl Ground<'_> {
    /// Brings the ledger and the second copy of the state together, or begins, or says why not.
    pub(crate) fn settle(&self, start: Start, ledger: &mut Ledger) -> Result<(), Failure> {
        let first = self.found.first().map(|first| &first.stream);
        let pinned = self.config.trust.stream.as_ref();
        let Some(stream) = ledger.stream.clone().or(pinned.cloned()).or(first.cloned()) else {
            return Ok(());
        };
        self.compare(&stream, ledger)?;
        match (ledger.newest().max(ledger.floor), start) {
            (Some(newest), Start::Join(_)) => Err(OriginError::Following(newest).into()),
            (None, _) if !self.found.is_empty() => self.begin(start, ledger),
            _ => Ok(()),
        }
    }

    fn compare(&self, stream: &StreamId, ledger: &mut Ledger) -> Result<(), Failure> {
        if self.ask == Ask::FilesAlone && self.config.state.copy == StateCopy::Registry {
            return Ok(());
        }
        let Some(copies) = Copies::open(self.config)? else {
            return Ok(());
        };
        match copies.read(stream, self.trusted)? {
            Found::Verified(copy)
                if !ledger.is_empty() && !self.has_valid_signer(&copy.content) =>
            {
                tracing::warn!(
                    "the second copy of the state is of bundle {}, which only keys have signed that count no more: it is written again",
                    copy.content.sequence
                );
                ledger.copied = None;
                Ok(())
            }
            Found::Verified(copy) if Some(copy.content.sequence) > ledger.mark() => {
                self.restore(&copy, ledger)
            }
            Found::Unverified { why } if ledger.is_empty() => Err(OriginError::Lost { why }.into()),
            Found::Verified(copy) if newest_of(&copy) >= ledger.newest() => Ok(()),
            Found::Absent if ledger.is_empty() => Ok(()),
            Found::Verified(_) | Found::Absent => {
                tracing::warn!("the second copy of the state is gone or old: it is written again");
                ledger.copied = None;
                Ok(())
            }
            Found::Unverified { why } => {
                tracing::warn!(
                    "the second copy of the state does not count, and is written anew: {why}"
                );
                ledger.copied = None;
                Ok(())
            }
        }
    }

    /// Our volume is gone or old. Nothing below what the copy knows is accepted any more; what it knows counts as applied
    /// where the target still answers with all of it, else it is loaded again.
    fn restore(&self, copy: &VerifiedCopy, ledger: &mut Ledger) -> Result<(), Failure> {
        let content = &copy.content;
        let found = self
            .found
            .iter()
            .find(|one| one.sequence == content.sequence);
        if found.is_some_and(|found| found.digest() != content.digest()) {
            return Err(OriginError::CopyDiffers(content.sequence).into());
        }
        let stands = std::slice::from_ref(content);
        ledger.check(None, self.config.upkeep, stands, None)?;
        let enclave = self.config.enclave.as_ref().map(EnclaveName::as_str);
        check_audience(content, enclave)?;
        let skew = self.config.trust.clock_skew.signed();
        for manifest in stands.iter().chain(&copy.heartbeat) {
            check_created(manifest, skew, clock::now())?;
        }
        ledger.floor = Some(content.sequence);
        ledger.stream = Some(content.stream.clone());
        let heartbeat = copy.heartbeat.as_ref().map(|one| one.created);
        ledger.latest = ledger.latest.max(Some(content.created)).max(heartbeat);
        // A floor may have been signed by anyone who counted once; what is held to be applied must be good today.
        let counts = content.again(None).verify(self.trusted).is_ok();
        let is_there = counts && self.ask == Ask::All && self.is_confirmed(copy)?;
        tracing::warn!(
            bundle = %content.sequence,
            "STATE LOST: bundle {} was applied here, as the second copy of the state says; the target {}",
            content.sequence,
            if is_there { "still has all of it" } else { "does not have all of it, or its signatures are not enough any more: it is loaded again" }
        );
        if is_there {
            // What was placed where is not taken from there: destinations are not signed, and what is placed may be deleted
            // some day.
            told::remember(
                self.metadata,
                content,
                &copy.inventory_bytes,
                &copy.destinations,
            )?;
            let kept = Known {
                manifest: content,
                inventory: &copy.inventory,
                inventory_bytes: &copy.inventory_bytes,
            };
            kept.accept(self.metadata, self.cache, ledger)?;
            let heartbeat = copy.heartbeat.as_ref();
            if let Some(heartbeat) = heartbeat.filter(|one| self.has_valid_signer(one)) {
                ledger.accept(heartbeat, Fate::Applied);
            }
            ledger.copied = ledger.newest();
        }
        self.write(ledger)
    }

    fn write(&self, ledger: &Ledger) -> Result<(), Failure> {
        match self.ask {
            Ask::All => Ok(ledger.write(self.metadata)?),
            Ask::FilesAlone => Ok(()),
        }
    }

    /// Whether a key that counts now has signed it.
    fn has_valid_signer(&self, manifest: &Verified<Manifest>) -> bool {
        let mut signers = manifest.signers().iter();
        signers.any(|id| self.trusted.get(id).is_some())
    }

    fn is_confirmed(&self, copy: &VerifiedCopy) -> Result<bool, Failure> {
        if copy.destinations.is_empty() {
            return Ok(false);
        }
        let registry = Registry::of(self.config)?;
        let asked = registry.confirm(copy.destinations.iter().cloned(), ASKED_AT_ONCE)?;
        Ok(asked.there.len() == copy.destinations.len())
    }

    fn begin(&self, start: Start, ledger: &mut Ledger) -> Result<(), Failure> {
        let begins = match (start, ledger.begins) {
            (Start::Join(link), _) => self.join(link)?,
            (_, Some(_)) => return Ok(()),
            (Start::Follow, None) if self.config.state.copy == StateCopy::None => {
                return Err(OriginError::NotSaid.into());
            }
            _ => match self.found.first() {
                Some(first) if first.sequence == Sequence::FIRST => first.link(),
                _ => return Err(OriginError::NoFirst.into()),
            },
        };
        tracing::warn!(
            "FIRST RUN: nothing was ever applied here; the stream is followed from bundle {} on",
            begins.sequence
        );
        ledger.begins = Some(begins);
        self.write(ledger)
    }

    fn join(&self, link: Link) -> Result<Link, OriginError> {
        let mut found = self.found.iter();
        let bundle = found
            .find(|one| one.sequence == link.sequence)
            .ok_or(OriginError::Missing(link.sequence))?;
        check_named(bundle, link.sha256)?;
        if bundle.kind == Kind::Full {
            Ok(link)
        } else {
            Err(OriginError::NotFull(link.sequence))
        }
    }
}

/// The bundle that the second copy of the state says was applied, where our own state says nothing.
pub(crate) fn known_elsewhere(
    config: &Config,
    trusted: &TrustedKeys,
    stream: &StreamId,
) -> Result<Option<Sequence>, Failure> {
    let Some(copies) = Copies::open(config)? else {
        return Ok(None);
    };
    match copies.read(stream, trusted)? {
        Found::Verified(copy) => Ok(Some(copy.content.sequence)),
        Found::Unverified { why } => Err(OriginError::Lost { why }.into()),
        Found::Absent => Ok(None),
    }
}

/// Whether a manifest is the one that a person named.
pub(crate) fn check_named(manifest: &Verified<Manifest>, named: Digest) -> Result<(), OriginError> {
    let found = manifest.digest();
    if found == named {
        return Ok(());
    }
    Err(OriginError::Other {
        sequence: manifest.sequence,
        found,
        named,
    })
}

fn newest_of(copy: &VerifiedCopy) -> Option<Sequence> {
    let heartbeat = copy.heartbeat.as_ref().map(|one| one.sequence);
    heartbeat.max(Some(copy.content.sequence))
}
