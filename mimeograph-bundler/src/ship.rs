//! Files -> chunks in the store: cut, hash, compress where it pays, put what the store lacks.
//!
//! Each chunk is read once, and hashed where nobody has done that. What the stream already holds, by its raw digest, is
//! neither compressed nor sent again; where the digest is known, it is not even read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mimeograph_manifest::archive::{ArchiveError, Headers, data_ranges};
use mimeograph_manifest::chunk::{self, Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::archives::{Digests, Window};
use mimeograph_manifest::io::disk::{Action, id_of};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::store::{Put, Shelve, StoreError};
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::workers;
use mimeograph_manifest::manifest::{self, Generation, Role};
use mimeograph_manifest::name::FileName;

use crate::buffers::Buffers;
use crate::held::Held;

/// A file that is to travel.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its name in the bundle.
    pub name: FileName,
    /// What it is for.
    pub role: Role,
    /// Where it lies.
    pub path: PathBuf,
}

/// What lies in the store as chunks.
#[derive(Debug, Default)]
pub struct Shipped {
    /// The files with their chunks, in the order they were given.
    pub files: Vec<manifest::File>,
    /// What it took.
    pub tally: Tally,
}

/// What shipping took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Chunks in all.
    pub chunks: u64,
    /// Chunks that had to be sent.
    pub chunks_sent: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that had to be sent, as stored.
    pub bytes_sent: u64,
}

/// How to ship.
#[derive(Clone, Copy, Debug)]
pub struct Pace<'a> {
    /// Chunks on their way at once.
    pub parallel: usize,
    /// Bytes of a chunk at most.
    pub chunk_size: u64,
    /// Digests of pieces of the archives, by whoever has read them.
    pub digests: &'a Digests,
    /// Bytes a second.
    pub throttle: &'a Throttle,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// Why shipping failed.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// A file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An archive is not what it must be.
    #[error("failed to plan the chunks of an archive")]
    Archive(#[source] ArchiveError),
    /// The store failed.
    #[error("failed to ship a chunk of `{}`", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store said.
        source: StoreError,
    },
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while shipping")]
    Interrupted,
}

impl Fault for ShipError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Read { source, .. } => id_of(Action::Read, source),
            Self::Archive(error) => error.id(),
            Self::Store { source, .. } => source.id(),
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(error) => error.hint(),
            Self::Store { source, .. } => source.hint(),
            Self::Read { .. } => None,
            Self::Interrupted => Some("run it again: what was shipped is not sent twice".into()),
        }
    }
}

/// One range of one file.
struct Piece {
    file: usize,
    range: Range<u64>,
    /// Of its bytes, where it is known.
    digest: Option<Digest>,
}

