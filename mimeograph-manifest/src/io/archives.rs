//! Archives on disk, read to their end: blobs several at once, and none whose digest is known already.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::workers;
use crate::archive::{ArchiveError, Contents, Headers, Place, survey};
use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::manifest::{Generation, Manifest, Role};

/// Digests of stretches of archives, by whoever hashed exactly these bytes.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashMap<(usize, u64, u64), Digest>);

impl Digests {
    /// Those of a bundle's chunks, for archives that were put together from them.
    pub fn of_chunks(manifest: &Manifest) -> Self {
        let mut digests = Self::default();
        for (archive, file) in manifest.files(Role::Archive).enumerate() {
            let mut at = 0;
            for chunk in &file.chunks {
                digests.note(archive, at..at + chunk.raw_size, chunk.raw);
                at += chunk.raw_size;
            }
        }
        digests
    }

    /// The digest of exactly these bytes of the archive of this number, counted from 0.
    pub fn get(&self, archive: usize, data: &Range<u64>) -> Option<Digest> {
        self.0.get(&(archive, data.start, data.end)).copied()
    }

    fn note(&mut self, archive: usize, data: Range<u64>, digest: Digest) {
        self.0.insert((archive, data.start, data.end), digest);
    }
}

/// How archives are read.
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Reading<'a> {
    /// Blobs that are hashed at once.
    pub parallel: usize,
    /// What is longer is hashed in pieces of this length, too, as [`crate::chunk::plan`] cuts it.
    pub chunk_size: u64,
    /// What is known already.
    pub known: &'a Digests,
    /// Hears of every byte.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// What archives hold, and the digests of what they will be cut into, or were: blobs from [`limits::CUT_SIZE`] on, whole
/// or in pieces.
pub fn read(
    archives: &[PathBuf],
    generation: Generation,
    reading: &Reading<'_>,
) -> Result<(Contents, Digests), ArchiveError> {
    let mut names = Vec::new();
    let mut files = Vec::new();
    for path in archives {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let opened = File::open(path);
        files.push(opened.map_err(|source| failed(&name, source))?);
        names.push(name);
    }
    let headers = names
        .iter()
        .zip(&files)
        .map(|(name, file)| Headers::new(name, generation, file));
    let survey = survey(headers, &mut |bytes| (reading.progress)(bytes))?;
    let hashed = workers::each(survey.unread(), reading.parallel, |unread| {
        let Place { archive, data } = &unread.place;
        let hashed = match reading.known.get(*archive, data) {
            Some(whole) => Ok(Hashed {
                whole,
                pieces: Vec::new(),
            }),
            None => hash(&files[*archive], data, reading.chunk_size)
                .map_err(|source| failed(&names[*archive], source)),
        };
        (reading.progress)(data.end - data.start);
        hashed
    })?;
    let mut digests = Digests::default();
    for (unread, hashed) in survey.unread().iter().zip(&hashed) {
        for (data, digest) in &hashed.pieces {
            digests.note(unread.place.archive, data.clone(), *digest);
        }
    }
    let found: Vec<_> = hashed.iter().map(|hashed| hashed.whole).collect();
    let contents = survey.confirm(&found)?;
    for (blob, place) in &contents.places.blobs {
        let size = place.data.end - place.data.start;
        if (limits::CUT_SIZE..=reading.chunk_size).contains(&size) {
            digests.note(place.archive, place.data.clone(), *blob);
        }
    }
    Ok((contents, digests))
}

fn failed(archive: &str, source: std::io::Error) -> ArchiveError {
    ArchiveError::Read {
        archive: archive.to_owned(),
        source,
    }
}

/// The digest of a stretch, and, where it is longer than a chunk, those of its chunks: from the same bytes while they
/// are in the processor's cache.
struct Hashed {
    whole: Digest,
    pieces: Vec<(Range<u64>, Digest)>,
}

fn hash(file: &File, data: &Range<u64>, chunk_size: u64) -> std::io::Result<Hashed> {
    const STEP: u64 = 128 << 10;
    let mut buffer = vec![0; usize::try_from(STEP).unwrap_or_default()];
    let is_cut = data.end - data.start > chunk_size;
    let (mut whole, mut pieces) = (Hasher::default(), Vec::new());
    let mut at = data.start;
    while at < data.end {
        let end = if is_cut {
            data.end.min(at + chunk_size)
        } else {
            data.end
        };
        let (begin, mut piece) = (at, Hasher::default());
        while at < end {
            let size = STEP.min(end - at);
            let bytes = &mut buffer[..usize::try_from(size).unwrap_or_default()];
            file.read_exact_at(bytes, at)?;
            // A hasher takes every byte and never fails.
            let _ = whole.write_all(bytes);
            if is_cut {
                let _ = piece.write_all(bytes);
            }
            at += size;
        }
        if is_cut {
            pieces.push((begin..end, piece.finish()));
        }
    }
    Ok(Hashed {
        whole: whole.finish(),
        pieces,
    })
}
