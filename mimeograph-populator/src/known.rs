//! A bundle that counts as applied although this ledger did not see it loaded: by the second copy of the state, or because a
//! person said so.

use std::collections::BTreeSet;
use std::path::Path;

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::inventory::{Before, IndexMembers, Inventory, Structure, check_closure};
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::Wish;

use crate::cache::Cache;
use crate::ledger::{Fate, Ledger};

/// Such a bundle.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub manifest: &'a Verified<Manifest>,
    pub inventory: &'a Inventory,
    pub inventory_bytes: &'a [u8],
}

impl Known<'_> {
    /// Records it. What the cache holds, every byte hashed, stands for all that it builds on, where that is enough for
    /// what it brought; else the next bundle needs its chain in the store again.
    pub(crate) fn accept(
        &self,
        metadata: &Path,
        cache: &Cache,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        let sequence = self.manifest.sequence;
        let structure = Structure {
            repositories: self.inventory.structure.repositories.clone(),
            ..cache.contents()?
        };
        let inventory = Inventory::new(structure, self.inventory.wish.clone());
        let is_whole = is_whole(&inventory, &self.inventory.wish);
        if is_whole {
            Ledger::keep_inventory(metadata, sequence, &inventory.to_bytes()?)?;
        } else {
            Ledger::keep_inventory(metadata, sequence, self.inventory_bytes)?;
            tracing::warn!(
                "`oc-mirror`'s cache does not hold all of bundle {sequence}: what it builds on must be in the store for the next delta"
            );
        }
        ledger.accept(self.manifest, Fate::Applied);
        if let Some(accepted) = ledger.bundles.get_mut(&sequence).filter(|_| is_whole) {
            accepted.requires = None;
        }
        Ok(())
    }
}

/// Whether what a bundle came to is whole over the cache. Other images there may be stale.
fn is_whole(cache: &Inventory, wish: &Wish) -> bool {
    let mut before = Before::default();
    before.add_newer(cache.clone());
    // What the image set's `platforms` left out is not told here.
    let some_members = IndexMembers::EveryOf(BTreeSet::new());
    check_closure(
        &Structure::default(),
        &before,
        wish.digests(),
        &some_members,
    )
    .is_ok()
}
