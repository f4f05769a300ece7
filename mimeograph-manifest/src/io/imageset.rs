//! The image set as a file.

use std::path::{Path, PathBuf};

use super::config::Config;
use super::disk::{self, DiskError};
use crate::failure::{ErrorId, Failure, Fault};
use crate::imageset::{Findings, ImageSet, ImageSetError};
use crate::limits;

/// An image set that was read.
#[derive(Debug)]
pub struct ImageSetFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its exact bytes, which travel.
    pub bytes: Vec<u8>,
    /// What they say.
    pub imageset: ImageSet,
}

/// An image set file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageSetFileError {
    /// It cannot be read.
    #[error("failed to read the image set")]
    Disk(#[source] DiskError),
    /// It holds something else.
    #[error("the image set `{}` cannot be used", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImageSetError,
    },
}

impl Fault for ImageSetFileError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(DiskError::TooLong { .. }) => ErrorId::ImagesetInvalid,
            Self::Disk(error) => error.id(),
            Self::Wrong { source, .. } => source.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(DiskError::TooLong { .. }) => {
                Some("name the image set itself in `mirror.imagesetConfig`".into())
            }
            Self::Disk(error) => error.hint(),
            Self::Wrong { source, .. } => source.hint(),
        }
    }
}

impl ImageSetFile {
    /// The error for this file.
    pub fn wrong(&self, source: ImageSetError) -> ImageSetFileError {
        ImageSetFileError::Wrong {
            path: self.path.clone(),
            source,
        }
    }
}

/// Reads the image set of the configuration.
pub fn read(config: &Config) -> Result<ImageSetFile, Failure> {
    let path = config.imageset()?;
    Ok(read_at(&path)?)
}

fn read_at(path: &Path) -> Result<ImageSetFile, ImageSetFileError> {
    let bytes = disk::read_bounded(path, limits::IMAGESET_SIZE).map_err(ImageSetFileError::Disk)?;
    let path = path.to_owned();
    match ImageSet::parse(&bytes) {
        Ok(imageset) => Ok(ImageSetFile {
            path,
            bytes,
            imageset,
        }),
        Err(source) => Err(ImageSetFileError::Wrong { path, source }),
    }
}

/// Says each finding on a line of its own, and refuses the image set if there is any.
pub fn refuse_any(
    findings: Findings,
    refused: impl FnOnce(Findings) -> ImageSetError,
) -> Result<(), ImageSetError> {
    if findings.is_empty() {
        return Ok(());
    }
    for finding in findings.iter() {
        tracing::error!("image set, {finding}");
    }
    Err(refused(findings))
}
