//! The image set configuration, as far as carrying it needs: what it asks for by name, the local
//! files that it points at, and the registries that it pulls from.
//!
//! The file itself travels byte for byte; fields that are not needed here are `oc-mirror`'s business.

pub mod model;

use serde::Deserialize;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::inventory::{IndexMembers, Resolved, Structure};
use crate::manifest::Generation;

/// Why an image set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageSetError {
    /// Not YAML, or a field of the wrong type.
    #[error("the image set cannot be read")]
    Yaml(#[source] serde_yaml::Error),
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
    /// A local file that would not be found on the far side.
    #[error(
        "the image set names the local file `{path}`, which is not below `mirror.localDir` ({local_dir})"
    )]
    Outside {
        /// The file.
        path: String,
        /// The directory.
        local_dir: String,
    },
    /// Additional images that did not arrive in the archives.
    #[error("the archives lack what the image set asks for: {}", .0.join(", "))]
    Unsatisfied(Vec<String>),
}

impl Fault for ImageSetError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Unsatisfied(_) => ErrorId::ImagesetUnsatisfied,
            _ => ErrorId::ImagesetInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Outside { .. } => {
                "move it below that directory, which exists on both sides under the same path".into()
            }
            Self::Unsatisfied(_) => {
                "look for these names in the log above; correct them in the image set, or take them out".into()
            }
            _ => "see the ImageSetConfiguration of your `oc-mirror` version".into(),
        })
    }
}

/// What the image set says, in the parts that matter here.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// v1 or v2, by its `apiVersion`.
    pub generation: Generation,
    mirror: Mirror,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    mirror: Option<Mirror>,
    #[serde(default)]
    storage_config: Option<StorageConfig>,
}

