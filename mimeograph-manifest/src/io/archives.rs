//! Archives on disk, read to their end: blobs several at once, and none whose digest is known already.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
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
    /// All of both.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

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

    /// The digest of exactly these bytes, by whoever hashed them.
    pub fn note(&mut self, archive: usize, data: Range<u64>, digest: Digest) {
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
        .map(|(name, file)| Headers::new(name, generation, Window::new(file)));
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

fn failed(archive: &str, source: io::Error) -> ArchiveError {
    ArchiveError::Read {
        archive: archive.to_owned(),
        source,
    }
}

/// Reads a file here and there through a window: headers and links lie side by side by the thousand.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    at: u64,
    /// Where in the file the window begins.
    begins: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Nothing is read yet.
    pub fn new(file: &'a File) -> Self {
        Self {
            file,
            at: 0,
            begins: 0,
            bytes: Vec::new(),
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        const SIZE: usize = 64 << 10;
        if into.len() >= SIZE {
            let count = self.file.read_at(into, self.at)?;
            self.at += count as u64;
            return Ok(count);
        }
        let offset = self.at.checked_sub(self.begins);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        let mut offset = offset.unwrap_or(usize::MAX);
        if offset >= self.bytes.len() {
            // Where reading fails, nothing is left in the window.
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(SIZE, 0);
            let count = self.file.read_at(&mut bytes, self.at)?;
            bytes.truncate(count);
            (self.bytes, self.begins, offset) = (bytes, self.at, 0);
        }
        let bytes = &self.bytes[offset..];
        let count = into.len().min(bytes.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The digest of a stretch, and, where it is longer than a chunk, those of its chunks: from the same bytes while they
/// are in the processor's cache.
struct Hashed {
    whole: Digest,
    pieces: Vec<(Range<u64>, Digest)>,
}

fn hash(file: &File, data: &Range<u64>, chunk_size: u64) -> io::Result<Hashed> {
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
            if is_cut {
                whole.update_both(&mut piece, bytes);
            } else {
                whole.update(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_what_a_file_reads() {
        let bytes: Vec<u8> = (0..200_000_u32)
            .map(|n| n.to_le_bytes()[n as usize % 3])
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut window = Window::new(&file);
        let stretches = [
            (0, 512),
            (512, 71),
            (100, 600),
            (65_000, 2_000),
            (150_000, 90_000),
            (3, 9),
        ];
        for (at, count) in stretches {
            assert_eq!(window.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
            let mut read = Vec::new();
            let taken = Read::by_ref(&mut window).take(count as u64);
            { taken }.read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes[at..bytes.len().min(at + count)], "{at}");
        }
        assert_eq!(window.seek(SeekFrom::End(0)).unwrap(), 200_000);
        assert_eq!(window.read(&mut [0; 9]).unwrap(), 0);
    }
}
