//! The manifest: the JSON document that lists a bundle.

mod producer;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::form::{Document, FormError, Writer, value};
use crate::layout::Key;
use crate::limits;
use crate::name::{FileName, Sequence, StreamId};
use crate::time::Timestamp;
use crate::trust::Asks;
pub use producer::{Flag, Generation, Producer, minor};

/// The type that this program writes and reads.
pub const TYPE: &str = "application/vnd.mimeograph.manifest.v1+json";

/// What a bundle needs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing.
    Full,
    /// The bundle that it names in `requires`.
    Delta,
    /// It says that nothing changed.
    Heartbeat,
}

impl Kind {
    /// As the manifest has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delta => "delta",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Another bundle of the stream, by number and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its place.
    pub sequence: Sequence,
    /// The SHA-256 of its manifest's exact bytes.
    pub sha256: Digest,
}

/// Something that the image set asks for and the bundle does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incomplete {
    /// The image.
    pub reference: String,
    /// What is missing.
    pub reason: Missing,
}

/// What is missing of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The image: it failed, and a partial run was allowed.
    Image,
    /// Its cosign signature, which `oc-mirror` lost. This makes nothing partial.
    Signature,
}

/// What a file of a bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A tar that `oc-mirror` wrote.
    Archive,
    /// The image set configuration, byte for byte.
    Imageset,
    /// What the archives hold.
    Inventory,
    /// `oc-mirror`'s history after the run.
    History,
    /// A local file that the image set names.
    Local,
    /// Anything else that was to travel; never shown to `oc-mirror`.
    Extra,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: FileName,
    /// What it is for.
    pub role: Role,
    /// Its size in bytes.
    pub size: u64,
    /// Its chunks, in order.
    pub chunks: Vec<Chunk>,
}

