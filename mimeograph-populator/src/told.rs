//! What the second copy of the state is told, and what it was told last (`state-copy` in `metadataDir`).

use std::path::Path;

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::signed::Verified;

use crate::copy::{Copies, Document};
use crate::ledger::Ledger;
use crate::registry::Wanted;

/// Its file.
const TOLD: &str = "state-copy";

/// Whether the second copy will take what it is to be told: asked before anything is loaded.
pub(crate) fn check_writable(config: &Config) -> Result<(), Failure> {
    match Copies::open(config)? {
        Some(copies) => copies.check_writable(),
        None => Ok(()),
    }
}

/// Keeps what the second copy is to be told of a bundle that was applied.
pub(crate) fn remember(
    metadata: &Path,
    manifest: &Verified<Manifest>,
    inventory: &[u8],
    destinations: &[Wanted],
) -> Result<(), Failure> {
    // An old bundle that was loaded on purpose does not make it older.
    if last(metadata)?.is_some_and(|last| last.sequence() > manifest.sequence) {
        return Ok(());
    }
    let document = Document::new(manifest, inventory, None, destinations.to_vec())?;
    keep(metadata, &document)
}

fn last(metadata: &Path) -> Result<Option<Document>, Failure> {
    let told = disk::read_if_there(&metadata.join(TOLD), limits::STATE_STORED_SIZE)?;
    let read = told.map(|bytes| Document::from_bytes(&bytes));
    Ok(read.transpose()?)
}

pub(crate) fn keep(metadata: &Path, document: &Document) -> Result<(), Failure> {
    let bytes = document.to_bytes()?;
    Ok(disk::write_durably(&metadata.join(TOLD), &bytes, 0o600)?)
}

/// Tells the second copy what it does not know yet: what was applied last, and the newest heartbeat.
pub(crate) fn tell(
    config: &Config,
    metadata: &Path,
    found: &[Verified<Manifest>],
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    let (Some(newest), Some(stream)) = (ledger.newest(), ledger.stream.clone()) else {
        return Ok(());
    };
    if ledger.copied == Some(newest) {
        return Ok(());
    }
    let Some(copies) = Copies::open(config)? else {
        return Ok(());
    };
    // It is never made older: what is kept here may be of before a restored volume.
    let is_current = |document: &Document| {
        let sequence = Some(document.sequence());
        sequence == ledger.mark() && sequence >= ledger.floor
    };
    let Some(mut document) = last(metadata)?.filter(is_current) else {
        return Ok(());
    };
    let mut heartbeats = found.iter().rev().filter(|one| one.kind == Kind::Heartbeat);
    let newest_heartbeat = heartbeats.find(|one| {
        ledger.bundles.contains_key(&one.sequence) && Some(one.sequence) > ledger.mark()
    });
    if let Some(heartbeat) = newest_heartbeat {
        document = document.with_heartbeat(heartbeat)?;
        keep(metadata, &document)?;
    }
    copies.write(&stream, &document)?;
    ledger.copied = Some(newest);
    Ok(ledger.write(metadata)?)
}
