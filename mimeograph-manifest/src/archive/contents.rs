//! What an archive holds: read once from end to end, every blob hashed against its name.

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
    let (mut contents, mut candidates) = (Contents::default(), Candidates::new());
    let mut buffer = vec![0; 1 << 20];
    for (archive, headers) in archives.into_iter().enumerate() {
        let mut headers = headers?;
        while let Some(entry) = headers.next_entry()? {
            visit(
                &mut headers,
                &entry,
                &mut contents,
                &mut candidates,
                &mut buffer,
            )?;
            contents.places.note(archive, &entry);
            read(entry.size());
        }
    }
    contents.structure.keep_manifests(candidates);
    Ok(contents)
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
