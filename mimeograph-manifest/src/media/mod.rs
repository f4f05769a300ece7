//! Bundles on media: which chunk lies on which volume.
//!
//! The order of the chunks is that in which the manifests name them first, and a volume holds a stretch of it, so a plan
//! is a few numbers. It travels on every volume as `export.json`, signed by nobody: it tells which volume to look for and
//! nothing else.

pub mod repair;
mod size;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::manifest::{Link, Manifest};
use crate::name::StreamId;
use crate::time::Timestamp;

pub use self::size::{VolumeSize, VolumeSizeError};

/// The plan's name on a volume.
pub const PLAN: &str = "export.json";
/// The type of a plan.
pub const TYPE: &str = "application/vnd.mimeograph.export.v1+json";
/// Largest plan, in bytes.
pub const PLAN_SIZE: u64 = 1 << 20;
/// Most volumes of one export.
pub const VOLUMES: usize = 9999;

/// What lies on which volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`TYPE`].
    pub r#type: String,
    /// The stream.
    pub stream: StreamId,
    /// What people call the stream.
    pub name: String,
    /// What the volumes are labelled with.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// The bundles, in order.
    pub bundles: Vec<Link>,
    /// How many chunks each volume holds, and how many bytes they have.
    pub volumes: Vec<Volume>,
}

/// A stretch of the chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// How many.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// There is no such plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The smallest volume that would do is larger.
    #[error("a volume of {size} bytes is too small: it must hold {least} bytes at least")]
    TooSmall {
        /// What was said.
        size: u64,
        /// What would do: the documents, which lie on every volume, and the largest chunk.
        least: u64,
    },
    /// Nobody changes so many.
    #[error("that would be more than {VOLUMES} volumes")]
    TooMany,
}

/// The chunks of these bundles, each once, in the order in which they are named first.
pub fn chunks<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<Chunk> {
    let mut seen = HashSet::new();
    let all = manifests.into_iter().flat_map(Manifest::chunks);
    all.filter(|chunk| seen.insert(chunk.stored))
        .copied()
        .collect()
}

/// Deals chunks out to volumes, as many as fit onto each beside `documents` bytes of other files.
pub fn deal(
    chunks: &[Chunk],
    size: Option<VolumeSize>,
    documents: u64,
) -> Result<Vec<Volume>, PlanError> {
    let Some(size) = size else {
        let bytes = chunks.iter().map(|chunk| chunk.stored_size).sum();
        let chunks = chunks.len();
        return Ok(vec![Volume { chunks, bytes }]);
    };
    let largest = chunks
        .iter()
        .map(|chunk| size.takes(chunk.stored_size))
        .max();
    let least = documents + largest.unwrap_or(0);
    if least > size.room() {
        let (size, least) = (size.bytes(), least + (size.bytes() - size.room()));
        return Err(PlanError::TooSmall { size, least });
    }
    let room = size.room() - documents;
    let (mut volumes, mut filled) = (vec![Volume::default()], 0);
    for chunk in chunks {
        let bytes = size.takes(chunk.stored_size);
        if filled + bytes > room {
            volumes.push(Volume::default());
            filled = 0;
        }
        filled += bytes;
        if let Some(volume) = volumes.last_mut() {
            volume.chunks += 1;
            volume.bytes += chunk.stored_size;
        }
    }
    if volumes.len() > VOLUMES {
        return Err(PlanError::TooMany);
    }
    Ok(volumes)
}

impl Plan {
    /// What tells one plan from another: the first 16 digits of the SHA-256 of its form.
    pub fn id(&self) -> String {
        let form = serde_json::to_vec(self).unwrap_or_default();
        Digest::of(&form).short()
    }

