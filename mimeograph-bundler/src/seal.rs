//! Shipped -> manifest -> signature -> published: signature first, manifest last, so that a bundle
//! exists only when it is whole.

use std::path::Path;

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::store::{Shelve, StoreError};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Kind, Link, Manifest, ManifestError};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Signed;
use mimeograph_manifest::time::Timestamp;

use crate::journal::{Head, Journal, Sealing, Stage};

/// Why a bundle could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// What is to be signed is not a manifest.
    #[error("failed to sign the manifest of bundle {sequence}")]
    Manifest {
        /// The bundle.
        sequence: Sequence,
        /// Why.
        source: ManifestError,
    },
    /// The store failed, or another bundle has the place.
    #[error("failed to publish bundle {sequence}")]
    Publish {
        /// The bundle.
        sequence: Sequence,
        /// What the store said.
        source: StoreError,
    },
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
            Self::Publish { source, .. } => source.id(),
            Self::Behind { .. } | Self::Apart { .. } => ErrorId::Clock,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest { .. } => None,
            Self::Publish { source: StoreError::Occupied { .. }, .. } => Some(
                "another bundler publishes to this stream: stop one of them. The next run takes over its head and \
                 ships a full bundle"
                    .into(),
            ),
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

/// Signs `manifest`, keeps the exact bytes in the journal, publishes them and closes the journal.
pub fn seal(
    manifest: &Manifest,
    key: &SigningKey,
    store: &dyn Shelve,
    journal: &mut Journal,
    metadata: &Path,
) -> Result<Link, Failure> {
    let sequence = manifest.sequence;
    let sealed =
        Signed::sign(manifest, key).map_err(|source| SealError::Manifest { sequence, source })?;
    let text = String::from_utf8(sealed.payload).unwrap_or_default();
    let signature = sealed.signature.1.to_vec();
    let key_id = key.public().id();
    journal.stage = Stage::Sealed(Sealing {
        sequence,
        manifest: text,
        key_id,
        signature,
    });
    journal.write(metadata)?;
    publish(store, journal, metadata)
}

/// Sends the journal's sealed bytes, again if need be, and closes the journal.
pub fn publish(
    store: &dyn Shelve,
    journal: &mut Journal,
    metadata: &Path,
) -> Result<Link, Failure> {
    let Stage::Sealed(sealing) = journal.stage.clone() else {
        return Err(Failure::from(JournalShape));
    };
    let sequence = sealing.sequence;
    let payload = sealing.manifest.into_bytes();
    let digest = Digest::of(&payload);
    // Our own journal's bytes; the far side verifies them like anything else.
    let manifest: Manifest =
        serde_json::from_slice(&payload).map_err(|error| SealError::Manifest {
            sequence,
            source: ManifestError::Json(error),
        })?;
    let objects = [
        (
            Key::signature(sequence, &digest, &sealing.key_id),
            sealing.signature,
        ),
        (Key::Manifest(sequence), payload),
    ];
    for (name, bytes) in objects {
        let sha256 = Digest::of(&bytes);
        match store.put(&name, Bytes::from(bytes), &sha256) {
            Ok(_) => {}
            Err(source) => {
                if matches!(source, StoreError::Occupied { .. }) {
                    lose(journal, metadata)?;
                }
                return Err(SealError::Publish { sequence, source }.into());
            }
        }
    }
    let link = Link {
        sequence,
        sha256: digest,
    };
    journal.head = Some(Head {
        link,
        created: manifest.created,
    });
    if manifest.kind != Kind::Heartbeat {
        journal.content = Some(link);
    }
    journal.stage = Stage::Idle;
    journal.write(metadata)?;
    Ok(link)
}

/// Another bundler has our place: what we made is dropped, and nothing is built on it.
fn lose(journal: &mut Journal, metadata: &Path) -> Result<(), Failure> {
    journal.stage = Stage::Idle;
    journal.content = None;
    journal.write(metadata)?;
    Ok(())
}

/// `publish` without anything sealed.
#[derive(Debug, thiserror::Error)]
#[error("nothing is sealed")]
struct JournalShape;

impl Fault for JournalShape {
    fn id(&self) -> ErrorId {
        ErrorId::Bug
    }
}