/// v1's place for its metadata.
#[derive(Clone, Debug, Deserialize)]
struct StorageConfig {
    #[serde(default)]
    registry: Option<serde_yaml::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mirror {
    platform: Option<Platform>,
    operators: Option<Vec<Operator>>,
    additional_images: Option<Vec<AdditionalImage>>,
    helm: Option<Helm>,
    blocked_images: Option<Vec<Named>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    release: Option<String>,
    platforms: Option<Vec<serde_yaml::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Operator {
    catalog: String,
    target_catalog_source_template: Option<String>,
    platforms: Option<Vec<serde_yaml::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Helm {
    local: Option<Vec<Chart>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Chart {
    path: Option<String>,
    platforms: Option<Vec<serde_yaml::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AdditionalImage {
    name: String,
    target_repo: Option<String>,
    target_tag: Option<String>,
    platforms: Option<Vec<serde_yaml::Value>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
}

impl ImageSet {
    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageSetError> {
        let raw: Raw = serde_yaml::from_slice(bytes).map_err(ImageSetError::Yaml)?;
        if raw.kind != "ImageSetConfiguration" {
            let expected = "`ImageSetConfiguration`";
            return Err(ImageSetError::Kind {
                field: "kind",
                value: raw.kind,
                expected,
            });
        }
        let generation = match raw.api_version.as_str() {
            "mirror.openshift.io/v2alpha1" => Generation::V2,
            "mirror.openshift.io/v1alpha2" => Generation::V1,
            _ => {
                let expected =
                    "`mirror.openshift.io/v2alpha1` (v2) or `mirror.openshift.io/v1alpha2` (v1)";
                return Err(ImageSetError::Kind {
                    field: "apiVersion",
                    value: raw.api_version,
                    expected,
                });
            }
        };
        if raw
            .storage_config
            .is_some_and(|storage| storage.registry.is_some())
        {
            let expected =
                "absent: `storageConfig` must be `local` or left out, then Mimeograph keeps it";
            return Err(ImageSetError::Kind {
                field: "storageConfig",
                value: "registry".into(),
                expected,
            });
        }
        Ok(Self {
            generation,
            mirror: raw.mirror.unwrap_or_default(),
        })
    }

    /// Whether it asks for operators: then both sides need the same `oc-mirror`.
    pub fn has_operators(&self) -> bool {
        self.mirror
            .operators
            .as_ref()
            .is_some_and(|operators| !operators.is_empty())
    }

    /// Whether it leaves out members of indexes.
    pub fn index_members(&self) -> IndexMembers {
        let mirror = &self.mirror;
        let some =
            |platforms: &Option<Vec<_>>| platforms.as_ref().is_some_and(|list| !list.is_empty());
        let filtered = mirror
            .platform
            .iter()
            .any(|platform| some(&platform.platforms))
            || self.operators().any(|operator| some(&operator.platforms))
            || self.additional().any(|image| some(&image.platforms))
            || self.charts().any(|chart| some(&chart.platforms));
        if filtered {
            IndexMembers::Filtered
        } else {
            IndexMembers::Every
        }
    }

    /// The local files and folders that it names, as it names them.
    pub fn local_paths(&self) -> Vec<&str> {
        let layouts = self.operators().map(|operator| operator.catalog.as_str());
        layouts
            .chain(self.additional().map(|image| image.name.as_str()))
            .filter_map(|name| name.strip_prefix("oci://"))
            .chain(
                self.operators()
                    .filter_map(|operator| operator.target_catalog_source_template.as_deref()),
            )
            .chain(self.charts().filter_map(|chart| chart.path.as_deref()))
            .collect()
    }

    /// The registries that it pulls from; on the far side none of them may be asked.
    pub fn source_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<_> = self
            .operators()
            .map(|operator| operator.catalog.as_str())
            .chain(self.additional().map(|image| image.name.as_str()))
            .chain(
                self.mirror
                    .platform
                    .iter()
                    .filter_map(|platform| platform.release.as_deref()),
            )
            .filter_map(|name| Reference::parse(name, None, None, TagStyle::Algorithm))
            .filter_map(|reference| reference.host)
            .collect();
        if self.mirror.platform.is_some() {
            hosts.push("quay.io".into());
        }
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Repository and tag of each additional image and catalogue, for the choice of a port.
    pub fn tags(&self, style: TagStyle) -> Vec<(String, String)> {
        let catalogs = self
            .operators()
            .map(|operator| (operator.catalog.as_str(), None, None));
        let images = self.additional().map(|image| {
            (
                image.name.as_str(),
                image.target_repo.as_deref(),
                image.target_tag.as_deref(),
            )
        });
        catalogs
            .chain(images)
            .filter_map(|(name, repo, tag)| Reference::parse(name, repo, tag, style))
            .map(|reference| (reference.repository, reference.tag))
            .collect()
    }

    /// Where each additional image lies in the archives, or which of them are nowhere. `earlier` is what
    /// the bundle before resolved them to: v1 archives hold only what is new, v2 archives every link.
    ///
    /// The full judgement of the wish (catalogues, releases, charts) belongs beside this.
    pub fn resolve(
        &self,
        structure: &Structure,
        style: TagStyle,
        failed: &[String],
        earlier: &[Resolved],
    ) -> Result<Vec<Resolved>, ImageSetError> {
        let (mut images, mut missing) = (Vec::new(), Vec::new());
        for image in self
            .additional()
            .filter(|image| !self.is_blocked(&image.name))
        {
            if failed.contains(&image.name) {
                continue;
            }
            let reference = Reference::parse(
                &image.name,
                image.target_repo.as_deref(),
                image.target_tag.as_deref(),
                style,
            );
            let found = reference.and_then(|reference| {
                let digest = structure.resolve(&reference.repository, &reference.tag)?;
                let is_it = reference.digest.is_none_or(|wanted| wanted == digest);
                is_it.then_some(Resolved {
                    reference: image.name.clone(),
                    repository: reference.repository,
                    tag: reference.tag,
                    digest,
                })
            });
            let known = match self.generation {
                Generation::V1 => earlier.iter().find(|known| known.reference == image.name),
                Generation::V2 => None,
            };
            match found.or_else(|| known.cloned()) {
                Some(resolved) => images.push(resolved),
                None => missing.push(image.name.clone()),
            }
        }
        if missing.is_empty() {
            Ok(images)
        } else {
            Err(ImageSetError::Unsatisfied(missing))
        }
    }

    /// Whether `name` is an additional image, and so may be left out of a partial bundle.
    pub fn asks_for(&self, name: &str) -> bool {
        self.additional().any(|image| image.name == name)
    }

    /// `blockedImages` is exact up to 4.18 and an unanchored pattern later (contract §13.3).
    fn is_blocked(&self, name: &str) -> bool {
        self.mirror.blocked_images.iter().flatten().any(|blocked| {
            blocked.name == name
                || regex_lite::Regex::new(&blocked.name).is_ok_and(|pattern| pattern.is_match(name))
        })
    }

    fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.mirror.operators.iter().flatten()
    }

    fn additional(&self) -> impl Iterator<Item = &AdditionalImage> {
        self.mirror.additional_images.iter().flatten()
    }

    fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.mirror
            .helm
            .iter()
            .flat_map(|helm| helm.local.iter().flatten())
    }
}

/// How `oc-mirror` makes a tag for an image that has only a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagStyle {
    /// Up to 4.17: the digest's hexadecimal digits.
    Bare,
    /// From 4.18: `sha256-` before them.
    Algorithm,
    /// v1: the tag alone; digests are kept as digests.
    None,
}

/// An image's name taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    host: Option<String>,
    repository: String,
    tag: String,
    digest: Option<Digest>,
}

impl Reference {
    fn parse(
        name: &str,
        target_repo: Option<&str>,
        target_tag: Option<&str>,
        style: TagStyle,
    ) -> Option<Self> {
        let local = name
            .strip_prefix("oci://")
            .map(|path| path.trim_start_matches('/'));
        let plain = local.unwrap_or_else(|| name.strip_prefix("docker://").unwrap_or(name));
        let (plain, digest) = match plain.split_once('@') {
            Some((plain, digest)) => (plain, Some(Digest::from_oci(digest).ok()?)),
            None => (plain, None),
        };
        let after_slash = plain.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match plain[after_slash..].split_once(':') {
            Some((last, tag)) => (&plain[..after_slash + last.len()], Some(tag)),
            None => (plain, None),
        };
        let (host, repository) = match path.split_once('/') {
            _ if local.is_some() => (None, path),
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (Some(first), rest)
            }
            _ => (Some("docker.io"), path),
        };
        let tag = match (target_tag.or(tag), digest, style) {
            (Some(tag), _, _) => tag.to_owned(),
            (None, Some(digest), TagStyle::Bare) => digest.to_string(),
            (None, Some(digest), TagStyle::Algorithm) => format!("sha256-{digest}"),
            (None, _, _) => "latest".to_owned(),
        };
        Some(Self {
            host: host.map(str::to_owned),
            repository: target_repo.unwrap_or(repository).to_owned(),
            tag,
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, style: TagStyle) -> (Option<String>, String, String) {
        let r = Reference::parse(name, None, None, style).unwrap();
        (r.host, r.repository, r.tag)
    }

    #[test]
    fn names_come_apart_as_oc_mirror_takes_them() {
        let hex = Digest::of(b"x").to_string();
        let some = |host: &str, repo: &str, tag: &str| {
            (Some(host.to_owned()), repo.to_owned(), tag.to_owned())
        };
        let new = TagStyle::Algorithm;
        assert_eq!(
            parse("127.0.0.1:5100/tiny/t1:v1", new),
            some("127.0.0.1:5100", "tiny/t1", "v1")
        );
        assert_eq!(
            parse("127.0.0.1:5100/top", new),
            some("127.0.0.1:5100", "top", "latest")
        );
        let by_digest = format!("quay.io/tiny/t2@sha256:{hex}");
        assert_eq!(
            parse(&by_digest, new),
            some("quay.io", "tiny/t2", &format!("sha256-{hex}"))
        );
        assert_eq!(
            parse(&by_digest, TagStyle::Bare),
            some("quay.io", "tiny/t2", &hex)
        );
        let both = format!("h:1/a/b:v3@sha256:{hex}");
        assert_eq!(parse(&both, new), some("h:1", "a/b", "v3"));
        assert_eq!(
            parse("oci:///a/layouts/five", new),
            (None, "a/layouts/five".into(), "latest".into())
        );
        assert_eq!(Reference::parse("a/b@sha256:zz", None, None, new), None);
    }

    #[test]
    fn another_kind_or_version_is_named() {
        let error =
            ImageSet::parse(b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v3\n")
                .unwrap_err();
        assert!(
            error.to_string().contains("mirror.openshift.io/v3"),
            "{error}"
        );
        let error =
            ImageSet::parse(b"kind: Pod\napiVersion: mirror.openshift.io/v2alpha1\n").unwrap_err();
        assert!(error.to_string().contains("kind: Pod"), "{error}");
    }
}
