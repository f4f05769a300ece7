//! Releases (contract §13.1): the digest in the update graph, in the signature and of the image are one, and every image
//! that the release itself names is there.
//!
//! `oc-mirror` pulls a release by the tag that its signature names and compares neither digest, so a moved tag or another
//! release's signature mirrors the wrong release with every mark green.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Evidence;
use super::plan::PlannedRelease;
use super::{Component, Question, Release, Resolved, WishError, read};
use crate::digest::Digest;
use crate::imageset::model::{Place, Platform};
use crate::imageset::{Finding, Reference, TagStyle};
use crate::limits;
use crate::release::{
    Graph, Part, Signed, architecture, parts, parts_in, signed_by_name, version_in,
};

/// The remedy where a tag is that of another release.
const MOVED: &str = "its tag was moved at the source: have it moved back";

/// Where the releases of one image set are looked for.
struct Search<'a> {
    question: &'a Question<'a>,
    evidence: &'a mut dyn Evidence,
    found: &'a mut Vec<Finding>,
    hints: &'a mut Vec<String>,
    /// The valid signatures, by the digest in their file names.
    signed: BTreeMap<Digest, Signed>,
}

/// A release that is asked for.
struct Wanted {
    at: Place,
    /// What the image set calls it: a version, or a digest.
    name: String,
    version: Option<String>,
    architecture: String,
    digest: Digest,
    /// The repository at its source, without the registry.
    repository: String,
}

