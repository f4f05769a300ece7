//! Chunks: how a file is cut, and the record that binds a chunk's stored form to its raw one.

use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits;

/// How a chunk's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    None,
    /// One zstd frame (RFC 8878) without a dictionary, and nothing after it.
    Zstd,
}

/// A contiguous range of one file, stored as one object named by the digest of its stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chunk {
    /// SHA-256 of the stored bytes: the object's name.
    pub stored: Digest,
    /// Their number.
    pub stored_size: u64,
    /// How they are stored.
    pub encoding: Encoding,
    /// SHA-256 of the raw bytes.
    pub raw: Digest,
    /// Their number.
    pub raw_size: u64,
}

impl Chunk {
    /// Whether the record can be true: sizes in bounds, and equal forms where nothing is encoded.
    pub fn is_plausible(&self) -> bool {
        let sizes = 1..=limits::CHUNK_SIZE;
        sizes.contains(&self.raw_size)
            && sizes.contains(&self.stored_size)
            && match self.encoding {
                Encoding::None => self.raw == self.stored && self.raw_size == self.stored_size,
                Encoding::Zstd => self.stored_size < self.raw_size,
            }
    }

    /// The raw bytes of `stored`, after checking both digests and every size on the way; `room` is where they
    /// are decompressed to, if they must be.
    ///
    /// Defends against decompression bombs: output is written into `raw_size` bytes and no more.
    pub fn open<'a>(
        &self,
        stored: &'a [u8],
        room: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ChunkError> {
        if stored.len() as u64 != self.stored_size || Digest::of(stored) != self.stored {
            return Err(ChunkError::Stored);
        }
        let raw = match self.encoding {
            Encoding::None => stored,
            Encoding::Zstd => {
                self.decompress(stored, room)?;
                room
            }
        };
        let is_raw = match self.encoding {
            Encoding::None => self.raw == self.stored,
            Encoding::Zstd => Digest::of(raw) == self.raw,
        };
        if is_raw && raw.len() as u64 == self.raw_size {
            Ok(raw)
        } else {
            Err(ChunkError::Raw)
        }
    }

    fn decompress(&self, stored: &[u8], raw: &mut Vec<u8>) -> Result<(), ChunkError> {
        let frame = zstd::zstd_safe::find_frame_compressed_size(stored);
        if frame != Ok(stored.len()) || zstd::zstd_safe::get_dict_id_from_frame(stored).is_some() {
            return Err(ChunkError::Frame);
        }
        let size = usize::try_from(self.raw_size).map_err(|_| ChunkError::Raw)?;
        raw.clear();
        raw.reserve_exact(size);
        zstd::bulk::Decompressor::new()
            .and_then(|mut decompressor| decompressor.decompress_to_buffer(stored, raw))
            .map_err(ChunkError::Zstd)?;
        Ok(())
    }
}

/// Why stored bytes are not the chunk that was signed.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The stored bytes have another size or digest.
    #[error("the stored bytes are not those that were signed")]
    Stored,
    /// Not exactly one zstd frame without a dictionary.
    #[error("not exactly one zstd frame")]
    Frame,
    /// The frame does not decompress into the signed size.
    #[error("does not decompress within the signed size")]
    Zstd(#[source] io::Error),
    /// The raw bytes have another size or digest.
    #[error("the decompressed bytes are not those that were signed")]
    Raw,
}

/// Compresses `raw` where a sample says that it pays; at least a tenth must be saved.
///
/// Catalogue JSON shrinks tenfold, gzip layers not at all: three spots are tried before the whole is.
pub fn compress(raw: &[u8]) -> io::Result<Option<Vec<u8>>> {
    const SPOT: usize = 32 << 10;
    const LEVEL: i32 = 3;
    let pays = |packed: usize, plain: usize| packed.saturating_mul(10) < plain.saturating_mul(9);
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    if raw.len() > 4 * SPOT {
        let (mut packed, mut plain) = (0, 0);
        for start in [0, raw.len() / 2, raw.len() - SPOT] {
            let spot = &raw[start..(start + SPOT).min(raw.len())];
            packed += compressor.compress(spot)?.len();
            plain += spot.len();
        }
        if !pays(packed, plain) {
            return Ok(None);
        }
    }
    // Room for what would pay and no more: what does not fit is stored as it is.
    let mut packed = Vec::with_capacity(raw.len() / 10 * 9);
    match compressor.compress_to_buffer(raw, &mut packed) {
        Ok(size) if pays(size, raw.len()) => Ok(Some(packed)),
        _ => Ok(None),
    }
}

