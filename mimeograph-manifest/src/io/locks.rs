//! The folders of a run, made if need be, and locked: two configurations may share one of them by mistake.

use super::config::Artefacts;
use super::disk::{self, DiskError, Lock};

/// Held until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct Locks {
    _locks: [Lock; 2],
}

impl Locks {
    /// Takes them, or says at once who holds one.
    pub fn acquire(artefacts: &Artefacts) -> Result<Self, DiskError> {
        let (metadata, bundle) = (&artefacts.metadata_dir, &artefacts.bundle_dir);
        for folder in [metadata, bundle] {
            disk::create_folder(folder, 0o755)?;
        }
        Ok(Self {
            // Of two names: both may be one folder.
            _locks: [
                Lock::acquire(&metadata.join("lock"))?,
                Lock::acquire(&bundle.join("bundle.lock"))?,
            ],
        })
    }
}