/// The document that lists a bundle. Members in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`TYPE`].
    pub r#type: String,
    /// The stream.
    pub stream: StreamId,
    /// What people call the stream.
    pub name: String,
    /// The enclaves it is for; none = any.
    pub audience: Vec<String>,
    /// The bundle's place.
    pub sequence: Sequence,
    /// What it needs before it.
    pub kind: Kind,
    /// The one before; none for the first alone.
    pub previous: Option<Link>,
    /// The content bundle that must be there; none for a full alone.
    pub requires: Option<Link>,
    /// When it was made.
    pub created: Timestamp,
    /// When it must no longer be accepted.
    pub expires: Timestamp,
    /// What made it.
    pub producer: Producer,
    /// What it lacks.
    pub incomplete: Vec<Incomplete>,
    /// Where `local` files must lie.
    pub local_dir: String,
    /// Its files.
    pub files: Vec<File>,
    /// Notes; never consulted.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The files of one role.
    pub fn files(&self, role: Role) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.role == role)
    }

    /// All chunks, repeated ones as often as they come.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.files.iter().flat_map(|file| &file.chunks)
    }

    /// Bytes of all its files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn check_texts(&self) -> Result<(), FormError> {
        let short = |member: &str, text: &str| {
            if text.len() <= limits::TEXT_LENGTH && !text.chars().any(char::is_control) {
                Ok(())
            } else {
                Err(value(member, "is too long or holds control characters"))
            }
        };
        let few = |member: &str, count: usize| {
            if count <= limits::TEXTS {
                Ok(())
            } else {
                Err(value(member, "has too many elements"))
            }
        };
        few("audience", self.audience.len())?;
        few("incomplete", self.incomplete.len())?;
        few("annotations", self.annotations.len())?;
        few("producer.flags", self.producer.flags.len())?;
        short("name", &self.name)?;
        short("localDir", &self.local_dir)?;
        short("producer.mimeograph", &self.producer.mimeograph)?;
        short("producer.ocMirror", &self.producer.oc_mirror)?;
        self.audience
            .iter()
            .try_for_each(|text| short("audience", text))?;
        self.producer
            .flags
            .iter()
            .try_for_each(|text| short("producer.flags", text))?;
        self.incomplete
            .iter()
            .try_for_each(|lack| short("incomplete.reference", &lack.reference))?;
        self.annotations.iter().try_for_each(|(key, text)| {
            short("annotations", key)?;
            short("annotations", text)
        })
    }

    fn check_place(&self) -> Result<(), FormError> {
        let before = |member: &str, link: Option<Link>| match link {
            Some(link) if link.sequence >= self.sequence => Err(value(
                member,
                "names a bundle that does not come before this one",
            )),
            _ => Ok(()),
        };
        before("previous", self.previous)?;
        before("requires", self.requires)?;
        if self.previous.is_none() != (self.sequence == Sequence::FIRST) {
            return Err(value("previous", "must be null for sequence 1 alone"));
        }
        if self
            .previous
            .is_some_and(|link| link.sequence.next() != self.sequence)
        {
            return Err(value(
                "previous",
                "must name the bundle just before this one",
            ));
        }
        if let (Some(previous), Some(requires)) = (self.previous, self.requires)
            && previous.sequence == requires.sequence
            && previous.sha256 != requires.sha256
        {
            return Err(value(
                "requires",
                "names the previous bundle with another digest",
            ));
        }
        if self.requires.is_none() != (self.kind == Kind::Full) {
            return Err(value("requires", "must be null for a full bundle alone"));
        }
        if self.expires <= self.created {
            return Err(value("expires", "is not after `created`"));
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), FormError> {
        if self.files.len() > limits::FILES {
            return Err(value("files", "has too many elements"));
        }
        if self.kind == Kind::Heartbeat {
            let empty = self.files.is_empty() && self.incomplete.is_empty();
            return if empty {
                Ok(())
            } else {
                Err(value("files", "must be empty for a heartbeat"))
            };
        }
        for role in [Role::Imageset, Role::Inventory] {
            if self.files(role).count() != 1 {
                return Err(value("files", "must hold one image set and one inventory"));
            }
        }
        if self.files(Role::Archive).next().is_none() {
            return Err(value("files", "must hold an archive"));
        }
        let mut names = HashSet::new();
        for file in &self.files {
            file.check(self.producer.generation)?;
            if !names.insert((file.role, file.name.as_str().to_lowercase())) {
                return Err(value(
                    "files",
                    format!("has `{}` twice (letter case does not count)", file.name),
                ));
            }
        }
        names
            .iter()
            .find(|(role, name)| {
                name.match_indices('/')
                    .any(|(at, _)| names.contains(&(*role, name[..at].to_owned())))
            })
            .map_or(Ok(()), |(_, name)| {
                Err(value("files", format!("has `{name}` below a file")))
            })
    }
}

impl Document for Manifest {
    const NAME: &'static str = "manifest";
    const CALLED: &'static str = "bundle";
    const SIZE: u64 = limits::MANIFEST_SIZE;

    fn key(number: Sequence) -> Key {
        Key::Manifest(number)
    }

    fn signature_key(number: Sequence, document: &Digest, key_id: &Digest) -> Key {
        Key::signature(number, document, key_id)
    }

    fn number(&self) -> Sequence {
        self.sequence
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn asks(&self) -> Asks {
        match self.kind {
            Kind::Heartbeat => Asks::Bundlers,
            Kind::Full | Kind::Delta => Asks::Policy,
        }
    }

    fn check(&self) -> Result<(), FormError> {
        if self.r#type != TYPE {
            return Err(value("type", "is not this format"));
        }
        self.check_texts()?;
        self.check_place()?;
        self.check_files()
    }

