//! Archives -> inventory: what they hold, whether it is whole, and whether it is what was asked for.

use std::path::{Path, PathBuf};

use mimeograph_manifest::archive::Contents;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::{Around, Findings, ImageSet, ImageSetError, cautions, traps};
use mimeograph_manifest::inventory::{Before, Inventory, check_closure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::imageset::refuse_any;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::manifest::Link;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::wish::evidence::Archives;
use mimeograph_manifest::wish::{Question, judge};

use crate::head::Published;
use crate::journal::Mirrored;
use crate::kept::{self, Piece};
use crate::outbox;
use crate::unchanged::Watched;

/// Refuses what this `oc-mirror` is known to get wrong; says what else is worth knowing of the image set.
pub(crate) fn refuse_traps(
    config: &Config,
    imageset: &ImageSet,
    oc_mirror: &OcMirror,
) -> Result<Findings, ImageSetError> {
    for unknown in &imageset.unknown {
        tracing::warn!("image set, {unknown}: it is left to `oc-mirror`");
    }
    let around = Around {
        minor: oc_mirror.minor,
        local_dir: &config.mirror.local_dir,
    };
    refuse_any(traps(imageset, around), ImageSetError::Traps)?;
    let cautions = cautions(imageset, around);
    for caution in cautions.iter() {
        tracing::warn!("image set, {caution}");
    }
    Ok(cautions)
}

/// What is to become a bundle.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    /// What its archives hold.
    pub contents: Contents,
    /// Where they lie.
    pub archives: &'a [PathBuf],
    /// What was asked for.
    pub imageset: &'a ImageSet,
    /// How they were made, and from what.
    pub mirrored: &'a Mirrored,
    /// The keys that releases must be signed with.
    pub release_keys: &'a ReleaseKeys,
    /// What the bundle builds on.
    pub before: &'a Before,
}

/// What archives that may become a bundle came to.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub inventory: Inventory,
    /// What else counts when nothing is new.
    pub watched: Watched,
}

/// Makes the inventory of a bundle, after checking that it is what was asked for, and that every wanted image is whole.
pub(crate) fn inspect(candidate: Candidate<'_>) -> Result<Inspected, Failure> {
    let structure = candidate.contents.structure;
    let question = Question {
        imageset: candidate.imageset,
        structure: &structure,
        producer: &candidate.mirrored.producer,
        incomplete: &candidate.mirrored.incomplete,
        before: candidate.before,
        copied: &candidate.mirrored.copied,
        release_keys: candidate.release_keys,
    };
    let readers = outbox::open(candidate.archives)?;
    let mut evidence = Archives::new(&candidate.contents.places, readers);
    let judgement = judge(&question, &mut evidence)?;
    for hint in &judgement.hints {
        tracing::info!("{hint}");
    }
    refuse_any(judgement.findings, ImageSetError::Unsatisfied)?;
    check_closure(
        &structure,
        candidate.before,
        judgement.wish.digests(),
        &judgement.wish.index_members(candidate.imageset),
    )?;
    Ok(Inspected {
        watched: Watched::of(&mut evidence)?,
        inventory: Inventory::new(structure, judgement.wish),
    })
}

/// What the bundles brought that `based_on` builds on, itself included, back to a full one.
///
/// `None`: an inventory of the chain is not kept here, so the next bundle must hold everything.
pub(crate) fn before(
    metadata_dir: &Path,
    published: &Published,
    based_on: Link,
) -> Result<Option<Before>, Failure> {
    let Some(chain) = published.chain(based_on) else {
        return Ok(None);
    };
    let mut before = Before::default();
    for bundle in chain {
        let Some(inventory) = kept(metadata_dir, bundle.sequence)? else {
            return Ok(None);
        };
        before.add_older(inventory);
    }
    Ok(Some(before))
}

/// The inventory that is kept of a bundle.
pub(crate) fn kept(metadata_dir: &Path, sequence: Sequence) -> Result<Option<Inventory>, Failure> {
    let bytes = kept::read(metadata_dir, Piece::Inventory, sequence)?;
    let inventory = bytes.map(|bytes| Inventory::from_bytes(&bytes));
    Ok(inventory.transpose()?)
}
