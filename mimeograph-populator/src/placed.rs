//! What was placed where, by which load: what tells a tag that nothing names any more from one that was never ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::disk::{self, DiskError};
use mimeograph_manifest::manifest::{Link, Manifest, Missing};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::Verified;
use serde::{Deserialize, Serialize};

use crate::registry::Wanted;

const FILE: &str = "placed.json";
/// About 200 bytes for each tag in the target.
const SIZE: u64 = 256 << 20;

/// Every destination that a load of this stream has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placed {
    /// The stream.
    pub stream: StreamId,
    /// The last load that was confirmed.
    pub last: Link,
    /// Whether that one lacked images, by its own word: then what it left out may still be asked for.
    pub is_partial: bool,
    /// By `repository:tag`, without the host.
    pub destinations: BTreeMap<String, Spot>,
}

/// What was placed somewhere, and by which load last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spot {
    /// What.
    pub digest: Digest,
    /// By the load of this bundle.
    pub sequence: Sequence,
}

/// What is wrong with the record.
#[derive(Debug, thiserror::Error)]
pub enum PlacedError {
    /// It cannot be read or written.
    #[error("failed to keep the record of what was placed")]
    Disk(#[source] DiskError),
    /// It is not one.
    #[error("the record `{}` of what was placed cannot be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Fault for PlacedError {
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
                "restore `artefacts.metadataDir` from a copy, or move the file away: what was placed so far is then never \
                 called retired"
                    .into(),
            ),
        }
    }
}

impl Placed {
    /// Reads it; `None` where nothing was recorded yet.
    pub fn read(metadata: &Path) -> Result<Option<Self>, PlacedError> {
        let path = metadata.join(FILE);
        let bytes = disk::read_if_there(&path, SIZE).map_err(PlacedError::Disk)?;
        let read = bytes.map(|bytes| serde_json::from_slice(&bytes));
        read.transpose()
            .map_err(|source| PlacedError::Damaged { path, source })
    }

    /// Those that the last load did not name.
    pub fn unnamed(&self) -> impl Iterator<Item = (&str, &Spot)> {
        let spots = self.destinations.iter();
        let unnamed = spots.filter(|(_, spot)| spot.sequence != self.last.sequence);
        unnamed.map(|(place, spot)| (place.as_str(), spot))
    }
}

/// Records what a load has put into the target, as the target itself confirmed it. To be done before the ledger says that
/// the bundle was applied: what a crash leaves behind then belongs to no applied bundle, and nothing is made of it.
pub fn record(
    metadata: &Path,
    bundle: &Verified<Manifest>,
    destinations: &[Wanted],
) -> Result<(), PlacedError> {
    let before = Placed::read(metadata)?.filter(|placed| placed.stream == bundle.stream);
    let mut placed = Placed {
        stream: bundle.stream.clone(),
        last: bundle.link(),
        is_partial: is_partial(bundle),
        destinations: before.map(|placed| placed.destinations).unwrap_or_default(),
    };
    for Wanted {
        repository,
        tag,
        digest,
    } in destinations
    {
        let spot = Spot {
            digest: *digest,
            sequence: bundle.sequence,
        };
        placed
            .destinations
            .insert(format!("{repository}:{tag}"), spot);
    }
    let path = metadata.join(FILE);
    let bytes = serde_json::to_vec(&placed).map_err(|source| PlacedError::Damaged {
        path: path.clone(),
        source,
    })?;
    disk::write_durably(&path, &bytes, 0o600).map_err(PlacedError::Disk)
}

fn is_partial(bundle: &Manifest) -> bool {
    let mut lacks = bundle.incomplete.iter();
    lacks.any(|lack| lack.reason == Missing::Image)
}
