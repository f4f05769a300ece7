//! What an archive holds: read once from end to end, every blob hashed against its name.
//!
//! Entry after entry in [`inspect`]; or first all but the large blobs in [`survey`], which whoever can read in several
//! places at once, or has their digests already, then confirms.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write as _};
use std::ops::Range;

use super::{ArchiveError, Entry, Headers, What};
use crate::digest::{Digest, Hasher};
use crate::inventory::{ImageManifest, Structure};
use crate::limits;

/// What was found in the archives of one bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The structural part of the inventory.
    pub structure: Structure,
    /// Copies of the image set configuration that travel inside, by digest.
    pub imagesets: Vec<Digest>,
    /// Entries of uploads that were broken off: junk, harmless.
    pub uploads: u64,
    /// Where what may be read again lies.
    pub places: Places,
}

/// Where blobs and the files of the working directory lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The files, by their path below `working-dir/`. Of one that comes twice the last counts, as where it is unpacked.
    pub working: BTreeMap<String, Place>,
    /// The blobs.
    pub blobs: BTreeMap<Digest, Place>,
}

/// A stretch of one of several archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which archive, counted from 0.
    pub archive: usize,
    /// Where in it, in bytes.
    pub data: Range<u64>,
}

/// Everything that looked like an image manifest; those that a link names are kept at the end.
type Candidates = BTreeMap<Digest, ImageManifest>;

/// Reads all archives of a bundle, one after the other. `read` hears of every byte, for progress.
pub fn inspect<R: Read + Seek>(
    archives: impl IntoIterator<Item = Result<Headers<R>, ArchiveError>>,
    read: &mut dyn FnMut(u64),
) -> Result<Contents, ArchiveError> {
    let mut walk = Walk::default();
    for headers in archives {
        walk.archive(headers?, None, read)?;
    }
    Ok(walk.end())
}

/// A blob that is no image manifest, and was not hashed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it lies.
    pub place: Place,
    /// The digest that its name says.
    named: Digest,
}

/// Archives of which all was read but blobs.
#[derive(Debug)]
pub struct Survey {
    contents: Contents,
    archives: Vec<String>,
    unread: Vec<Unread>,
}

/// Reads all archives of a bundle, but for the blobs that cannot be image manifests.
pub fn survey<R: Read + Seek>(
    archives: impl IntoIterator<Item = Result<Headers<R>, ArchiveError>>,
    read: &mut dyn FnMut(u64),
) -> Result<Survey, ArchiveError> {
    let (mut walk, mut unread, mut names) = (Walk::default(), Vec::new(), Vec::new());
    for headers in archives {
        let headers = headers?;
        names.push(headers.archive().to_owned());
        walk.archive(headers, Some(&mut unread), read)?;
    }
    Ok(Survey {
        contents: walk.end(),
        archives: names,
        unread,
    })
}

impl Survey {
    /// What is to be hashed yet.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// The contents, once what was unread is hashed: `found` are the digests, in the same order.
    pub fn confirm(self, found: &[Digest]) -> Result<Contents, ArchiveError> {
        for (number, unread) in self.unread.iter().enumerate() {
            // One that nobody hashed is no blob.
            let found = found
                .get(number)
                .copied()
                .unwrap_or_else(|| Digest::of(b""));
            if found != unread.named {
                return Err(ArchiveError::Blob {
                    archive: self.archives[unread.place.archive].clone(),
                    named: unread.named,
                    found,
                });
            }
        }
        Ok(self.contents)
    }
}

/// Archives that are being read.
struct Walk {
    contents: Contents,
    candidates: Candidates,
    buffer: Vec<u8>,
    /// How many archives there were.
    archives: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            contents: Contents::default(),
            candidates: Candidates::new(),
            buffer: vec![0; 1 << 20],
            archives: 0,
        }
    }
}

impl Walk {
    /// Reads one to its end. Where there is an `unread`, blobs that cannot be image manifests go there.
    fn archive<R: Read + Seek>(
        &mut self,
        mut headers: Headers<R>,
        mut unread: Option<&mut Vec<Unread>>,
        read: &mut dyn FnMut(u64),
    ) -> Result<(), ArchiveError> {
        let archive = self.archives;
        while let Some(entry) = headers.next_entry()? {
            self.contents.places.note(archive, &entry);
            if let (Some(unread), What::Blob(named)) = (&mut unread, &entry.what)
                && !may_be_manifest(&mut headers, &entry)?
            {
                self.contents.structure.blobs.insert(*named, entry.size());
                let place = Place {
                    archive,
                    data: entry.data,
                };
                unread.push(Unread {
                    place,
                    named: *named,
                });
                continue;
            }
            visit(
                &mut headers,
                &entry,
                &mut self.contents,
                &mut self.candidates,
                &mut self.buffer,
            )?;
            read(entry.size());
        }
        self.archives += 1;
        Ok(())
    }

    fn end(mut self) -> Contents {
        self.contents.structure.keep_manifests(self.candidates);
        self.contents
    }
}