pub(super) fn resolve(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<Release>, WishError> {
    each(question, evidence, found, hints, |search, wanted| {
        search.release(wanted)
    })
}

/// The releases that a dry run found, each with a signature of its own.
pub(super) fn planned(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<PlannedRelease>, WishError> {
    each(question, evidence, found, hints, |search, wanted| {
        search.planned(wanted)
    })
}

/// Looks at each release that is asked for.
fn each<T>(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
    look: impl Fn(&mut Search<'_>, &Wanted) -> Result<Option<T>, WishError>,
) -> Result<Vec<T>, WishError> {
    let Some(platform) = &question.imageset.mirror.platform else {
        return Ok(Vec::new());
    };
    let mut search = Search {
        question,
        evidence,
        found,
        hints,
        signed: BTreeMap::new(),
    };
    let wanted = search.wanted(platform)?;
    if !question.ignores_release_signatures() {
        search.read_signatures()?;
    }
    let looked = wanted.iter().map(|wanted| look(&mut search, wanted));
    looked.filter_map(Result::transpose).collect()
}

/// The image of the update graph.
pub(super) fn graph(question: &Question<'_>, found: &mut Vec<Finding>) -> Option<Resolved> {
    const REPOSITORY: &str = "openshift/graph-image";
    const TAG: &str = "latest";
    let platform = question.imageset.mirror.platform.as_ref()?;
    if !platform.graph {
        return None;
    }
    let digest = question.structure.resolve(REPOSITORY, TAG);
    if digest.is_none() {
        found.push(Finding::new(
            platform.at,
            "the image of the update graph (`graph: true`) is not there",
            "look for `graph` in the log: building it needs api.openshift.com, mirror.openshift.com and registry.access.redhat.com",
        ));
    }
    digest.map(|digest| Resolved {
        reference: format!("{REPOSITORY}:{TAG}"),
        repository: REPOSITORY.into(),
        tag: TAG.into(),
        digest,
    })
}

impl Search<'_> {
    fn find(&mut self, at: Place, problem: impl Into<String>, remedy: &str) {
        self.found.push(Finding::new(at, problem, remedy));
    }

    fn is_new(&self) -> bool {
        self.question.style() == TagStyle::Algorithm
    }

    fn wanted(&mut self, platform: &Platform) -> Result<Vec<Wanted>, WishError> {
        if let Some(release) = &platform.release {
            let reference = Reference::parse(release, None, None, TagStyle::Algorithm);
            let Some((reference, digest)) = reference.and_then(|one| {
                let digest = one.digest?;
                Some((one, digest))
            }) else {
                self.find(
                    release.at,
                    format!("release `{release}` has no digest to be judged by"),
                    "name it by digest, `…/ocp-release@sha256:…`",
                );
                return Ok(Vec::new());
            };
            return Ok(vec![Wanted {
                at: release.at,
                name: release.value.clone(),
                version: None,
                architecture: String::new(),
                digest,
                repository: reference.repository,
            }]);
        }
        let mut architectures: Vec<&str> =
            platform.architectures.iter().map(|one| &**one).collect();
        if !platform.platforms.is_empty() {
            architectures = vec!["multi"];
        } else if architectures.is_empty() {
            architectures = vec!["amd64"];
        }
        let (mut wanted, mut known) = (Vec::new(), BTreeSet::new());
        for name in architectures {
            for channel in &platform.channels {
                let Some(graph) = self.graph(name, channel)? else {
                    continue;
                };
                let of_channel = graph.wanted(channel);
                self.found.extend(of_channel.findings);
                for node in of_channel.releases {
                    if known.insert((node.digest, node.version.clone())) {
                        wanted.push(Wanted {
                            at: channel.at,
                            name: node.version.to_string(),
                            version: Some(node.version.to_string()),
                            architecture: architecture(name).to_owned(),
                            digest: node.digest,
                            repository: String::from("openshift-release-dev/ocp-release"),
                        });
                    }
                }
            }
        }
        Ok(wanted)
    }

    fn graph(
        &mut self,
        architecture: &str,
        channel: &crate::imageset::model::ReleaseChannel,
    ) -> Result<Option<Graph>, WishError> {
        let name = &channel.name;
        let path = format!("hold-release/cincinnati-graph-data/{architecture}-{name}.json");
        let Some(bytes) = read(self.evidence, &path, limits::GRAPH_SIZE)? else {
            self.find(
                name.at,
                format!("channel `{name}` ({architecture}) has no update graph here"),
                "correct its name; look in the log whether the update service answered",
            );
            return Ok(None);
        };
        match Graph::parse(&bytes) {
            Ok(graph) => Ok(Some(graph)),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                self.find(
                    name.at,
                    format!(
                        "channel `{name}` ({architecture}): {error}: {}",
                        cause.unwrap_or_default()
                    ),
                    "look what the update service sends",
                );
                Ok(None)
            }
        }
    }

    fn read_signatures(&mut self) -> Result<(), WishError> {
        for path in self.evidence.files("signatures/") {
            let Some(named) = signed_by_name(&path) else {
                continue;
            };
            let Some(bytes) = read(self.evidence, &path, limits::RELEASE_SIGNATURE_SIZE)? else {
                continue;
            };
            // One that no trusted key made is as good as none; the release that it is for will say so.
            if let Ok(signed) = self.question.release_keys.verify(&bytes) {
                self.signed.insert(named, signed);
            }
        }
        Ok(())
    }

    /// What a dry run tells of it: its signature, and what the image under its tag says of itself.
    fn planned(&mut self, wanted: &Wanted) -> Result<Option<PlannedRelease>, WishError> {
        let Some(tag) = self.signed_tag(wanted) else {
            return Ok(None);
        };
        let below = format!("/{tag}/release-manifests/");
        for path in self.evidence.files("hold-release/") {
            let Some((_, file)) = path.split_once(&below) else {
                continue;
            };
            match file {
                "release-metadata" => {
                    let bytes = read(self.evidence, &path, limits::IMAGE_REFERENCES_SIZE)?;
                    let there = bytes.as_deref().and_then(version_in);
                    self.is_version(wanted, &tag, there.as_deref());
                }
                "image-references" => {
                    let bytes = read(self.evidence, &path, limits::IMAGE_REFERENCES_SIZE)?;
                    let parts = bytes.and_then(|bytes| parts(&bytes).ok());
                    for part in parts.iter().flatten() {
                        if let Some(line) = self.blocked_at(&part.image, part.digest) {
                            self.hollowed(wanted, &part.name, line);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Some(PlannedRelease {
            version: wanted.name.clone(),
            architecture: wanted.architecture.clone(),
            digest: wanted.digest,
        }))
    }

    fn is_version(&mut self, wanted: &Wanted, tag: &str, there: Option<&str>) {
        if let (Some(version), Some(there)) = (&wanted.version, there)
            && version != there
        {
            let problem = format!(
                "release {version} is not there: the image under its tag `{tag}` is release {there}"
            );
            self.find(wanted.at, problem, MOVED);
        }
    }

    fn release(&mut self, wanted: &Wanted) -> Result<Option<Release>, WishError> {
        let Some(tag) = self.signed_tag(wanted) else {
            return Ok(None);
        };
        if !self.is_there(wanted, &tag) {
            return Ok(None);
        }
        let Some(parts) = self.parts(wanted)? else {
            self.find(
                wanted.at,
                format!(
                    "what release {} consists of cannot be read from its image",
                    wanted.name
                ),
                "run it again; if it stays so, ask for help with the release's digest",
            );
            return Ok(None);
        };
        for part in &parts {
            self.part(wanted, &tag, part);
        }
        let components = parts.into_iter().map(|part| Component {
            name: part.name,
            digest: part.digest,
        });
        Ok(Some(Release {
            version: wanted.version.clone().unwrap_or_else(|| tag.clone()),
            architecture: wanted.architecture.clone(),
            digest: wanted.digest,
            components: components.collect(),
        }))
    }

    /// The tag that the release's signature names, if that is of this very release.
    fn signed_tag(&mut self, wanted: &Wanted) -> Option<String> {
        let Wanted {
            at, name, digest, ..
        } = wanted;
        if self.question.ignores_release_signatures() {
            let version = wanted.version.as_ref();
            let tag = version.map(|version| format!("{version}-{}", wanted.architecture));
            return Some(tag.unwrap_or_else(|| digest.to_string()));
        }
        // Up to 4.17 it asks for no signature of a release that is named by its digest.
        if wanted.version.is_none() && !self.is_new() && !self.signed.contains_key(digest) {
            self.hints.push(format!(
                "line {}: this `oc-mirror` fetches no signature for a release that is named by digest: nothing but the digest \
                 vouches for `{name}`",
                at.line
            ));
            return Some(format!("sha256-{digest}"));
        }
        let Some(signed) = self.signed.get(digest) else {
            self.find(
                *at,
                format!("release {name} ({}) has no signature by a trusted key", digest.to_oci()),
                "look in the log whether the signature server answered; keys other than Red Hat's go to `mirror.releaseKeys`",
            );
            return None;
        };
        if signed.digest != *digest {
            let problem = format!(
                "the signature of release {name} is that of another release ({}, {})",
                signed.reference,
                signed.digest.to_oci()
            );
            self.find(
                *at,
                problem,
                "look what the signature server sends for this digest",
            );
            return None;
        }
        let last = signed.reference.rsplit('/').next().unwrap_or_default();
        let tag = match last.split_once(':') {
            Some((_, tag)) => tag.to_owned(),
            None => digest.to_string(),
        };
        // The tags of OKD have no architecture.
        let is_other = |version: &String| {
            tag != *version && tag != format!("{version}-{}", wanted.architecture)
        };
        if wanted.version.as_ref().is_some_and(is_other) {
            let problem = format!(
                "the update service gives release {name} the image of `{tag}` ({})",
                digest.to_oci()
            );
            self.find(
                *at,
                problem,
                "look which update service is asked, and what it sends",
            );
            return None;
        }
        Some(tag)
    }

    fn is_there(&mut self, wanted: &Wanted, tag: &str) -> bool {
        let repository = if self.is_new() {
            "openshift/release-images"
        } else {
            &wanted.repository
        };
        let Wanted {
            at, name, digest, ..
        } = wanted;
        match self.question.structure.resolve(repository, tag) {
            Some(there) if there == *digest => true,
            Some(other) => {
                self.find(
                    *at,
                    format!("release {name} is not there: `{repository}:{tag}` is {}, and the update graph has {}", other.to_oci(), digest.to_oci()),
                    MOVED,
                );
                false
            }
            None => {
                let signed = self.signed.get(digest);
                let image = signed.map_or("", |signed| &*signed.reference);
                let (problem, remedy) = match self.blocked_at(image, *digest) {
                    Some(line) => (
                        format!(
                            "release {name} is not there: `blockedImages` (line {line}) takes it out"
                        ),
                        "take it out of `blockedImages`, or the release out of the image set",
                    ),
                    None => (
                        format!("release {name} is not there (`{repository}:{tag}`)"),
                        "look for it in the log",
                    ),
                };
                self.find(*at, problem, remedy);
                false
            }
        }
    }

    fn part(&mut self, wanted: &Wanted, release_tag: &str, part: &Part) {
        let Part {
            name,
            image,
            digest,
        } = part;
        let structure = self.question.structure;
        let is_there = if self.is_new() {
            let tag = format!("{release_tag}-{name}");
            structure.resolve("openshift/release", &tag) == Some(*digest)
        } else {
            let tag = format!("sha256-{digest}");
            let mut repositories = structure.repositories.values();
            repositories.any(|repository| repository.tags.get(&tag) == Some(digest))
        };
        if is_there {
            return;
        }
        match self.blocked_at(image, *digest) {
            Some(line) => self.hollowed(wanted, name, line),
            None => self.find(
                wanted.at,
                format!(
                    "component `{name}` of release {} is not there ({})",
                    wanted.name,
                    digest.to_oci()
                ),
                "look for its digest in the log",
            ),
        }
    }

    fn hollowed(&mut self, wanted: &Wanted, name: &str, line: usize) {
        self.find(
            wanted.at,
            format!(
                "component `{name}` of release {} is not there: `blockedImages` (line {line}) takes it out",
                wanted.name
            ),
            "take it out of `blockedImages`: a cluster cannot be installed without it",
        );
    }

    /// The line of `blockedImages` that takes out an image.
    fn blocked_at(&self, image: &str, digest: Digest) -> Option<usize> {
        let hex = digest.to_string();
        let mut listed = self.question.imageset.mirror.blocked_images.iter();
        let by_digest = listed.find(|blocked| blocked.contains(&hex));
        by_digest
            .or_else(|| self.question.blocks(image))
            .map(|blocked| blocked.at.line)
    }

    fn parts(&mut self, wanted: &Wanted) -> Result<Option<Vec<Part>>, WishError> {
        if let Some(parts) = self.of_image(wanted.digest, 0)? {
            return Ok(Some(parts));
        }
        let earlier = self.question.before.wish();
        let mut earlier = earlier.iter().flat_map(|wish| &wish.releases);
        let same = earlier.find(|release| release.digest == wanted.digest);
        let part = |component: &Component| Part {
            name: component.name.clone(),
            image: format!(
                "quay.io/openshift-release-dev/ocp-v4.0-art-dev@{}",
                component.digest.to_oci()
            ),
            digest: component.digest,
        };
        Ok(same.map(|release| release.components.iter().map(part).collect()))
    }

    /// Of an image, or of the first member of an index that can be read: they all name the same.
    fn of_image(&mut self, digest: Digest, depth: u32) -> Result<Option<Vec<Part>>, WishError> {
        let Question {
            structure, before, ..
        } = self.question;
        let carried = structure.manifests.get(&digest);
        let Some(image) = carried.or_else(|| before.manifest(&digest)).cloned() else {
            return Ok(None);
        };
        if depth == 0 {
            for member in &image.manifests {
                if let Some(parts) = self.of_image(*member, depth + 1)? {
                    return Ok(Some(parts));
                }
            }
        }
        // The layer in question is a small one; what lies below it can be large.
        let size = |layer: &Digest| structure.blobs.get(layer).copied().unwrap_or_default();
        let mut layers = image.blobs;
        layers.sort_by_key(size);
        for layer in layers {
            let Some(bytes) = self.blob(&layer)? else {
                continue;
            };
            if let Ok(Some(parts)) = parts_in(&bytes) {
                return Ok(Some(parts));
            }
        }
        Ok(None)
    }

    /// A blob of the archives, or of the release's copy in the working directory, where every archive has it anew. One
    /// that is too large counts as absent.
    fn blob(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, WishError> {
        let is_long = |error: &std::io::Error| error.kind() == std::io::ErrorKind::FileTooLarge;
        match self.evidence.blob(digest, limits::RELEASE_LAYER_SIZE) {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Err(source) if !is_long(&source) => {
                let path = digest.to_oci();
                return Err(WishError { path, source });
            }
            _ => {}
        }
        let hex = digest.to_string();
        let files = self.evidence.files("release-images/");
        let Some(path) = files.into_iter().find(|path| path.ends_with(&hex)) else {
            return Ok(None);
        };
        match self.evidence.file(&path, limits::RELEASE_LAYER_SIZE) {
            Ok(bytes) => Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest)),
            Err(error) if is_long(&error) => Ok(None),
            Err(source) => Err(WishError { path, source }),
        }
    }
}