    /// Which of `chunks`, in their order, lie on a volume, counted from 1.
    pub fn on<'a>(&self, volume: usize, chunks: &'a [Chunk]) -> &'a [Chunk] {
        let before = self.volumes.iter().take(volume.saturating_sub(1));
        let from: usize = before.map(|volume| volume.chunks).sum();
        let count = volume
            .checked_sub(1)
            .and_then(|index| self.volumes.get(index))
            .map_or(0, |volume| volume.chunks);
        let from = from.min(chunks.len());
        &chunks[from..chunks.len().min(from + count)]
    }

    /// On which volume each of `chunks` lies, in their order.
    pub fn places(&self, chunks: &[Chunk]) -> HashMap<Digest, usize> {
        (1..=self.volumes.len())
            .flat_map(|volume| {
                let on = self.on(volume, chunks).iter();
                on.map(move |chunk| (chunk.stored, volume))
            })
            .collect()
    }

    /// Reads one that somebody wrote to a volume; nothing where it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let plan: Self = serde_json::from_slice(bytes).ok()?;
        let counted = plan
            .volumes
            .iter()
            .try_fold(0_usize, |sum, volume| sum.checked_add(volume.chunks));
        let is_ours =
            plan.r#type == TYPE && (1..=VOLUMES).contains(&plan.volumes.len()) && counted.is_some();
        is_ours.then_some(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Encoding;
    use crate::name::Sequence;

    fn chunk(n: u64, size: u64) -> Chunk {
        let digest = Digest::of(&n.to_le_bytes());
        Chunk {
            stored: digest,
            stored_size: size,
            encoding: Encoding::None,
            raw: digest,
            raw_size: size,
        }
    }

    fn plan(volumes: Vec<Volume>) -> Plan {
        Plan {
            r#type: TYPE.to_owned(),
            stream: StreamId::from_bytes([1; 16]),
            name: "prod".to_owned(),
            label: "PROD".to_owned(),
            created: Timestamp::from_unix(0),
            bundles: vec![Link {
                sequence: Sequence::FIRST,
                sha256: Digest::of(b"x"),
            }],
            volumes,
        }
    }

    #[test]
    fn chunks_are_dealt_out_in_order_and_none_is_split() {
        let chunks: Vec<_> = (0..6).map(|n| chunk(n, 30)).collect();
        let size = |text: &str| Some(text.parse().unwrap());
        let dealt = deal(&chunks, size("100B"), 35).unwrap();
        let counts: Vec<_> = dealt.iter().map(|volume| volume.chunks).collect();
        assert_eq!(counts, [2, 2, 2]);
        assert_eq!(deal(&chunks, None, 35).unwrap().len(), 1);
        assert_eq!(deal(&[], size("100B"), 35).unwrap().len(), 1);
        let error = deal(&chunks, size("100B"), 71).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a volume of 100 bytes is too small: it must hold 101 bytes at least"
        );
        let plan = plan(dealt);
        assert_eq!(plan.on(2, &chunks), &chunks[2..4]);
        assert_eq!(plan.on(4, &chunks), &[]);
        assert_eq!(plan.on(0, &chunks), &[]);
        assert_eq!(plan.places(&chunks)[&chunks[5].stored], 3);
    }

    #[test]
    fn what_somebody_wrote_is_bounded_and_is_no_plan_where_it_cannot_be() {
        let volume = |chunks| Volume { chunks, bytes: 1 };
        let good = plan(vec![volume(2), volume(1)]);
        let bytes = serde_json::to_vec(&good).unwrap();
        assert_eq!(Plan::parse(&bytes), Some(good));
        for bad in [
            plan(Vec::new()),
            plan(vec![volume(usize::MAX), volume(1)]),
            Plan {
                r#type: "x".to_owned(),
                ..plan(vec![volume(1)])
            },
        ] {
            assert_eq!(Plan::parse(&serde_json::to_vec(&bad).unwrap()), None);
        }
        assert_eq!(Plan::parse(b"{}"), None);
        // One that says less or more than there is ends where the chunks end.
        let chunks = [chunk(1, 30)];
        assert_eq!(plan(vec![volume(9), volume(9)]).on(2, &chunks), &[]);
    }
}
