//! The keys that releases must be signed with, as files.

use std::path::Path;

use super::config::Config;
use super::disk::{self, DiskError};
use super::oc_mirror::environment::{RELEASE_KEY, Surroundings};
use crate::failure::{ErrorId, Failure, Fault};
use crate::limits;
use crate::release::{ReleaseKeys, SignatureError};

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
enum ReleaseKeyError {
    #[error("failed to read a release key")]
    Disk(#[source] DiskError),
    #[error("the release key `{file}` cannot be used")]
    Wrong {
        file: String,
        source: SignatureError,
    },
}

impl Fault for ReleaseKeyError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Wrong { .. } => ErrorId::KeyInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Wrong { .. } => {
                Some("it must be an armoured OpenPGP public key (`gpg --armor --export`)".into())
            }
        }
    }
}

/// Those of `mirror.releaseKeys`; else the one that `oc-mirror` is told of by its own variable; else Red Hat's.
pub fn read(config: &Config) -> Result<ReleaseKeys, Failure> {
    let mut keys = ReleaseKeys::default();
    for file in config.release_keys()? {
        keys.extend(at(file)?);
    }
    if !keys.is_empty() {
        return Ok(keys);
    }
    let around = Surroundings::of_this_process();
    let told = config.mirror.oc_mirror.env.get(RELEASE_KEY).map(Into::into);
    if let Some(file) = told.or_else(|| around.path(RELEASE_KEY)) {
        return at(&file);
    }
    Ok(
        ReleaseKeys::red_hat().map_err(|source| ReleaseKeyError::Wrong {
            file: "built in".into(),
            source,
        })?,
    )
}

fn at(file: &Path) -> Result<ReleaseKeys, Failure> {
    let bytes =
        disk::read_bounded(file, limits::RELEASE_KEYS_SIZE).map_err(ReleaseKeyError::Disk)?;
    let keys = ReleaseKeys::parse(&String::from_utf8_lossy(&bytes));
    Ok(keys.map_err(|source| ReleaseKeyError::Wrong {
        file: file.display().to_string(),
        source,
    })?)
}
