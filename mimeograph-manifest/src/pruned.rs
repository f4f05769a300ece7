//! The lists of what retention drops, and what it may drop.
//!
//! A bundler signs such a list before it removes anything. From then on what the list names counts as
//! absent, until a bundle that comes later names it again. So what may be removed is always computed
//! from the bundles that are kept, at the moment of removing it, and never read off a list alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::form::{Document, FormError, Writer, value};
use crate::layout::Key;
use crate::limits;
use crate::manifest::{Link, Manifest};
use crate::name::{Sequence, StreamId};
use crate::signed::Verified;
use crate::time::Timestamp;
use crate::trust::Asks;

/// The type that this program writes and reads.
pub const TYPE: &str = "application/vnd.mimeograph.pruned.v1+json";

/// A list of what is dropped. Members in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// [`TYPE`].
    pub r#type: String,
    /// The stream.
    pub stream: StreamId,
    /// The list's number, from 1.
    pub number: Sequence,
    /// When it was made.
    pub created: Timestamp,
    /// The bundles that are dropped, in order of their numbers.
    pub manifests: Vec<Link>,
    /// The chunks that no other bundle names, in order of their digests.
    pub chunks: Vec<Object>,
}

/// A chunk as an object of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// SHA-256 of its bytes: its name.
    pub stored: Digest,
    /// Their number.
    pub stored_size: u64,
}

impl Document for Pruned {
    const NAME: &'static str = "pruned";
    const CALLED: &'static str = "pruned list";
    const SIZE: u64 = limits::PRUNED_SIZE;

    fn key(number: Sequence) -> Key {
        Key::Pruned(number)
    }

    fn signature_key(number: Sequence, document: &Digest, key_id: &Digest) -> Key {
        Key::pruned_signature(number, document, key_id)
    }

    fn number(&self) -> Sequence {
        self.number
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn asks(&self) -> Asks {
        Asks::Bundlers
    }

    fn check(&self) -> Result<(), FormError> {
        if self.r#type != TYPE {
            return Err(value("type", "is not this format"));
        }
        if self.manifests.is_empty() && self.chunks.is_empty() {
            return Err(value("chunks", "is empty, and so is `manifests`"));
        }
        if !self
            .manifests
            .is_sorted_by(|one, next| one.sequence < next.sequence)
        {
            return Err(value("manifests", "is not in order, each once"));
        }
        if !self
            .chunks
            .is_sorted_by(|one, next| one.stored < next.stored)
        {
            return Err(value("chunks", "is not in order, each once"));
        }
        let sizes = 1..=limits::CHUNK_SIZE;
        if !self
            .chunks
            .iter()
            .all(|chunk| sizes.contains(&chunk.stored_size))
        {
            return Err(value("chunks", "has one of a size that cannot be"));
        }
        Ok(())
    }

    fn write(&self, lines: &mut Writer) -> serde_json::Result<()> {
        lines.member("{", "type", &self.r#type)?;
        lines.member(",\n", "stream", &self.stream)?;
        lines.member(",\n", "number", &self.number)?;
        lines.member(",\n", "created", &self.created)?;
        lines.list(",\n", "manifests", &self.manifests, Writer::value)?;
        lines.list(",\n", "chunks", &self.chunks, Writer::value)?;
        lines.text("}\n");
        Ok(())
    }
}

/// The bundles that are kept where `wanted` are: those, and what they require, back to a full one.
pub fn kept(
    bundles: &[Verified<Manifest>],
    wanted: impl IntoIterator<Item = Sequence>,
) -> BTreeSet<Sequence> {
    let by_number: BTreeMap<_, _> = bundles
        .iter()
        .map(|bundle| (bundle.sequence, bundle))
        .collect();
    let mut kept = BTreeSet::new();
    let mut open: Vec<_> = wanted.into_iter().collect();
    while let Some(sequence) = open.pop() {
        if let Some(bundle) = by_number.get(&sequence)
            && kept.insert(sequence)
        {
            open.extend(bundle.requires.map(|link| link.sequence));
        }
    }
    kept
}

/// The objects that these bundles name.
pub fn objects<'a>(
    bundles: impl IntoIterator<Item = &'a Verified<Manifest>>,
) -> BTreeMap<Digest, u64> {
    let chunks = bundles.into_iter().flat_map(|bundle| bundle.chunks());
    chunks
        .map(|chunk| (chunk.stored, chunk.stored_size))
        .collect()
}

/// All lists of a stream together.
#[derive(Clone, Debug, Default)]
pub struct Dropped {
    manifests: BTreeMap<Sequence, Digest>,
    /// Each chunk with the time of the latest list that names it.
    chunks: BTreeMap<Digest, Timestamp>,
}

impl Dropped {
    /// Those of `stream`; lists of others count for nothing.
    pub fn of(lists: &[Verified<Pruned>], stream: &StreamId) -> Self {
        let mut dropped = Self::default();
        for list in lists.iter().filter(|list| list.stream == *stream) {
            dropped.add(list);
        }
        dropped
    }

    /// Adds what one list names.
    pub fn add(&mut self, list: &Pruned) {
        let links = list.manifests.iter();
        self.manifests
            .extend(links.map(|link| (link.sequence, link.sha256)));
        for chunk in &list.chunks {
            let time = self.chunks.entry(chunk.stored).or_insert(list.created);
            *time = list.created.max(*time);
        }
    }

