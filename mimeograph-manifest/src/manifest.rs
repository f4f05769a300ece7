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
