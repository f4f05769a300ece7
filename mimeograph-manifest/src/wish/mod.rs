//! The wish: what an image set comes to in the archives, and what of it is not there.
//!
//! `oc-mirror` drops without a word what it cannot find, and mirrors the wrong release with every mark green (contract
//! §0, §12, §13). So the archives are judged against the image set: before a bundle is signed, before it is loaded, and by
//! the same rule. What the image set came to is signed in the inventory, by name and version.

mod additional;
mod charts;
pub mod evidence;
pub mod named;
mod operators;
pub mod plan;
mod releases;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use crate::catalog::SelectedPackage;
use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::imageset::model::Text;
use crate::imageset::{Finding, Findings, ImageSet, TagStyle};
use crate::inventory::{Before, IndexMembers, Structure};
use crate::manifest::{Flag, Generation, Incomplete, Producer};
use crate::release::ReleaseKeys;
pub use charts::overlooked;
use evidence::Evidence;

/// What an image set came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wish {
    /// The releases.
    pub releases: Vec<Release>,
    /// The image of the update graph.
    pub graph: Option<Resolved>,
    /// The operator catalogues.
    pub operators: Vec<Catalog>,
    /// The charts.
    pub charts: Vec<Chart>,
    /// The images of the charts.
    pub chart_images: Vec<Resolved>,
    /// The additional images.
    pub images: Vec<Resolved>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// `4.20.3`.
    pub version: String,
    /// As in the tags of releases: `x86_64`.
    pub architecture: String,
    /// The digest of its image: that of the update graph, and of the signature.
    pub digest: Digest,
    /// The images that it consists of.
    pub components: Vec<Component>,
}

/// An image of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// What the release calls it.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// An operator catalogue, and what is selected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Catalog {
    /// As the image set has it.
    pub reference: String,
    /// The repository in the archives.
    pub repository: String,
    /// The tag in the target.
    pub tag: String,
    /// The digest of the published catalogue, at its source.
    pub source: Digest,
    /// The digest that the target must answer with: from 4.18 on the catalogue is rebuilt.
    pub digest: Digest,
    /// `oc-mirror`'s name for the selection: the rebuilt catalogue's tag in the archives.
    pub filter: Option<String>,
    /// The packages, by name.
    pub packages: BTreeMap<String, SelectedPackage>,
    /// How many packages the cluster is offered besides, whose images did not travel (up to 4.17).
    pub dead_packages: u64,
    /// The images of the selected bundles.
    pub images: BTreeSet<Digest>,
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is from: the address of a repository, or a path.
    pub from: String,
}

/// An image that is asked for, and where it lies in the archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// The reference as the image set has it.
    pub reference: String,
    /// The repository in the archives.
    pub repository: String,
    /// The tag there.
    pub tag: String,
    /// The digest under the tag.
    pub digest: Digest,
}

impl Wish {
    /// Which indexes need all of their members: those that no `platforms` is for.
    pub fn index_members(&self, imageset: &ImageSet) -> IndexMembers {
        let mirror = &imageset.mirror;
        let mut whole = self.clone();
        if mirror.platform.iter().any(|one| !one.platforms.is_empty()) {
            whole.releases.clear();
        }
        whole.operators.retain(|catalog| {
            let mut wishes = mirror.operators.iter();
            wishes.all(|one| one.platforms.is_empty() || *one.catalog != *catalog.reference)
        });
        whole.images.retain(|image| {
            let mut wishes = mirror.additional_images.iter();
            wishes.all(|one| one.platforms.is_empty() || *one.name != *image.reference)
        });
        if imageset.charts().any(|one| !one.platforms.is_empty()) {
            whole.chart_images.clear();
        }
        if whole == *self {
            IndexMembers::Every
        } else {
            IndexMembers::EveryOf(whole.digests())
        }
    }

    /// The images that stand for themselves: that of the update graph, those of charts, additional ones.
    pub(crate) fn single_images(&self) -> impl Iterator<Item = &Resolved> {
        let images = self.graph.iter().chain(&self.chart_images);
        images.chain(&self.images)
    }

