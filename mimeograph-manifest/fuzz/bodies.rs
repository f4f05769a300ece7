//! What is fuzzed: each body takes arbitrary bytes and panics where something does not hold. The fuzz targets call
//! them, and so does an ordinary test over the seeds and a few thousand mutations of each (`tests/fuzzed.rs`).

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Component, Path};

use mimeograph_manifest::archive::{Entry, Headers, What, data_ranges, inspect};
use mimeograph_manifest::chunk::{Chunk, Encoding, plan};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::chain;
use mimeograph_manifest::form::Document;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Generation, Manifest};
use mimeograph_manifest::name::{FileName, Sequence, StreamId};
use mimeograph_manifest::pruned::Pruned;
use mimeograph_manifest::signed::{FoundSignature, Signed};
use mimeograph_manifest::trust::TrustedKeys;

/// A manifest or a list that a trusted key has signed is refused, or is written again byte for byte.
pub fn manifest(data: &[u8]) {
    signed::<Manifest>(data, b"\n\"sequence\":");
    signed::<Pruned>(data, b"\n\"number\":");
}

fn signed<T: Document>(data: &[u8], number: &[u8]) {
    let key = SigningKey::from_seed(&[7; 32]);
    let trusted = TrustedKeys::new([key.public()], NonZeroUsize::MIN);
    let found = FoundSignature {
        manifest: Digest::of(data).short(),
        signer: key.public().id().short(),
        bytes: key.sign(data).to_vec(),
    };
    let sequence = number_after(data, number).unwrap_or(Sequence::FIRST);
    match Signed::<T>::new(sequence, data.to_vec(), vec![found]).verify(&trusted) {
        Ok(verified) => {
            assert!(verified.to_bytes().is_ok_and(|bytes| bytes == data));
            assert!(verified.check().is_ok());
            assert_eq!(verified.number(), sequence);
            assert_eq!(verified.payload(), data);
        }
        Err(error) => assert!(!chain(&error).is_empty()),
    }
}

/// The number that stands behind the first `name`: the one that the object's name would have.
fn number_after(data: &[u8], name: &[u8]) -> Option<Sequence> {
    let at = data.windows(name.len()).position(|at| at == name)? + name.len();
    let digits = data[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&data[at..at + digits])
        .ok()?
        .parse()
        .ok()
}

/// What is read as a name prints as it was read, and stays below the folder that it is joined to.
pub fn names(data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        if let Ok(text) = std::str::from_utf8(line) {
            name(text);
        }
    }
}

fn name(text: &str) {
    if let Some(key) = Key::parse(text) {
        assert_eq!(key.to_string(), text);
        assert!(is_below(text), "{text}");
    }
    if let Ok(name) = text.parse::<FileName>() {
        assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        assert!(is_below(text), "{text}");
        assert!(text.len() <= limits::NAME_LENGTH);
        assert!(!name.is_plain() || !text.contains(['/', '@']));
    }
    if let Ok(sequence) = Sequence::from_padded(text) {
        assert_eq!(sequence.padded(), text);
        assert_eq!(sequence.next().padded().len(), 10);
        assert_eq!(Sequence::try_from(sequence.number()), Ok(sequence));
    }
    if let Ok(sequence) = text.parse::<Sequence>() {
        assert_eq!(sequence.to_string().parse(), Ok(sequence));
    }
    if let Ok(stream) = text.parse::<StreamId>() {
        assert_eq!(stream.to_string(), text);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(digest) = Digest::from_oci(text) {
        assert_eq!(digest.to_oci(), text);
    }
}

fn is_below(text: &str) -> bool {
    let mut count = 0;
    let is_normal = Path::new(text).components().all(|part| {
        count += 1;
        matches!(part, Component::Normal(_))
    });
    is_normal && count == text.split('/').count()
}

/// A plan covers every byte once, in order, with no chunk above the limit; a large entry is the same chunks wherever
/// it lies, and small ones change nothing.
pub fn chunk_plan(data: &[u8]) {
    for generation in [Generation::V1, Generation::V2] {
        if let Ok(ranges) = Headers::new("x", generation, Cursor::new(data)).and_then(data_ranges) {
            covers(data.len() as u64, &ranges, limits::CHUNK_SIZE);
            covers(data.len() as u64, &ranges, 512);
        }
    }
    // What an archive of many gigabytes would come to: gaps and entries, four bytes each.
    let mut numbers = data
        .chunks_exact(4)
        .map(|four| u64::from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])));
    let chunk_size = numbers.next().unwrap_or(0).max(1 << 16);
    let (mut at, mut ranges) = (0, Vec::new());
    while let (Some(gap), Some(length)) = (numbers.next(), numbers.next()) {
        let start = at + gap % (4 << 20);
        at = start + length % (64 << 20);
        ranges.push(start..at);
        if ranges.len() == 64 {
            break;
        }
    }
    let size = at + numbers.next().unwrap_or(0) % (4 << 20);
    let chunks = covers(size, &ranges, chunk_size);
    let is_large = |range: &Range<u64>| range.end - range.start >= limits::CUT_SIZE;
    let large: Vec<_> = ranges.into_iter().filter(is_large).collect();
    assert_eq!(plan(size, &large, chunk_size), chunks);
    for entry in large {
        let within = |chunk: &&Range<u64>| entry.start <= chunk.start && chunk.end <= entry.end;
        let here: Vec<_> = chunks
            .iter()
            .filter(within)
            .map(|chunk| chunk.start - entry.start..chunk.end - entry.start)
            .collect();
        let length = entry.end - entry.start;
        assert_eq!(plan(length, &[], chunk_size), here);
    }
}

