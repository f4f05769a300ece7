//! Whether a run came to nothing new: then a heartbeat says so instead of a bundle.
//!
//! No blob is new, and image set, local and extra files, all links, what the image set came to, and the working directory's
//! graph data, release signatures and charts are those of the last bundle with content. A tag that moved back brings no
//! blob, and is a change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::disk::{Action, DiskError};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Link, Manifest, Role};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::evidence::Evidence;
use serde::{Deserialize, Serialize};

use crate::inspect;
use crate::kept::{self, Piece};
use crate::ship::Outgoing;

/// What of `oc-mirror`'s working directory counts as content.
const WATCHED: [&str; 3] = [
    "hold-release/cincinnati-graph-data/",
    "signatures/",
    "helm/",
];

/// Files of the working directory that count, with their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Watched(BTreeMap<String, Digest>);

/// Those of a bundle, as they are kept. Nothing in the store says what they were, so the digest of the manifest that they
/// belong to is kept with them: another bundler's bundle may have the number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    bundle: Digest,
    files: Watched,
}

impl Watched {
    /// Those of a run.
    pub(crate) fn of(evidence: &mut dyn Evidence) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        for folder in WATCHED {
            for path in evidence.files(folder) {
                let read = |source| DiskError::new(Action::Read, Path::new(&path), source);
                let bytes = evidence.file(&path, limits::CHART_SIZE).map_err(read)?;
                let bytes = bytes.unwrap_or_default();
                files.insert(path, Digest::of(&bytes));
            }
        }
        Ok(Self(files))
    }

    /// Keeps them for a bundle.
    pub(crate) fn keep(self, metadata_dir: &Path, bundle: Link) -> Result<(), Failure> {
        let record = Record {
            bundle: bundle.sha256,
            files: self,
        };
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        Ok(kept::write(
            metadata_dir,
            Piece::Watched,
            bundle.sequence,
            &bytes,
        )?)
    }

    /// Those of a bundle; none where they are not kept here, so that nothing counts as unchanged.
    fn kept(metadata_dir: &Path, bundle: Link) -> Result<Option<Self>, Failure> {
        let bytes = kept::read(metadata_dir, Piece::Watched, bundle.sequence)?;
        let record = bytes.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let record = record.filter(|record| record.bundle == bundle.sha256);
        Ok(record.map(|record| record.files))
    }
}

/// Whether a run's archives and what would travel beside them are what `last` has.
pub(crate) fn is_unchanged(
    metadata_dir: &Path,
    last: &Verified<Manifest>,
    inventory: &Inventory,
    watched: &Watched,
    beside: &[Outgoing],
) -> Result<bool, Failure> {
    if !inventory.structure.blobs.is_empty() || !last.incomplete.is_empty() {
        return Ok(false);
    }
    let Some(before) = inspect::kept(metadata_dir, last.sequence)? else {
        return Ok(false);
    };
    Ok(before.wish == inventory.wish
        && before.structure.repositories == inventory.structure.repositories
        && Watched::kept(metadata_dir, last.link())?.as_ref() == Some(watched)
        && are_the_same(beside, last)?)
}

/// Whether files are those of a bundle in the same roles, by name and bytes.
fn are_the_same(files: &[Outgoing], last: &Manifest) -> Result<bool, Failure> {
    let is_compared = |role| matches!(role, Role::Imageset | Role::Local | Role::Extra);
    let there = last.files.iter().filter(|file| is_compared(file.role));
    let here = files.iter().filter(|file| is_compared(file.role)).count();
    if there.clone().count() != here {
        return Ok(false);
    }
    for outgoing in files.iter().filter(|file| is_compared(file.role)) {
        let mut same = there.clone();
        let same = same.find(|file| file.name == outgoing.name && file.role == outgoing.role);
        let read = |source| DiskError::new(Action::Read, &outgoing.path, source);
        match same {
            Some(file) if holds(file, &outgoing.path).map_err(read)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether the file on disk has exactly the bytes of `file`.
fn holds(file: &mimeograph_manifest::manifest::File, path: &Path) -> io::Result<bool> {
    let mut opened = File::open(path)?;
    if opened.metadata()?.len() != file.size {
        return Ok(false);
    }
    for chunk in &file.chunks {
        let mut hasher = Hasher::default();
        io::copy(&mut opened.by_ref().take(chunk.raw_size), &mut hasher)?;
        if hasher.finish() != chunk.raw {
            return Ok(false);
        }
    }
    Ok(true)
}
