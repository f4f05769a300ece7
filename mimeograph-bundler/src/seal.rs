//! Shipped -> manifest -> signature -> published: signature first, manifest last, so that a bundle
//! exists only when it is whole.

use std::path::Path;

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::form::FormError;
use mimeograph_manifest::io::store::{Fetch, Shelve, StoreError};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{FoundSignature, Signed, VerifyError};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;

use crate::journal::{Head, Journal, Sealing, Stage};
use crate::kept;

/// Why a bundle could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// What is to be signed is not a manifest.
    #[error("failed to sign the manifest of bundle {sequence}")]
    Manifest {
        /// The bundle.
        sequence: Sequence,
        /// Why.
        source: FormError,
    },
    /// What the journal has is no manifest.
    #[error("bundle {sequence} of the journal is damaged: it is not published")]
    Damaged {
        /// The bundle.
        sequence: Sequence,
        /// Why.
        source: FormError,
    },
    /// What the journal has is not what one of our keys signed.
    #[error(
        "bundle {sequence} of the journal is not as one of this bundler's keys signed it: it is not published"
    )]
    Unsigned {
        /// The bundle.
        sequence: Sequence,
        /// Why.
        source: VerifyError,
    },
    /// The store failed, or another bundle has the place.
    #[error("failed to publish bundle {sequence}")]
    Publish {
        /// The bundle.
        sequence: Sequence,
        /// What the store said.
        source: StoreError,
    },
    /// Another bundler was first.
    #[error("bundle {0} was published by another bundler first: what was made here is dropped")]
    Taken(Sequence),
    /// What it builds on in the store is going.
    #[error(
        "retention has dropped what bundle {0} builds on meanwhile, and it is not here any more: it is not published"
    )]
    Pruned(Sequence),
    /// The clock is before what was published.
    #[error("the clock says {now}, but the stream's newest bundle was made at {head}")]
    Behind {
        /// Our clock.
        now: Timestamp,
        /// The newest bundle's time.
        head: Timestamp,
    },
    /// The clock is not the store's.
    #[error("the clock says {now}, but the store says {store}: more than five minutes apart")]
    Apart {
        /// Our clock.
        now: Timestamp,
        /// The store's.
        store: Timestamp,
    },
}

impl Fault for SealError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Manifest { .. } => ErrorId::Bug,
            Self::Damaged { .. } | Self::Unsigned { .. } => ErrorId::StateDamaged,
            Self::Publish { source, .. } => source.id(),
            Self::Taken(_) => ErrorId::Fork,
            Self::Pruned(_) => ErrorId::Incomplete,
            Self::Behind { .. } | Self::Apart { .. } => ErrorId::Clock,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest { .. } => None,
            Self::Damaged { .. } | Self::Unsigned { .. } => Some(
                "where the signing key was changed, name the one before in `signing.alsoTrust`; else move `journal.json` in \
                 `artefacts.metadataDir` away: the stream is taken up from the store, and what this bundle held is mirrored anew"
                    .into(),
            ),
            Self::Taken(_) => Some(
                "nothing is lost: the next run takes over that bundle and mirrors what is new since. Let one bundler alone \
                 publish to a stream"
                    .into(),
            ),
            Self::Pruned(_) => Some("run again: what it needs is mirrored and sent anew".into()),
            Self::Publish { source, .. } => source.hint(),
            Self::Behind { .. } | Self::Apart { .. } => Some("set the clock (NTP) on this host and run again".into()),
        }
    }
}

/// Refuses to sign with a clock that cannot be right.
pub fn check_clock(
    now: Timestamp,
    head: Option<Timestamp>,
    store: Option<Timestamp>,
) -> Result<(), SealError> {
    const APART: i64 = 5 * 60;
    if let Some(head) = head.filter(|head| *head > now) {
        return Err(SealError::Behind { now, head });
    }
    match store {
        Some(store) if now.since(store).as_secs().abs() > APART => {
            Err(SealError::Apart { now, store })
        }
        _ => Ok(()),
    }
}

