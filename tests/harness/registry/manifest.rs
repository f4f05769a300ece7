//! What a manifest needs before it may be stored.

use serde::Deserialize;

use super::refusal::Refusal;

/// The media type of an OCI image manifest.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI image index.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

/// The digests that must be there first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) blobs: Vec<String>,
    pub(super) manifests: Vec<String>,
}

impl Needs {
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Refusal> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| Refusal::manifest_invalid(error.to_string()))?;
        if document.schema_version != 2 {
            return Err(Refusal::manifest_invalid("unsupported schema version"));
        }
        if document.manifests.is_none() && document.config.is_none() {
            return Err(Refusal::manifest_invalid("neither an image nor an index"));
        }
        // a layer with addresses of its own lies elsewhere
        let layers = document
            .layers
            .into_iter()
            .filter(|layer| layer.urls.is_empty());
        let digest = |descriptor: Descriptor| descriptor.digest;
        Ok(Self {
            blobs: document
                .config
                .into_iter()
                .chain(layers)
                .map(digest)
                .collect(),
            manifests: document
                .manifests
                .unwrap_or_default()
                .into_iter()
                .map(digest)
                .collect(),
        })
    }
}
