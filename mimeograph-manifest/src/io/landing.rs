//! Where a chunk's bytes go as they arrive: hashed and written to their place in a file, piece by piece, while they are in
//! the processor's cache. Nothing of a chunk is kept in memory.
//!
//! What was written counts only once its digest was found right; the file is not given to anyone before.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::failpoint;
use crate::digest::{Digest, Hasher};

/// A chunk that is stored as it is, on its way to its place in a file.
#[derive(Debug)]
pub struct Landing {
    file: Arc<File>,
    path: Arc<Path>,
    /// Where in the file it belongs.
    at: u64,
    /// How long it must be.
    size: u64,
    /// How much of it was seen in this try; more than `size`: it is longer.
    seen: u64,
    chunk: Hasher,
    /// Of a stretch of the file that ends where the chunk begins: before it, and with what was seen.
    stretch: Option<(Hasher, Hasher)>,
    failure: Option<io::Error>,
}

/// What has landed.
#[derive(Debug)]
pub struct Landed {
    /// How many bytes were seen; one more than the chunk has stands for any number more.
    pub seen: u64,
    /// The digest of those that were written.
    pub digest: Digest,
    /// The stretch that it goes on, with it.
    pub stretch: Option<Hasher>,
}

impl Landing {
    /// A chunk of `size` bytes that belongs at `at`. `stretch` has seen the bytes right before it and sees its bytes, too.
    pub fn new(
        file: Arc<File>,
        path: Arc<Path>,
        at: u64,
        size: u64,
        stretch: Option<Hasher>,
    ) -> Self {
        Self {
            file,
            path,
            at,
            size,
            seen: 0,
            chunk: Hasher::default(),
            stretch: stretch.map(|before| (before.clone(), before)),
            failure: None,
        }
    }

    /// How long it must be.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Forgets what was seen: it comes from the start, for the first time or again.
    pub(crate) fn begin(&mut self) {
        self.seen = 0;
        self.chunk = Hasher::default();
        if let Some((before, with)) = &mut self.stretch {
            with.clone_from(before);
        }
    }

    /// All of it at once.
    pub(crate) fn filled(mut self, bytes: &[u8]) -> Self {
        self.begin();
        // Why it ended is for `end` to tell.
        let _ = self.take(bytes);
        self
    }

    /// Takes the next piece; no more is wanted where the chunk is longer than it may be, or cannot be written.
    pub(crate) fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        let room = usize::try_from(self.size.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        let (fits, excess) = piece.split_at(piece.len().min(room));
        if let Err(error) = self.write(fits) {
            self.failure = Some(error);
            return ControlFlow::Break(());
        }
        if excess.is_empty() {
            return ControlFlow::Continue(());
        }
        self.seen = self.size + 1;
        ControlFlow::Break(())
    }

    /// What came of it, or why it could not be written.
    pub fn end(self) -> io::Result<Landed> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(Landed {
                seen: self.seen,
                digest: self.chunk.finish(),
                stretch: self.stretch.map(|(_, with)| with),
            }),
        }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.seen == 0 {
            failpoint::reach("write", &*self.path)?;
        }
        // Where points are reached, half of a chunk may have been written.
        let half = self.size / 2;
        let to_half = half.checked_sub(self.seen).filter(|to_half| *to_half > 0);
        let to_half = to_half.and_then(|to_half| usize::try_from(to_half).ok());
        match to_half.filter(|to_half| *to_half <= piece.len()) {
            Some(to_half) if cfg!(feature = "failpoints") => {
                let (first, second) = piece.split_at(to_half);
                self.put(first)?;
                failpoint::reach("write-half", &*self.path)?;
                self.put(second)
            }
            _ => self.put(piece),
        }
    }

    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all_at(piece, self.at + self.seen)?;
        match &mut self.stretch {
            Some((_, with)) => self.chunk.update_both(with, piece),
            None => self.chunk.update(piece),
        }
        self.seen += piece.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn landing(size: u64, stretch: Option<Hasher>) -> (Landing, File) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'.'; 12]).unwrap();
        let path = Path::new("x").into();
        let shared = Arc::new(file.try_clone().unwrap());
        (Landing::new(shared, path, 4, size, stretch), file)
    }

    fn lies(file: &File) -> String {
        let mut bytes = vec![0; 12];
        file.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_chunk_that_comes_again_is_hashed_anew_and_goes_on_its_stretch() {
        let mut before = Hasher::default();
        before.update(b"ab");
        let (mut landing, file) = landing(4, Some(before));
        landing.begin();
        assert!(landing.take(b"xy").is_continue());
        landing.begin();
        assert!(landing.take(b"c").is_continue());
        assert!(landing.take(b"def").is_continue());
        let landed = landing.end().unwrap();
        assert_eq!((landed.seen, landed.digest), (4, Digest::of(b"cdef")));
        let stretch = landed.stretch.unwrap().finish();
        assert_eq!(stretch, Digest::of(b"abcdef"));
        assert_eq!(lies(&file), "....cdef....");
    }

    #[test]
    fn what_is_longer_is_not_written_beyond_its_place() {
        let (mut landing, file) = landing(4, None);
        landing.begin();
        assert!(landing.take(b"cde").is_continue());
        assert!(landing.take(b"fgh").is_break());
        assert_eq!(landing.end().unwrap().seen, 5);
        assert_eq!(lies(&file), "....cdef....");
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut read_only = File::open(file.path()).unwrap();
        assert_eq!(read_only.read(&mut [0; 1]).unwrap(), 0);
        let path: Arc<Path> = file.path().into();
        let mut landing = Landing::new(Arc::new(read_only), path, 0, 4, None);
        landing.begin();
        assert!(landing.take(b"cd").is_break());
        assert!(landing.end().is_err());
    }
}
