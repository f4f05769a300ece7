//! Store -> `metadataDir`: what is kept of bundles that this host has lost, or that another host made. What is kept already
//! is believed only where it is what the published manifest, verified with our own key, says.

use std::path::Path;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault as _, chain};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Link, Manifest};
use mimeograph_manifest::signed::Verified;

use crate::head::Published;
use crate::kept::{self, Piece};

/// Makes `metadataDir` hold the history of `content` and the inventories of all that it builds on. `false`: the store does
/// not have them whole any more, so nothing can be built on it.
pub(crate) fn chain_of(
    store: &dyn Fetch,
    published: &Published,
    metadata: &Path,
    content: Link,
) -> Result<bool, Failure> {
    let Some(chain) = published.chain(content) else {
        return Ok(false);
    };
    for bundle in &chain {
        if !restore(store, bundle, metadata, Piece::Inventory)? {
            return Ok(false);
        }
    }
    match chain.first() {
        Some(content) => restore(store, content, metadata, Piece::History),
        None => Ok(false),
    }
}

/// Whether what is kept of a bundle is what was published with it, fetched where it was not.
fn restore(
    store: &dyn Fetch,
    bundle: &Verified<Manifest>,
    metadata: &Path,
    piece: Piece,
) -> Result<bool, Failure> {
    let sequence = bundle.sequence;
    let file = piece.role().and_then(|role| bundle.files(role).next());
    let Some(file) = file else {
        return Ok(false);
    };
    if kept::read(metadata, piece, sequence)?.is_some_and(|bytes| file.is(&bytes)) {
        return Ok(true);
    }
    match fetched::small_file(store, file) {
        Ok(bytes) => {
            tracing::info!(%sequence, file = %file.name, "taken from the store");
            kept::write(metadata, piece, sequence, &bytes)?;
            Ok(true)
        }
        Err(error) if matches!(error.id(), ErrorId::Incomplete | ErrorId::ChunkDamaged) => {
            tracing::warn!(%sequence, error = %chain(&error), "the store has lost a part of a bundle");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
