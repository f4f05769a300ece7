//! `Signed<Manifest>` -> `Verified<Manifest>`: the only signer and the only verifier.
//!
//! Signatures are checked over the exact bytes before any of them is parsed. What counts is the
//! number of distinct trusted keys that verify; names of files only say where to look.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::key::{SigningKey, TrustedKeys};
use crate::layout::Key;
use crate::limits;
use crate::manifest::{Link, Manifest, ManifestError};
use crate::name::Sequence;

/// A signature as it was found beside a manifest: whose it claims to be, over what, and its bytes.
#[derive(Clone, Debug)]
pub struct FoundSignature {
    /// First 16 hexadecimal digits of the digest that its name gives.
    pub manifest: String,
    /// First 16 hexadecimal digits of the key id that its name gives.
    pub signer: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Bytes that claim to be a `T` at one place of a stream, with the signatures found for that place.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    sequence: Sequence,
    payload: Vec<u8>,
    signatures: Vec<FoundSignature>,
    of: PhantomData<fn() -> T>,
}

/// A `T` whose exact bytes enough trusted keys have signed. Only a check can make one.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    payload: Vec<u8>,
    signers: Vec<Digest>,
    disregarded: Vec<String>,
    signatures: Vec<FoundSignature>,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Verified<T> {
    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The exact bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The ids of the trusted keys that signed.
    pub fn signers(&self) -> &[Digest] {
        &self.signers
    }

    /// The signatures that were found for exactly these bytes, those that did not count too.
    pub fn signatures(&self) -> &[FoundSignature] {
        &self.signatures
    }

    /// Key ids (16 digits) of signatures that lay there and did not count.
    pub fn disregarded(&self) -> &[String] {
        &self.disregarded
    }
}

impl Verified<Manifest> {
    /// The bundle by number and digest, as others name it.
    pub fn link(&self) -> Link {
        Link {
            sequence: self.sequence,
            sha256: self.digest,
        }
    }
}

/// Why a manifest is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody has signed yet: the signature may still be arriving.
    #[error("no signature for bundle {0} is there yet")]
    Unsigned(Sequence),
    /// Longer than any manifest may be.
    #[error("the manifest of bundle {0} is longer than {max} bytes", max = limits::MANIFEST_SIZE)]
    TooLong(Sequence),
    /// No trusted key's signature covers these bytes.
    #[error("no trusted key has signed these bytes of the manifest of bundle {sequence}: {found}")]
    Untrusted {
        /// The bundle.
        sequence: Sequence,
        /// What lies there instead.
        found: String,
    },
    /// Some trusted keys have signed, but too few.
    #[error("bundle {sequence} has {have} of {need} signatures that it needs")]
    Pending {
        /// The bundle.
        sequence: Sequence,
        /// Signatures that count.
        have: usize,
        /// Signatures that must be there.
        need: usize,
    },
    /// Signed, but not a manifest that we can read.
    #[error("the signed manifest of bundle {sequence} cannot be used")]
    Manifest {
        /// The bundle.
        sequence: Sequence,
        /// Why.
        source: ManifestError,
    },
    /// Signed for another place.
    #[error("the manifest under the name of bundle {named} is that of bundle {signed}")]
    Misplaced {
        /// The number in the object's name.
        named: Sequence,
        /// The number that was signed.
        signed: Sequence,
    },
}

impl Fault for VerifyError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Unsigned(_) => ErrorId::Incomplete,
            Self::Untrusted { .. } | Self::TooLong(_) => ErrorId::Untrusted,
            Self::Pending { .. } => ErrorId::PendingApproval,
            Self::Manifest {
                source: ManifestError::Newer(_),
                ..
            } => ErrorId::TooNew,
            Self::Manifest { .. } => ErrorId::ManifestMalformed,
            Self::Misplaced { .. } => ErrorId::Fork,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unsigned(_) => "wait for the transfer to end, or ask the other side for the `.sig` file".into(),
            Self::Untrusted { .. } | Self::TooLong(_) => {
                "do not use this bundle; have it sent again, and if it stays so, compare the key ids of both sides \
                 (`mimeograph-populator check`, `mimeograph-bundler check`) over another channel"
                    .into()
            }
            Self::Pending { .. } => "wait for the other signatures; `trust.threshold` says how many are needed".into(),
            Self::Manifest { source: ManifestError::Newer(_), .. } => "upgrade this program".into(),
            Self::Manifest { .. } | Self::Misplaced { .. } => {
                "it was signed so by a trusted key: ask those who hold it how that came about".into()
            }
        })
    }
}

