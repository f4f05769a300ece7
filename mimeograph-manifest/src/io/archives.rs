//! Archives on disk, read to their end: blobs several at once, and none whose digest is known already.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::workers;
use crate::archive::{ArchiveError, Contents, Headers, Place, Survey, Unread, survey};
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
    /// What is known already.
    pub known: &'a Digests,
    /// Hears of every byte.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// What archives hold, every blob hashed.
pub fn read(
    archives: &[PathBuf],
    generation: Generation,
    reading: &Reading<'_>,
) -> Result<Contents, ArchiveError> {
    let opened = Opened::new(archives)?;
    let survey = opened.survey(generation, reading)?;
    opened.confirm(survey, reading)
}

/// What archives hold, every blob hashed but those that are chunks of their own: whoever cuts the archives reads these anyway,
/// and is to hash them before anything is made of the contents.
pub fn survey_for_chunks(
    archives: &[PathBuf],
    generation: Generation,
    reading: &Reading<'_>,
) -> Result<(Contents, Vec<Unread>), ArchiveError> {
    let opened = Opened::new(archives)?;
    let mut survey = opened.survey(generation, reading)?;
    let left = survey.leave(limits::CUT_SIZE);
    Ok((opened.confirm(survey, reading)?, left))
}

/// Archives, open.
struct Opened {
    names: Vec<String>,
    files: Vec<File>,
}

impl Opened {
    fn new(archives: &[PathBuf]) -> Result<Self, ArchiveError> {
        let (mut names, mut files) = (Vec::new(), Vec::new());
        for path in archives {
            let name = path.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            files.push(File::open(path).map_err(|source| failed(&name, source))?);
            names.push(name);
        }
        Ok(Self { names, files })
    }

    fn survey(
        &self,
        generation: Generation,
        reading: &Reading<'_>,
    ) -> Result<Survey, ArchiveError> {
        let files = self.names.iter().zip(&self.files);
        let headers = files.map(|(name, file)| Headers::new(name, generation, Window::new(file)));
        survey(headers, &mut |bytes| (reading.progress)(bytes))
    }

    fn confirm(&self, survey: Survey, reading: &Reading<'_>) -> Result<Contents, ArchiveError> {
        let found = workers::each(survey.unread(), reading.parallel, |unread| {
            let Place { archive, data } = &unread.place;
            let found = match reading.known.get(*archive, data) {
                Some(found) => Ok(found),
                None => hash(&self.files[*archive], data)
                    .map_err(|source| failed(&self.names[*archive], source)),
            };
            (reading.progress)(data.end - data.start);
            found
        })?;
        survey.confirm(&found)
    }
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

fn hash(file: &File, data: &Range<u64>) -> io::Result<Digest> {
    const STEP: u64 = 128 << 10;
    let mut buffer = vec![0; usize::try_from(STEP).unwrap_or_default()];
    let (mut hasher, mut at) = (Hasher::default(), data.start);
    while at < data.end {
        let size = STEP.min(data.end - at);
        let bytes = &mut buffer[..usize::try_from(size).unwrap_or_default()];
        file.read_exact_at(bytes, at)?;
        hasher.update(bytes);
        at += size;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