    /// The digest of each release, catalogue and image, by the name that people know it by.
    pub fn named_digests(&self) -> BTreeMap<String, Digest> {
        let releases = self.releases.iter().map(|release| {
            let name = format!("release {} {}", release.version, release.architecture);
            (name, release.digest)
        });
        let operators = self.operators.iter();
        let operators = operators.map(|one| (format!("catalogue {}", one.reference), one.digest));
        releases
            .chain(operators)
            .chain(
                self.single_images()
                    .map(|image| (image.reference.clone(), image.digest)),
            )
            .collect()
    }

    /// The image manifests that it needs, each of which must be whole.
    pub fn digests(&self) -> BTreeSet<Digest> {
        let releases = self.releases.iter().flat_map(|release| {
            let components = release.components.iter().map(|component| component.digest);
            components.chain([release.digest])
        });
        let operators = self.operators.iter();
        let operators = operators.flat_map(|one| one.images.iter().copied().chain([one.digest]));
        releases
            .chain(operators)
            .chain(self.single_images().map(|image| image.digest))
            .collect()
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What was asked for.
    pub imageset: &'a ImageSet,
    /// What the archives hold.
    pub structure: &'a Structure,
    /// What made them.
    pub producer: &'a Producer,
    /// What they lack by their own word, in a run whose partial result is accepted.
    pub incomplete: &'a [Incomplete],
    /// What the bundles brought that this one builds on.
    pub before: &'a Before,
    /// The images that `oc-mirror` says it copied, where the image set names charts: nothing else tells which images those
    /// have.
    pub copied: &'a [String],
    /// The keys that releases must be signed with.
    pub release_keys: &'a ReleaseKeys,
}

impl Question<'_> {
    /// How tags of digest-only images look.
    fn style(&self) -> TagStyle {
        TagStyle::of(self.imageset.generation, self.producer.minor())
    }

    fn ignores_release_signatures(&self) -> bool {
        self.producer.has(Flag::IgnoreReleaseSignature)
    }

    fn has_failed(&self, reference: &str) -> bool {
        let mut lacks = self.incomplete.iter();
        lacks.any(|lack| lack.reference == reference)
    }

    /// The line of `blockedImages` that takes out an image.
    fn blocks(&self, image: &str) -> Option<&Text> {
        self.imageset.blocks(image, self.producer.minor())
    }
}

/// What came of a judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What the image set came to.
    pub wish: Wish,
    /// What of it is not there.
    pub findings: Findings,
    /// What is worth knowing, and no fault.
    pub hints: Vec<String>,
}

/// The archives could not be read again.
#[derive(Debug, thiserror::Error)]
#[error("failed to read `{path}` of `oc-mirror`'s working directory")]
pub struct WishError {
    path: String,
    source: io::Error,
}

impl Fault for WishError {
    fn id(&self) -> ErrorId {
        ErrorId::Io
    }
}

/// Judges what the archives hold by what was asked for.
pub fn judge(question: &Question<'_>, evidence: &mut dyn Evidence) -> Result<Judgement, WishError> {
    let (mut found, mut hints) = (Vec::<Finding>::new(), Vec::new());
    let is_v2 = question.imageset.generation == Generation::V2;
    let mut wish = Wish {
        images: additional::resolve(question, &mut found, &mut hints),
        ..Wish::default()
    };
    // v1 ends with an error where it cannot find what it is asked for, and rebuilds catalogues on the far side.
    if is_v2 {
        wish.releases = releases::resolve(question, evidence, &mut found, &mut hints)?;
        wish.graph = releases::graph(question, &mut found);
        wish.operators = operators::resolve(question, evidence, &mut found, &mut hints)?;
        wish.charts = charts::resolve(question, evidence, &mut found, &mut hints)?;
        wish.chart_images = charts::images(question, &wish, &mut found);
    }
    Ok(Judgement {
        wish,
        findings: Findings::new(found),
        hints,
    })
}

fn read(evidence: &mut dyn Evidence, path: &str, limit: u64) -> Result<Option<Vec<u8>>, WishError> {
    evidence.file(path, limit).map_err(|source| WishError {
        path: path.to_owned(),
        source,
    })
}
