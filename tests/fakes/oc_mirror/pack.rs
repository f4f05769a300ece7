//! Packing the archive: the link tree, what is new, the working directory and the image set.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor};
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::failure::Failure;
use crate::log::Log;
use crate::misdeeds;
use crate::release::Release;
use crate::settings::Settings;
use crate::tar_writer::{Header, Kind, TarWriter};

const GIB: u64 = 1024 * 1024 * 1024;

/// Where the bytes of an entry come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// One entry on its way into the archive.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// What is packed.
#[derive(Debug)]
pub(crate) struct Packing<'a> {
    pub(crate) out: &'a Path,
    pub(crate) cache: &'a Cache,
    pub(crate) working: &'a Path,
    pub(crate) image_set: &'a [u8],
    /// Digests of blobs that no archive carried yet.
    pub(crate) blobs: &'a [String],
    pub(crate) stamp: &'a str,
    pub(crate) archive_size: Option<u64>,
    pub(crate) strict: bool,
}

impl Packing<'_> {
    /// Every entry, in the release's order.
    pub(crate) fn entries(&self, release: Release) -> Result<Vec<Entry>, Failure> {
        let repositories = self.cache.repositories();
        let mut entries = Vec::new();
        walk(&repositories, "docker/registry/v2/repositories", &mut entries).map_err(|_| {
            let path = repositories.display();
            Failure::new(1, format!("unable to add cache repositories to the archive : lstat {path}: no such file or directory"))
        })?;
        let blobs = self.blobs.iter().map(|digest| Entry {
            name: Cache::blob_name(digest),
            source: Source::File(self.cache.blob_path(digest)),
        });
        let mut rest = Vec::new();
        walk(self.working, "working-dir", &mut rest)?;
        rest.push(Entry {
            name: format!("isc_{}", self.stamp),
            source: Source::Bytes(self.image_set.to_vec()),
        });
        if release == Release::V5_2 {
            entries.extend(blobs);
            entries.append(&mut rest);
        } else {
            entries.append(&mut rest);
            entries.extend(blobs);
        }
        Ok(entries)
    }

    /// Write the chunks. The caller writes the history between the entries and the end marker.
    pub(crate) fn write(
        &self,
        entries: &[Entry],
        settings: &Settings,
        log: &Log,
        before_end: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let limit = settings
            .number("ARCHIVE_BYTES")
            .unwrap_or(self.archive_size.unwrap_or(500) * GIB);
        let mut chunks = Chunks {
            out: self.out,
            number: 0,
            limit,
            current: None,
            middle: 0,
        };
        for (index, entry) in entries.iter().enumerate() {
            misdeeds::while_packing(settings, index, entries.len(), &mut chunks)?;
            let (header, mut body) = open(entry, settings)?;
            if header.size > limit && self.strict {
                return Err(Failure::new(
                    1,
                    format!(
                        "maxArchiveSize {limit} is too small compared to sizes of files that need to be included in the archive.\n{}: {}",
                        entry.name, header.size
                    ),
                ));
            }
            if header.size > limit {
                log.warn(&format!(
                    "{}: {} exceeds the maximum archive size {limit}",
                    entry.name, header.size
                ));
                chunks.alone(&header, &mut body)?;
            } else {
                chunks.append(&header, &mut body)?;
            }
        }
        before_end()?;
        chunks.finish(settings)
    }
}

/// The chunks that are being written.
#[derive(Debug)]
pub(crate) struct Chunks<'a> {
    out: &'a Path,
    number: u32,
    limit: u64,
    current: Option<TarWriter<BufWriter<File>>>,
    /// Where the last entry with a body has its middle.
    middle: u64,
}

impl Chunks<'_> {
    fn append(&mut self, header: &Header, body: &mut dyn io::Read) -> Result<(), Failure> {
        let full = self
            .current
            .as_ref()
            .is_some_and(|tar| tar.written() > 0 && tar.written() + header.size > self.limit);
        if full {
            self.close()?;
        }
        if self.current.is_none() {
            self.current = Some(self.create()?);
        }
        if let Some(tar) = self.current.as_mut() {
            tar.append(header, &mut Dynamic(body))?;
            if header.size > 1 {
                self.middle = tar.written() - header.size.next_multiple_of(512) + header.size / 2;
            }
        }
        Ok(())
    }

    /// An entry over the limit has a chunk of its own, while the current one stays open.
    fn alone(&mut self, header: &Header, body: &mut dyn io::Read) -> Result<(), Failure> {
        let mut tar = self.create()?;
        tar.append(header, &mut Dynamic(body))?;
        tar.finish()?;
        Ok(())
    }

    fn create(&mut self) -> io::Result<TarWriter<BufWriter<File>>> {
        self.number += 1;
        Ok(TarWriter::new(BufWriter::new(File::create(chunk_path(
            self.out,
            self.number,
        ))?)))
    }

    fn close(&mut self) -> io::Result<()> {
        self.current
            .take()
            .map_or(Ok(()), |tar| tar.finish().map(drop))
    }

    /// Leave what is there as it is.
    pub(crate) fn abandon(&mut self) -> io::Result<()> {
        self.current
            .take()
            .map_or(Ok(()), |tar| tar.abandon().map(drop))
    }

    fn finish(mut self, settings: &Settings) -> Result<(), Failure> {
        if self.current.is_none() && self.number == 0 {
            self.current = Some(self.create()?);
        }
        if settings.does("no-end-marker") {
            self.abandon()?;
        }
        self.close()?;
        if settings.does("truncated") {
            let last = File::options()
                .write(true)
                .open(chunk_path(self.out, self.number))?;
            last.set_len(self.middle)?;
        }
        if settings.does("stale-chunk") {
            misdeeds::stale_chunk(&chunk_path(self.out, self.number + 1))?;
        }
        Ok(())
    }
}

/// Lets a generic writer take any reader.
struct Dynamic<'a>(&'a mut dyn io::Read);

impl io::Read for Dynamic<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// `mirror_000001.tar` and so on.
pub(crate) fn chunk_path(out: &Path, number: u32) -> PathBuf {
    out.join(format!("mirror_{number:06}.tar"))
}

fn open(entry: &Entry, settings: &Settings) -> Result<(Header, Box<dyn io::Read>), Failure> {
    let (mut header, body): (Header, Box<dyn io::Read>) = match &entry.source {
        Source::File(path) => {
            let file = File::open(path)?;
            (
                Header::of(entry.name.clone(), &file.metadata()?),
                Box::new(file),
            )
        }
        Source::Bytes(bytes) => (
            plain(&entry.name, bytes.len() as u64)?,
            Box::new(Cursor::new(bytes.clone())),
        ),
    };
    if settings.does("random-uid") {
        (header.uid, header.gid) = (1_000_660_000, 1_000_660_000);
    }
    Ok((header, body))
}

/// A header for bytes that lie in no file, owned as files of this process are.
pub(crate) fn plain(name: &str, size: u64) -> io::Result<Header> {
    let own = fs::metadata("/proc/self")?;
    Ok(Header {
        kind: Kind::File,
        mode: 0o644,
        size,
        ..Header::of(name.to_owned(), &own)
    })
}

/// All regular files, as Go's `filepath.Walk` finds them: sorted within each folder.
fn walk(dir: &Path, name: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    let mut found = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(fs::DirEntry::file_name);
    for file in found {
        let name = format!("{name}/{}", file.file_name().to_string_lossy());
        if file.file_type()?.is_dir() {
            walk(&file.path(), &name, entries)?;
        } else {
            entries.push(Entry {
                name,
                source: Source::File(file.path()),
            });
        }
    }
    Ok(())
}
