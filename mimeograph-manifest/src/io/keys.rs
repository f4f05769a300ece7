//! Keys as files.

mod about;

use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::clock;
use super::config::Config;
use super::disk::{self, DiskError};
use crate::failure::{ErrorId, Failure, Fault};
use crate::key::{KeyError, PublicKey, SigningKey};
use crate::limits;
use crate::trust::{Asks, KeyRole, Policy, TrustedKeys};

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
    /// So many of a role can never sign.
    #[error("`trust.require.{0}` asks for more keys than `trust.keys` holds of role `{0}`")]
    TooFewOf(KeyRole),
    /// What is said of the keys cannot be used.
    #[error("`{}` cannot be used: {problem}", path.display())]
    About {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
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
            Self::TooFew { .. } | Self::TooFewOf(_) => ErrorId::ConfigInvalid,
            Self::About { .. } | Self::Disk(DiskError::TooLong { .. }) => ErrorId::KeyInvalid,
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
                "add the public keys of the others who sign; a key that is there twice counts once, and a revoked one not at all".into(),
            ),
            Self::TooFewOf(_) => Some(
                "say in the `keys.yaml` beside the keys which of them have this role: a key without one is a bundler's; a revoked \
                 key does not count"
                    .into(),
            ),
            Self::About { .. } => Some(
                "write `keys: { KEY_ID: { role: bundler, notBefore: TIME, notAfter: TIME } }`, each with its role (`bundler` or `approver`), with ids as `openssl pkey -pubin -in \
                 KEY.pub.pem -outform DER | sha256sum` prints them, and times like 2026-11-26T00:00:00Z"
                    .into(),
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
    Ok(TrustedKeys::new(keys, NonZeroUsize::MIN))
}

/// A private key.
pub fn private(path: PathBuf) -> Result<SigningKey, Failure> {
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

/// The keys that a bundler's own stream may be signed with: the signing key's other half, and those of `signing.alsoTrust`.
/// Where there are any of these, the signing key may lie elsewhere: only what signs needs it.
pub fn own(config: &Config) -> Result<TrustedKeys, Failure> {
    let paths = config.own_keys()?;
    let keys = paths.iter().map(|path| public(path));
    let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
    match config.signing_key() {
        Err(_) if !keys.is_empty() => {}
        path => keys.push(private(path?)?.public()),
    }
    Ok(TrustedKeys::new(keys, NonZeroUsize::MIN))
}

/// The trusted keys of the configuration with what is said of them, those that count no more, and how many must have signed.
pub fn trusted(config: &Config) -> Result<TrustedKeys, Failure> {
    let trusted = trusted_or_too_few(config)?;
    check_enough(&trusted)?;
    Ok(trusted)
}

/// The same, also where they are too few ever to sign what must be signed.
pub fn trusted_or_too_few(config: &Config) -> Result<TrustedKeys, Failure> {
    let folders = config.trust.keys.iter().map(|place| place.to_path_buf());
    let keys = about::read(&config.trusted_keys()?, folders)?;
    let policy = config.trust.policy;
    let revoked = revoked(config)?;
    Ok(TrustedKeys::with(keys, revoked, policy, Some(clock::now())))
}

fn revoked(config: &Config) -> Result<Vec<PublicKey>, Failure> {
    let files = config.revoked_keys()?;
    let keys = files.iter().map(|path| public(path));
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Whether there are as many keys as must have signed.
pub fn check_enough(trusted: &TrustedKeys) -> Result<(), KeyFileError> {
    let Some(lack) = trusted.lacks(&trusted.ids(), Asks::Policy) else {
        return Ok(());
    };
    Err(match lack.missing.first() {
        Some((role, _)) => KeyFileError::TooFewOf(*role),
        None => KeyFileError::TooFew {
            threshold: lack.need,
            count: lack.have,
        },
    })
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

/// Keys named on a command line, files or directories of `*.pem`; one of them must have signed. What a configuration, where
/// there is one, says is revoked stays so.
pub fn trusted_files(places: &[PathBuf], config: Option<&Config>) -> Result<TrustedKeys, Failure> {
    let mut files = Vec::new();
    for place in places {
        if !place.is_dir() {
            files.push(place.clone());
            continue;
        }
        let listed = std::fs::read_dir(place)
            .map_err(|source| DiskError::new(disk::Action::Read, place, source))?;
        let before = files.len();
        let paths = listed.flatten().map(|entry| entry.path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "pem")));
        if files.len() == before {
            return Err(KeyFileError::Empty(place.clone()).into());
        }
    }
    let keys = about::read(&files, places.iter().cloned())?;
    let policy = Policy::any(NonZeroUsize::MIN);
    let revoked = config.map(revoked).transpose()?.unwrap_or_default();
    Ok(TrustedKeys::with(keys, revoked, policy, Some(clock::now())))
}
