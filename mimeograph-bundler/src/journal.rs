//! The journal: how far the last run came, in `metadataDir`, so that nothing `oc-mirror` recorded as
//! shipped is lost. It says what to redo, never what to believe: archives are read and hashed again.
//!
//! Shipped is no stage of its own. The manifest is signed in the same breath in which the last chunk is shipped; and after
//! a crash before that the archives are hashed again in any case, and chunks that a listing shows are not sent twice.

use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::disk::{self, DiskError};
use mimeograph_manifest::manifest::{Incomplete, Link, Producer};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::time::Timestamp;
use serde::{Deserialize, Serialize};

const FILE: &str = "journal.json";
/// A journal holds a manifest's exact bytes between sealing and the store's answer.
const SIZE: u64 = 200 << 20;

/// What must last between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journal {
    /// The stream's id.
    pub stream: StreamId,
    /// The newest bundle that we know of; none before the first.
    pub head: Option<Head>,
    /// The newest one with content: what the next delta requires.
    pub content: Option<Link>,
    /// The bundle from which on the chunks that bundles name need not be sent again; none: any. Said by `--resend`.
    #[serde(default)]
    pub resent: Option<Sequence>,
    /// How far the last run came.
    pub stage: Stage,
}

/// The newest bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Which.
    pub link: Link,
    /// When it was made.
    pub created: Timestamp,
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "at", deny_unknown_fields)]
pub enum Stage {
    /// Nothing is under way.
    Idle,
    /// `oc-mirror` was running: its history is to be set back.
    Mirroring,
    /// Archives wait in the outbox: they are shipped before `oc-mirror` may run again.
    Mirrored(Mirrored),
    /// A manifest is signed and perhaps published: exactly these bytes are sent again.
    Sealed(Sealing),
}

impl Stage {
    /// Whether something waits to be published, before `oc-mirror` may run again.
    pub fn is_unpublished(&self) -> bool {
        matches!(self, Self::Mirrored(_) | Self::Sealed(_))
    }
}

/// Archives that wait in the outbox, and what the manifest will say of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirrored {
    /// The bundle that the archives build on; none: they hold everything.
    pub based_on: Option<Link>,
    /// The stream's newest bundle with content when they were made. Where that is another now, another bundler has
    /// published, and they are dropped.
    pub newest: Option<Link>,
    /// What made them.
    pub producer: Producer,
    /// What they lack.
    pub incomplete: Vec<Incomplete>,
    /// The images that were copied, where the image set names charts: `oc-mirror`'s log alone tells them.
    #[serde(default)]
    pub copied: Vec<String>,
}

/// A signed manifest on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sealing {
    /// The bundle's place.
    pub sequence: Sequence,
    /// The exact bytes.
    pub manifest: String,
    /// The key that signed.
    pub key_id: Digest,
    /// The signature.
    pub signature: Vec<u8>,
}

/// What is wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("failed to keep the journal")]
    Disk(#[source] DiskError),
    /// It is not one.
    #[error("the journal `{}` cannot be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Fault for JournalError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Damaged { .. } => ErrorId::StateDamaged,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Damaged { .. } => Some(
                "restore `artefacts.metadataDir` from a copy, or move the file away: the next run then takes the stream up where \
                 the store has it"
                    .into(),
            ),
        }
    }
}

impl Journal {
    /// A stream that begins.
    pub fn begin(stream: StreamId) -> Self {
        Self {
            stream,
            head: None,
            content: None,
            resent: None,
            stage: Stage::Idle,
        }
    }

    /// Reads it; `None` where there is none yet.
    pub fn read(metadata: &Path) -> Result<Option<Self>, JournalError> {
        let path = metadata.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = disk::read_bounded(&path, SIZE).map_err(JournalError::Disk)?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| JournalError::Damaged { path, source })
    }

    /// Writes it so that a crash leaves the old one or this one.
    pub fn write(&self, metadata: &Path) -> Result<(), JournalError> {
        let path = metadata.join(FILE);
        let bytes = serde_json::to_vec(self).map_err(|source| JournalError::Damaged {
            path: path.clone(),
            source,
        })?;
        disk::write_durably(&path, &bytes, 0o600).map_err(JournalError::Disk)
    }

    /// The place of the next bundle.
    pub fn next_sequence(&self) -> Sequence {
        self.head
            .map_or(Sequence::FIRST, |head| head.link.sequence.next())
    }
}
