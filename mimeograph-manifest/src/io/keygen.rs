//! A new pair of keys, in the forms that stock OpenSSL reads.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{disk, random};
use crate::digest::Digest;
use crate::failure::{ErrorId, Failure, Fault};
use crate::key::SigningKey;

/// A pair of keys on disk.
#[derive(Debug)]
pub struct Pair {
    /// The private key, for the program that signs.
    pub private: PathBuf,
    /// The public key, for those that verify.
    pub public: PathBuf,
    /// The key id.
    pub id: Digest,
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
enum KeygenError {
    /// Something lies there.
    #[error("`{}` is there already, and keys are not overwritten", .0.display())]
    There(PathBuf),
    /// It cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Fault for KeygenError {
    fn id(&self) -> ErrorId {
        ErrorId::CannotCreate
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::There(_) => {
                Some("give another directory with `--out`, or move the key away yourself".into())
            }
            Self::Write { .. } => None,
        }
    }
}

/// Writes `NAME.pem` (for nobody but its owner) and `NAME.pub.pem` into `folder`.
pub fn keygen(folder: &Path, name: &str) -> Result<Pair, Failure> {
    disk::create_folder(folder, 0o700)?;
    let seed = Zeroizing::new(random::bytes::<32>()?);
    let key = SigningKey::from_seed(&seed);
    let (private, public) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.pub.pem")),
    );
    if public.exists() {
        return Err(KeygenError::There(public).into());
    }
    write_new(&private, key.to_pem().as_bytes(), 0o600)?;
    write_new(&public, key.public().to_pem().as_bytes(), 0o644)?;
    disk::sync_folder(folder)?;
    Ok(Pair {
        private,
        public,
        id: key.public().id(),
    })
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeygenError> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(KeygenError::There(path.to_owned()))
        }
        Err(source) => {
            // Half a key is worse than none.
            let _ = fs::remove_file(path);
            Err(KeygenError::Write {
                path: path.to_owned(),
                source,
            })
        }
    }
}
