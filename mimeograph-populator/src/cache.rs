//! `oc-mirror`'s cache on this side: which blobs it holds.
//!
//! A delta is no more than what is new, so all that came before must lie here (contract §4.2). A blob is there if it has the
//! right size, an image manifest if its bytes are right; a killed `oc-mirror` leaves short blobs under their final names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::{ImageManifest, Inventory, Structure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::disk::{self, Action, DiskError, Draft};
use mimeograph_manifest::io::oc_mirror::residue;
use mimeograph_manifest::limits;

/// Where `oc-mirror`'s cache is.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    blobs: PathBuf,
}

/// A blob was changed between its verification and now.
#[derive(Debug, thiserror::Error)]
#[error("blob {0} was changed while it was put into the cache")]
pub(crate) struct Changed(pub Digest);

impl Fault for Changed {
    fn id(&self) -> ErrorId {
        ErrorId::ArchiveDamaged
    }
}

impl Cache {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        Self::at(match &config.artefacts.cache_dir {
            Some(cache) => cache.to_path_buf(),
            None => config.artefacts.bundle_dir.join("2"),
        })
    }

    /// The one that `oc-mirror` keeps below `root`.
    pub fn at(root: PathBuf) -> Self {
        Self {
            blobs: residue::storage(&root).join("blobs/sha256"),
            root,
        }
    }

    /// What `oc-mirror` is given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, blob: &Digest) -> PathBuf {
        let hex = blob.to_string();
        self.blobs.join(&hex[..2]).join(&hex).join("data")
    }

    /// Whether a blob is there as far as its size tells.
    fn has(&self, blob: &Digest, size: u64) -> Result<bool, DiskError> {
        let path = self.path(blob);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == size),
            Err(source) if is_absent(&source) => Ok(false),
            Err(source) => Err(DiskError::new(Action::Read, &path, source)),
        }
    }

    /// Whether a blob's bytes are those of its name.
    fn is_right(&self, blob: &Digest) -> Result<bool, DiskError> {
        let path = self.path(blob);
        let mut hasher = Hasher::default();
        match File::open(&path).and_then(|mut file| io::copy(&mut file, &mut hasher)) {
            Ok(_) => Ok(hasher.finish() == *blob),
            Err(source) if is_absent(&source) => Ok(false),
            Err(source) => Err(DiskError::new(Action::Read, &path, source)),
        }
    }

    /// The blobs that a bundle carries and that are not here, with their sizes in bytes.
    pub fn lacking(&self, inventory: &Inventory) -> Result<Vec<(Digest, u64)>, DiskError> {
        let mut lacking = Vec::new();
        for (blob, size) in &inventory.structure.blobs {
            let is_image = inventory.structure.manifests.contains_key(blob);
            if !self.has(blob, *size)? || (is_image && !self.is_right(blob)?) {
                lacking.push((*blob, *size));
            }
        }
        Ok(lacking)
    }

    /// Whether all that a bundle carries is here.
    pub fn is_whole(&self, inventory: &Inventory) -> Result<bool, DiskError> {
        Ok(self.lacking(inventory)?.is_empty())
    }

    /// Hashes what a load that did not end cleanly could have written (all, where that is not known), and removes what is
    /// not right; tells how much.
    pub fn scrub(&self, inventory: Option<&Inventory>) -> Result<u64, DiskError> {
        let could_have_been =
            |blob: &Digest| inventory.is_none_or(|one| one.structure.blobs.contains_key(blob));
        let mut removed = 0;
        for (blob, _) in self.list()? {
            if could_have_been(&blob) && !self.is_right(&blob)? {
                self.remove(&blob)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Writes a blob, in one step, after hashing all of it.
    pub(crate) fn put(&self, blob: &Digest, mut from: impl Read) -> Result<(), Failure> {
        let path = self.path(blob);
        disk::create_folder(path.parent().unwrap_or(&self.blobs), 0o755)?;
        let mut draft = Draft::beside(&path, 0o644)?;
        let mut hasher = Hasher::default();
        let written = io::copy(&mut from, &mut Both(&mut draft, &mut hasher));
        written.map_err(|source| DiskError::new(Action::Write, &path, source))?;
        if hasher.finish() != *blob {
            return Err(Changed(*blob).into());
        }
        Ok(draft.keep()?)
    }

    /// Everything that lies here, with its size in bytes, by the names of the files alone.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, DiskError> {
        let mut found = Vec::new();
        for folder in entries(&self.blobs)? {
            for blob in entries(&folder)? {
                let name = blob.file_name().unwrap_or_default().to_string_lossy();
                let data = blob.join("data");
                if let (Ok(digest), Ok(metadata)) = (name.parse(), fs::symlink_metadata(&data))
                    && metadata.is_file()
                {
                    found.push((digest, metadata.len()));
                }
            }
        }
        Ok(found)
    }

    /// What lies here, every byte hashed; what is not what its name says is left out.
    pub fn contents(&self) -> Result<Structure, Failure> {
        let mut structure = Structure::default();
        for (blob, size) in self.list()? {
            if !self.is_right(&blob)? {
                tracing::warn!(%blob, "a blob in the cache is not what its name says: passed over");
                continue;
            }
            structure.blobs.insert(blob, size);
            if size <= limits::IMAGE_MANIFEST_SIZE {
                let bytes = disk::read_bounded(&self.path(&blob), limits::IMAGE_MANIFEST_SIZE)?;
                let image = ImageManifest::parse(&bytes);
                structure.manifests.extend(image.map(|image| (blob, image)));
            }
        }
        Ok(structure)
    }

    /// Removes one blob.
    pub fn remove(&self, blob: &Digest) -> Result<(), DiskError> {
        let path = self.path(blob);
        disk::remove(&path).map_err(|source| DiskError::new(Action::Remove, &path, source))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The folders in a folder; none where it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let failed = |source| DiskError::new(Action::Read, folder, source);
    let listed = match fs::read_dir(folder) {
        Err(source) if is_absent(&source) => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Writes to two places.
struct Both<'a>(&'a mut Draft, &'a mut Hasher);

impl io::Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
