//! Image manifests and indexes, as far as copying needs them.

use serde_json::Value;

/// What a manifest refers to.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) kind: String,
    /// Layers, then the configuration.
    pub(crate) blobs: Vec<String>,
    /// Instances of an index.
    pub(crate) instances: Vec<String>,
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("parsing manifest: {error}"))?;
        let instances = digests(&document["manifests"]);
        let mut blobs = digests(&document["layers"]);
        blobs.extend(document["config"]["digest"].as_str().map(str::to_owned));
        let guess = if document["manifests"].is_array() {
            "application/vnd.oci.image.index.v1+json"
        } else {
            "application/vnd.oci.image.manifest.v1+json"
        };
        let kind = document["mediaType"].as_str().unwrap_or(guess).to_owned();
        Ok(Self {
            kind,
            blobs,
            instances,
        })
    }
}

fn digests(list: &Value) -> Vec<String> {
    let entries = list.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| entry["digest"].as_str())
        .map(str::to_owned)
        .collect()
}
