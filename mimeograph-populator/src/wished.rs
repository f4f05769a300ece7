//! Verified archives -> the same judgement that the connected side made: is this what was asked for?

use std::io::{Read, Seek};

use mimeograph_manifest::archive::Contents;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::{ImageSet, ImageSetError};
use mimeograph_manifest::inventory::{Before, Inventory, InventoryError};
use mimeograph_manifest::io::imageset::refuse_any;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::wish::evidence::Archives;
use mimeograph_manifest::wish::{Question, judge};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub manifest: &'a Manifest,
    pub imageset: &'a ImageSet,
    pub inventory: &'a Inventory,
    pub before: &'a Before,
    pub release_keys: &'a ReleaseKeys,
}

/// Judges the archives, and compares what the image set came to with what was signed.
///
/// Programs of other versions may come to the same in other words: of theirs the digests are compared that things have by
/// name, for that is what an approver saw.
pub(crate) fn check<R: Read + Seek>(
    signed: Signed<'_>,
    contents: &Contents,
    readers: Vec<R>,
) -> Result<(), Failure> {
    let Signed {
        manifest,
        imageset,
        inventory,
        before,
        release_keys,
    } = signed;
    // What `oc-mirror` copied for charts was signed by name: whether it is there is judged again.
    let chart_images = inventory.wish.chart_images.iter();
    let copied: Vec<_> = chart_images.map(|image| image.reference.clone()).collect();
    let question = Question {
        imageset,
        structure: &contents.structure,
        producer: &manifest.producer,
        incomplete: &manifest.incomplete,
        before,
        copied: &copied,
        release_keys,
    };
    let judgement = judge(&question, &mut Archives::new(&contents.places, readers))?;
    refuse_any(judgement.findings, ImageSetError::Unsatisfied)?;
    let is_same = if manifest.producer.mimeograph == env!("CARGO_PKG_VERSION") {
        judgement.wish == inventory.wish
    } else {
        judgement.wish.named_digests() == inventory.wish.named_digests()
    };
    if !is_same {
        let what = "what the image set came to".to_owned();
        return Err(InventoryError::Mismatch(what).into());
    }
    Ok(())
}
