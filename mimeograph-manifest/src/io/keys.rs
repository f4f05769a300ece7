//! Keys as files.

use std::os::unix::fs::MetadataExt as _;
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
    /// A folder without keys.
    #[error("there is no key (`*.pem`) in `{}`", .0.display())]
    Empty(PathBuf),
    /// So many can never sign.
    #[error("`trust.threshold` is `{threshold}`, but `trust.keys` holds {}", counted(*count))]
    TooFew {
        /// How many must have signed.
        threshold: usize,
        /// How many distinct keys there are.
        count: usize,
    },
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
            Self::Empty(_) => ErrorId::KeyMissing,
            Self::TooFew { .. } => ErrorId::ConfigInvalid,
            Self::Disk(DiskError::TooLong { .. }) => ErrorId::KeyInvalid,
            Self::Disk(error) => error.id(),
            Self::Key { source, .. } => source.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty(_) => Some(
                "put the public keys (`*.pub.pem`, made by `mimeograph-bundler keygen --out DIR`) there".into(),
            ),
            Self::TooFew { .. } => Some(
                "add the public keys of the others who sign, or lower the threshold; a key that is there twice counts once".into(),
            ),
            Self::Disk(DiskError::TooLong { .. }) => Some("name the key file itself".into()),
            Self::Disk(error) => error.hint(),
            Self::Key { source, .. } => source.hint(),
        }
    }
}

/// The signing key of the configuration.
pub fn signing(config: &Config) -> Result<SigningKey, Failure> {
    private(config.signing_key()?)
}

/// The key that receipts are signed with, where the configuration has one.
pub fn receipt(config: &Config) -> Result<Option<SigningKey>, Failure> {
    config.receipt_key()?.map(private).transpose()
}

/// The keys that count for receipts: each of them alone.
pub fn receipts_trusted(config: &Config) -> Result<TrustedKeys, Failure> {
    let files = config.receipt_keys()?;
    let keys = files.iter().map(|path| public(path));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(TrustedKeys::new(keys, std::num::NonZeroUsize::MIN))
}

fn private(path: PathBuf) -> Result<SigningKey, Failure> {
    let pem = read(&path)?;
    // Not the group: Kubernetes lets one in with `fsGroup`.
    if path.metadata().is_ok_and(|of| of.mode() & 0o007 != 0) {
        tracing::warn!(
            "the key `{}` is open to everyone on this machine: close it with `chmod o-rwx`",
            path.display()
        );
    }
    Ok(SigningKey::from_pem(&pem).map_err(|source| KeyFileError::Key { path, source })?)
}

fn counted(keys: usize) -> String {
    match keys {
        1 => "one key".into(),
        many => format!("{many} different keys"),
    }
}

/// The trusted keys of the configuration, and how many of them must have signed.
pub fn trusted(config: &Config) -> Result<TrustedKeys, Failure> {
    let keys = config
        .trusted_keys()?
        .iter()
        .map(|path| public(path))
        .collect::<Result<Vec<_>, _>>()?;
    let trusted = TrustedKeys::new(keys, config.trust.threshold);
    let (threshold, count) = (config.trust.threshold.get(), trusted.ids().len());
    if count < threshold {
        return Err(KeyFileError::TooFew { threshold, count }.into());
    }
    Ok(trusted)
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
            let before = keys.len();
            for file in listed
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "pem"))
            {
                keys.push(public(&file)?);
            }
            if keys.len() == before {
                return Err(KeyFileError::Empty(place.clone()).into());
            }
        } else {
            keys.push(public(place)?);
        }
    }
    Ok(TrustedKeys::new(keys, std::num::NonZeroUsize::MIN))
}
