//! Verified bundle -> `oc-mirror`'s cache: the blobs that it lacks, each in one step. Nothing but a [`VerifiedBundle`] gets
//! here.

use std::io::{Read as _, Seek as _, SeekFrom};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::disk::{Action, DiskError};

use crate::cache::{Cache, Changed};
use crate::verified::VerifiedBundle;

/// What was put into the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Gives the cache what it lacks of a bundle.
pub(crate) fn merge(bundle: &VerifiedBundle, cache: &Cache) -> Result<Taken, Failure> {
    let mut taken = Taken::default();
    let mut archives = bundle.open_archives()?;
    for (blob, size) in cache.lacking(bundle.inventory())? {
        let (archive, at) = bundle.place(&blob).ok_or(Changed(blob))?;
        let archive = &mut archives[archive];
        let path = bundle.archives();
        archive
            .seek(SeekFrom::Start(at))
            .map_err(|source| DiskError::new(Action::Read, &path, source))?;
        cache.put(&blob, archive.take(size))?;
        taken.blobs += 1;
        taken.bytes += size;
    }
    Ok(taken)
}
