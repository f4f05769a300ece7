//! What a release consists of, read from its own image.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::digest::Digest;
use crate::limits;

/// The file in a release image that names its components.
const REFERENCES: &str = "release-manifests/image-references";

/// A release image that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    /// A layer is no archive, or too large.
    #[error("a layer of the release image cannot be read")]
    Layer(#[source] io::Error),
    /// The list is not what it must be.
    #[error("`{REFERENCES}` of the release image cannot be read")]
    Form(#[source] serde_json::Error),
    /// A component has no digest.
    #[error("component `{0}` of the release has no digest")]
    NoDigest(String),
}

#[derive(Deserialize)]
struct ImageStream {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    from: From,
}

#[derive(Deserialize)]
struct From {
    name: String,
}

/// An image that a release consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the release calls it.
    pub name: String,
    /// The image, as the release names it.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
}

/// The parts that a layer of a release image names; `None` where it is another layer.
pub fn parts_in(layer: &[u8]) -> Result<Option<Vec<Part>>, ComponentsError> {
    let is_gzip = layer.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> = if is_gzip {
        Box::new(GzDecoder::new(layer))
    } else {
        Box::new(layer)
    };
    let mut archive = tar::Archive::new(plain.take(16 * limits::RELEASE_LAYER_SIZE));
    let entries = archive.entries().map_err(ComponentsError::Layer)?;
    for entry in entries {
        let mut entry = entry.map_err(ComponentsError::Layer)?;
        let path = entry.path_bytes();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        if path != REFERENCES.as_bytes() {
            continue;
        }
        let mut bytes = Vec::new();
        let limited = entry.by_ref().take(limits::IMAGE_REFERENCES_SIZE);
        { limited }
            .read_to_end(&mut bytes)
            .map_err(ComponentsError::Layer)?;
        return parts(&bytes).map(Some);
    }
    Ok(None)
}

/// The parts that `image-references` names.
pub fn parts(references: &[u8]) -> Result<Vec<Part>, ComponentsError> {
    let stream: ImageStream = serde_json::from_slice(references).map_err(ComponentsError::Form)?;
    let parts = stream.spec.tags.into_iter().map(|tag| {
        let digest = tag.from.name.rsplit_once('@');
        let digest = digest.and_then(|(_, digest)| Digest::from_oci(digest).ok());
        match digest {
            Some(digest) => Ok(Part {
                name: tag.name,
                image: tag.from.name,
                digest,
            }),
            None => Err(ComponentsError::NoDigest(tag.name)),
        }
    });
    parts.collect()
}

/// The version that `release-metadata` names.
pub fn version_in(metadata: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        version: String,
    }
    let metadata: Metadata = serde_json::from_slice(metadata).ok()?;
    Some(metadata.version)
}