impl Signed<Manifest> {
    /// What was found in a store for `sequence`: a manifest's bytes, and all signatures of that number.
    pub fn new(sequence: Sequence, payload: Vec<u8>, signatures: Vec<FoundSignature>) -> Self {
        Self {
            sequence,
            payload,
            signatures,
            of: PhantomData,
        }
    }

    /// Signs a manifest: its exact bytes, the name of the signature, and the signature.
    pub fn sign(manifest: &Manifest, key: &SigningKey) -> Result<Sealed, ManifestError> {
        manifest.check()?;
        let payload = manifest.to_bytes()?;
        if payload.len() as u64 > limits::MANIFEST_SIZE {
            return Err(ManifestError::Value {
                member: "files".into(),
                problem: "has so many chunks that the manifest is too long; use larger chunks or a smaller image set"
                    .into(),
            });
        }
        let digest = Digest::of(&payload);
        let name = Key::signature(manifest.sequence, &digest, &key.public().id());
        Ok(Sealed {
            signature: (name, key.sign(&payload)),
            payload,
            digest,
        })
    }

    /// Checks the signatures over the exact bytes against `trusted`, then reads the manifest.
    pub fn verify(self, trusted: &TrustedKeys) -> Result<Verified<Manifest>, VerifyError> {
        let Self {
            sequence,
            payload,
            mut signatures,
            ..
        } = self;
        if payload.len() as u64 > limits::MANIFEST_SIZE {
            return Err(VerifyError::TooLong(sequence));
        }
        let digest = Digest::of(&payload);
        let (signers, disregarded) = count(sequence, &payload, &digest, &signatures, trusted)?;
        let value = Manifest::from_bytes(&payload)
            .map_err(|source| VerifyError::Manifest { sequence, source })?;
        if value.sequence != sequence {
            return Err(VerifyError::Misplaced {
                named: sequence,
                signed: value.sequence,
            });
        }
        signatures.retain(|found| found.manifest == digest.short());
        Ok(Verified {
            value,
            digest,
            payload,
            signers,
            disregarded,
            signatures,
        })
    }
}

/// A manifest's exact bytes with a signature over them, ready to be published.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The exact bytes.
    pub payload: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
    /// The signature and its name.
    pub signature: (Key, [u8; 64]),
}

/// The trusted keys that signed, and the signatures that do not count; or why they are too few.
fn count(
    sequence: Sequence,
    payload: &[u8],
    digest: &Digest,
    signatures: &[FoundSignature],
    trusted: &TrustedKeys,
) -> Result<(Vec<Digest>, Vec<String>), VerifyError> {
    if signatures.is_empty() {
        return Err(VerifyError::Unsigned(sequence));
    }
    let (mut signers, mut disregarded, mut broken) = (Vec::new(), Vec::new(), None);
    let short = digest.short();
    for found in signatures.iter().filter(|found| found.manifest == short) {
        let mut known = trusted.named(&found.signer).peekable();
        let is_known = known.peek().is_some();
        let verifying = <&[u8; 64]>::try_from(found.bytes.as_slice())
            .ok()
            .and_then(|signature| known.find(|key| key.verifies(payload, signature)));
        match verifying {
            Some(key) if !signers.contains(&key.id()) => signers.push(key.id()),
            Some(_) => {}
            None => {
                disregarded.push(found.signer.clone());
                if is_known {
                    broken = Some(found.signer.clone());
                }
            }
        }
    }
    let need = trusted.threshold().get();
    if signers.len() >= need {
        return Ok((signers, disregarded));
    }
    let untrusted = |found: String| Err(VerifyError::Untrusted { sequence, found });
    match broken {
        Some(signer) => untrusted(format!(
            "the signature named for trusted key {signer} does not verify"
        )),
        None if !signers.is_empty() => Err(VerifyError::Pending {
            sequence,
            have: signers.len(),
            need,
        }),
        None if disregarded.is_empty() => untrusted(format!(
            "the signatures there are over another manifest than this one, {digest}"
        )),
        None => untrusted(format!(
            "only signatures of keys that are not trusted, {}",
            disregarded.join(", ")
        )),
    }
}
