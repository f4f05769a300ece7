//! Files -> chunks in the store: cut, hash, compress where it pays, put what the store lacks.
//!
//! One pipeline: some threads read and hash, others put, and between them goes a fixed number of buffers. Each chunk is read
//! once; a blob of several chunks is hashed as a whole from the same bytes, and both are held against its name. What the
//! stream already holds, by its raw digest, is neither compressed nor sent again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mimeograph_manifest::archive::{ArchiveError, Headers, Unread, data_ranges};
use mimeograph_manifest::chunk::{self, Chunk, Encoding};
use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::archives::Window;
use mimeograph_manifest::io::disk::{Action, id_of};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::store::{Put, Shelve, StoreError};
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::workers;
use mimeograph_manifest::manifest::{self, Generation, Role};
use mimeograph_manifest::name::FileName;

use crate::buffers::{Buffer, Buffers};
use crate::held::Held;
use crate::outbox::ARCHIVE_HINT;

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
    /// Blobs of the archives that nobody has hashed yet: each must be what it is named.
    pub unread: &'a [Unread],
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
    #[error("an archive that `oc-mirror` wrote cannot be shipped")]
    Archive(#[source] ArchiveError),
    /// An archive is not what it was a moment ago.
    #[error("archive `{0}` has changed since it was read")]
    Changed(String),
    /// An archive is gone, or one has come.
    #[error("there are other archives than were read")]
    Lost,
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
            Self::Changed(_) | Self::Lost => ErrorId::ArchiveDamaged,
            Self::Store { source, .. } => source.id(),
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(_) | Self::Changed(_) | Self::Lost => Some(ARCHIVE_HINT.into()),
            Self::Store { source, .. } => source.hint(),
            Self::Read { .. } => None,
            Self::Interrupted => Some("run it again: what was shipped is not sent twice".into()),
        }
    }
}

/// One range of one file: a chunk.
struct Piece {
    file: usize,
    range: Range<u64>,
}

/// Pieces that follow each other and are read by one thread: one alone, or those of a blob.
struct Run {
    pieces: Range<usize>,
    /// The digest that they must have together.
    named: Option<Digest>,
}

/// A piece that was read.
struct Filled {
    piece: usize,
    raw: Buffer,
    digest: Digest,
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
    let mut plan = Plan::new(pace.unread);
    for (number, (outgoing, file)) in files.iter().zip(&opened).enumerate() {
        let ranges = cut(outgoing, file, generation, pace.chunk_size)?;
        if outgoing.role == Role::Archive {
            plan.add_archive(number, ranges)
                .map_err(|Moved| ShipError::Changed(outgoing.name.to_string()))?;
        } else {
            plan.add(number, ranges);
        }
    }
    if plan.has_lost_an_archive() {
        return Err(ShipError::Lost);
    }
    let line = Line {
        files,
        opened,
        plan,
        store,
        held,
        buffers: Buffers::new(pace.parallel.max(1)),
        chunks_sent: AtomicU64::new(0),
        bytes_sent: AtomicU64::new(0),
        is_stopped: AtomicBool::new(false),
        pace,
        progress,
    };
    line.run()
}

/// What is to be read.
struct Plan<'a> {
    unread: &'a [Unread],
    archives: usize,
    pieces: Vec<Piece>,
    runs: Vec<Run>,
}

/// A blob that is to be hashed does not lie where it lay.
struct Moved;

