//! Chunks whose digests are true and whose form is not what the format allows.

use std::io::Read as _;

use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::Role;
use serde::Deserialize;

use crate::forge;
use crate::store::Store;

/// How a chunk is stored.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// A frame of a few KiB that becomes 256 MiB, and says so; what is signed is as large as a chunk may be.
    Bomb,
    /// The same frame does not say its size.
    SilentBomb,
    /// A frame that becomes one byte more than is signed.
    OneByteMore,
    /// A frame that becomes one byte less.
    OneByteLess,
    /// The frame is of other bytes of the same size.
    OtherBytes,
    /// Two frames, one after the other.
    TwoFrames,
    /// A skippable frame before the frame.
    SkippableBefore,
    /// A skippable frame after it.
    SkippableAfter,
    /// A byte after the frame.
    Trailing,
    /// A frame that names a dictionary.
    Dictionary,
    /// The frame lacks its last byte.
    Cut,
    /// Not a frame at all.
    Plain,
    /// As it should be: one frame.
    Honest,
}

/// RFC 8878, section 3.1.2: the magic number, a length, and so much that is passed over.
const SKIPPABLE: [u8; 12] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, b'e', b'v', b'i', b'l'];

/// Stores the first chunk of a bundle's file in another way.
pub(crate) fn recode(store: &Store<'_>, bundle: u64, role: Role, how: How) {
    let mut manifest = store.manifest(bundle);
    let file = manifest
        .files
        .iter_mut()
        .find(|file| file.role == role)
        .unwrap();
    let (mut room, first) = (Vec::new(), file.chunks[0]);
    let stored = store.read(&Key::Chunk(first.stored).to_string());
    let raw = first.open(&stored, &mut room).unwrap().to_vec();
    let (stored, raw) = make(raw, how);
    let chunk = Chunk {
        stored: Digest::of(&stored),
        stored_size: stored.len() as u64,
        encoding: Encoding::Zstd,
        raw: Digest::of(&raw),
        raw_size: raw.len() as u64,
    };
    assert!(
        chunk.is_plausible(),
        "{chunk:?} would be refused for its sizes"
    );
    store.write(&Key::Chunk(chunk.stored).to_string(), &stored);
    file.chunks[0] = chunk;
    file.size = file.chunks.iter().map(|chunk| chunk.raw_size).sum();
    forge::resign(store, bundle, &manifest);
}

/// The stored bytes, and those that are signed as the raw ones.
fn make(raw: Vec<u8>, how: How) -> (Vec<u8>, Vec<u8>) {
    let frame = |bytes: &[u8]| zstd::bulk::compress(bytes, 19).unwrap();
    let limit = usize::try_from(limits::CHUNK_SIZE).unwrap();
    let honest = frame(&raw);
    let stored = match how {
        How::Bomb => return (frame(&vec![0; 256 << 20]), vec![0; limit]),
        How::SilentBomb => {
            let endless = std::io::repeat(0).take(256 << 20);
            return (
                zstd::stream::encode_all(endless, 19).unwrap(),
                vec![0; limit],
            );
        }
        How::OneByteMore => frame(&[&raw[..], b"\0"].concat()),
        How::OneByteLess => frame(&raw[..raw.len() - 1]),
        How::OtherBytes => frame(&vec![b'x'; raw.len()]),
        How::TwoFrames => {
            let (one, two) = raw.split_at(raw.len() / 2);
            [frame(one), frame(two)].concat()
        }
        How::SkippableBefore => [&SKIPPABLE[..], &honest].concat(),
        How::SkippableAfter => [&honest[..], &SKIPPABLE].concat(),
        How::Trailing => [&honest[..], b"\0"].concat(),
        How::Dictionary => with_dictionary(honest),
        How::Cut => honest[..honest.len() - 1].to_vec(),
        How::Plain => raw[..raw.len() - 1].to_vec(),
        How::Honest => honest,
    };
    (stored, raw)
}

/// RFC 8878, section 3.1.1.1: the descriptor's last two bits give the length of the dictionary's id, which comes after
/// the window's descriptor, where there is one.
fn with_dictionary(mut frame: Vec<u8>) -> Vec<u8> {
    let is_single_segment = frame[4] & 0x20 != 0;
    frame[4] |= 1;
    frame.insert(if is_single_segment { 5 } else { 6 }, 42);
    // A frame all the same.
    let id = zstd::zstd_safe::get_dict_id_from_frame(&frame).map(u32::from);
    let size = zstd::zstd_safe::find_frame_compressed_size(&frame);
    assert!(id == Some(42) && size == Ok(frame.len()));
    frame
}
