//! Archives -> inventory: what they hold, whether it is whole, and whether it is what was asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mimeograph_manifest::archive::Contents;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::{ImageSet, TagStyle};
use mimeograph_manifest::inventory::{Before, Inventory, Resolved, check_closure};
use mimeograph_manifest::io::disk;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Incomplete, Kind, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;

/// What a bundle builds on.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// What the chain brought, back to a full one.
    before: Before,
    /// Where the last of them has its additional images.
    images: Vec<Resolved>,
}

/// Makes the inventory of a bundle, after checking that every wanted image is whole and that every
/// additional image of the image set is there.
pub(crate) fn inspect(
    contents: Contents,
    imageset: &ImageSet,
    style: TagStyle,
    incomplete: &[Incomplete],
    earlier: &Earlier,
) -> Result<Inventory, Failure> {
    let structure = contents.structure;
    let failed: Vec<_> = incomplete
        .iter()
        .map(|lack| lack.reference.clone())
        .collect();
    let images = imageset.resolve(&structure, style, &failed, &earlier.images)?;
    // The wish for catalogues, releases and charts is judged here too, once it is modelled.
    let wanted = images.iter().map(|image| image.digest);
    check_closure(
        &structure,
        &earlier.before,
        wanted,
        imageset.index_members(),
    )?;
    Ok(Inventory::new(structure, images))
}

fn path(metadata_dir: &Path, sequence: Sequence) -> PathBuf {
    metadata_dir
        .join("inventories")
        .join(format!("{}.json", sequence.padded()))
}

/// Keeps the inventory of a bundle, for the closure of those that build on it.
pub(crate) fn keep(
    metadata_dir: &Path,
    sequence: Sequence,
    inventory: &[u8],
) -> Result<(), Failure> {
    disk::create_folder(&metadata_dir.join("inventories"), 0o700)?;
    Ok(disk::write_durably(
        &path(metadata_dir, sequence),
        inventory,
        0o600,
    )?)
}

/// What the bundles brought that `based_on` builds on, itself included, back to a full one.
///
/// `None`: an inventory of the chain is not kept here, so the next bundle must hold everything.
pub(crate) fn before(
    metadata_dir: &Path,
    published: &[Verified<Manifest>],
    based_on: Sequence,
) -> Result<Option<Earlier>, Failure> {
    let by_sequence: BTreeMap<_, _> = published
        .iter()
        .map(|bundle| (bundle.sequence, bundle))
        .collect();
    let mut earlier = Earlier::default();
    let mut next = Some(based_on);
    while let Some(sequence) = next {
        let Some(bundle) = by_sequence.get(&sequence) else {
            return Ok(None);
        };
        let Some(inventory) = kept(metadata_dir, sequence)? else {
            return Ok(None);
        };
        earlier.before.add(inventory.structure);
        if sequence == based_on {
            earlier.images = inventory.images;
        }
        next = if bundle.kind == Kind::Full {
            None
        } else {
            bundle.requires.map(|link| link.sequence)
        };
    }
    Ok(Some(earlier))
}

fn kept(metadata_dir: &Path, sequence: Sequence) -> Result<Option<Inventory>, Failure> {
    let path = path(metadata_dir, sequence);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = disk::read_bounded(&path, limits::INVENTORY_SIZE)?;
    Ok(Some(Inventory::from_bytes(&bytes)?))
}
