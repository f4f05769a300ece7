//! Writing a volume: all that it will hold is known first, room is looked for, and what was written is read back.

use std::collections::HashSet;
use std::path::Path;

use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::console::Progress;
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::store::{Fetch, StoreError};
use mimeograph_manifest::io::{disk, listing, workers};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::media::{PLAN, VolumeSize};

/// What covers everything else on a volume.
const SUMS: &str = "SHA256SUMS";
/// Room for the papers and the plan.
const PAPERS: u64 = 256 << 10;
/// Chunks on their way at once.
const PARALLEL: usize = 4;
/// What a line of [`SUMS`] takes for a chunk.
const LINE: u64 = 64 + 2 + "chunks/00/".len() as u64 + 64 + 1;

/// What papers take at most, where so many chunks lie on a volume.
pub(super) fn papers_size(chunks: usize) -> u64 {
    PAPERS + chunks as u64 * LINE
}

/// Whether what was written is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadBack {
    Yes,
    No,
}

impl From<bool> for ReadBack {
    fn from(read_back: bool) -> Self {
        if read_back { Self::Yes } else { Self::No }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Bytes of all files on the volume.
    pub bytes: u64,
    /// Those of them that were not there before.
    pub new_bytes: u64,
}

/// Why a volume is not written.
#[derive(Debug, thiserror::Error)]
enum VolumeError {
    /// There is something else.
    #[error("`{folder}` holds {what}")]
    Occupied { folder: String, what: String },
    /// It does not fit.
    #[error("`{folder}` has {free} bytes free, and {need} more are needed")]
    NoRoom {
        folder: String,
        free: u64,
        need: u64,
    },
    /// It fits nowhere.
    #[error("this volume takes {need} bytes, more than the {room} that it has")]
    TooLarge { need: u64, room: u64 },
    /// The store has other bytes than were signed.
    #[error("`{0}` in the store is missing, or is not what was signed")]
    Source(Key),
    /// The medium has other bytes than were written.
    #[error("`{name}` was written to `{folder}`, and reads otherwise")]
    Medium { name: String, folder: String },
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while exporting")]
    Interrupted,
}

impl Fault for VolumeError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Occupied { .. } | Self::TooLarge { .. } => ErrorId::Usage,
            Self::NoRoom { .. } => ErrorId::NoSpace,
            Self::Source(_) => ErrorId::StoreDamaged,
            Self::Medium { .. } => ErrorId::Io,
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Occupied { .. } => "give each volume an empty folder of its own",
                Self::NoRoom { .. } => "make room there, or take smaller volumes: `--volume-size`",
                Self::TooLarge { .. } => "begin anew with `--volume 1`: more was signed since the export was planned",
                Self::Source(_) => "`mimeograph-bundler check-store` says what else is damaged; `--repair` mends it",
                Self::Medium { .. } => "the medium is damaged, or its reader: take another one",
                Self::Interrupted => "run it again: what is on the volume is not written twice",
            }
            .into(),
        )
    }
}

/// A volume that is to be written.
pub(super) struct Volume<'a> {
    to: &'a Path,
    chunks: &'a [Chunk],
    /// Names and contents, in the order in which they are written: papers, then signatures and manifests, then [`SUMS`].
    files: Vec<(String, Vec<u8>)>,
}