    fn write(&self, lines: &mut Writer) -> serde_json::Result<()> {
        lines.member("{", "type", &self.r#type)?;
        lines.member(",\n", "stream", &self.stream)?;
        lines.member(",\n", "name", &self.name)?;
        lines.member(",\n", "audience", &self.audience)?;
        lines.member(",\n", "sequence", &self.sequence)?;
        lines.member(",\n", "kind", &self.kind)?;
        lines.member(",\n", "previous", &self.previous)?;
        lines.member(",\n", "requires", &self.requires)?;
        lines.member(",\n", "created", &self.created)?;
        lines.member(",\n", "expires", &self.expires)?;
        lines.member(",\n", "producer", &self.producer)?;
        lines.member(",\n", "incomplete", &self.incomplete)?;
        lines.member(",\n", "localDir", &self.local_dir)?;
        lines.list(",\n", "files", &self.files, |lines, file| {
            lines.member("{", "name", &file.name)?;
            lines.member(",", "role", &file.role)?;
            lines.member(",", "size", &file.size)?;
            lines.list(",", "chunks", &file.chunks, Writer::value)?;
            lines.text("}");
            Ok(())
        })?;
        lines.member(",\n", "annotations", &self.annotations)?;
        lines.text("}\n");
        Ok(())
    }
}

impl File {
    /// Whether these bytes are the file's, all of it.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let all = self.chunks.iter().all(|chunk| {
            let size = usize::try_from(chunk.raw_size).unwrap_or(usize::MAX);
            rest.split_at_checked(size).is_some_and(|(part, after)| {
                rest = after;
                Digest::of(part) == chunk.raw
            })
        });
        all && rest.is_empty()
    }

    fn check(&self, generation: Generation) -> Result<(), FormError> {
        let wrong = |problem: &str| Err(value(format!("files[{}]", self.name), problem));
        if !matches!(self.role, Role::Local | Role::Extra) && !self.name.is_plain() {
            return wrong("has a name that its role does not allow");
        }
        if self.role == Role::Archive && !is_archive_name(self.name.as_str(), generation) {
            return wrong("is not named as `oc-mirror` names archives");
        }
        let bound = match self.role {
            Role::Imageset => limits::IMAGESET_SIZE,
            Role::Inventory => limits::INVENTORY_SIZE,
            Role::History => limits::HISTORY_SIZE,
            Role::Archive | Role::Local | Role::Extra => limits::FILE_SIZE,
        };
        if self.size > bound {
            return wrong("is larger than its role allows");
        }
        if !self.chunks.iter().all(Chunk::is_plausible) {
            return wrong("has a chunk whose sizes or digests cannot be");
        }
        if self.chunks.iter().map(|chunk| chunk.raw_size).sum::<u64>() != self.size {
            return wrong("has another size than its chunks");
        }
        Ok(())
    }
}

