//! What is kept of each bundle in `metadataDir`, by number: `oc-mirror`'s history, the inventory, what else counts as
//! content, and the manifest with its signatures. It says what was; whether it is of the published bundle of that number,
//! the digests of its manifest tell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::{Discard as _, Shelve as _};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::Role;
use mimeograph_manifest::name::Sequence;

/// A file that is kept of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `oc-mirror`'s record after the run.
    History,
    /// What the archives hold.
    Inventory,
    /// What else counts when nothing is new.
    Watched,
}

impl Piece {
    const ALL: [Self; 3] = [Self::History, Self::Inventory, Self::Watched];

    /// The file of a bundle that it is a copy of; what else counts is nowhere but here.
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::History => Some(Role::History),
            Self::Inventory => Some(Role::Inventory),
            Self::Watched => None,
        }
    }

    fn limit(self) -> u64 {
        match self {
            Self::History => limits::HISTORY_SIZE,
            Self::Inventory | Self::Watched => limits::INVENTORY_SIZE,
        }
    }

    /// Where it is kept.
    pub(crate) fn path(self, metadata: &Path, sequence: Sequence) -> PathBuf {
        let number = sequence.padded();
        match self {
            Self::History => metadata.join("history").join(number),
            Self::Inventory => metadata.join("inventories").join(format!("{number}.json")),
            Self::Watched => metadata.join("watched").join(format!("{number}.json")),
        }
    }
}

/// What is kept; `None` where there is nothing.
pub(crate) fn read(
    metadata: &Path,
    piece: Piece,
    sequence: Sequence,
) -> Result<Option<Vec<u8>>, DiskError> {
    disk::read_if_there(&piece.path(metadata, sequence), piece.limit())
}

/// Keeps it, durably.
pub(crate) fn write(
    metadata: &Path,
    piece: Piece,
    sequence: Sequence,
    bytes: &[u8],
) -> Result<(), DiskError> {
    let path = piece.path(metadata, sequence);
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        disk::create_folder(folder, 0o700)?;
        disk::sync_folder(metadata)?;
    }
    disk::write_durably(&path, bytes, 0o600)
}

/// Keeps a manifest's exact bytes, after a signature over them.
pub(crate) fn write_manifest(
    metadata: &Path,
    sequence: Sequence,
    manifest: Vec<u8>,
    (signature, bytes): (Key, Vec<u8>),
) -> Result<(), Failure> {
    let store = DirStore::open(metadata)?;
    for (key, bytes) in [(signature, bytes), (Key::Manifest(sequence), manifest)] {
        let digest = Digest::of(&bytes);
        store.replace(&key, Bytes::from(bytes), &digest)?;
    }
    Ok(())
}

/// Drops all that is kept of a bundle that is none, or no more.
pub(crate) fn forget(metadata: &Path, sequence: Sequence) -> Result<(), Failure> {
    for piece in Piece::ALL {
        let path = piece.path(metadata, sequence);
        disk::remove(&path).map_err(|source| DiskError::new(Action::Remove, &path, source))?;
    }
    forget_manifest(metadata, sequence)
}

/// Drops the manifests of all bundles but these.
pub(crate) fn keep_manifests(metadata: &Path, these: &BTreeSet<Sequence>) -> Result<(), Failure> {
    let listing = Listing::of(&DirStore::open(metadata)?)?;
    let others = listing
        .sequences()
        .filter(|sequence| !these.contains(sequence));
    others
        .into_iter()
        .try_for_each(|sequence| forget_manifest(metadata, sequence))
}

fn forget_manifest(metadata: &Path, sequence: Sequence) -> Result<(), Failure> {
    let store = DirStore::open(metadata)?;
    store.remove(&Key::Manifest(sequence))?;
    for signature in Listing::of(&store)?.signatures(sequence) {
        store.remove(&signature)?;
    }
    Ok(())
}
