//! Which store: a directory or a place in a bucket.

use std::path::PathBuf;
use std::str::FromStr;

use super::store::StoreError;

/// Where a stream lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// A mounted drive, an NFS share, a diode's drop folder.
    Directory(PathBuf),
    /// A place in a bucket.
    S3(S3Location),
}

/// A place in a bucket, and how to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// What comes before every object's name, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket stands in the path instead of the host name.
    pub force_path_style: Option<bool>,
    /// A file of CA certificates (PEM) beside the system's.
    pub ca_bundle: Option<PathBuf>,
}

impl FromStr for StoreLocation {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        if let Some(path) = text.strip_prefix("dir:").filter(|path| !path.is_empty()) {
            return Ok(Self::Directory(path.into()));
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err(StoreError::Settings {
                place: format!("`{text}`"),
                reason: "a store is `dir:PATH` or `s3://BUCKET/PREFIX`".to_owned(),
            });
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self::S3(S3Location {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            ..S3Location::default()
        }))
    }
}