/// Whether a name is one that `oc-mirror` gives an archive: `mirror_000001.tar` (v2, main:
/// archive/archive.go), `mirror_seq1_000000.tar` (v1).
pub fn is_archive_name(name: &str, generation: Generation) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(middle) = name
        .strip_prefix("mirror_")
        .and_then(|rest| rest.strip_suffix(".tar"))
    else {
        return false;
    };
    match generation {
        Generation::V2 => digits(middle, 6),
        Generation::V1 => middle
            .strip_prefix("seq")
            .and_then(|rest| rest.split_once('_'))
            .is_some_and(|(sequence, part)| {
                (1..=9).any(|n| digits(sequence, n)) && digits(part, 6)
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Encoding;

    fn chunk(raw: &[u8]) -> Chunk {
        Chunk {
            stored: Digest::of(raw),
            stored_size: raw.len() as u64,
            encoding: Encoding::None,
            raw: Digest::of(raw),
            raw_size: raw.len() as u64,
        }
    }

    fn file(name: &str, role: Role) -> File {
        File {
            name: name.parse().unwrap(),
            role,
            size: 7,
            chunks: vec![chunk(b"one"), chunk(b"four")],
        }
    }

    fn link(n: u64) -> Link {
        Link {
            sequence: n.try_into().unwrap(),
            sha256: Digest::of(&n.to_le_bytes()),
        }
    }

    fn full() -> Manifest {
        Manifest {
            r#type: TYPE.to_owned(),
            stream: StreamId::from_bytes([7; 16]),
            name: "lab".to_owned(),
            audience: vec!["one".to_owned()],
            sequence: Sequence::FIRST,
            kind: Kind::Full,
            previous: None,
            requires: None,
            created: Timestamp::from_unix(1000),
            expires: Timestamp::from_unix(1001),
            producer: Producer {
                mimeograph: "0.1.0".to_owned(),
                oc_mirror: "v4.20.0".to_owned(),
                oc_mirror_sha256: Digest::of(b"oc-mirror"),
                generation: Generation::V2,
                flags: vec![],
            },
            incomplete: vec![],
            local_dir: String::new(),
            files: vec![
                file("mirror_000001.tar", Role::Archive),
                file("imageset.yaml", Role::Imageset),
                file("inventory.json", Role::Inventory),
            ],
            annotations: BTreeMap::new(),
        }
    }

    fn delta() -> Manifest {
        Manifest {
            sequence: link(5).sequence,
            kind: Kind::Delta,
            previous: Some(link(4)),
            requires: Some(link(4)),
            ..full()
        }
    }

    fn heartbeat() -> Manifest {
        Manifest {
            kind: Kind::Heartbeat,
            files: vec![],
            ..delta()
        }
    }

    /// The member that is refused of a manifest that was changed so; nothing where it is accepted.
    fn refused(mut manifest: Manifest, change: impl FnOnce(&mut Manifest)) -> Option<String> {
        change(&mut manifest);
        match manifest.check() {
            Ok(()) => None,
            Err(FormError::Value { member, .. }) => Some(member),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_kind_has_its_place_in_the_stream() {
        for good in [full(), delta(), heartbeat()] {
            assert_eq!(refused(good, |_| {}), None);
        }
        let later_full = |m: &mut Manifest| (m.kind, m.requires) = (Kind::Full, None);
        assert_eq!(refused(delta(), later_full), None);
        assert_eq!(refused(delta(), |m| m.requires = Some(link(3))), None);
        let of = |manifest, change: fn(&mut Manifest)| refused(manifest, change).unwrap();
        assert_eq!(of(full(), |m| m.previous = Some(link(1))), "previous");
        assert_eq!(of(full(), |m| m.requires = Some(link(1))), "requires");
        assert_eq!(of(full(), |m| m.sequence = link(2).sequence), "previous");
        assert_eq!(of(delta(), |m| m.previous = None), "previous");
        assert_eq!(of(delta(), |m| m.previous = Some(link(3))), "previous");
        assert_eq!(of(delta(), |m| m.previous = Some(link(5))), "previous");
        assert_eq!(of(delta(), |m| m.requires = Some(link(5))), "requires");
        assert_eq!(of(delta(), |m| m.requires = Some(link(6))), "requires");
        assert_eq!(of(delta(), |m| m.requires = None), "requires");
        assert_eq!(of(heartbeat(), |m| m.requires = None), "requires");
        assert_eq!(of(delta(), |m| m.kind = Kind::Full), "requires");
        let other_digest = |m: &mut Manifest| {
            let sha256 = Digest::of(b"other");
            m.requires = Some(Link { sha256, ..link(4) });
        };
        assert_eq!(of(delta(), other_digest), "requires");
        assert_eq!(of(full(), |m| m.expires = m.created), "expires");
        let before = |m: &mut Manifest| m.expires = Timestamp::from_unix(999);
        assert_eq!(of(full(), before), "expires");
        assert_eq!(of(full(), |m| m.r#type.push(' ')), "type");
    }

    #[test]
    fn what_brings_content_is_asked_of_all_and_a_heartbeat_of_bundlers_alone() {
        assert_eq!(full().asks(), Asks::Policy);
        assert_eq!(delta().asks(), Asks::Policy);
        assert_eq!(heartbeat().asks(), Asks::Bundlers);
    }

    /// A member, and how it is set.
    type Setter<T> = (&'static str, fn(&mut Manifest, T));

    #[test]
    fn texts_are_short_few_and_printable() {
        let set: [Setter<String>; 9] = [
            ("name", |m, text| m.name = text),
            ("localDir", |m, text| m.local_dir = text),
            ("producer.mimeograph", |m, text| {
                m.producer.mimeograph = text;
            }),
            ("producer.ocMirror", |m, text| m.producer.oc_mirror = text),
            ("audience", |m, text| m.audience = vec![text]),
            ("producer.flags", |m, text| m.producer.flags = vec![text]),
            ("incomplete.reference", |m, reference| {
                let reason = Missing::Image;
                m.incomplete = vec![Incomplete { reference, reason }];
            }),
            ("annotations", |m, text| {
                m.annotations = BTreeMap::from([(text, String::new())]);
            }),
            ("annotations", |m, text| {
                m.annotations = BTreeMap::from([(String::new(), text)]);
            }),
        ];
        let longest = "é".repeat(limits::TEXT_LENGTH / 2);
        for (member, set) in set {
            assert_eq!(refused(full(), |m| set(m, longest.clone())), None);
            for wrong in [
                longest.clone() + "x",
                "a\nb".to_owned(),
                "\u{85}".to_owned(),
            ] {
                let found = refused(full(), |m| set(m, wrong.clone()));
                assert_eq!(found.as_deref(), Some(member), "{wrong:?}");
            }
        }
        let fill: [Setter<usize>; 4] = [
            ("audience", |m, n| m.audience = vec![String::new(); n]),
            ("producer.flags", |m, n| {
                m.producer.flags = vec![String::new(); n];
            }),
            ("incomplete", |m, n| {
                let (reference, reason) = (String::new(), Missing::Signature);
                m.incomplete = vec![Incomplete { reference, reason }; n];
            }),
            ("annotations", |m, n| {
                let keys = (0..n).map(|n| (n.to_string(), String::new()));
                m.annotations = keys.collect();
            }),
        ];
        for (member, fill) in fill {
            assert_eq!(refused(full(), |m| fill(m, limits::TEXTS)), None);
            let found = refused(full(), |m| fill(m, limits::TEXTS + 1));
            assert_eq!(found.as_deref(), Some(member));
        }
    }

    #[test]
    fn a_bundle_with_content_has_one_image_set_one_inventory_and_archives() {
        let of = |change: fn(&mut Manifest)| refused(full(), change);
        let files = Some("files".to_owned());
        for n in 0..3 {
            let without = refused(full(), |m| drop(m.files.remove(n)));
            assert_eq!(without, files, "{n}");
        }
        let more = |name: &str, role| refused(full(), |m| m.files.push(file(name, role)));
        assert_eq!(more("mirror_000002.tar", Role::Archive), None);
        assert_eq!(more("history", Role::History), None);
        assert_eq!(more("second.yaml", Role::Imageset), files);
        assert_eq!(more("second.json", Role::Inventory), files);
        assert_eq!(more("mirror_000001.tar", Role::Archive), files);
        assert_eq!(more("mirror_000001.tar", Role::Extra), None);
        let filled = |n: usize| {
            refused(full(), |m| {
                let extra = (m.files.len()..n).map(|n| file(&n.to_string(), Role::Extra));
                m.files.extend(extra.collect::<Vec<_>>());
            })
        };
        assert_eq!(filled(limits::FILES), None);
        assert_eq!(filled(limits::FILES + 1), files);
        let twice = |m: &mut Manifest| {
            m.files.push(file("a", Role::Extra));
            m.files.push(file("A", Role::Extra));
        };
        assert_eq!(of(twice), files);
        let below = |m: &mut Manifest| {
            m.files.push(file("a/b/c", Role::Local));
            m.files.push(file("A/B", Role::Local));
        };
        assert_eq!(of(below), files);
        let beside = |m: &mut Manifest| {
            m.files.push(file("a/b/c", Role::Local));
            m.files.push(file("a/b", Role::Extra));
            m.files.push(file("a/b/d", Role::Local));
        };
        assert_eq!(of(beside), None);
        let with_file = |m: &mut Manifest| m.files.push(file("a", Role::Extra));
        assert_eq!(refused(heartbeat(), with_file), files);
        let lacking = |m: &mut Manifest| {
            let (reference, reason) = ("x".to_owned(), Missing::Signature);
            m.incomplete.push(Incomplete { reference, reason });
        };
        assert_eq!(refused(heartbeat(), lacking), files);
        assert_eq!(refused(full(), lacking), None);
    }

    #[test]
    fn a_file_is_named_and_sized_as_its_role_asks() {
        let check = |file: &File| file.check(Generation::V2);
        for (name, role, is_good) in [
            ("mirror_000001.tar", Role::Archive, true),
            ("mirror_seq1_000000.tar", Role::Archive, false),
            ("other.tar", Role::Archive, false),
            ("other.tar", Role::Extra, true),
            ("imageset.yaml", Role::Imageset, true),
            ("d/imageset.yaml", Role::Imageset, false),
            (".inventory", Role::Inventory, false),
            ("d/history", Role::History, false),
            ("d/f", Role::Local, true),
            ("d/f", Role::Extra, true),
        ] {
            assert_eq!(check(&file(name, role)).is_ok(), is_good, "{name} {role:?}");
        }
        for (name, role, bound) in [
            ("imageset.yaml", Role::Imageset, limits::IMAGESET_SIZE),
            ("inventory.json", Role::Inventory, limits::INVENTORY_SIZE),
            ("history", Role::History, limits::HISTORY_SIZE),
            ("extra", Role::Extra, limits::FILE_SIZE),
        ] {
            let whole = Chunk {
                raw_size: limits::CHUNK_SIZE.min(bound),
                stored_size: 1,
                encoding: Encoding::Zstd,
                ..chunk(b"x")
            };
            let count = usize::try_from(bound / whole.raw_size).unwrap();
            let mut largest = File {
                size: bound,
                chunks: vec![whole; count],
                ..file(name, role)
            };
            check(&largest).unwrap();
            largest.size += 7;
            largest.chunks.extend(file(name, role).chunks);
            assert!(check(&largest).is_err(), "{role:?}");
        }
        let good = file("a", Role::Extra);
        check(&good).unwrap();
        for size in [0, 6, 8] {
            assert!(
                check(&File {
                    size,
                    ..good.clone()
                })
                .is_err()
            );
        }
        let mut implausible = good.clone();
        implausible.chunks[1].stored = Digest::of(b"other");
        assert!(check(&implausible).is_err());
    }

    #[test]
    fn bytes_are_a_file_where_every_chunk_is_and_nothing_is_left() {
        let file = file("a", Role::Extra);
        assert!(file.is(b"onefour"));
        for other in [
            &b""[..],
            b"one",
            b"onefou",
            b"onefours",
            b"fourone",
            b"oneFour",
            b"Onefour",
        ] {
            assert!(!file.is(other), "{other:?}");
        }
        let nothing = File {
            size: 0,
            chunks: vec![],
            ..file
        };
        assert!(nothing.is(b""));
        assert!(!nothing.is(b"x"));
    }

    #[test]
    fn archives_are_named_as_oc_mirror_names_them() {
        let (v1, v2) = (Generation::V1, Generation::V2);
        for (name, generations) in [
            ("mirror_000001.tar", &[v2][..]),
            ("mirror_seq1_000000.tar", &[v1]),
            ("mirror_seq123456789_000000.tar", &[v1]),
            ("mirror_seq1234567890_000000.tar", &[]),
            ("mirror_seq_000000.tar", &[]),
            ("mirror_seq1_00000.tar", &[]),
            ("mirror_seqa_000000.tar", &[]),
            ("mirror_seq1_00000a.tar", &[]),
            ("mirror_1_000000.tar", &[]),
            ("mirror_00001.tar", &[]),
            ("mirror_0000001.tar", &[]),
            ("mirror_00000a.tar", &[]),
            ("mirror_000001.tar.gz", &[]),
            ("a_mirror_000001.tar", &[]),
        ] {
            for generation in [v1, v2] {
                let expected = generations.contains(&generation);
                assert_eq!(is_archive_name(name, generation), expected, "{name}");
            }
        }
    }

    #[test]
    fn files_are_told_by_role_and_chunks_as_often_as_they_come() {
        let manifest = full();
        let archives: Vec<_> = manifest.files(Role::Archive).collect();
        assert_eq!(archives, [&manifest.files[0]]);
        assert_eq!(manifest.files(Role::History).count(), 0);
        assert_eq!(manifest.chunks().count(), 6);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for manifest in [full(), delta(), heartbeat()] {
            let bytes = manifest.to_bytes().unwrap();
            assert_eq!(crate::form::read::<Manifest>(&bytes).unwrap(), manifest);
        }
    }
}
