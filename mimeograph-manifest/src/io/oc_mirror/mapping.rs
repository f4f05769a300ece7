//! The mapping that a dry run leaves: each image, and where it would go.

use std::path::Path;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::io::disk::{self, DiskError};

/// The largest that is read, in bytes.
const SIZE: u64 = 256 << 20;

/// An image, and where it would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The image.
    pub from: String,
    /// The destination's repository, without the host.
    pub repository: String,
    /// The tag there.
    pub tag: String,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It cannot be read.
    #[error("failed to read what `oc-mirror` would do")]
    Disk(#[source] DiskError),
    /// A line is none.
    #[error("`oc-mirror` computed a destination that cannot be read: `{0}`")]
    Line(String),
}

impl Fault for MappingError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Line(_) => ErrorId::OcMirrorFailed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Line(_) => None,
        }
    }
}

impl Mapped {
    /// The digest that the image is named by, if it is.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_oci(self.from.rsplit_once('@')?.1).ok()
    }

    /// Repository and tag of the image, if it is in the cache that answers at `localhost:<port>`.
    pub fn in_cache(&self, port: u16) -> Option<(&str, &str)> {
        let below = self.from.strip_prefix(&format!("localhost:{port}/"))?;
        below.rsplit_once(':')
    }
}

/// Reads what a dry run left in an output folder; nothing where it came to nothing.
pub fn read(output: &Path) -> Result<Vec<Mapped>, MappingError> {
    let path = output.join("working-dir/dry-run/mapping.txt");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = disk::read_bounded(&path, SIZE).map_err(MappingError::Disk)?;
    parse(&String::from_utf8_lossy(&bytes))
}

/// Reads `docker://<image>=docker://<host>/<repository>:<tag>`, line by line.
pub fn parse(text: &str) -> Result<Vec<Mapped>, MappingError> {
    let parse = |line: &str| {
        let (from, to) = line.split_once("=docker://")?;
        let (repository, tag) = to.split_once('/')?.1.rsplit_once(':')?;
        Some(Mapped {
            from: from.strip_prefix("docker://").unwrap_or(from).to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            parse(line).ok_or_else(|| MappingError::Line(line.escape_default().to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_mapping_is_read() {
        // Of a dry run of 5.2 with operators: the filtered catalogue has another tag in the cache.
        let text = "docker://localhost:22999/ops/catalog:9c52423f9961a1ab15211eed0bd3d3d8=docker://127.0.0.1:5101/ops/catalog:v1\n";
        let mapped = parse(text).unwrap();
        let [one] = mapped.as_slice() else {
            panic!("{mapped:?}")
        };
        assert_eq!((&*one.repository, &*one.tag), ("ops/catalog", "v1"));
        assert_eq!(
            one.in_cache(22_999),
            Some(("ops/catalog", "9c52423f9961a1ab15211eed0bd3d3d8"))
        );
        assert_eq!(one.in_cache(23_000), None);
        assert!(matches!(parse("a=b"), Err(MappingError::Line(_))));
    }
}
