//! What an archive holds: read once from end to end, every blob hashed against its name.
//!
//! Entry after entry in [`inspect`]; or first all but the large blobs in [`survey`], which whoever can read in several
//! places at once, or has their digests already, then confirms.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
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
    pub named: Digest,
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

    /// Leaves those of so many bytes or more to someone else, who is to hash them before anything is made of the contents.
    #[must_use]
    pub fn leave(&mut self, size: u64) -> Vec<Unread> {
        let is_left = |unread: &mut Unread| unread.place.data.end - unread.place.data.start >= size;
        self.unread.extract_if(.., is_left).collect()
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
        hasher.update(&buffer[..count]);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&buffer[..count]);
        }
        left -= count as u64;
    }
    Ok((hasher.finish(), kept))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, SeekFrom};

    use tar::{EntryType, Header};

    use super::*;
    use crate::failure::{ErrorId, Fault as _};
    use crate::manifest::Generation;

    const V2: &str = "docker/registry/v2";

    type File = (String, EntryType, Vec<u8>);

    fn file(path: impl Into<String>, data: impl Into<Vec<u8>>) -> File {
        (path.into(), EntryType::Regular, data.into())
    }

    fn blob(data: &[u8]) -> File {
        let hex = Digest::of(data).to_string();
        file(format!("{V2}/blobs/sha256/{}/{hex}/data", &hex[..2]), data)
    }

    fn revision(of: Digest) -> File {
        let path = format!("{V2}/repositories/a/_manifests/revisions/sha256/{of}/link");
        file(path, of.to_oci())
    }

    fn tag(tag: &str, digest: Digest) -> File {
        let path = format!("{V2}/repositories/a/_manifests/tags/{tag}/current/link");
        file(path, digest.to_oci())
    }

    /// v1's link from a tag.
    fn tag_link(tag: &str, digest: Digest) -> File {
        let path = format!("v2/a/manifests/{tag}");
        (path, EntryType::Symlink, digest.to_oci().into_bytes())
    }

    fn archive(files: &[File]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, kind, data) in files {
            let mut header = Header::new_ustar();
            header.set_path(path).unwrap();
            header.set_mode(0o644);
            header.set_entry_type(*kind);
            let data: &[u8] = if *kind == EntryType::Symlink {
                header.as_old_mut().linkname[..data.len()].copy_from_slice(data);
                &[]
            } else {
                data
            };
            header.set_size(data.len() as u64);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    type Opened = Result<Headers<Cursor<Vec<u8>>>, ArchiveError>;

    fn open(generation: Generation, files: &[File]) -> Opened {
        Headers::new("x", generation, Cursor::new(archive(files)))
    }

    fn read(generation: Generation, files: &[File]) -> Result<Contents, ArchiveError> {
        inspect([open(generation, files)], &mut |_| {})
    }

    /// An image manifest of so many bytes.
    fn image(size: u64) -> Vec<u8> {
        let mut text = b"{\"schemaVersion\":2,\"layers\":[],\"pad\":\"".to_vec();
        text.resize(usize::try_from(size).unwrap() - 2, b'p');
        text.extend_from_slice(b"\"}");
        text
    }

    fn noise(size: usize) -> Vec<u8> {
        vec![b'n'; size]
    }

    const SHORT: usize = 64 << 10;

    #[test]
    fn what_cannot_be_an_image_manifest_is_left_to_be_hashed_and_the_outcome_is_the_same() {
        let images = [
            image(100),
            image(SHORT as u64 + 1),
            image(limits::IMAGE_MANIFEST_SIZE),
        ];
        let unread = [
            noise(SHORT + 1),
            image(limits::IMAGE_MANIFEST_SIZE + 1),
            noise(2 << 20),
        ];
        let digests =
            |list: &[Vec<u8>]| list.iter().map(|data| Digest::of(data)).collect::<Vec<_>>();
        let mut files = vec![
            blob(&noise(SHORT)),
            file("isc_2026", "imageset"),
            file(format!("{V2}/repositories/a/_uploads/1/data"), "junk"),
            file(format!("{V2}/repositories/a/_uploads/2/data"), "junk"),
        ];
        for data in images.iter().chain(&unread) {
            files.extend([blob(data), revision(Digest::of(data))]);
        }
        let mut bytes = 0;
        let whole = inspect([open(Generation::V2, &files)], &mut |count| bytes += count).unwrap();
        let all: usize = files.iter().map(|(_, _, data)| data.len()).sum();
        assert_eq!(bytes, all as u64);
        let manifests: Vec<_> = whole.structure.manifests.keys().copied().collect();
        let mut expected = digests(&images);
        expected.sort();
        assert_eq!(manifests, expected);
        assert_eq!(whole.structure.blobs.len(), 7);
        assert_eq!(whole.imagesets, [Digest::of(b"imageset")]);
        assert_eq!(whole.uploads, 2);

        let survey = || survey([open(Generation::V2, &files)], &mut |_| {}).unwrap();
        let found = survey();
        let named: Vec<_> = found.unread().iter().map(|one| one.named).collect();
        assert_eq!(named, digests(&unread));
        for one in found.unread() {
            assert_eq!(one.place, whole.places.blobs[&one.named]);
        }
        assert_eq!(found.confirm(&named).unwrap(), whole);
        for wrong in [
            &named[..2],
            &[],
            &[named[0], named[2], named[1]],
            &[named[0], named[1], Digest::of(b"other")],
        ] {
            let refused = survey().confirm(wrong).unwrap_err();
            assert!(matches!(refused, ArchiveError::Blob { .. }), "{refused}");
        }
        for (size, expected) in [
            (SHORT as u64 + 1, &named[..]),
            (2 << 20, &named[1..]),
            ((2 << 20) + 1, &named[1..2]),
            (5 << 20, &[]),
        ] {
            let mut found = survey();
            let left: Vec<_> = found.leave(size).iter().map(|one| one.named).collect();
            assert_eq!(left, expected, "{size}");
            assert_eq!(found.unread().len(), 3 - left.len());
        }
    }

    #[test]
    fn places_tell_where_to_read_again() {
        let (one, two) = (b"one".to_vec(), b"two-2".to_vec());
        let first = [file("working-dir/x", "old"), blob(&one)];
        let second = [
            file("isc_2026", "imageset"),
            file("working-dir/x", "newer"),
            file("working-dir/d/y", ""),
            blob(&two),
        ];
        let archives = [&first[..], &second];
        let opened = archives.map(|files| open(Generation::V2, files));
        let places = inspect(opened, &mut |_| {}).unwrap().places;
        let at = |place: &Place| {
            let bytes = archive(archives[place.archive]);
            let [start, end] =
                [place.data.start, place.data.end].map(|at| usize::try_from(at).unwrap());
            (place.archive, bytes[start..end].to_vec())
        };
        let working: Vec<_> = places
            .working
            .iter()
            .map(|(path, place)| (path.as_str(), at(place)))
            .collect();
        assert_eq!(
            working,
            [("d/y", (1, vec![])), ("x", (1, b"newer".to_vec()))]
        );
        assert_eq!(places.blobs.len(), 2);
        assert_eq!(at(&places.blobs[&Digest::of(&one)]), (0, one));
        assert_eq!(at(&places.blobs[&Digest::of(&two)]), (1, two));
        let large = blob(&noise(SHORT + 1));
        let opened = [&first[..], &[large]].map(|files| open(Generation::V2, files));
        let found = survey(opened, &mut |_| {}).unwrap();
        assert_eq!(found.unread()[0].place.archive, 1);
    }

    fn is_refused(generation: Generation, files: &[File]) -> bool {
        match read(generation, files) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.id(), ErrorId::ArchiveEntryRefused, "{error}");
                true
            }
        }
    }

    #[test]
    fn a_link_holds_the_digest_in_its_path_and_a_tag_one_digest() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let is_refused = |files: &[File]| is_refused(Generation::V2, files);
        assert!(!is_refused(&[
            tag("v1", one),
            tag("v1", one),
            tag("v2", two)
        ]));
        assert!(is_refused(&[tag("v1", one), tag("v1", two)]));
        let layer = format!("{V2}/repositories/a/_layers/sha256/{one}/link");
        let index = format!("{V2}/repositories/a/_manifests/tags/v1/index/sha256/{one}/link");
        for path in [revision(one).0, layer, index] {
            assert!(!is_refused(&[file(path.clone(), one.to_oci())]), "{path}");
            for wrong in [
                two.to_oci(),
                one.to_string(),
                one.to_oci() + "\n",
                String::new(),
            ] {
                assert!(is_refused(&[file(path.clone(), wrong)]), "{path}");
            }
        }
        let path = tag("v1", one).0;
        for wrong in [
            noise(71),
            vec![0xff; 71],
            vec![],
            [one.to_oci().as_bytes(), b"\n"].concat(),
        ] {
            assert!(is_refused(&[file(path.clone(), wrong)]));
        }
    }

    #[test]
    fn v1_carries_image_manifests_under_their_digests_and_tags_as_links() {
        let data = image(100);
        let digest = Digest::of(&data);
        let path = format!("v2/a/manifests/{}", digest.to_oci());
        let whole = [file(path.clone(), data), tag_link("v1", digest)];
        let found = read(Generation::V1, &whole).unwrap().structure;
        assert_eq!(found.resolve("a", "v1"), Some(digest));
        assert!(found.repositories["a"].revisions.contains(&digest));
        assert!(found.manifests.contains_key(&digest));
        assert_eq!(found.blobs[&digest], 100);
        let other = read(Generation::V1, &[file(path, image(101))]).unwrap_err();
        assert!(matches!(other, ArchiveError::Blob { .. }), "{other}");
        let other = tag_link("v1", Digest::of(b"other"));
        let [manifest, link] = whole;
        assert!(!is_refused(
            Generation::V1,
            &[manifest, link.clone(), link.clone()]
        ));
        assert!(is_refused(Generation::V1, &[link, other]));
    }

    #[test]
    fn a_blob_has_the_digest_in_its_path() {
        let (path, kind, mut data) = blob(b"content");
        let good = (path.clone(), kind, data.clone());
        assert_eq!(
            read(Generation::V2, &[good]).unwrap().structure.blobs.len(),
            1
        );
        data[0] ^= 1;
        let error = read(Generation::V2, &[(path, kind, data)]).unwrap_err();
        assert!(matches!(error, ArchiveError::Blob { .. }), "{error}");
    }

    /// A disk that fails beyond that many bytes.
    struct Failing(Cursor<Vec<u8>>, u64);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.position() < self.1 {
                let count = into.len().min(512);
                self.0.read(&mut into[..count])
            } else {
                Err(io::Error::other("broken"))
            }
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn a_disk_that_fails_is_neither_damage_nor_a_refusal() {
        for entry in [
            blob(b"content"),
            tag("v1", Digest::of(b"1")),
            revision(Digest::of(b"1")),
            file("isc_2026", "imageset"),
        ] {
            let disk = Failing(Cursor::new(archive(&[entry])), 512);
            let headers = Headers::new("x", Generation::V2, disk);
            let error = inspect([headers], &mut |_| {}).unwrap_err();
            assert_eq!(error.id(), ErrorId::Io, "{error}");
        }
        let disk = Failing(Cursor::new(archive(&[blob(&noise(SHORT + 1))])), 512);
        let headers = Headers::new("x", Generation::V2, disk);
        let error = survey([headers], &mut |_| {}).unwrap_err();
        assert_eq!(error.id(), ErrorId::Io, "{error}");
    }
}