impl<'a> Volume<'a> {
    /// Chunks, documents and papers.
    pub(super) fn new(
        to: &'a Path,
        chunks: &'a [Chunk],
        documents: Vec<(String, Vec<u8>)>,
        papers: Vec<(&'static str, Vec<u8>)>,
    ) -> Self {
        let papers = papers.into_iter();
        let mut files: Vec<_> = papers
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .chain(documents)
            .collect();
        let mut sums: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.clone(), Digest::of(bytes)))
            .collect();
        let of_chunks = chunks
            .iter()
            .map(|chunk| (Key::Chunk(chunk.stored).to_string(), chunk.stored));
        sums.extend(of_chunks);
        sums.sort();
        let lines: Vec<_> = sums
            .iter()
            .map(|(name, digest)| format!("{digest}  {name}\n"))
            .collect();
        files.push((SUMS.to_owned(), lines.concat().into_bytes()));
        Self { to, chunks, files }
    }

    /// Writes what is not there yet.
    pub(super) fn write(
        &self,
        store: &dyn Fetch,
        interrupt: &Interrupt,
        read_back: ReadBack,
        size: Option<&VolumeSize>,
    ) -> Result<Written, Failure> {
        if let Some(size) = size {
            let need = self.sizes().map(|bytes| size.takes(bytes)).sum();
            if need > size.room() {
                let room = size.room();
                return Err(VolumeError::TooLarge { need, room }.into());
            }
        }
        disk::create_folder(self.to, 0o755)?;
        let medium = DirStore::open(self.to)?;
        self.check_free(&medium)?;
        let bytes = self.sizes().sum();
        let progress = Progress::begin("exporting", bytes);
        let work = Work {
            store,
            medium: &medium,
            read_back,
            interrupt,
            folder: self.folder(),
        };
        let written = workers::each_with(self.chunks, PARALLEL, |room: &mut Vec<u8>, chunk| {
            let new = work.chunk(chunk, room)?;
            progress.add(chunk.stored_size);
            Ok::<_, Failure>(new)
        })?;
        let mut new_bytes: u64 = written.iter().sum();
        let mut room = Vec::new();
        for (name, bytes) in &self.files {
            new_bytes += work.file(name, bytes, &mut room)?;
            progress.add(bytes.len() as u64);
        }
        progress.finish();
        Ok(Written { bytes, new_bytes })
    }

    fn sizes(&self) -> impl Iterator<Item = u64> {
        let files = self.files.iter().map(|(_, bytes)| bytes.len() as u64);
        let chunks = self.chunks.iter().map(|chunk| chunk.stored_size);
        files.chain(chunks)
    }

    fn folder(&self) -> String {
        self.to.display().to_string()
    }

    /// Refuses a folder that is another volume, and one without room.
    fn check_free(&self, medium: &DirStore) -> Result<(), Failure> {
        let there = listing::chunks(medium)?;
        let ours: HashSet<_> = self.chunks.iter().map(|chunk| chunk.stored).collect();
        let occupied = |what: String| VolumeError::Occupied {
            folder: self.folder(),
            what,
        };
        if let Some(other) = there.keys().find(|stored| !ours.contains(stored)) {
            let key = Key::Chunk(*other);
            return Err(occupied(format!("`{key}`, which belongs on another volume")).into());
        }
        let mut plan = Vec::new();
        let found = medium.read_name(PLAN, PAPERS, &mut plan)?;
        let mut files = self.files.iter();
        let planned = files.find(|(name, _)| name == PLAN);
        if found && planned.is_some_and(|(_, bytes)| *bytes != plan) {
            return Err(occupied("the volume of another export".into()).into());
        }
        let lacking = self
            .chunks
            .iter()
            .filter(|chunk| there.get(&chunk.stored) != Some(&chunk.stored_size));
        let lacking = lacking.map(|chunk| chunk.stored_size);
        let files = self.files.iter().map(|(_, bytes)| bytes.len() as u64);
        // Clusters of FAT32 have up to 32 KiB.
        let need: u64 = lacking
            .chain(files)
            .map(|bytes| bytes.next_multiple_of(32 << 10))
            .sum();
        let free = disk::free_space(self.to)?;
        if free < need {
            let folder = self.folder();
            return Err(VolumeError::NoRoom { folder, free, need }.into());
        }
        Ok(())
    }
}

struct Work<'a> {
    store: &'a dyn Fetch,
    medium: &'a DirStore,
    read_back: ReadBack,
    interrupt: &'a Interrupt,
    folder: String,
}

impl Work<'_> {
    /// Copies a chunk unless it is there; how many bytes were written.
    fn chunk(&self, chunk: &Chunk, room: &mut Vec<u8>) -> Result<u64, Failure> {
        if self.interrupt.is_raised() {
            return Err(VolumeError::Interrupted.into());
        }
        let key = Key::Chunk(chunk.stored);
        let name = key.to_string();
        if self.is_there(&name, chunk.stored_size, &chunk.stored, room)? {
            return Ok(0);
        }
        let found = self.store.get(&key, chunk.stored_size, room)?;
        if !found || Digest::of(room) != chunk.stored {
            return Err(VolumeError::Source(key).into());
        }
        self.medium.write_name(&name, room)?;
        self.check(&name, chunk.stored_size, &chunk.stored, room)?;
        Ok(chunk.stored_size)
    }

    fn file(&self, name: &str, bytes: &[u8], room: &mut Vec<u8>) -> Result<u64, Failure> {
        let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
        if self.is_there(name, size, &digest, room)? {
            return Ok(0);
        }
        self.medium.write_name(name, bytes)?;
        self.check(name, size, &digest, room)?;
        Ok(size)
    }

    fn check(
        &self,
        name: &str,
        size: u64,
        digest: &Digest,
        room: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.read_back == ReadBack::Yes && !self.is_there(name, size, digest, room)? {
            return Err(VolumeError::Medium {
                name: name.to_owned(),
                folder: self.folder.clone(),
            }
            .into());
        }
        Ok(())
    }

    fn is_there(
        &self,
        name: &str,
        size: u64,
        digest: &Digest,
        room: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let found = self.medium.read_name(name, size, room)?;
        Ok(found && room.len() as u64 == size && Digest::of(room) == *digest)
    }
}
