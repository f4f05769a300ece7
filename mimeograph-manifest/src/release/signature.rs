//! Signatures of releases: OpenPGP messages whose text says which digest is which release
//! (<https://github.com/containers/image/blob/main/docs/containers-signature.5.md>).

use std::io::Read as _;

use pgp::composed::{Deserializable as _, Message, SignedPublicKey};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails as _, VerifyingKey};
use serde::Deserialize;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::limits;

/// The keys that `oc-mirror` trusts by itself (main: release/cincinnati.go): Red Hat's.
const RED_HAT: &str = include_str!("red-hat-release-keys.asc");

/// The keys that releases may be signed with.
#[derive(Clone, Debug, Default)]
pub struct ReleaseKeys(Vec<SignedPublicKey>);

/// What a valid signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The digest of the release's image.
    pub digest: Digest,
    /// Its name, `quay.io/openshift-release-dev/ocp-release:4.20.3-x86_64`.
    pub reference: String,
    /// The fingerprint of the key, in hexadecimal digits.
    pub key: String,
}

/// Why a signature or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not OpenPGP keys.
    #[error("there is no OpenPGP public key that can be read: {0}")]
    Keys(String),
    /// Not an OpenPGP message.
    #[error("the signature cannot be read: {0}")]
    Message(String),
    /// No trusted key made it.
    #[error("the signature was made by none of the trusted release keys")]
    Untrusted,
    /// The text is not what it must be.
    #[error("what was signed cannot be read: {0}")]
    Text(String),
}

impl Fault for SignatureError {
    fn id(&self) -> ErrorId {
        ErrorId::KeyInvalid
    }
}

#[derive(Deserialize)]
struct Text {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    r#type: String,
    image: Image,
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

/// Keys in a row.
struct AllKeys<'a>(&'a [SignedPublicKey]);

impl Serialize for AllKeys<'_> {
    fn to_writer<W: std::io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
        self.0.iter().try_for_each(|key| key.to_writer(writer))
    }

    fn write_len(&self) -> usize {
        self.0.iter().map(Serialize::write_len).sum()
    }
}

impl ReleaseKeys {
    /// Red Hat's.
    pub fn red_hat() -> Result<Self, SignatureError> {
        Self::parse(RED_HAT)
    }

    /// Reads armoured public keys, one or several.
    pub fn parse(armoured: &str) -> Result<Self, SignatureError> {
        let wrong = |error: pgp::errors::Error| SignatureError::Keys(error.to_string());
        let (keys, _) = SignedPublicKey::from_string_many(armoured).map_err(wrong)?;
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(wrong)?;
        if keys.is_empty() {
            return Err(SignatureError::Keys("it is empty".into()));
        }
        Ok(Self(keys))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them as one armoured block: of several blocks in a file, `oc-mirror` reads only the first.
    pub fn to_armoured(&self) -> Result<Vec<u8>, SignatureError> {
        let mut armoured = Vec::new();
        let all = AllKeys(&self.0);
        pgp::armor::write(
            &all,
            pgp::armor::BlockType::PublicKey,
            &mut armoured,
            None,
            true,
        )
        .map_err(|error| SignatureError::Keys(error.to_string()))?;
        Ok(armoured)
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Verifies a signature, and only then reads what it says.
    pub fn verify(&self, bytes: &[u8]) -> Result<Signed, SignatureError> {
        let wrong = |error: pgp::errors::Error| SignatureError::Message(error.to_string());
        let mut message = Message::from_bytes(bytes).map_err(wrong)?;
        if message.is_compressed() {
            message = message.decompress().map_err(wrong)?;
        }
        let mut text = Vec::new();
        let mut limited = { &mut message }.take(limits::RELEASE_SIGNATURE_SIZE + 1);
        limited
            .read_to_end(&mut text)
            .map_err(|error| SignatureError::Message(error.to_string()))?;
        if text.len() as u64 > limits::RELEASE_SIGNATURE_SIZE {
            return Err(SignatureError::Message("it is too long".into()));
        }
        let key = self.signer(&message).ok_or(SignatureError::Untrusted)?;
        let text: Text = serde_json::from_slice(&text)
            .map_err(|error| SignatureError::Text(error.to_string()))?;
        let Critical {
            r#type,
            image,
            identity,
        } = text.critical;
        if r#type != "atomic container signature" {
            return Err(SignatureError::Text(format!(
                "its type is `{}`",
                r#type.escape_default()
            )));
        }
        let digest = Digest::from_oci(&image.docker_manifest_digest)
            .map_err(|error| SignatureError::Text(error.to_string()))?;
        Ok(Signed {
            digest,
            reference: identity.docker_reference,
            key,
        })
    }

    /// The fingerprint of the key that made it; its own or one of its sub-keys for signing.
    fn signer(&self, message: &Message<'_>) -> Option<String> {
        let made = |key: &dyn VerifyingKey| message.verify(key).is_ok();
        self.0.iter().find_map(|key| {
            let own = made(&key.primary_key);
            let sub_keys = key.public_subkeys.iter();
            let mut signing = sub_keys.filter(|sub| {
                sub.signatures
                    .iter()
                    .any(|signature| signature.key_flags().sign())
            });
            (own || signing.any(|sub| made(&sub.key))).then(|| key.fingerprint().to_string())
        })
    }
}
