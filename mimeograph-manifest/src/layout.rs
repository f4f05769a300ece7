//! Where things lie in a store, and what a name found there means: one total match.

use std::fmt;

use crate::digest::Digest;
use crate::name::Sequence;

/// An object's name below the stream's place in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `manifests/0000000042.json`
    Manifest(Sequence),
    /// `manifests/0000000042.<16 hex of the manifest's digest>.<16 hex of the key id>.sig`
    Signature {
        /// The bundle it is for.
        sequence: Sequence,
        /// First 16 hexadecimal digits of the manifest's digest.
        manifest: String,
        /// First 16 hexadecimal digits of the signing key's id.
        signer: String,
    },
    /// `chunks/ab/abcdef…`
    Chunk(Digest),
    /// `pruned/0000000001.json`
    Pruned(Sequence),
    /// `pruned/0000000001.<16 hex of the list's digest>.<16 hex of the key id>.sig`
    PrunedSignature {
        /// The list it is for.
        number: Sequence,
        /// First 16 hexadecimal digits of the list's digest.
        list: String,
        /// First 16 hexadecimal digits of the signing key's id.
        signer: String,
    },
    /// `probe`: what tells whether the store honours `If-None-Match`.
    Probe,
}

/// The folder of manifests and signatures.
pub const MANIFESTS: &str = "manifests/";
/// The folder of chunks.
pub const CHUNKS: &str = "chunks/";
/// The folder of the lists of what is dropped, and their signatures.
pub const PRUNED: &str = "pruned/";

impl Key {
    /// The name of a signature by the key with `key_id` over the manifest with digest `manifest`.
    pub fn signature(sequence: Sequence, manifest: &Digest, key_id: &Digest) -> Self {
        Self::Signature {
            sequence,
            manifest: manifest.short(),
            signer: key_id.short(),
        }
    }

    /// The same over a list of what is dropped.
    pub fn pruned_signature(number: Sequence, list: &Digest, key_id: &Digest) -> Self {
        Self::PrunedSignature {
            number,
            list: list.short(),
            signer: key_id.short(),
        }
    }

    /// What a name found in a store stands for; `None` for one that is not ours.
    pub fn parse(name: &str) -> Option<Self> {
        let (folder, file) = name.split_once('/').unwrap_or(("", name));
        let key = match folder {
            "" if file == "probe" => Some(Self::Probe),
            "manifests" => Self::parse_manifest(file),
            "pruned" => Self::parse_pruned(file),
            "chunks" => file.split_once('/')?.1.parse().ok().map(Self::Chunk),
            _ => None,
        }?;
        (key.to_string() == name).then_some(key)
    }

    fn parse_manifest(file: &str) -> Option<Self> {
        if let Some(digits) = file.strip_suffix(".json") {
            return Sequence::from_padded(digits).ok().map(Self::Manifest);
        }
        let (sequence, manifest, signer) = parse_signature(file)?;
        Some(Self::Signature {
            sequence,
            manifest,
            signer,
        })
    }

    fn parse_pruned(file: &str) -> Option<Self> {
        if let Some(digits) = file.strip_suffix(".json") {
            return Sequence::from_padded(digits).ok().map(Self::Pruned);
        }
        let (number, list, signer) = parse_signature(file)?;
        Some(Self::PrunedSignature {
            number,
            list,
            signer,
        })
    }
}

fn parse_signature(file: &str) -> Option<(Sequence, String, String)> {
    let mut parts = file.strip_suffix(".sig")?.split('.');
    let (number, document, signer) = (parts.next()?, parts.next()?, parts.next()?);
    let hex16 = |text: &str| {
        text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let number = Sequence::from_padded(number).ok()?;
    let is_one = parts.next().is_none() && hex16(document) && hex16(signer);
    is_one.then(|| (number, document.to_owned(), signer.to_owned()))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(sequence) => write!(f, "{MANIFESTS}{}.json", sequence.padded()),
            Self::Signature {
                sequence,
                manifest,
                signer,
            } => {
                write!(
                    f,
                    "{MANIFESTS}{}.{manifest}.{signer}.sig",
                    sequence.padded()
                )
            }
            Self::Chunk(digest) => {
                let hex = digest.to_string();
                write!(f, "{CHUNKS}{}/{hex}", &hex[..2])
            }
            Self::Pruned(number) => write!(f, "{PRUNED}{}.json", number.padded()),
            Self::PrunedSignature {
                number,
                list,
                signer,
            } => write!(f, "{PRUNED}{}.{list}.{signer}.sig", number.padded()),
            Self::Probe => f.write_str("probe"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_back_and_nothing_else_is() {
        let digest = Digest::of(b"x");
        let one = Sequence::FIRST;
        for key in [
            Key::Manifest(one),
            Key::signature(one, &digest, &digest),
            Key::Chunk(digest),
            Key::Pruned(one),
            Key::pruned_signature(one, &digest, &digest),
            Key::Probe,
        ] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        let hex = digest.to_string();
        for foreign in [
            "README".to_owned(),
            "mirror_seq1_000000.tar".to_owned(),
            "manifests/1.json".to_owned(),
            "manifests/0000000001.json.tmp".to_owned(),
            format!("manifests/0000000001.{hex}.{hex}.sig"),
            format!("pruned/0000000001.{hex}.{hex}.sig"),
            format!("manifests/0000000001.{}.{hex}.sig", &hex[..16]),
            format!("manifests/0000000001.{hex}.{}.sig", &hex[..16]),
            format!("manifests/0000000001.{0}.{0}.{0}.sig", &hex[..16]),
            format!("manifests/0000000001.{0}.{0}.sig", "A7".repeat(8)),
            format!("manifests/0000000001.{0}.{0}.sig", "g7".repeat(8)),
            format!("manifests/1.{0}.{0}.sig", &hex[..16]),
            format!("manifests/0000000001.{}.sig", &hex[..16]),
            "probe/".to_owned(),
            "/probe".to_owned(),
            "manifests/probe".to_owned(),
            "pruned/1.json".to_owned(),
            format!("chunks/00/{hex}"),
            format!("chunks/{hex}"),
            "chunks/../manifests/0000000001.json".to_owned(),
        ] {
            assert_eq!(Key::parse(&foreign), None, "{foreign}");
        }
    }
}