    /// Whether a list names this very bundle.
    pub fn has_bundle(&self, bundle: &Verified<Manifest>) -> bool {
        self.manifests.get(&bundle.sequence) == Some(&bundle.digest())
    }

    /// The numbers of the bundles that lists name.
    pub fn numbers(&self) -> impl Iterator<Item = Sequence> {
        self.manifests.keys().copied()
    }

    /// Whether a list names a bundle of this number.
    pub fn has_number(&self, sequence: Sequence) -> bool {
        self.manifests.contains_key(&sequence)
    }

    /// When the latest list was made that names this chunk.
    pub fn since(&self, chunk: &Digest) -> Option<Timestamp> {
        self.chunks.get(chunk).copied()
    }

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::key::SigningKey;
    use crate::signed::{FoundSignature, Signed};
    use crate::trust::TrustedKeys;

    fn number(n: u64) -> Sequence {
        n.try_into().unwrap()
    }

    fn list(n: u64, created: i64, manifests: &[u64], chunks: &[&[u8]]) -> Pruned {
        let mut chunks: Vec<_> = chunks
            .iter()
            .map(|bytes| Object {
                stored: Digest::of(bytes),
                stored_size: bytes.len() as u64,
            })
            .collect();
        chunks.sort();
        Pruned {
            r#type: TYPE.to_owned(),
            stream: StreamId::from_bytes([7; 16]),
            number: number(n),
            created: Timestamp::from_unix(created),
            manifests: manifests
                .iter()
                .map(|n| Link {
                    sequence: number(*n),
                    sha256: Digest::of(&n.to_le_bytes()),
                })
                .collect(),
            chunks,
        }
    }

    fn verified(list: &Pruned) -> Verified<Pruned> {
        let key = SigningKey::from_seed(&[9; 32]);
        let sealed = Signed::sign(list, &key).unwrap();
        let found = FoundSignature {
            manifest: sealed.digest.short(),
            signer: key.public().id().short(),
            bytes: sealed.signature.1.to_vec(),
        };
        let trusted = TrustedKeys::new([key.public()], NonZeroUsize::MIN);
        Signed::<Pruned>::new(list.number, sealed.payload, vec![found])
            .verify(&trusted)
            .unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_is_no_manifest() {
        let list = list(3, 99, &[1, 2], &[b"one", b"two"]);
        let read = verified(&list);
        assert_eq!(*read, list);
        assert_eq!(read.to_bytes().unwrap(), read.payload());
        assert!(crate::form::read::<Manifest>(read.payload()).is_err());
        let text = String::from_utf8(read.payload().to_vec()).unwrap();
        assert_eq!(text.lines().count(), 6 + 2 + 2);
    }

    #[test]
    fn of_several_lists_the_latest_tells_since_when_and_other_streams_count_for_nothing() {
        let mut foreign = list(3, 300, &[9], &[b"three"]);
        foreign.stream = StreamId::from_bytes([8; 16]);
        let lists = [
            list(1, 100, &[1], &[b"one", b"two"]),
            list(2, 200, &[2], &[b"two"]),
            foreign,
        ];
        let lists: Vec<_> = lists.iter().map(verified).collect();
        let dropped = Dropped::of(&lists, &StreamId::from_bytes([7; 16]));
        let since = |bytes| dropped.since(&Digest::of(bytes)).map(Timestamp::unix);
        assert_eq!(since(b"one"), Some(100));
        assert_eq!(since(b"two"), Some(200));
        assert_eq!(since(b"three"), None);
        assert_eq!(
            dropped.numbers().collect::<Vec<_>>(),
            [number(1), number(2)]
        );
    }

    #[test]
    fn a_list_names_something_in_order_and_each_once() {
        let good = || list(1, 100, &[1, 2], &[b"one", b"two"]);
        good().check().unwrap();
        list(1, 100, &[1], &[]).check().unwrap();
        list(1, 100, &[], &[b"one"]).check().unwrap();
        let spoilt: [fn(&mut Pruned); 8] = [
            |list| list.r#type = crate::manifest::TYPE.to_owned(),
            |list| {
                list.manifests.clear();
                list.chunks.clear();
            },
            |list| list.manifests.reverse(),
            |list| list.manifests[1].sequence = list.manifests[0].sequence,
            |list| list.chunks.reverse(),
            |list| list.chunks[1].stored = list.chunks[0].stored,
            |list| list.chunks[1].stored_size = 0,
            |list| list.chunks[1].stored_size = limits::CHUNK_SIZE + 1,
        ];
        for (n, spoil) in spoilt.iter().enumerate() {
            let mut list = good();
            spoil(&mut list);
            assert!(list.check().is_err(), "{n}");
        }
        let mut largest = good();
        largest.chunks[0].stored_size = limits::CHUNK_SIZE;
        largest.check().unwrap();
    }

    #[test]
    fn a_number_is_dropped_where_a_list_names_it() {
        let none = Dropped::default();
        assert!(none.is_empty());
        assert!(!none.has_number(number(1)));
        for one in [list(1, 100, &[1], &[]), list(1, 100, &[], &[b"one"])] {
            let mut dropped = Dropped::default();
            dropped.add(&one);
            assert!(!dropped.is_empty());
            assert_eq!(dropped.has_number(number(1)), !one.manifests.is_empty());
            assert!(!dropped.has_number(number(2)));
        }
    }
}
