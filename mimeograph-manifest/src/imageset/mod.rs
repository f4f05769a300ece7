//! The image set configuration: what it says, field by field, and what stands in the way of it.
//!
//! The file itself travels byte for byte. What this program does not know in it is told and left to `oc-mirror`, which
//! may be newer; what is mistyped, or known to come to nothing, is refused with its line before anything starts.

mod cautions;
mod finding;
pub mod model;
mod names;
mod node;
mod read;
mod traps;

use crate::failure::{ErrorId, Fault};
use crate::manifest::Generation;

pub use cautions::{cautions, resource_name};
pub use finding::{Finding, Findings};
pub use model::{Mirror, Place};
pub use names::{Reference, TagStyle};
pub use node::ReadError;
pub use traps::{Around, traps};

/// Why an image set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageSetError {
    /// Not text.
    #[error("the image set is not UTF-8 text")]
    Text(#[source] std::str::Utf8Error),
    /// Not YAML, or a field that is mistyped, missing or of the wrong kind.
    #[error("the image set cannot be read")]
    Read(#[from] ReadError),
    /// Not an image set.
    #[error("the image set has `{field}: {value}`, which must be {expected}")]
    Kind {
        /// `kind` or `apiVersion`.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may.
        expected: &'static str,
    },
    /// It asks for something that `oc-mirror` is known to get wrong.
    #[error("the image set asks for what cannot be mirrored: {0}")]
    Traps(Findings),
    /// What it asks for is not there.
    #[error("the image set asks for what is not there: {0}")]
    Unsatisfied(Findings),
}

impl Fault for ImageSetError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Unsatisfied(_) => ErrorId::ImagesetUnsatisfied,
            _ => ErrorId::ImagesetInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            // Each finding has its own remedy.
            Self::Traps(_) | Self::Unsatisfied(_) => None,
            _ => Some("see the ImageSetConfiguration of your `oc-mirror` version".into()),
        }
    }
}

/// What the image set says.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// v1 or v2, by its `apiVersion`.
    pub generation: Generation,
    /// What is to be mirrored.
    pub mirror: Mirror,
    /// Fields that this program does not know; a newer `oc-mirror` may.
    pub unknown: Vec<ReadError>,
}

impl ImageSet {
    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageSetError> {
        let text = std::str::from_utf8(bytes).map_err(ImageSetError::Text)?;
        let file = read::read(text)?;
        let text = |text: Option<model::Text>| text.unwrap_or_default().value;
        let kind = text(file.kind);
        if kind != "ImageSetConfiguration" {
            return Err(ImageSetError::Kind {
                field: "kind",
                value: kind,
                expected: "`ImageSetConfiguration`",
            });
        }
        let api_version = text(file.api_version);
        let Some(generation) = read::generation(&api_version) else {
            return Err(ImageSetError::Kind {
                field: "apiVersion",
                value: api_version,
                expected: "`mirror.openshift.io/v2alpha1` (v2) or `mirror.openshift.io/v1alpha2` (v1)",
            });
        };
        if let Some(registry) = file.storage_registry {
            return Err(ImageSetError::Kind {
                field: "storageConfig.registry",
                value: registry.value,
                expected: "absent: `storageConfig` must be `local` or left out, then Mimeograph keeps it",
            });
        }
        Ok(Self {
            generation,
            mirror: file.mirror,
            unknown: file.unknown,
        })
    }

    /// Whether it asks for operators: then both sides need the same `oc-mirror`.
    pub fn has_operators(&self) -> bool {
        !self.mirror.operators.is_empty()
    }

    /// Whether it asks for charts.
    pub fn has_charts(&self) -> bool {
        let helm = &self.mirror.helm;
        !helm.repositories.is_empty() || !helm.local.is_empty()
    }

    /// Every chart, of repositories and local ones.
    pub fn charts(&self) -> impl Iterator<Item = &model::Chart> {
        let helm = &self.mirror.helm;
        let of_repositories = helm.repositories.iter().flat_map(|one| &one.charts);
        of_repositories.chain(&helm.local)
    }

    /// The local files and folders that it names, as it names them.
    pub fn local_paths(&self) -> Vec<&model::Text> {
        let mirror = &self.mirror;
        let layouts = mirror.operators.iter().map(|operator| &operator.catalog);
        let images = mirror.additional_images.iter().map(|image| &image.name);
        let templates = mirror.operators.iter();
        let templates = templates.filter_map(|one| one.target_catalog_source_template.as_ref());
        layouts
            .chain(images)
            .filter(|name| name.starts_with(OCI))
            .chain(templates)
            .chain(
                mirror
                    .helm
                    .local
                    .iter()
                    .filter_map(|chart| chart.path.as_ref()),
            )
            .collect()
    }

    /// The registries that it pulls from; on the far side none of them may be asked.
    pub fn source_hosts(&self) -> Vec<String> {
        let mirror = &self.mirror;
        let platform = mirror.platform.as_ref();
        let names = mirror.operators.iter().map(|operator| &operator.catalog);
        let names = names.chain(mirror.additional_images.iter().map(|image| &image.name));
        let mut hosts: Vec<_> = names
            .chain(platform.and_then(|platform| platform.release.as_ref()))
            .filter_map(|name| Reference::parse(name, None, None, TagStyle::Algorithm))
            .filter_map(|reference| reference.host)
            .collect();
        if platform.is_some() {
            hosts.push("quay.io".into());
        }
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Repository and tag of each additional image and catalogue, for the choice of a port.
    pub fn tags(&self, style: TagStyle) -> Vec<(String, String)> {
        let catalogs = self.mirror.operators.iter();
        let catalogs = catalogs.filter_map(|operator| Reference::of_catalog(operator, style));
        let images = self.mirror.additional_images.iter();
        let images = images.filter_map(|image| Reference::of_image(image, style));
        catalogs
            .chain(images)
            .map(|reference| (reference.repository, reference.tag))
            .collect()
    }

    /// Whether `name` is an additional image, and so may be left out of a partial bundle.
    pub fn asks_for(&self, name: &str) -> bool {
        let mut images = self.mirror.additional_images.iter();
        images.any(|image| &*image.name == name)
    }

    /// The entry of `blockedImages` that keeps `name` out. They are exact up to 4.18, and unanchored patterns later
    /// (contract §13.3).
    pub fn blocks(&self, name: &str, minor: Option<(u32, u32)>) -> Option<&model::Text> {
        let are_patterns = minor.is_none_or(|minor| minor >= (4, 19));
        let plain = |name| str::strip_prefix(name, "docker://").unwrap_or(name);
        let name = plain(name);
        self.mirror.blocked_images.iter().find(|blocked| {
            plain(blocked) == name
                || are_patterns
                    && regex_lite::Regex::new(blocked).is_ok_and(|pattern| pattern.is_match(name))
        })
    }
}

/// What a path on local disk begins with.
pub(crate) const OCI: &str = "oci://";

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
