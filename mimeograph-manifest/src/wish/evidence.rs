//! What a judgement may read: files of `oc-mirror`'s working directory, and blobs.

use std::io::{self, Read, Seek, SeekFrom};

use crate::archive::{Place, Places};
use crate::digest::Digest;

/// Where `oc-mirror`'s working directory and its blobs can be read from: archives, or a folder after a dry run.
pub trait Evidence {
    /// The files below a folder of the working directory, in order. `below` ends with `/` or is empty.
    fn files(&self, below: &str) -> Vec<String>;
    /// A file of the working directory; `None` where there is none, an error where it is longer than `limit`, in bytes.
    fn file(&mut self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// A blob; `None` where it is not here. Its bytes are those that the digest names.
    fn blob(&mut self, digest: &Digest, limit: u64) -> io::Result<Option<Vec<u8>>>;
}

/// Archives whose headers were read to their end, to be looked into again; large blobs may not have been hashed yet.
#[derive(Debug)]
pub struct Archives<'a, R> {
    places: &'a Places,
    readers: Vec<R>,
}

impl<'a, R: Read + Seek> Archives<'a, R> {
    /// The same archives in the same order.
    pub fn new(places: &'a Places, readers: Vec<R>) -> Self {
        Self { places, readers }
    }

    fn read(&mut self, place: Option<&Place>, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(place) = place else {
            return Ok(None);
        };
        let size = place.data.end - place.data.start;
        if size > limit {
            return Err(too_long(limit));
        }
        let Some(reader) = self.readers.get_mut(place.archive) else {
            return Ok(None);
        };
        reader.seek(SeekFrom::Start(place.data.start))?;
        let mut bytes = Vec::new();
        reader.take(size).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl<R: Read + Seek> Evidence for Archives<'_, R> {
    fn files(&self, below: &str) -> Vec<String> {
        let from = self.places.working.range(below.to_owned()..);
        from.map(|(path, _)| path)
            .take_while(|path| path.starts_with(below))
            .cloned()
            .collect()
    }

    fn file(&mut self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.read(self.places.working.get(path), limit)
    }

    fn blob(&mut self, digest: &Digest, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.read(self.places.blobs.get(digest), limit)?;
        // Read again, so looked at again: a file may have changed since.
        Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
    }
}

/// The error for what is longer than it may be.
pub fn too_long(limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("longer than {limit} bytes"),
    )
}
