//! The populator's state outside its volume: one document per stream, which counts by its own signatures alone.
//!
//! It holds what was signed (manifests and inventory, byte for byte, with their signatures) and where the last load put
//! it, in two parts: a heartbeat changes the small one alone. Whoever can write to the place where it is kept can make it older or take it away, and nothing else: what is
//! read is verified like what is read from a store.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::inventory::{Inventory, InventoryError};
use crate::limits;
use crate::manifest::{Generation, Kind, Manifest, Role};
use crate::name::{Sequence, StreamId};
use crate::signed::{FoundSignature, Signed, Verified, VerifyError};
use crate::trust::TrustedKeys;

/// The type that this program writes and reads.
pub const TYPE: &str = "application/vnd.mimeograph.state.v1+json";
/// What every version of it begins with.
const TYPE_PREFIX: &str = "application/vnd.mimeograph.state.v";
const LEVEL: i32 = 3;

/// A destination and what must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The repository, without the host.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The digest that was signed.
    pub digest: Digest,
}

/// What is kept, before anything of it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    applied: Applied,
    heartbeat: Option<SignedText>,
}

/// The part that changes with what is applied. Members in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Applied {
    r#type: String,
    stream: StreamId,
    content: SignedText,
    inventory: String,
    destinations: Vec<Wanted>,
}

/// A manifest's exact bytes and the signatures that were found for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedText {
    sequence: Sequence,
    manifest: String,
    signatures: Vec<KeptSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSignature {
    /// First 16 hexadecimal digits of the key id.
    signer: String,
    /// The 64 bytes in base64.
    signature: String,
}

/// A document whose parts were all signed by trusted keys.
#[derive(Clone, Debug)]
pub struct VerifiedCopy {
    /// The last bundle with content that was applied.
    pub content: Verified<Manifest>,
    /// What it holds.
    pub inventory: Inventory,
    /// The exact bytes of that.
    pub inventory_bytes: Vec<u8>,
    /// The last heartbeat that was accepted.
    pub heartbeat: Option<Verified<Manifest>>,
    /// Where the last load put every image that the inventory's wish names. They are not signed: they say where to ask,
    /// not what to believe. Empty where they do not name all of them (or the bundle is v1's): then only loading tells.
    pub destinations: Vec<Wanted>,
}

/// Why a document cannot be written or does not count.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Made by a newer program.
    #[error("the format `{0}` of the state's copy is newer than this program")]
    Newer(String),
    /// Longer than any may be.
    #[error("the state's copy is longer than {0} bytes")]
    TooLong(u64),
    /// Not compressed as it must be.
    #[error("the state's copy is damaged")]
    Compression(#[source] io::Error),
    /// Not in its form.
    #[error("the state's copy is not one")]
    Malformed(#[source] serde_json::Error),
    /// Bytes that no text can hold.
    #[error("the {0} is not UTF-8")]
    NotText(&'static str),
    /// What it holds was not signed.
    #[error("the {what} in the state's copy is not to be trusted")]
    Untrusted {
        /// `manifest` or `heartbeat`.
        what: &'static str,
        /// Why.
        source: VerifyError,
    },
    /// Signed, but for another place.
    #[error("the state's copy holds {0}")]
    Misplaced(String),
    /// The signed inventory cannot be read.
    #[error("the inventory in the state's copy cannot be used")]
    Inventory(#[source] InventoryError),
}

impl Fault for StateError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Newer(_) => ErrorId::TooNew,
            Self::Untrusted { source, .. } => source.id(),
            _ => ErrorId::StateDamaged,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer(_) => Some("upgrade this program".into()),
            Self::Untrusted { source, .. } => source.hint(),
            _ => None,
        }
    }
}

impl Document {
    /// What is to be kept of a bundle that was applied.
    pub fn new(
        content: &Verified<Manifest>,
        inventory: &[u8],
        heartbeat: Option<&Verified<Manifest>>,
        destinations: Vec<Wanted>,
    ) -> Result<Self, StateError> {
        let applied = Applied {
            r#type: TYPE.to_owned(),
            stream: content.stream.clone(),
            content: SignedText::of(content)?,
            inventory: text(inventory, "inventory")?,
            destinations,
        };
        let heartbeat = heartbeat.map(SignedText::of).transpose()?;
        Ok(Self { applied, heartbeat })
    }

    /// The number of the bundle, as the document itself says.
    pub fn sequence(&self) -> Sequence {
        self.applied.content.sequence
    }

    /// The same with a later heartbeat.
    pub fn with_heartbeat(self, heartbeat: &Verified<Manifest>) -> Result<Self, StateError> {
        let heartbeat = Some(SignedText::of(heartbeat)?);
        Ok(Self { heartbeat, ..self })
    }

    /// Its parts, each a line of JSON in one zstd frame.
    pub fn to_parts(&self) -> Result<Vec<Vec<u8>>, StateError> {
        let mut parts = vec![pack(&self.applied)?];
        if let Some(heartbeat) = &self.heartbeat {
            parts.push(pack(heartbeat)?);
        }
        bounded(parts.iter().map(Vec::len).sum(), limits::STATE_STORED_SIZE)?;
        Ok(parts)
    }