impl<'a> Plan<'a> {
    fn new(unread: &'a [Unread]) -> Self {
        Self {
            unread,
            archives: 0,
            pieces: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds a file, each chunk for itself.
    fn add(&mut self, file: usize, ranges: Vec<Range<u64>>) {
        for range in ranges {
            self.add_run(file, [range], None);
        }
    }

    /// Adds the next archive; the chunks of a blob that nobody has hashed are one run.
    fn add_archive(&mut self, file: usize, ranges: Vec<Range<u64>>) -> Result<(), Moved> {
        let unread = self.unread.iter();
        let unread = unread.filter(|unread| unread.place.archive == self.archives);
        let mut blobs: BTreeMap<_, _> = unread
            .map(|unread| (unread.place.data.start, unread))
            .collect();
        let mut ranges = ranges.into_iter().peekable();
        while let Some(first) = ranges.next() {
            let Some(blob) = blobs.remove(&first.start) else {
                self.add_run(file, [first], None);
                continue;
            };
            let mut run = vec![first];
            while let Some(next) = ranges.next_if(|next| next.start < blob.place.data.end) {
                run.push(next);
            }
            self.add_run(file, run, Some(blob.named));
        }
        self.archives += 1;
        if blobs.is_empty() { Ok(()) } else { Err(Moved) }
    }

    /// Whether blobs that are to be hashed lie in an archive that was not added.
    fn has_lost_an_archive(&self) -> bool {
        let mut unread = self.unread.iter();
        unread.any(|unread| unread.place.archive >= self.archives)
    }

    fn add_run(
        &mut self,
        file: usize,
        ranges: impl IntoIterator<Item = Range<u64>>,
        named: Option<Digest>,
    ) {
        let begin = self.pieces.len();
        let pieces = ranges.into_iter().map(|range| Piece { file, range });
        self.pieces.extend(pieces);
        self.runs.push(Run {
            pieces: begin..self.pieces.len(),
            named,
        });
    }
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

/// The threads' common ground.
struct Line<'a> {
    files: &'a [Outgoing],
    opened: Vec<File>,
    plan: Plan<'a>,
    store: &'a dyn Shelve,
    held: Held,
    buffers: Buffers,
    chunks_sent: AtomicU64,
    bytes_sent: AtomicU64,
    /// After the first error nothing more is begun.
    is_stopped: AtomicBool,
    pace: Pace<'a>,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Line<'_> {
    fn run(self) -> Result<Shipped, ShipError> {
        let (filled, to_send) = mpsc::channel();
        // It goes with the last of those who put: nobody then waits for a buffer that nobody gives back.
        let to_send = Arc::new(Mutex::new(to_send));
        let senders = self.pace.parallel.max(1);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let line = &self;
        let mut sent = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..senders)
                .map(|_| {
                    let to_send = Arc::clone(&to_send);
                    scope.spawn(move || line.send_all(&to_send))
                })
                .collect();
            drop(to_send);
            let read = workers::each(&self.plan.runs, cores.min(senders.len()), |run| {
                self.read(run, &filled).inspect_err(|_| self.stop())
            });
            drop(filled);
            // A panic in a thread goes on here, as the bug that it is.
            let sent = senders.into_iter().map(|sender| {
                sender
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            let sent = sent.collect::<Result<Vec<_>, _>>();
            read.and(sent)
        })?
        .concat();
        sent.sort_unstable_by_key(|(piece, _)| *piece);
        assert_eq!(sent.len(), self.plan.pieces.len(), "a chunk was left out");
        Ok(self.sum_up(&sent))
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn sum_up(&self, sent: &[(usize, Chunk)]) -> Shipped {
        let mut shipped = Shipped::default();
        for outgoing in self.files {
            shipped.files.push(manifest::File {
                name: outgoing.name.clone(),
                role: outgoing.role,
                size: 0,
                chunks: Vec::new(),
            });
        }
        for (piece, chunk) in sent {
            let file = &mut shipped.files[self.plan.pieces[*piece].file];
            file.size += chunk.raw_size;
            file.chunks.push(*chunk);
        }
        shipped.tally = Tally {
            chunks: sent.len() as u64,
            chunks_sent: self.chunks_sent.load(Ordering::Relaxed),
            bytes: shipped.files.iter().map(|file| file.size).sum(),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
        };
        shipped
    }

    /// Reads and hashes pieces and hands each on; a blob must be what it is named.
    fn read(&self, run: &Run, to: &Sender<Filled>) -> Result<(), ShipError> {
        let mut whole = (run.pieces.len() > 1).then(Hasher::default);
        for piece in run.pieces.clone() {
            if self.pace.interrupt.is_raised() {
                return Err(ShipError::Interrupted);
            }
            let Piece { file, range } = &self.plan.pieces[piece];
            let size = usize::try_from(range.end - range.start).unwrap_or_default();
            let mut raw = self.buffers.take(size);
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            let digest = fill(&self.opened[*file], range.start, raw.as_mut(), &mut whole);
            let digest = digest.map_err(|source| ShipError::Read {
                path: self.files[*file].path.clone(),
                source,
            })?;
            let last = piece + 1 == run.pieces.end;
            if let Some(named) = run.named.filter(|_| last) {
                let found = whole.take().map_or(digest, Hasher::finish);
                if found != named {
                    let archive = self.files[*file].name.to_string();
                    return Err(ShipError::Archive(ArchiveError::Blob {
                        archive,
                        named,
                        found,
                    }));
                }
            }
            // Nobody takes it where all who put have failed; they tell why.
            let _ = to.send(Filled { piece, raw, digest });
        }
        Ok(())
    }

    /// Puts what comes until nothing more does.
    fn send_all(&self, filled: &Mutex<Receiver<Filled>>) -> Result<Vec<(usize, Chunk)>, ShipError> {
        let mut sent = Vec::new();
        loop {
            let next = filled.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(next) = next else {
                return Ok(sent);
            };
            if self.is_stopped.load(Ordering::Relaxed) {
                continue;
            }
            let piece = next.piece;
            let chunk = self.send(next).inspect_err(|_| self.stop())?;
            (self.progress)(chunk.raw_size);
            sent.push((piece, chunk));
        }
    }

    fn send(&self, filled: Filled) -> Result<Chunk, ShipError> {
        let Filled { piece, raw, digest } = filled;
        let Outgoing { path, role, .. } = &self.files[self.plan.pieces[piece].file];
        let failed = |source| ShipError::Store {
            path: path.clone(),
            source,
        };
        // On the far side `cat` alone must do to put extra files together: the program may be among them.
        let is_plain = *role == Role::Extra;
        let held = self.held.find(self.store, &digest).map_err(failed)?;
        if let Some(chunk) = held.filter(|one| !is_plain || one.encoding == Encoding::None) {
            return Ok(chunk);
        }
        let raw_size = raw.as_ref().len() as u64;
        let packed = if is_plain {
            None
        } else {
            chunk::compress(raw.as_ref()).map_err(|source| ShipError::Read {
                path: path.clone(),
                source,
            })?
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
            raw_size,
        };
        self.pace.throttle.wait_for(chunk.stored_size);
        if self.held.put(self.store, &chunk, body).map_err(failed)? == Put::Written {
            self.chunks_sent.fetch_add(1, Ordering::Relaxed);
            self.bytes_sent
                .fetch_add(chunk.stored_size, Ordering::Relaxed);
        }
        Ok(chunk)
    }
}

/// Reads so many bytes from there on and hashes them while they are in the processor's cache; `whole` sees them, too.
fn fill(file: &File, at: u64, raw: &mut [u8], whole: &mut Option<Hasher>) -> io::Result<Digest> {
    const STEP: usize = 128 << 10;
    let (mut hasher, mut at) = (Hasher::default(), at);
    for step in raw.chunks_mut(STEP) {
        file.read_exact_at(step, at)?;
        match whole {
            Some(whole) => hasher.update_both(whole, step),
            None => hasher.update(step),
        }
        at += step.len() as u64;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use mimeograph_manifest::archive::Place;
    use mimeograph_manifest::io::dir::DirStore;
    use mimeograph_manifest::io::store::Fetch as _;
    use mimeograph_manifest::layout::Key;
    use mimeograph_manifest::pruned::Dropped;
    use rustix::process::Signal;

    use super::*;
    use crate::held::Belief;

    const MIB: usize = 1 << 20;

    /// Bytes that do not compress.
    fn noise(seed: u8, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            bytes.extend_from_slice(
                Digest::of(&[&[seed][..], &bytes.len().to_le_bytes()].concat()).as_bytes(),
            );
        }
        bytes.truncate(size);
        bytes
    }

    /// An archive that holds these, each under the digest of the other, and where each lies.
    fn archive(blobs: &[(&[u8], &[u8])]) -> (Vec<u8>, Vec<Unread>) {
        let (mut bytes, mut unread) = (Vec::new(), Vec::new());
        for (data, like) in blobs {
            let named = Digest::of(like);
            let hex = named.to_string();
            let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
            let mut header = tar::Header::new_ustar();
            header.set_path(path).unwrap();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            let place = Place {
                archive: 0,
                data: bytes.len() as u64..(bytes.len() + data.len()) as u64,
            };
            unread.push(Unread { place, named });
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        unread.retain(|one| one.place.data.end - one.place.data.start >= MIB as u64);
        (bytes, unread)
    }

    /// What is shipped, from where and to where.
    struct Ground {
        folder: tempfile::TempDir,
        files: Vec<Outgoing>,
        store: DirStore,
    }

    impl Ground {
        fn of(files: &[(&str, Role, &[u8])]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("store")).unwrap();
            let outgoing = files.iter().map(|(name, role, bytes)| {
                let path = folder.path().join(name);
                fs::write(&path, bytes).unwrap();
                Outgoing {
                    name: name.parse().unwrap(),
                    role: *role,
                    path,
                }
            });
            Self {
                files: outgoing.collect(),
                store: DirStore::open(&folder.path().join("store")).unwrap(),
                folder,
            }
        }

        fn ship(
            &self,
            unread: &[Unread],
            parallel: usize,
            interrupt: &Interrupt,
        ) -> Result<Shipped, ShipError> {
            let pace = Pace {
                parallel,
                chunk_size: MIB as u64,
                unread,
                throttle: &Throttle::default(),
                interrupt,
            };
            let held = Held::new(BTreeMap::new(), Dropped::default(), Belief::Listing);
            ship(
                &self.files,
                Generation::V2,
                &self.store,
                held,
                pace,
                &|_| (),
            )
        }

        /// The bytes of a file, from its chunks.
        fn put_together(&self, file: &manifest::File) -> Vec<u8> {
            let mut whole = Vec::new();
            for chunk in &file.chunks {
                let (mut stored, mut room) = (Vec::new(), Vec::new());
                let key = Key::Chunk(chunk.stored);
                assert!(
                    self.store
                        .get(&key, chunk.stored_size, &mut stored)
                        .unwrap()
                );
                whole.extend_from_slice(chunk.open(&stored, &mut room).unwrap());
            }
            whole
        }
    }

    #[test]
    fn files_are_their_chunks_in_order_however_many_are_on_their_way() {
        let [one, many, small] = [MIB, 5 * MIB + 7, 999].map(|size| noise(1, size));
        let (bytes, unread) = archive(&[(&one, &one), (&small, &small), (&many, &many)]);
        assert_eq!(unread.len(), 2);
        let text = b"text ".repeat(300_000);
        let sent: [(&str, Role, &[u8]); 3] = [
            ("text.yaml", Role::Imageset, &text),
            ("mirror_000001.tar", Role::Archive, &bytes),
            ("noise.bin", Role::Extra, &many),
        ];
        let mut before = None;
        for parallel in [1, 2, 7] {
            let ground = Ground::of(&sent);
            let shipped = ground
                .ship(&unread, parallel, &Interrupt::default())
                .unwrap();
            for (file, (name, _, bytes)) in shipped.files.iter().zip(sent) {
                assert_eq!(file.name.as_str(), name);
                assert_eq!(file.size, bytes.len() as u64);
                assert!(ground.put_together(file) == bytes, "{name}");
            }
            let sizes = sent.map(|(_, _, bytes)| bytes.len() as u64);
            let chunks = shipped.files.iter().map(|file| file.chunks.len());
            assert_eq!(shipped.tally.bytes, sizes.iter().sum::<u64>());
            assert_eq!(shipped.tally.chunks, chunks.sum::<usize>() as u64);
            assert_eq!(*before.get_or_insert(shipped.files.clone()), shipped.files);
        }
    }

    #[test]
    fn what_compresses_is_compressed_but_for_extra_files_though_their_bytes_are_there() {
        let text = b"text ".repeat(300_000);
        let ground = Ground::of(&[
            ("text.yaml", Role::Imageset, &text),
            ("text.txt", Role::Extra, &text),
            ("again.yaml", Role::Local, &text),
        ]);
        let shipped = ground.ship(&[], 1, &Interrupt::default()).unwrap();
        let plain = |file: usize| {
            let chunks = &shipped.files[file].chunks;
            chunks.iter().all(|chunk| chunk.encoding == Encoding::None)
        };
        assert_eq!([0, 1].map(plain), [false, true]);
        for file in &shipped.files {
            assert!(ground.put_together(file) == text, "{}", file.name);
        }
        assert_eq!(shipped.tally.chunks_sent, 4);
        assert_eq!(shipped.tally.chunks, 6);
    }

    #[test]
    fn a_blob_that_is_not_what_it_is_named_ends_it() {
        for size in [MIB, 3 * MIB] {
            let good = noise(1, size);
            for wrong in [0, size - 1] {
                let mut bad = good.clone();
                bad[wrong] ^= 1;
                let (bytes, unread) = archive(&[(&bad, &good)]);
                let ground = Ground::of(&[("mirror_000001.tar", Role::Archive, &bytes)]);
                for parallel in [1, 4] {
                    let shipped = ground.ship(&unread, parallel, &Interrupt::default());
                    let error = shipped.unwrap_err();
                    assert_eq!(error.id(), ErrorId::ArchiveDamaged);
                    let ShipError::Archive(ArchiveError::Blob { named, found, .. }) = error else {
                        panic!("{error}");
                    };
                    assert_eq!((named, found), (Digest::of(&good), Digest::of(&bad)));
                }
            }
        }
    }

    #[test]
    fn a_blob_that_lies_elsewhere_by_now_ends_it() {
        let blob = noise(1, MIB);
        let (bytes, mut unread) = archive(&[(&blob, &blob)]);
        let ground = Ground::of(&[("mirror_000001.tar", Role::Archive, &bytes)]);
        unread[0].place.archive = 1;
        let error = ground.ship(&unread, 2, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, ShipError::Lost), "{error}");
        unread[0].place.archive = 0;
        unread[0].place.data.start += 1;
        let error = ground.ship(&unread, 2, &Interrupt::default()).unwrap_err();
        assert!(
            matches!(&error, ShipError::Changed(name) if name == "mirror_000001.tar"),
            "{error}"
        );
    }

    #[test]
    fn the_first_error_ends_it_and_a_signal_too() {
        let bytes = noise(1, 9 * MIB);
        let ground = Ground::of(&[("a.bin", Role::Extra, &bytes)]);
        let chunks = ground.folder.path().join("store/chunks");
        // A file where a folder should be.
        fs::write(&chunks, "").unwrap();
        for parallel in [1, 4] {
            let error = ground
                .ship(&[], parallel, &Interrupt::default())
                .unwrap_err();
            assert!(matches!(error, ShipError::Store { .. }), "{error}");
        }
        fs::remove_file(&chunks).unwrap();
        let raised = Interrupt::default();
        raised.raise(Signal::TERM);
        let error = ground.ship(&[], 2, &raised).unwrap_err();
        assert!(matches!(error, ShipError::Interrupted), "{error}");
        assert!(!chunks.exists());
    }
}
