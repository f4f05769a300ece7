//! `.metadata.json`: which sequence this is, and what all sequences so far carried.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    kind: String,
    api_version: String,
    pub(super) uid: String,
    single_use: bool,
    pub(super) past_mirror: PastMirror,
    pub(super) past_associations: Vec<Association>,
}

/// The sequence that was made last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PastMirror {
    timestamp: i64,
    pub(super) sequence: u64,
    mirror: Value,
    pub(super) associations: Vec<Association>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Association {
    /// Source repository and digest.
    pub(super) name: String,
    pub(super) path: String,
    pub(super) id: String,
    #[serde(default)]
    pub(super) tag_symlink: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Layers, then the configuration.
    pub(super) layer_digests: Vec<String>,
}

/// Where the metadata of a run lies in a folder.
pub(super) const FILE: &str = "publish/.metadata.json";

impl Metadata {
    pub(super) fn begin(single_use: bool) -> Result<Self, Failure> {
        let uid = fs::read_to_string("/proc/sys/kernel/random/uuid")?
            .trim()
            .to_owned();
        let past_mirror = PastMirror {
            timestamp: 0,
            sequence: 0,
            mirror: Value::Null,
            associations: Vec::new(),
        };
        Ok(Self {
            kind: "Metadata".to_owned(),
            api_version: "mirror.openshift.io/v1alpha2".to_owned(),
            uid,
            single_use,
            past_mirror,
            past_associations: Vec::new(),
        })
    }

    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Failure> {
        let Ok(bytes) = fs::read(dir.join(FILE)) else {
            return Ok(None);
        };
        Self::parse(&bytes).map(Some)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::new(1, format!("error reading metadata: {error}")))
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| Failure::new(1, error.to_string()))
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        fs::create_dir_all(dir.join("publish"))?;
        Ok(fs::write(dir.join(FILE), self.bytes()?)?)
    }

    pub(super) fn knows(&self, image: &Association) -> bool {
        self.past_associations.contains(image)
    }

    /// The next sequence, which carries these images of this image set.
    pub(super) fn advance(
        &mut self,
        names: &[String],
        new: Vec<Association>,
        all: Vec<Association>,
    ) {
        let images: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        self.past_mirror = PastMirror {
            timestamp: Timestamp::now().as_second(),
            sequence: self.past_mirror.sequence + 1,
            mirror: json!({ "platform": {}, "additionalImages": images, "helm": {} }),
            associations: new,
        };
        self.past_associations = all;
    }
}
