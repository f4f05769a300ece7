//! The verified inventories of what came here, kept for the closure of the bundles that build on it.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::limits;
use mimeograph_manifest::name::Sequence;

use super::Ledger;

fn folder(metadata: &Path) -> PathBuf {
    metadata.join("inventories")
}

fn path(metadata: &Path, sequence: Sequence) -> PathBuf {
    folder(metadata).join(format!("{}.json", sequence.padded()))
}

impl Ledger {
    /// Keeps the inventory of a bundle.
    pub fn keep_inventory(
        metadata: &Path,
        sequence: Sequence,
        inventory: &[u8],
    ) -> Result<(), Failure> {
        disk::create_folder(&folder(metadata), 0o755)?;
        Ok(disk::write_durably(
            &path(metadata, sequence),
            inventory,
            0o644,
        )?)
    }

    /// The inventory that is kept of a bundle; `None` where there is none, or none that can be read.
    pub fn inventory(metadata: &Path, sequence: Sequence) -> Result<Option<Inventory>, Failure> {
        let bytes = disk::read_if_there(&path(metadata, sequence), limits::INVENTORY_SIZE)?;
        let read = bytes.and_then(|bytes| {
            let unreadable =
                |error: &_| tracing::warn!(%sequence, %error, "the kept inventory cannot be used");
            Inventory::from_bytes(&bytes).inspect_err(unreadable).ok()
        });
        Ok(read)
    }

    /// Drops the inventories that nothing builds on any more: those below the last applied full bundle.
    pub fn forget_inventories(&self, metadata: &Path) -> Result<(), Failure> {
        // Where the chain does not end with what stands alone, more may come back to it.
        let stands_alone = |base: &Sequence| self.bundles[base].requires.is_none();
        let Some(base) = self.base().filter(stands_alone) else {
            return Ok(());
        };
        for sequence in self.bundles.range(..base).map(|(sequence, _)| *sequence) {
            let path = path(metadata, sequence);
            if path.exists() {
                disk::remove(&path)
                    .map_err(|source| DiskError::new(Action::Remove, &path, source))?;
            }
        }
        Ok(())
    }
}
