//! Store -> `metadataDir`: what is kept of bundles that this host has lost, or that another host made. What is kept already
//! is believed only where it is what the published manifest, verified with our own key, says.

use std::path::Path;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault as _, chain};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Kind, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;

use crate::head::Published;
use crate::{history, inspect};

/// Makes `metadataDir` hold the history of `content` and the inventories of all that it builds on. `false`: the store does
/// not have them whole any more, so nothing can be built on it.
pub(crate) fn chain_of(
    store: &dyn Fetch,
    published: &Published,
    metadata: &Path,
    content: Sequence,
) -> Result<bool, Failure> {
    let mut next = Some(content);
    while let Some(sequence) = next {
        let Some(bundle) = published.bundle(sequence) else {
            return Ok(false);
        };
        let kept = inspect::kept_bytes(metadata, sequence)?;
        let inventory = missing(store, bundle, Role::Inventory, kept)?;
        if let Wanted::Fetched(bytes) = &inventory {
            inspect::keep(metadata, sequence, bytes)?;
        }
        let record = if sequence == content {
            let kept = history::kept_bytes(metadata, sequence)?;
            missing(store, bundle, Role::History, kept)?
        } else {
            Wanted::Here
        };
        if let Wanted::Fetched(bytes) = &record {
            history::keep(metadata, sequence, bytes)?;
        }
        if matches!(inventory, Wanted::Lost) || matches!(record, Wanted::Lost) {
            return Ok(false);
        }
        next = match bundle.kind {
            Kind::Full => None,
            _ => bundle.requires.map(|link| link.sequence),
        };
    }
    Ok(true)
}

/// What became of a file that is to be kept.
enum Wanted {
    Here,
    Fetched(Vec<u8>),
    Lost,
}

fn missing(
    store: &dyn Fetch,
    bundle: &Verified<Manifest>,
    role: Role,
    kept: Option<Vec<u8>>,
) -> Result<Wanted, Failure> {
    let mut files = bundle.files.iter();
    let Some(file) = files.find(|file| file.role == role) else {
        return Ok(Wanted::Lost);
    };
    if kept.is_some_and(|bytes| file.is(&bytes)) {
        return Ok(Wanted::Here);
    }
    match fetched::small_file(store, file) {
        Ok(bytes) => {
            tracing::info!(sequence = %bundle.sequence, file = %file.name, "taken from the store");
            Ok(Wanted::Fetched(bytes))
        }
        Err(error) if matches!(error.id(), ErrorId::Incomplete | ErrorId::ChunkDamaged) => {
            tracing::warn!(sequence = %bundle.sequence, error = %chain(&error), "the store has lost a part of a bundle");
            Ok(Wanted::Lost)
        }
        Err(error) => Err(error.into()),
    }
}
