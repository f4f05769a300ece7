//! Chunks -> files in a private folder: bound, hash, decompress within the signed size, hash again,
//! write at the offset. What an earlier run left is hashed again and not fetched twice.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::disk::{self, Action, id_of};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::{failpoint, fetched};
use mimeograph_manifest::manifest;

/// Why files cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The folder or a file in it.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while fetching")]
    Interrupted,
}

impl Fault for StagingError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Write { source, .. } => id_of(Action::Write, source),
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Interrupted => Some("run it again: what was fetched is not fetched twice".into()),
            Self::Write { .. } => None,
        }
    }
}

/// How to fetch.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Pace<'a> {
    /// Chunks on their way at once.
    pub parallel: usize,
    /// Bytes a second.
    pub throttle: &'a Throttle,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
    /// Hears of every raw byte.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// One chunk of one file, and where it belongs.
struct Piece<'a> {
    file: &'a manifest::File,
    target: usize,
    chunk: &'a Chunk,
    offset: u64,
}

/// Puts files together below `folder`, under their names. They are not made to last: what a crash leaves is hashed again.
pub fn fetch(
    store: &dyn Fetch,
    files: &[&manifest::File],
    folder: &Path,
    pace: Pace<'_>,
) -> Result<(), Failure> {
    let mut targets = Vec::new();
    for file in files {
        targets.push(target(&folder.join(file.name.as_str()), file.size)?);
    }
    work(store, &pieces(files), &targets, pace)
}

fn pieces<'a>(files: &[&'a manifest::File]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let mut offset = 0;
        for chunk in &file.chunks {
            pieces.push(Piece {
                file,
                target: number,
                chunk,
                offset,
            });
            offset += chunk.raw_size;
        }
    }
    pieces
}

/// A file that is being put together.
struct Target {
    path: PathBuf,
    file: File,
    /// An earlier run left something: it may be right.
    is_old: bool,
}

fn target(path: &Path, size: u64) -> Result<Target, StagingError> {
    let failed = |source| StagingError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        disk::make(folder, 0o700).map_err(failed)?;
    }
    let is_old = path.exists();
    let open = || {
        failpoint::reach("create", path)?;
        if is_old {
            // It was closed when it was whole.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path)?;
        failpoint::reach("resize", path)?;
        file.set_len(size).map(|()| file)
    };
    let file = open().map_err(failed)?;
    Ok(Target {
        path: path.to_owned(),
        file,
        is_old,
    })
}

fn work(
    store: &dyn Fetch,
    pieces: &[Piece<'_>],
    targets: &[Target],
    pace: Pace<'_>,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<(), Failure> {
        let (mut stored, mut raw) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = if pace.interrupt.is_raised() {
                Err(StagingError::Interrupted.into())
            } else {
                one(store, piece, targets, pace.throttle, &mut stored, &mut raw)
            };
            // The first error makes the others stop at their next piece.
            result.inspect_err(|_| next.store(pieces.len(), Ordering::Relaxed))?;
            (pace.progress)(piece.chunk.raw_size);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..pace.parallel.max(1))
            .map(|_| scope.spawn(worker))
            .collect();
        // A panic in a worker goes on here, as the bug that it is.
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn one(
    store: &dyn Fetch,
    piece: &Piece<'_>,
    targets: &[Target],
    throttle: &Throttle,
    stored: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> Result<(), Failure> {
    let target = &targets[piece.target];
    if target.is_old {
        stored.resize(usize::try_from(piece.chunk.raw_size).unwrap_or_default(), 0);
        let read = target.file.read_exact_at(stored, piece.offset);
        if read.is_ok() && Digest::of(stored) == piece.chunk.raw {
            return Ok(());
        }
    }
    throttle.wait_for(piece.chunk.stored_size);
    let raw = fetched::chunk(store, piece.file, piece.chunk, stored, raw)?;
    let written = failpoint::write(&target.path, raw, |part, at| {
        target.file.write_all_at(part, piece.offset + at)
    });
    Ok(written.map_err(|source| StagingError::Write {
        path: target.path.clone(),
        source,
    })?)
}