/// Ships `files` and returns them with their chunks. `progress` hears of every raw byte.
pub fn ship(
    files: &[Outgoing],
    generation: Generation,
    store: &dyn Shelve,
    held: Held,
    pace: Pace<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Shipped, ShipError> {
    let opened = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let (mut pieces, mut archives) = (Vec::new(), 0);
    for (number, (outgoing, file)) in files.iter().zip(&opened).enumerate() {
        let is_archive = outgoing.role == Role::Archive;
        let ranges = cut(outgoing, file, generation, pace.chunk_size)?;
        pieces.extend(ranges.into_iter().map(|range| {
            Piece {
                file: number,
                digest: is_archive
                    .then(|| pace.digests.get(archives, &range))
                    .flatten(),
                range,
            }
        }));
        archives += usize::from(is_archive);
    }
    let line = Line {
        files,
        opened,
        pieces,
        store,
        held,
        buffers: Buffers::new(pace.parallel),
        chunks_sent: AtomicU64::new(0),
        bytes_sent: AtomicU64::new(0),
        throttle: pace.throttle,
        interrupt: pace.interrupt,
        progress,
    };
    line.run(pace.parallel)
}

fn open(outgoing: &Outgoing) -> Result<File, ShipError> {
    File::open(&outgoing.path).map_err(|source| ShipError::Read {
        path: outgoing.path.clone(),
        source,
    })
}

fn cut(
    outgoing: &Outgoing,
    file: &File,
    generation: Generation,
    chunk_size: u64,
) -> Result<Vec<Range<u64>>, ShipError> {
    let read = |source| ShipError::Read {
        path: outgoing.path.clone(),
        source,
    };
    let size = file.metadata().map_err(read)?.len();
    let entries = if outgoing.role == Role::Archive {
        Headers::new(outgoing.name.as_str(), generation, Window::new(file))
            .and_then(data_ranges)
            .map_err(ShipError::Archive)?
    } else {
        Vec::new()
    };
    Ok(chunk::plan(size, &entries, chunk_size))
}

/// The workers' common ground.
struct Line<'a> {
    files: &'a [Outgoing],
    opened: Vec<File>,
    pieces: Vec<Piece>,
    store: &'a dyn Shelve,
    held: Held,
    buffers: Buffers,
    chunks_sent: AtomicU64,
    bytes_sent: AtomicU64,
    throttle: &'a Throttle,
    interrupt: &'a Interrupt,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Line<'_> {
    fn run(self, parallel: usize) -> Result<Shipped, ShipError> {
        let done = workers::each(&self.pieces, parallel, |piece| {
            if self.interrupt.is_raised() {
                return Err(ShipError::Interrupted);
            }
            let chunk = self.ship(piece)?;
            (self.progress)(piece.range.end - piece.range.start);
            Ok(chunk)
        })?;
        Ok(self.sum_up(&done))
    }

    fn sum_up(&self, done: &[Chunk]) -> Shipped {
        let mut shipped = Shipped::default();
        for outgoing in self.files {
            shipped.files.push(manifest::File {
                name: outgoing.name.clone(),
                role: outgoing.role,
                size: 0,
                chunks: Vec::new(),
            });
        }
        for (piece, chunk) in self.pieces.iter().zip(done) {
            let file = &mut shipped.files[piece.file];
            file.size += chunk.raw_size;
            file.chunks.push(*chunk);
        }
        shipped.tally = Tally {
            chunks: done.len() as u64,
            chunks_sent: self.chunks_sent.load(Ordering::Relaxed),
            bytes: shipped.files.iter().map(|file| file.size).sum(),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
        };
        shipped
    }

    fn ship(&self, piece: &Piece) -> Result<Chunk, ShipError> {
        let path = &self.files[piece.file].path;
        let read = |source| ShipError::Read {
            path: path.clone(),
            source,
        };
        let failed = |source| ShipError::Store {
            path: path.clone(),
            source,
        };
        if let Some(digest) = &piece.digest
            && let Some(chunk) = self.held.find(self.store, digest).map_err(failed)?
        {
            return Ok(chunk);
        }
        let mut raw = self.buffers.take();
        let size = usize::try_from(piece.range.end - piece.range.start).unwrap_or_default();
        raw.resize(size, 0);
        self.opened[piece.file]
            .read_exact_at(&mut raw, piece.range.start)
            .map_err(read)?;
        // A store that checks what it is sent finds out if the bytes have changed since.
        let known = piece.digest.filter(|_| self.store.checks_bodies());
        let digest = known.unwrap_or_else(|| Digest::of(&raw));
        if piece.digest != Some(digest)
            && let Some(chunk) = self.held.find(self.store, &digest).map_err(failed)?
        {
            return Ok(chunk);
        }
        let packed = match self.files[piece.file].role {
            // On the far side `cat` alone must do to put them together: the program may be among them.
            Role::Extra => None,
            _ => chunk::compress(&raw).map_err(read)?,
        };
        let (stored, body, encoding) = match packed {
            Some(packed) => (Digest::of(&packed), Bytes::from(packed), Encoding::Zstd),
            None => (digest, Bytes::from_owner(raw), Encoding::None),
        };
        let chunk = Chunk {
            stored,
            stored_size: body.len() as u64,
            encoding,
            raw: digest,
            raw_size: size as u64,
        };
        self.throttle.wait_for(chunk.stored_size);
        if self.held.put(self.store, &chunk, body).map_err(failed)? == Put::Written {
            self.chunks_sent.fetch_add(1, Ordering::Relaxed);
            self.bytes_sent
                .fetch_add(chunk.stored_size, Ordering::Relaxed);
        }
        Ok(chunk)
    }
}
