//! v1's record of what was shipped: `storageConfig.local`, kept below `metadataDir`.

use std::io;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::disk::{self, Action, id_of};

/// Largest metadata file, in bytes.
const SIZE: u64 = 256 << 20;

/// The bytes of `publish/.metadata.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(pub Vec<u8>);

#[derive(Debug, thiserror::Error)]
#[error("failed to set back v1's metadata `{}`", path.display())]
struct MetadataError {
    path: PathBuf,
    source: io::Error,
}

/// The image set passed our own reader, and yet cannot be written again.
#[derive(Debug, thiserror::Error)]
#[error("the image set cannot be given its `storageConfig`")]
struct NotRewritten(#[source] serde_yaml::Error);

impl Fault for NotRewritten {
    fn id(&self) -> ErrorId {
        ErrorId::ImagesetInvalid
    }
}

impl Fault for MetadataError {
    fn id(&self) -> ErrorId {
        id_of(Action::Write, &self.source)
    }
}

fn file(metadata_dir: &Path) -> PathBuf {
    v1_storage(metadata_dir)
        .join("publish")
        .join(".metadata.json")
}

impl Metadata {
    /// What v1 has recorded; `None` where it has not yet.
    pub fn read(metadata_dir: &Path) -> Result<Option<Self>, Failure> {
        let path = file(metadata_dir);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Self(disk::read_bounded(&path, SIZE)?)))
    }

    /// Makes v1's storage hold exactly `metadata`, or nothing.
    pub fn hold_exactly(metadata_dir: &Path, metadata: Option<&Self>) -> Result<(), Failure> {
        let storage = v1_storage(metadata_dir);
        disk::remove(&storage).map_err(|source| MetadataError {
            path: storage.clone(),
            source,
        })?;
        if let Some(Self(bytes)) = metadata {
            disk::create_folder(&storage.join("publish"), 0o700)?;
            disk::write_durably(&file(metadata_dir), bytes, 0o600)?;
        }
        Ok(())
    }

    /// The image set with `storageConfig` pointing below `metadataDir`, as v1 is to see it. Any other
    /// place would not be rolled back.
    pub fn inject(imageset: &[u8], metadata_dir: &Path) -> Result<Vec<u8>, Failure> {
        let mut yaml: serde_yaml::Value = serde_yaml::from_slice(imageset).map_err(NotRewritten)?;
        let storage = v1_storage(metadata_dir).display().to_string();
        if let Some(members) = yaml.as_mapping_mut() {
            let local = serde_yaml::Mapping::from_iter([("path".into(), storage.into())]);
            let config = serde_yaml::Mapping::from_iter([(
                "local".into(),
                serde_yaml::Value::Mapping(local),
            )]);
            members.insert("storageConfig".into(), serde_yaml::Value::Mapping(config));
        }
        let text = serde_yaml::to_string(&yaml).map_err(NotRewritten)?;
        Ok(text.into_bytes())
    }
}

/// The path that tells v1 where its metadata lies.
fn v1_storage(metadata_dir: &Path) -> PathBuf {
    metadata_dir.join("v1")
}
