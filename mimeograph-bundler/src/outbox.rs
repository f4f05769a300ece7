//! The outbox: archives that `oc-mirror` can no longer reach, with the image set that made them. Once they are published
//! they are set aside, and kept until the next bundle is: the store can be mended from them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use mimeograph_manifest::archive::{ArchiveError, Contents, Unread};
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::archives::{self, Digests, Reading};
use mimeograph_manifest::io::config::Transfer;
use mimeograph_manifest::io::disk::{self, Action, DiskError, id_of};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Generation, Link, is_archive_name};

/// The copy of the image set configuration beside the archives.
const IMAGESET: &str = "imageset-config.yaml";
/// `oc-mirror`'s record of what was shipped, after the run that made the archives.
const RECORD: &str = "history.txt";
/// Says which bundle archives that were set aside have become.
const BUNDLE: &str = "bundle.json";
/// Largest such file, in bytes.
const BUNDLE_SIZE: u64 = 4096;

/// Two folders of our own in `bundleDir`.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// What waits to be published.
    waiting: PathBuf,
    /// What was published last.
    sent: PathBuf,
}

/// Why archives cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder or a file in it.
    #[error("failed to keep the archives")]
    Disk(#[source] DiskError),
    /// An archive could not be moved or made to last.
    #[error("failed to put `{}` into the outbox", path.display())]
    Keep {
        /// The archive.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What lies there is no file of its own.
    #[error("`{}` in the outbox is a link, or no file: it is not published", .0.display())]
    Foreign(PathBuf),
    /// An archive is not what it must be.
    #[error("an archive that `oc-mirror` wrote cannot be shipped")]
    Archive(#[source] ArchiveError),
}

impl Fault for OutboxError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Keep { source, .. } => id_of(Action::Write, source),
            Self::Foreign(_) => ErrorId::StateDamaged,
            Self::Archive(error) => error.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(_) => Some(ARCHIVE_HINT.into()),
            Self::Foreign(_) => Some(
                "we put nothing of the kind there: find out who did, then remove it and run `mimeograph-bundler mirror` or `run` again"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// The archives in a folder, in the order of their names.
pub fn archives(folder: &Path, generation: Generation) -> Result<Vec<PathBuf>, OutboxError> {
    let failed = |source| OutboxError::Keep {
        path: folder.to_owned(),
        source,
    };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if is_archive_name(name, generation) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Opens archives, to look into them again.
pub fn open(archives: &[PathBuf]) -> Result<Vec<File>, OutboxError> {
    let opened = archives.iter().map(|path| {
        File::open(path).map_err(|source| OutboxError::Keep {
            path: path.clone(),
            source,
        })
    });
    opened.collect()
}

/// Which blobs are hashed when archives are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blobs {
    /// All.
    All,
    /// All but those that shipping reads anyway, so that nothing large is read twice.
    ButThoseToShip,
}

/// Reads archives from end to end: complete, nothing foreign in them, and every blob as it is named but those that are left
/// to [`ship`](crate::ship::ship).
pub fn read(
    archives: &[PathBuf],
    generation: Generation,
    transfer: &Transfer,
    blobs: Blobs,
) -> Result<(Contents, Vec<Unread>), OutboxError> {
    let reading = Reading {
        parallel: transfer.parallel.count(),
        known: &Digests::default(),
        progress: &|_| (),
    };
    let read = match blobs {
        Blobs::All => archives::read(archives, generation, &reading).map(|all| (all, Vec::new())),
        Blobs::ButThoseToShip => archives::survey_for_chunks(archives, generation, &reading),
    };
    read.map_err(OutboxError::Archive)
}

/// What helps where an archive is not what it must be.
pub(crate) const ARCHIVE_HINT: &str = "nothing was published and `oc-mirror`'s history is as before: run again; if it stays so, \
     look for a full disk (`oc-mirror` then leaves archives without an end, at exit 0)";

impl Outbox {
    /// The outbox in `bundleDir`.
    pub fn new(bundle_dir: &Path) -> Self {
        Self {
            waiting: bundle_dir.join("4"),
            sent: bundle_dir.join("6"),
        }
    }

    /// Refuses links and the like: whoever mirrors may not reach what publishing can read, the signing key above all, and must
    /// not have it published by its name.
    pub fn refuse_links(&self) -> Result<(), OutboxError> {
        let failed = |source| OutboxError::Keep {
            path: self.waiting.clone(),
            source,
        };
        match fs::symlink_metadata(&self.waiting) {
            Ok(folder) if folder.is_dir() => {}
            Ok(_) => return Err(OutboxError::Foreign(self.waiting.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        for entry in fs::read_dir(&self.waiting).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_type().map_err(failed)?.is_file() {
                return Err(OutboxError::Foreign(entry.path()));
            }
        }
        Ok(())
    }

    /// The archives that wait.
    pub fn archives(&self, generation: Generation) -> Result<Vec<PathBuf>, OutboxError> {
        archives(&self.waiting, generation)
    }

    /// The image set that made them.
    pub fn imageset(&self) -> PathBuf {
        self.waiting.join(IMAGESET)
    }

    /// Where `oc-mirror`'s record after that run lies, if there is one.
    pub fn record_path(&self) -> Option<PathBuf> {
        Some(self.waiting.join(RECORD)).filter(|path| path.exists())
    }

    /// `oc-mirror`'s record after that run.
    pub fn record(&self) -> Result<Option<Vec<u8>>, OutboxError> {
        let read = |path: PathBuf| disk::read_bounded(&path, limits::HISTORY_SIZE);
        self.record_path()
            .map(read)
            .transpose()
            .map_err(OutboxError::Disk)
    }

    /// Writes a file of our own beside the archives, durably, and returns its path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, OutboxError> {
        let path = self.waiting.join(name);
        disk::write_durably(&path, bytes, 0o600).map_err(OutboxError::Disk)?;
        Ok(path)
    }

    /// Takes archives, image set and record in, durably, after dropping what lay there.
    pub fn take(
        &self,
        archives: &[PathBuf],
        imageset: &[u8],
        record: Option<&[u8]>,
    ) -> Result<(), OutboxError> {
        self.clear()?;
        disk::create_folder(&self.waiting, 0o700).map_err(OutboxError::Disk)?;
        for path in archives {
            let kept = |source| OutboxError::Keep {
                path: path.clone(),
                source,
            };
            // `oc-mirror` syncs nothing itself (contract §3.2).
            File::open(path)
                .and_then(|file| disk::sync(&file, path))
                .map_err(kept)?;
            let name = path.file_name().unwrap_or_default();
            disk::rename(path, &self.waiting.join(name)).map_err(kept)?;
        }
        self.write(IMAGESET, imageset)?;
        if let Some(record) = record {
            self.write(RECORD, record)?;
        }
        let left = archives.first().and_then(|path| path.parent());
        let folders = [Some(self.waiting.as_path()), left, self.waiting.parent()];
        let mut folders = folders.into_iter().flatten();
        folders
            .try_for_each(disk::sync_folder)
            .map_err(OutboxError::Disk)
    }

    /// Sets aside what waited, for it is published as this bundle, and drops what was published before.
    pub fn set_aside(&self, bundle: Link) -> Result<(), OutboxError> {
        // A run that was killed just after this has done it.
        if !self.waiting.exists() {
            return Ok(());
        }
        let link = serde_json::to_vec(&bundle).unwrap_or_default();
        self.write(BUNDLE, &link)?;
        remove(&self.sent)?;
        disk::rename(&self.waiting, &self.sent).map_err(|source| OutboxError::Keep {
            path: self.waiting.clone(),
            source,
        })?;
        let above = self.sent.parent().unwrap_or(&self.sent);
        disk::sync_folder(above).map_err(OutboxError::Disk)
    }

    /// The bundle whose archives are set aside.
    pub fn sent(&self) -> Option<Link> {
        let bytes = disk::read_if_there(&self.sent.join(BUNDLE), BUNDLE_SIZE).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Where the archives of a bundle lie that was sealed last, for as long as they do.
    pub fn folder_of(&self, bundle: Link) -> PathBuf {
        if self.sent() == Some(bundle) {
            self.sent.clone()
        } else {
            self.waiting.clone()
        }
    }

    /// Drops what waits.
    pub fn clear(&self) -> Result<(), OutboxError> {
        remove(&self.waiting)
    }
}

fn remove(folder: &Path) -> Result<(), OutboxError> {
    disk::remove(folder).map_err(|source| OutboxError::Keep {
        path: folder.to_owned(),
        source,
    })
}
