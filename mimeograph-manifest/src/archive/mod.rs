//! `oc-mirror`'s archives: what may stand in one, and what it holds.
//!
//! Defends against what `oc-mirror` itself lets through: archives without an end, blobs that differ
//! from their names, links, traversal, setuid bits, and entries that it never writes.

mod contents;
mod entry;
mod headers;

pub use contents::{Contents, Place, Places, Survey, Unread, inspect, survey};
pub use entry::{Entry, What};
pub use headers::{Headers, data_ranges};

use std::io;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It ends before its end marker, or goes on after it.
    #[error("archive `{archive}` {problem} (at byte {at})")]
    Damaged {
        /// The archive.
        archive: String,
        /// Where.
        at: u64,
        /// How.
        problem: &'static str,
    },
    /// An entry that `oc-mirror` does not write.
    #[error("archive `{archive}` holds `{path}`, {problem}")]
    Refused {
        /// The archive.
        archive: String,
        /// The entry.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A blob's content does not hash to the digest in its path.
    #[error("archive `{archive}` holds a blob named {named} whose content is {found}")]
    Blob {
        /// The archive.
        archive: String,
        /// The digest in its path.
        named: Digest,
        /// The digest of its content.
        found: Digest,
    },
    /// Reading failed.
    #[error("failed to read archive `{archive}`")]
    Read {
        /// The archive.
        archive: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Fault for ArchiveError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Damaged { .. } | Self::Blob { .. } => ErrorId::ArchiveDamaged,
            Self::Refused { .. } => ErrorId::ArchiveEntryRefused,
            Self::Read { .. } => ErrorId::Io,
        }
    }
}