    /// Its bytes: one part after the other.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        Ok(self.to_parts()?.concat())
    }

    /// Reads it. Nothing of it is to be believed before [`Document::verify`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        bounded(bytes.len(), limits::STATE_STORED_SIZE)?;
        let json = unpack(bytes)?;
        let mut lines = json.splitn(2, |byte| *byte == b'\n');
        let (applied, heartbeat) = (lines.next().unwrap_or_default(), lines.next());
        check_type(applied)?;
        let applied = serde_json::from_slice(applied).map_err(StateError::Malformed)?;
        let heartbeat = heartbeat
            .filter(|rest| !rest.is_empty())
            .map(serde_json::from_slice);
        let heartbeat = heartbeat.transpose().map_err(StateError::Malformed)?;
        Ok(Self { applied, heartbeat })
    }

    /// Checks every part by its own signatures, as if it came from a store.
    pub fn verify(
        self,
        stream: &StreamId,
        trusted: &TrustedKeys,
    ) -> Result<VerifiedCopy, StateError> {
        let Applied {
            content,
            inventory,
            destinations,
            ..
        } = self.applied;
        let content = content.verify("manifest", stream, trusted)?;
        if content.kind == Kind::Heartbeat {
            return Err(misplaced("a heartbeat in place of a bundle"));
        }
        let bytes = inventory.into_bytes();
        let is_signed = content.files(Role::Inventory).all(|file| file.is(&bytes));
        if !is_signed {
            return Err(misplaced("another inventory than the manifest's"));
        }
        let inventory = Inventory::from_bytes(&bytes).map_err(StateError::Inventory)?;
        let heartbeat = self
            .heartbeat
            .map(|text| text.verify("heartbeat", stream, trusted))
            .transpose()?;
        if heartbeat
            .as_ref()
            .is_some_and(|one| one.kind != Kind::Heartbeat)
        {
            return Err(misplaced("a bundle in place of a heartbeat"));
        }
        let destinations = match content.producer.generation {
            Generation::V2 => whole(destinations, &inventory.wish.digests()),
            Generation::V1 => Vec::new(),
        };
        Ok(VerifiedCopy {
            content,
            inventory,
            inventory_bytes: bytes,
            heartbeat,
            destinations,
        })
    }
}

/// Those that lead to an image of the wish, where they lead to each of them.
fn whole(mut destinations: Vec<Wanted>, wish: &BTreeSet<Digest>) -> Vec<Wanted> {
    destinations.retain(|one| wish.contains(&one.digest));
    let named: BTreeSet<_> = destinations.iter().map(|one| one.digest).collect();
    if named == *wish {
        destinations
    } else {
        Vec::new()
    }
}

impl SignedText {
    fn of(manifest: &Verified<Manifest>) -> Result<Self, StateError> {
        let signatures = manifest.signatures().iter().map(|found| KeptSignature {
            signer: found.signer.clone(),
            signature: STANDARD.encode(&found.bytes),
        });
        Ok(Self {
            sequence: manifest.sequence,
            manifest: text(manifest.payload(), "manifest")?,
            signatures: signatures.collect(),
        })
    }

    fn verify(
        self,
        what: &'static str,
        stream: &StreamId,
        trusted: &TrustedKeys,
    ) -> Result<Verified<Manifest>, StateError> {
        let payload = self.manifest.into_bytes();
        let digest = Digest::of(&payload).short();
        let signatures = self.signatures.into_iter().take(limits::SIGNATURES);
        let signatures = signatures.map(|kept| FoundSignature {
            manifest: digest.clone(),
            signer: kept.signer,
            // What is not base64 is no signature either.
            bytes: STANDARD.decode(kept.signature).unwrap_or_default(),
        });
        let manifest = Signed::<Manifest>::new(self.sequence, payload, signatures.collect())
            .verify(trusted)
            .map_err(|source| StateError::Untrusted { what, source })?;
        if manifest.stream == *stream {
            Ok(manifest)
        } else {
            Err(misplaced(&format!(
                "a {what} of stream {}",
                manifest.stream
            )))
        }
    }
}

fn misplaced(what: &str) -> StateError {
    StateError::Misplaced(what.to_owned())
}

fn text(bytes: &[u8], what: &'static str) -> Result<String, StateError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| StateError::NotText(what))
}

fn bounded(size: usize, limit: u64) -> Result<(), StateError> {
    if size as u64 <= limit {
        Ok(())
    } else {
        Err(StateError::TooLong(limit))
    }
}

fn pack(part: &impl Serialize) -> Result<Vec<u8>, StateError> {
    let mut line = serde_json::to_vec(part).map_err(StateError::Malformed)?;
    line.push(b'\n');
    bounded(line.len(), limits::STATE_SIZE)?;
    let compress = || -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        encoder.write_all(&line)?;
        encoder.finish()
    };
    compress().map_err(StateError::Compression)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, StateError> {
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(bytes)
        .and_then(|decoder| decoder.take(limits::STATE_SIZE + 1).read_to_end(&mut json))
        .map_err(StateError::Compression)?;
    bounded(json.len(), limits::STATE_SIZE)?;
    Ok(json)
}

/// A later version may have other members, so the type is looked at before them.
fn check_type(json: &[u8]) -> Result<(), StateError> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let Typed { r#type } = serde_json::from_slice(json).map_err(StateError::Malformed)?;
    match r#type.strip_prefix(TYPE_PREFIX) {
        Some(_) if r#type == TYPE => Ok(()),
        Some(_) => Err(StateError::Newer(r#type)),
        None => Err(misplaced("something else")),
    }
}