fn covers(size: u64, ranges: &[Range<u64>], chunk_size: u64) -> Vec<Range<u64>> {
    let chunks = plan(size, ranges, chunk_size);
    let mut at = 0;
    for chunk in &chunks {
        assert_eq!(chunk.start, at);
        assert!(chunk.end > at && chunk.end - at <= chunk_size.min(limits::CHUNK_SIZE));
        at = chunk.end;
    }
    assert_eq!(at, size);
    chunks
}

/// What we accept as an archive, the `tar` crate lists identically.
pub fn archive_walk(data: &[u8]) {
    for bytes in [data.to_vec(), mended(data)] {
        for generation in [Generation::V1, Generation::V2] {
            if let Some(entries) = accepted(&bytes, generation) {
                same_as_the_tar_crate(&bytes, &entries);
            }
        }
    }
}

/// The entries of an archive that is walked to its end without complaint; also looks into it, which may fail, but
/// not panic.
pub fn accepted(bytes: &[u8], generation: Generation) -> Option<Vec<Entry>> {
    let mut read = 0;
    let headers = Headers::new("x", generation, Cursor::new(bytes));
    match inspect([headers], &mut |count| read += count) {
        Ok(_) => assert!(read <= bytes.len() as u64),
        Err(error) => assert!(!chain(&error).is_empty()),
    }
    let mut headers = Headers::new("x", generation, Cursor::new(bytes)).ok()?;
    let mut entries = Vec::new();
    while let Some(entry) = headers.next_entry().ok()? {
        assert!(entry.data.start <= entry.data.end && entry.data.end <= bytes.len() as u64);
        entries.push(entry);
    }
    Some(entries)
}

fn same_as_the_tar_crate(bytes: &[u8], entries: &[Entry]) {
    let mut archive = tar::Archive::new(bytes);
    let listed: Vec<_> = archive
        .entries()
        .and_then(|entries| {
            entries
                .map(|entry| {
                    let entry = entry?;
                    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                    Ok((
                        path,
                        entry.raw_file_position(),
                        entry.size(),
                        entry.header().entry_type(),
                    ))
                })
                .collect()
        })
        .unwrap_or_else(|error| panic!("the tar crate refuses what we accept: {error}"));
    let ours: Vec<_> = entries
        .iter()
        .zip(&listed)
        .map(|(entry, (.., kind))| {
            let is_right = match entry.what {
                What::TagLink { .. } => *kind == tar::EntryType::Symlink,
                What::Working => {
                    matches!(kind, tar::EntryType::Regular | tar::EntryType::Directory)
                }
                _ => *kind == tar::EntryType::Regular,
            };
            assert!(is_right, "{} is of kind {kind:?}", entry.path);
            (entry.path.clone(), entry.data.start, entry.size(), *kind)
        })
        .collect();
    assert_eq!(ours, listed);
    assert_eq!(entries.len(), listed.len());
}

/// The same bytes, where whatever looks like a header has the checksum that it needs to be looked at.
pub fn mended(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    for block in bytes.chunks_exact_mut(512) {
        if block[257..265] == *b"ustar\x0000" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

/// A chunk opens to what streaming decompression makes of it and to nothing else, within the signed size.
pub fn chunk_open(data: &[u8]) {
    use std::io::Read as _;
    const MOST: u64 = 1 << 20;
    let mut raw = Vec::new();
    let whole = zstd::stream::read::Decoder::new(data)
        .and_then(|decoder| decoder.take(MOST + 1).read_to_end(&mut raw))
        .is_ok()
        && raw.len() as u64 <= MOST;
    for (encoding, raw) in [(Encoding::None, data), (Encoding::Zstd, &raw)] {
        let chunk = |raw_size| Chunk {
            stored: Digest::of(data),
            stored_size: data.len() as u64,
            encoding,
            raw: Digest::of(raw),
            raw_size,
        };
        let (right, mut room) = (raw.len() as u64, Vec::new());
        if let Ok(opened) = chunk(right).open(data, &mut room) {
            assert_eq!(opened, raw);
            assert!(whole || encoding == Encoding::None);
        }
        assert!(room.capacity() <= raw.len(), "{}", room.capacity());
        for wrong in [right + 1, right.saturating_sub(1), 0] {
            let mut room = Vec::new();
            assert!(wrong == right || chunk(wrong).open(data, &mut room).is_err());
            assert!(room.len() as u64 <= wrong);
        }
    }
}