/// Signs `manifest` and keeps the exact bytes in the journal: from here on these are published and no others.
pub fn seal(
    manifest: &Manifest,
    key: &SigningKey,
    journal: &mut Journal,
    metadata: &Path,
    keep: impl FnOnce(Link) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let sequence = manifest.sequence;
    let sealed =
        Signed::sign(manifest, key).map_err(|source| SealError::Manifest { sequence, source })?;
    keep(Link {
        sequence,
        sha256: sealed.digest,
    })?;
    journal.stage = Stage::Sealed(Sealing {
        sequence,
        manifest: String::from_utf8(sealed.payload).unwrap_or_default(),
        key_id: key.public().id(),
        signature: sealed.signature.1.to_vec(),
    });
    Ok(journal.write(metadata)?)
}

/// A signed bundle on its way, read back from the journal.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Its manifest: our own journal's bytes. The far side verifies them like anything else.
    pub manifest: Manifest,
    /// Its number and digest.
    pub link: Link,
    payload: Vec<u8>,
    signature: (Key, Vec<u8>),
}

impl Outbound {
    /// What the journal holds; `None` where nothing is sealed.
    pub fn of(journal: &Journal) -> Result<Option<Self>, SealError> {
        let Stage::Sealed(sealing) = &journal.stage else {
            return Ok(None);
        };
        let sequence = sealing.sequence;
        let payload = sealing.manifest.clone().into_bytes();
        let manifest = serde_json::from_slice(&payload).map_err(|error| SealError::Damaged {
            sequence,
            source: FormError::Json(error),
        })?;
        let sha256 = Digest::of(&payload);
        let name = Key::signature(sequence, &sha256, &sealing.key_id);
        Ok(Some(Self {
            manifest,
            link: Link { sequence, sha256 },
            payload,
            signature: (name, sealing.signature.clone()),
        }))
    }

    /// Refuses what none of these keys has signed: the journal lies where others may write, and a manifest that does not verify
    /// would end the stream.
    pub fn check(&self, ours: &TrustedKeys) -> Result<(), SealError> {
        let sequence = self.link.sequence;
        let unsigned = |source| SealError::Unsigned { sequence, source };
        let mut signatures = Vec::new();
        if let (
            Key::Signature {
                manifest, signer, ..
            },
            bytes,
        ) = &self.signature
        {
            signatures.push(FoundSignature {
                manifest: manifest.clone(),
                signer: signer.clone(),
                bytes: bytes.clone(),
            });
        }
        let signed = Signed::<Manifest>::new(sequence, self.payload.clone(), signatures);
        signed.verify(ours).map(drop).map_err(unsigned)
    }

    /// Whether its manifest lies in the store already.
    pub fn is_published(&self, store: &dyn Fetch) -> Result<bool, StoreError> {
        let mut there = Vec::new();
        let key = Key::Manifest(self.link.sequence);
        Ok(store.get(&key, self.payload.len() as u64, &mut there)? && there == self.payload)
    }

    /// Puts signature and manifest into the store, again if need be. Exactly one bundler publishes a number: where
    /// another was first, this is [`SealError::Taken`].
    pub fn publish(&self, store: &dyn Shelve) -> Result<(), SealError> {
        let sequence = self.link.sequence;
        let failed = |source| SealError::Publish { sequence, source };
        let (name, signature) = &self.signature;
        put_signature(store, name, signature).map_err(failed)?;
        let payload = Bytes::from(self.payload.clone());
        match store.put(&Key::Manifest(sequence), payload, &self.link.sha256) {
            Ok(_) => Ok(()),
            Err(StoreError::Occupied { .. }) => Err(SealError::Taken(sequence)),
            Err(source) => Err(failed(source)),
        }
    }

    /// Keeps the manifest here, too, and closes the journal.
    pub fn close(self, journal: &mut Journal, metadata: &Path) -> Result<(), Failure> {
        kept::write_manifest(metadata, self.link.sequence, self.payload, self.signature)?;
        journal.head = Some(Head {
            link: self.link,
            created: self.manifest.created,
        });
        if self.manifest.kind != Kind::Heartbeat {
            journal.content = Some(self.link);
        }
        journal.stage = Stage::Idle;
        Ok(journal.write(metadata)?)
    }
}

/// The name of a signature says by which key and over what it is, and by one key there is one: other bytes are damaged.
pub(crate) fn put_signature(
    store: &dyn Shelve,
    name: &Key,
    signature: &[u8],
) -> Result<(), StoreError> {
    let (body, digest) = (Bytes::copy_from_slice(signature), Digest::of(signature));
    match store.put(name, body.clone(), &digest) {
        Err(StoreError::Occupied { .. }) => store.replace(name, body, &digest),
        put => put.map(drop),
    }
}
