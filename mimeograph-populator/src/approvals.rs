//! Signatures that were added on this side lie in a folder of their own (`trust.approvalsDir`), because the store is only
//! read: together with it they are one store.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::landing::Landing;
use mimeograph_manifest::io::store::{Fetch, Listed, StoreError};
use mimeograph_manifest::layout::{Key, MANIFESTS};
use mimeograph_manifest::limits;
use mimeograph_manifest::time::Timestamp;

/// A store together with the signatures that were added on this side, where the configuration has a place for them.
pub(crate) fn with(
    store: Box<dyn Fetch>,
    config: Option<&Config>,
) -> Result<Box<dyn Fetch>, Failure> {
    let folder = config.and_then(|config| config.trust.approvals_dir.as_ref());
    Ok(match folder {
        Some(folder) => Box::new(Approved::open(store, folder)?),
        None => store,
    })
}

/// A store, and the signatures that were added here.
struct Approved {
    store: Box<dyn Fetch>,
    /// By the name that each would have in the store.
    approvals: BTreeMap<String, Vec<u8>>,
}

impl Approved {
    /// Reads all that lies in the folder and has a signature's name; what else lies there is left alone.
    fn open(store: Box<dyn Fetch>, folder: &Path) -> Result<Self, Failure> {
        let failed = |source| DiskError::new(Action::Read, folder, source);
        let mut approvals = BTreeMap::new();
        let entries = match std::fs::read_dir(folder) {
            // Nothing was approved yet.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { store, approvals });
            }
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let Some(name) = name_in_store(&path).filter(|_| path.is_file()) else {
                continue;
            };
            // What is longer than a signature is none, and no reason to stop.
            let bytes = disk::read_head(&path, limits::SIGNATURE_SIZE + 1)?;
            approvals.insert(name, bytes);
            if approvals.len() > limits::OBJECTS {
                return Err(DiskError::TooLong {
                    path: folder.to_owned(),
                    limit: limits::OBJECTS as u64,
                }
                .into());
            }
        }
        Ok(Self { store, approvals })
    }
}

/// Where an approval of this name lies.
pub(crate) fn path_of(folder: &Path, key: &Key) -> PathBuf {
    let name = key.to_string();
    folder.join(name.rsplit('/').next().unwrap_or(&name))
}

fn name_in_store(path: &Path) -> Option<String> {
    let name = format!("{MANIFESTS}{}", path.file_name()?.to_str()?);
    matches!(Key::parse(&name), Some(Key::Signature { .. })).then_some(name)
}

impl Fetch for Approved {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.store.list(prefix, &mut |object| {
            if !self.approvals.contains_key(&object.name) {
                each(object);
            }
        })?;
        for (name, bytes) in &self.approvals {
            if name.starts_with(prefix) {
                each(Listed {
                    name: name.clone(),
                    size: bytes.len() as u64,
                    modified: Timestamp::from_unix(0),
                });
            }
        }
        Ok(())
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        let approval = self.approvals.get(&key.to_string());
        if self.store.get(key, limit, into)? {
            return Ok(true);
        }
        if let Some(bytes) = approval {
            into.clear();
            into.extend_from_slice(bytes);
        }
        Ok(approval.is_some())
    }

    /// A damaged approval does not hide the signature that the store has, nor the other way.
    fn get_each(
        &self,
        key: &Key,
        limit: u64,
        each: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), StoreError> {
        if let Some(bytes) = self.approvals.get(&key.to_string()) {
            each(bytes.clone());
        }
        self.store.get_each(key, limit, each)
    }

    fn land(&self, key: &Key, landing: Landing) -> Result<Option<Landing>, StoreError> {
        self.store.land(key, landing)
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.clock()
    }
}
