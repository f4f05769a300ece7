//! A file of a bundle, read straight out of its chunks: each is verified before a byte of it is seen.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use mimeograph_manifest::chunk::Encoding;
use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::io::fetched::{self, FetchError};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::File;

/// Reads and seeks in a file that is nowhere but in its chunks.
pub struct ChunkReader<'a> {
    store: &'a dyn Fetch,
    file: &'a File,
    /// Where each chunk begins.
    starts: Vec<u64>,
    seen: Vec<bool>,
    at: u64,
    current: Option<usize>,
    /// The current chunk, as it is stored.
    stored: Vec<u8>,
    /// The same decompressed, where it is compressed.
    room: Vec<u8>,
    /// What went wrong, whole: `io::Error` carries its text only.
    failure: Option<FetchError>,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> ChunkReader<'a> {
    /// Begins at the start.
    pub fn new(store: &'a dyn Fetch, file: &'a File, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        let starts = file
            .chunks
            .iter()
            .scan(0, |at, chunk| {
                let start = *at;
                *at += chunk.raw_size;
                Some(start)
            })
            .collect();
        Self {
            store,
            file,
            starts,
            seen: vec![false; file.chunks.len()],
            at: 0,
            current: None,
            stored: Vec::new(),
            room: Vec::new(),
            failure: None,
            progress,
        }
    }

    /// Verifies the chunks that were not read yet.
    pub fn finish(&mut self) -> Result<(), FetchError> {
        for number in self.unseen() {
            self.turn_to(number)?;
        }
        Ok(())
    }

    /// The numbers of the chunks that were not read yet.
    pub fn unseen(&self) -> Vec<usize> {
        (0..self.seen.len())
            .filter(|number| !self.seen[*number])
            .collect()
    }

    /// The numbers of the chunks that hold any of these bytes.
    pub fn holding(&self, data: &Range<u64>) -> Range<usize> {
        let from = self.starts.partition_point(|start| *start <= data.start);
        from.saturating_sub(1)..self.starts.partition_point(|start| *start < data.end)
    }

    /// The digest of a stretch of the file.
    pub fn digest(&mut self, data: &Range<u64>) -> Result<Digest, FetchError> {
        let mut hasher = Hasher::default();
        for number in self.holding(data) {
            self.turn_to(number)?;
            let start = self.starts[number];
            let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let bytes = self.raw();
            let end = within(data.end).min(bytes.len());
            hasher.update(bytes.get(within(data.start)..end).unwrap_or_default());
        }
        Ok(hasher.finish())
    }

    /// The raw bytes of the chunk that was turned to last.
    fn raw(&self) -> &[u8] {
        let chunk = self.current.map(|number| self.file.chunks[number].encoding);
        match chunk {
            None => &[],
            Some(Encoding::None) => &self.stored,
            Some(Encoding::Zstd) => &self.room,
        }
    }

    /// Lets go of what it holds in memory.
    pub fn rest(&mut self) {
        (self.current, self.stored, self.room) = (None, Vec::new(), Vec::new());
    }

    /// Why reading failed.
    pub fn failure(&mut self) -> Option<FetchError> {
        self.failure.take()
    }

    fn turn_to(&mut self, number: usize) -> Result<(), FetchError> {
        if self.current == Some(number) {
            return Ok(());
        }
        let chunk = &self.file.chunks[number];
        self.current = None;
        fetched::chunk(
            self.store,
            self.file,
            chunk,
            &mut self.stored,
            &mut self.room,
        )?;
        self.current = Some(number);
        if !std::mem::replace(&mut self.seen[number], true) {
            (self.progress)(chunk.raw_size);
        }
        Ok(())
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.file.size || into.is_empty() {
            return Ok(0);
        }
        let number = self.starts.partition_point(|start| *start <= self.at) - 1;
        if let Err(error) = self.turn_to(number) {
            let text = error.to_string();
            self.failure = Some(error);
            return Err(io::Error::other(text));
        }
        let offset = usize::try_from(self.at - self.starts[number]).map_err(io::Error::other)?;
        let bytes = self.raw().get(offset..).unwrap_or_default();
        let count = into.len().min(bytes.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for ChunkReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