/// Whether a blob has the length of an image manifest and begins like one. Of short ones it is not asked.
fn may_be_manifest<R: Read + Seek>(
    headers: &mut Headers<R>,
    entry: &Entry,
) -> Result<bool, ArchiveError> {
    const SHORT: u64 = 64 << 10;
    if entry.size() <= SHORT || entry.size() > limits::IMAGE_MANIFEST_SIZE {
        return Ok(entry.size() <= SHORT);
    }
    let archive = headers.archive().to_owned();
    let mut first = [0];
    match headers.data(entry)?.read_exact(&mut first) {
        Ok(()) => Ok(first == *b"{"),
        Err(source) => Err(ArchiveError::Read { archive, source }),
    }
}

impl Places {
    fn note(&mut self, archive: usize, entry: &Entry) {
        let place = || Place {
            archive,
            data: entry.data.clone(),
        };
        match &entry.what {
            What::Blob(digest) => {
                self.blobs.insert(*digest, place());
            }
            What::Working => {
                if let Some(path) = entry.path.strip_prefix("working-dir/") {
                    self.working.insert(path.to_owned(), place());
                }
            }
            _ => {}
        }
    }
}

fn visit<R: Read + Seek>(
    headers: &mut Headers<R>,
    entry: &Entry,
    contents: &mut Contents,
    candidates: &mut Candidates,
    buffer: &mut [u8],
) -> Result<(), ArchiveError> {
    let archive = headers.archive().to_owned();
    let refused = |problem| {
        Err(ArchiveError::Refused {
            archive: archive.clone(),
            path: entry.path.clone(),
            problem,
        })
    };
    let structure = &mut contents.structure;
    match &entry.what {
        What::Blob(digest) => {
            let image = check_blob(headers, entry, *digest, buffer)?;
            candidates.extend(image.map(|image| (*digest, image)));
            structure.blobs.insert(*digest, entry.size());
        }
        What::Tag { repository, tag } => match read_link(headers, entry)? {
            Some(digest) if structure.tag(repository, tag, digest) => {}
            Some(_) => return refused("a tag that comes twice with different digests"),
            None => return refused("a link that does not hold a digest"),
        },
        What::TagLink {
            repository,
            tag,
            digest,
        } => {
            if !structure.tag(repository, tag, *digest) {
                return refused("a tag that comes twice with different digests");
            }
        }
        What::Revision { repository, digest } => {
            if entry.path.ends_with("/link") {
                if read_link(headers, entry)? != Some(*digest) {
                    return refused("a link that does not hold the digest in its path");
                }
            } else {
                let image = check_blob(headers, entry, *digest, buffer)?;
                candidates.extend(image.map(|image| (*digest, image)));
                structure.blobs.insert(*digest, entry.size());
            }
            structure.revision(repository, *digest);
        }
        What::Link => {
            // The last component but one is the digest that it must hold.
            let named = entry
                .path
                .rsplit('/')
                .nth(1)
                .and_then(|hex| hex.parse().ok());
            if read_link(headers, entry)? != named {
                return refused("a link that does not hold the digest in its path");
            }
        }
        What::Upload => contents.uploads += 1,
        What::Imageset => contents.imagesets.push(hash(headers, entry, buffer)?.0),
        What::Working => {}
    }
    Ok(())
}

/// A link's digest; `None` where it holds anything else.
fn read_link<R: Read + Seek>(
    headers: &mut Headers<R>,
    entry: &Entry,
) -> Result<Option<Digest>, ArchiveError> {
    const LENGTH: u64 = 71;
    if entry.size() != LENGTH {
        return Ok(None);
    }
    let archive = headers.archive().to_owned();
    let mut text = String::new();
    match headers.data(entry)?.read_to_string(&mut text) {
        Ok(_) => Ok(Digest::from_oci(&text).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(source) => Err(ArchiveError::Read { archive, source }),
    }
}

/// Hashes a blob against its name; an image manifest is read on the way.
fn check_blob<R: Read + Seek>(
    headers: &mut Headers<R>,
    entry: &Entry,
    named: Digest,
    buffer: &mut [u8],
) -> Result<Option<ImageManifest>, ArchiveError> {
    let (found, small) = hash(headers, entry, buffer)?;
    if found != named {
        return Err(ArchiveError::Blob {
            archive: headers.archive().to_owned(),
            named,
            found,
        });
    }
    Ok(small.and_then(|bytes| ImageManifest::parse(&bytes)))
}

/// The digest of an entry's data, and the data itself where it may be an image manifest.
fn hash<R: Read + Seek>(
    headers: &mut Headers<R>,
    entry: &Entry,
    buffer: &mut [u8],
) -> Result<(Digest, Option<Vec<u8>>), ArchiveError> {
    let archive = headers.archive().to_owned();
    let mut kept = (entry.size() <= limits::IMAGE_MANIFEST_SIZE).then(Vec::new);
    let mut hasher = Hasher::default();
    let mut data = headers.data(entry)?;
    let mut left = entry.size();
    while left > 0 {
        let count = match data.read(buffer) {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            other => other,
        }
        .map_err(|source| ArchiveError::Read {
            archive: archive.clone(),
            source,
        })?;
        if left == entry.size() && buffer.first() != Some(&b'{') {
            kept = None;
        }
        // A hasher takes every byte and never fails.
        let _ = hasher.write_all(&buffer[..count]);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&buffer[..count]);
        }
        left -= count as u64;
    }
    Ok((hasher.finish(), kept))
}