/// Cuts a file of `size` bytes: at the first data byte of every entry of 1 MiB or more and at its
/// end, small ones gathered between, nothing above `chunk_size` (at most 32 MiB).
///
/// So a blob that comes again in any archive, at any offset, is the same chunks. `entries` are the
/// data ranges of the tar's entries in order; none for a file that is not a tar.
pub fn plan(size: u64, entries: &[Range<u64>], chunk_size: u64) -> Vec<Range<u64>> {
    let mut edges = vec![0];
    for entry in entries
        .iter()
        .filter(|entry| entry.end - entry.start >= limits::CUT_SIZE)
    {
        edges.extend([entry.start, entry.end]);
    }
    edges.push(size);
    let step = usize::try_from(chunk_size.clamp(1, limits::CHUNK_SIZE)).unwrap_or(1);
    edges
        .windows(2)
        .flat_map(|edge| {
            let end = edge[1].min(size);
            (edge[0]..end)
                .step_by(step)
                .map(move |start| start..end.min(start + step as u64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn chunk_of(raw: &[u8], stored: &[u8], encoding: Encoding) -> Chunk {
        Chunk {
            stored: Digest::of(stored),
            stored_size: stored.len() as u64,
            encoding,
            raw: Digest::of(raw),
            raw_size: raw.len() as u64,
        }
    }

    #[test]
    fn a_blob_is_cut_alike_at_any_offset() {
        let blob_at = |start: u64| {
            plan(
                100 * MIB,
                std::slice::from_ref(&(start..start + 40 * MIB)),
                limits::CHUNK_SIZE,
            )
        };
        let (first, second) = (blob_at(512), blob_at(10 * MIB));
        let lengths = |plan: &[Range<u64>], n: usize| plan[n].end - plan[n].start;
        assert_eq!(first[0], 0..512);
        assert_eq!(
            (lengths(&first, 1), lengths(&first, 2)),
            (32 * MIB, 8 * MIB)
        );
        assert_eq!(
            (lengths(&second, 1), lengths(&second, 2)),
            (32 * MIB, 8 * MIB)
        );
    }

    #[test]
    fn a_plan_covers_the_file_once_and_small_entries_are_gathered() {
        let entries = [512..1024, 2048..2048 + MIB, 3 * MIB..3 * MIB + 5];
        let plan = plan(70 * MIB, &entries, limits::CHUNK_SIZE);
        let mut at = 0;
        for range in &plan {
            assert_eq!(range.start, at);
            assert!(range.end > range.start && range.end - range.start <= limits::CHUNK_SIZE);
            at = range.end;
        }
        assert_eq!(at, 70 * MIB);
        assert_eq!(plan[1], 2048..2048 + MIB);
        // Small ones make no cut, wherever they lie: 0, 2048, its end, and then every 32 MiB.
        assert_eq!(plan.len(), 5);
        assert_eq!(super::plan(0, &[], limits::CHUNK_SIZE), []);
    }

    #[test]
    fn json_is_compressed_noise_is_not_and_both_open() {
        let json = "{\"package\":\"alpha\"}".repeat(50_000).into_bytes();
        let packed = compress(&json).unwrap().unwrap();
        let mut raw = Vec::new();
        chunk_of(&json, &packed, Encoding::Zstd)
            .open(&packed, &mut raw)
            .unwrap();
        assert_eq!(raw, json);

        let mut noise = Vec::new();
        while noise.len() < 1 << 20 {
            noise.extend_from_slice(Digest::of(&noise.len().to_le_bytes()).as_bytes());
        }
        assert!(compress(&noise).unwrap().is_none());
        chunk_of(&noise, &noise, Encoding::None)
            .open(&noise, &mut raw)
            .map(|opened| assert_eq!(opened, noise))
            .unwrap();
    }

    #[test]
    fn other_bytes_of_the_same_length_are_not_the_chunk() {
        let json = "0".repeat(1 << 16).into_bytes();
        let packed = compress(&json).unwrap().unwrap();
        let (whole, plain) = (
            chunk_of(&json, &packed, Encoding::Zstd),
            chunk_of(&json, &json, Encoding::None),
        );
        let mut other = json.clone();
        other[7] ^= 1;
        let refused =
            |chunk: &Chunk, stored: &[u8]| chunk.open(stored, &mut Vec::new()).unwrap_err();
        assert!(matches!(refused(&plain, &other), ChunkError::Stored));
        assert!(matches!(refused(&plain, &json[1..]), ChunkError::Stored));
        // What a signed record says of the raw bytes is held against them, each for itself.
        let digest = Chunk {
            raw: Digest::of(&other),
            ..whole
        };
        assert!(matches!(refused(&digest, &packed), ChunkError::Raw));
        let size = Chunk {
            raw_size: whole.raw_size + 1,
            ..whole
        };
        assert!(matches!(refused(&size, &packed), ChunkError::Raw));
        let (digest, size) = (
            Chunk {
                raw: Digest::of(&other),
                ..plain
            },
            Chunk {
                raw_size: plain.raw_size + 1,
                ..plain
            },
        );
        assert!(matches!(refused(&digest, &json), ChunkError::Raw));
        assert!(matches!(refused(&size, &json), ChunkError::Raw));
    }

    #[test]
    fn a_record_that_cannot_be_true_is_told() {
        let json = "0".repeat(1 << 16).into_bytes();
        let packed = compress(&json).unwrap().unwrap();
        let zstd = chunk_of(&json, &packed, Encoding::Zstd);
        assert!(zstd.is_plausible());
        for stored_size in [zstd.raw_size, zstd.raw_size + 1, 0] {
            assert!(
                !Chunk {
                    stored_size,
                    ..zstd
                }
                .is_plausible(),
                "{stored_size}"
            );
        }
        let largest = Chunk {
            raw_size: limits::CHUNK_SIZE,
            ..zstd
        };
        assert!(largest.is_plausible());
        assert!(
            !Chunk {
                raw_size: limits::CHUNK_SIZE + 1,
                ..zstd
            }
            .is_plausible()
        );
        let plain = chunk_of(b"raw", b"raw", Encoding::None);
        assert!(plain.is_plausible());
        let other = Digest::of(b"other");
        for wrong in [
            Chunk {
                raw: other,
                ..plain
            },
            Chunk {
                stored_size: 2,
                ..plain
            },
            chunk_of(b"", b"", Encoding::None),
            Chunk {
                stored_size: 0,
                ..chunk_of(b"raw", b"", Encoding::Zstd)
            },
        ] {
            assert!(!wrong.is_plausible(), "{wrong:?}");
        }
    }

    #[test]
    fn a_bomb_trailing_bytes_and_two_frames_are_refused() {
        let json = "0".repeat(1 << 20).into_bytes();
        let packed = compress(&json).unwrap().unwrap();
        let mut raw = Vec::new();
        let small = Chunk {
            raw_size: 100,
            ..chunk_of(&json, &packed, Encoding::Zstd)
        };
        assert!(matches!(
            small.open(&packed, &mut raw),
            Err(ChunkError::Zstd(_))
        ));
        assert!(raw.capacity() < 1 << 19);
        for tail in [b"x".to_vec(), packed.clone()] {
            let longer = [packed.clone(), tail].concat();
            let chunk = chunk_of(&json, &longer, Encoding::Zstd);
            assert!(matches!(
                chunk.open(&longer, &mut raw),
                Err(ChunkError::Frame)
            ));
        }
    }
}
