//! Ed25519 keys as stock OpenSSL 3 reads and writes them.
//!
//! A signing key is PKCS#8 version 1 (RFC 8410, section 7: 48 bytes of DER), a public key is
//! SubjectPublicKeyInfo (RFC 8410, section 4: 44 bytes), both in PEM. Defends against weak public
//! keys (small order, refused at load).

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{Signer as _, VerifyingKey};
use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::limits;

/// RFC 8410: everything of a `OneAsymmetricKey` version 1 before its 32 bytes of seed.
const PKCS8_V1: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// RFC 8410: everything of a `SubjectPublicKeyInfo` before its 32 bytes of key.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What is wrong with a key file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a private key in the one form.
    #[error("{0}not an Ed25519 private key in PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`)")]
    NotPrivate(Instead),
    /// A private key that only a passphrase opens.
    #[error("a private key under a passphrase, which nobody types here")]
    Encrypted,
    /// A public key where a private one belongs.
    #[error("a public key where the private one belongs")]
    PublicNotPrivate,
    /// Not a public key in the one form.
    #[error(
        "{0}not an Ed25519 public key in SubjectPublicKeyInfo PEM (`-----BEGIN PUBLIC KEY-----`)"
    )]
    NotPublic(Instead),
    /// A private key where a public one belongs.
    #[error("a private key where a public key belongs")]
    PrivateNotPublic,
    /// A key of small order, under which signatures can be forged.
    #[error("a weak Ed25519 public key (small order)")]
    Weak,
}

/// What lies there instead of a key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing.
    Nothing,
    /// A key for RSA, elliptic curves or the like.
    OtherKey,
    /// Who knows.
    Unknown,
}

impl Instead {
    fn of(text: &str) -> Self {
        // RFC 8410, section 3: 1.3.101.112
        const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];
        if text.trim().is_empty() {
            return Self::Nothing;
        }
        let decoded = pem_rfc7468::decode_vec(text.as_bytes());
        let is_other = decoded.is_ok_and(|(label, der)| {
            let der = Zeroizing::new(der);
            label.ends_with("KEY") && !der.windows(ED25519.len()).any(|part| part == ED25519)
        });
        if is_other {
            Self::OtherKey
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "an empty file, ",
            Self::OtherKey => "a key for another algorithm, ",
            Self::Unknown => "",
        })
    }
}

impl Fault for KeyError {
    fn id(&self) -> ErrorId {
        ErrorId::KeyInvalid
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PrivateNotPublic => "remove it from here, and treat it as stolen if others could read it; \
                 `openssl pkey -in KEY.pem -pubout` prints its public half"
                .into(),
            Self::Encrypted => "open it into memory first, and remove that afterwards: `openssl pkey -in KEY.pem -out /dev/shm/plain.pem`".into(),
            Self::PublicNotPrivate => "name its other half, which only the signer has".into(),
            Self::NotPrivate(_) | Self::NotPublic(_) | Self::Weak => "make keys with `mimeograph-bundler keygen --out DIR` or `openssl genpkey -algorithm ed25519`".into(),
        })
    }
}

/// A key that signs manifests. Its bytes are wiped when it is dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From 32 random bytes (the seed of RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem);
        key.map(Self).map_err(|_| {
            if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY") {
                KeyError::Encrypted
            } else if pem.contains("-----BEGIN PUBLIC KEY") {
                KeyError::PublicNotPrivate
            } else {
                KeyError::NotPrivate(Instead::of(pem))
            }
        })
    }

    /// Writes PKCS#8 **version 1** PEM, which OpenSSL 3.0 reads (it refuses version 2).
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_V1);
        der[16..].copy_from_slice(self.0.as_bytes());
        Zeroizing::new(pem("PRIVATE KEY", &*der))
    }

    /// The raw 64-byte signature (RFC 8032, section 5.1.6) over exactly `bytes`.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

/// A key that verifies manifests; never a weak one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateNotPublic);
        }
        let key = VerifyingKey::from_public_key_pem(pem)
            .map_err(|_| KeyError::NotPublic(Instead::of(pem)))?;
        if key.is_weak() {
            Err(KeyError::Weak)
        } else {
            Ok(Self(key))
        }
    }

    /// Writes SubjectPublicKeyInfo PEM.
    pub fn to_pem(self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    /// The key id: SHA-256 of the 44 bytes of SubjectPublicKeyInfo.
    pub fn id(&self) -> Digest {
        Digest::of(&self.spki())
    }

    /// Whether `signature` is this key's over exactly `bytes` (`verify_strict`: no malleability).
    pub fn verifies(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(signature))
            .is_ok()
    }

    fn spki(self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI);
        der[12..].copy_from_slice(self.0.as_bytes());
        der
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

fn pem(label: &'static str, der: &[u8]) -> String {
    // Fails only for labels and lengths other than these two.
    pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

const _: () = assert!(limits::SIGNATURE_SIZE == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_pem() {
        let key = SigningKey::from_seed(&[7; 32]);
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(
            PublicKey::from_pem(&key.public().to_pem()),
            Ok(key.public())
        );
        assert!(key.public().verifies(b"x", &again.sign(b"x")));
        assert!(!key.public().verifies(b"y", &again.sign(b"x")));
    }

    #[test]
    fn a_weak_key_is_refused_at_load() {
        let neutral = {
            let mut der = SPKI.to_vec();
            der.push(1);
            der.extend([0; 31]);
            pem("PUBLIC KEY", &der)
        };
        assert_eq!(PublicKey::from_pem(&neutral), Err(KeyError::Weak));
    }

    #[test]
    fn what_is_no_key_of_ours_is_called_what_it_is() {
        let key = SigningKey::from_seed(&[7; 32]);
        let rsa = pem("RSA PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]);
        let sealed = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0x00]);
        for (text, error) in [
            ("\n", KeyError::NotPrivate(Instead::Nothing)),
            (&sealed, KeyError::Encrypted),
            (&key.public().to_pem(), KeyError::PublicNotPrivate),
            (&rsa, KeyError::NotPrivate(Instead::OtherKey)),
            ("no key", KeyError::NotPrivate(Instead::Unknown)),
        ] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), error, "{text}");
        }
        let rsa = pem("PUBLIC KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]);
        let certificate = pem("CERTIFICATE", &[0x30, 0x03, 0x02, 0x01, 0x00]);
        let short = pem("PUBLIC KEY", &SPKI);
        for (text, instead) in [
            ("", Instead::Nothing),
            (&*rsa, Instead::OtherKey),
            (&*certificate, Instead::Unknown),
            (&*short, Instead::Unknown),
            ("no key", Instead::Unknown),
        ] {
            let refused = Err(KeyError::NotPublic(instead));
            assert_eq!(PublicKey::from_pem(text), refused);
        }
    }

    #[test]
    fn a_private_key_among_the_trusted_is_called_that() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert_eq!(
            PublicKey::from_pem(&key.to_pem()),
            Err(KeyError::PrivateNotPublic)
        );
    }
}
