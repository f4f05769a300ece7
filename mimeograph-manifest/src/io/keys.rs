//! Keys as files.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::config::Config;
use super::disk::{self, DiskError};
use crate::failure::{ErrorId, Failure, Fault};
use crate::key::{KeyError, PublicKey, SigningKey, TrustedKeys};
use crate::limits;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("failed to read a key")]
    Disk(#[source] DiskError),
    /// It holds something else.
    #[error("the key `{}` cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

impl Fault for KeyFileError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Key { source, .. } => source.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Key { source, .. } => source.hint(),
        }
    }
}

/// The signing key of the configuration.
pub fn signing(config: &Config) -> Result<SigningKey, Failure> {
    let path = config.signing_key()?;
    Ok(SigningKey::from_pem(&read(&path)?).map_err(|source| KeyFileError::Key { path, source })?)
}

/// The trusted keys of the configuration, and how many of them must have signed.
pub fn trusted(config: &Config) -> Result<TrustedKeys, Failure> {
    let keys = config
        .trusted_keys()?
        .iter()
        .map(|path| public(path))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(TrustedKeys::new(keys, config.trust.threshold))
}

/// A public key.
pub fn public(path: &Path) -> Result<PublicKey, KeyFileError> {
    PublicKey::from_pem(&read(path)?).map_err(|source| KeyFileError::Key {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let bytes =
        Zeroizing::new(disk::read_bounded(path, limits::KEY_SIZE).map_err(KeyFileError::Disk)?);
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Keys named on a command line, files or directories of `*.pem`; one of them must have signed.
pub fn trusted_files(places: &[PathBuf]) -> Result<TrustedKeys, Failure> {
    let mut keys = Vec::new();
    for place in places {
        if place.is_dir() {
            let listed = std::fs::read_dir(place)
                .map_err(|source| DiskError::new(disk::Action::Read, place, source))?;
            for file in listed
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "pem"))
            {
                keys.push(public(&file)?);
            }
        } else {
            keys.push(public(place)?);
        }
    }
    Ok(TrustedKeys::new(keys, std::num::NonZeroUsize::MIN))
}
