//! A receipt: one signed line that says which bundle an enclave has applied.
//!
//! It goes back over the gap by whatever way there is: mail, a slip of paper, a photograph of a screen. So it is short,
//! ASCII, and a line break in place of its one space does no harm.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::key::SigningKey;
use crate::limits;
use crate::manifest::Link;
use crate::name::{Sequence, StreamId, is_enclave};
use crate::time::Timestamp;
use crate::trust::TrustedKeys;

/// The type that this program writes and reads.
pub const TYPE: &str = "application/vnd.mimeograph.receipt.v1+json";
/// What every version of it begins with.
const TYPE_PREFIX: &str = "application/vnd.mimeograph.receipt.v";

/// What was applied, where, and when. Members in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`TYPE`].
    pub r#type: String,
    /// The enclave that it was applied in.
    pub enclave: String,
    /// The stream.
    pub stream: StreamId,
    /// The bundle's place.
    pub sequence: Sequence,
    /// The SHA-256 of its manifest's exact bytes.
    pub sha256: Digest,
    /// When it was applied.
    pub applied: Timestamp,
}

/// A receipt that a trusted key has signed. Only a check can make one.
#[derive(Clone, Debug)]
pub struct VerifiedReceipt {
    receipt: Receipt,
    signer: Digest,
}

impl Deref for VerifiedReceipt {
    type Target = Receipt;

    fn deref(&self) -> &Receipt {
        &self.receipt
    }
}

impl VerifiedReceipt {
    /// The id of the key that signed it.
    pub fn signer(&self) -> Digest {
        self.signer
    }
}

/// Why a line is not a receipt that counts.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not a text, a space, and a signature.
    #[error("not a receipt: one line of text, a space and a signature")]
    NotOne,
    /// Nobody whom we trust has signed it.
    #[error("no key of `receipts.trustedKeys` has signed this receipt")]
    Untrusted,
    /// A format that came later.
    #[error("the receipt's format `{0}` is newer than this program")]
    Newer(String),
    /// Signed, but not in its one form.
    #[error("the signed receipt is not in its form")]
    Malformed,
}

impl Fault for ReceiptError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NotOne | Self::Untrusted | Self::Malformed => ErrorId::Untrusted,
            Self::Newer(_) => ErrorId::TooNew,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NotOne | Self::Untrusted => {
                    "compare it with the file that the populator wrote, character by character; its public key belongs into \
                     `receipts.trustedKeys`"
                }
                Self::Newer(_) => "upgrade this program",
                Self::Malformed => "no populator writes this: ask who holds the key",
            }
            .into(),
        )
    }
}

impl Receipt {
    /// That `enclave` has applied a bundle.
    pub fn new(enclave: &str, stream: StreamId, bundle: Link, applied: Timestamp) -> Self {
        Self {
            r#type: TYPE.to_owned(),
            enclave: enclave.to_owned(),
            stream,
            sequence: bundle.sequence,
            sha256: bundle.sha256,
            applied,
        }
    }

    /// The bundle by number and digest.
    pub fn bundle(&self) -> Link {
        Link {
            sequence: self.sequence,
            sha256: self.sha256,
        }
    }

    /// The line, ended by a line feed.
    pub fn sign(&self, key: &SigningKey) -> Result<String, ReceiptError> {
        let text = self.text()?;
        let signature = STANDARD.encode(key.sign(text.as_bytes()));
        Ok(format!("{text} {signature}\n"))
    }

    fn text(&self) -> Result<String, ReceiptError> {
        if !is_enclave(&self.enclave) {
            return Err(ReceiptError::Malformed);
        }
        serde_json::to_string(self).map_err(|_| ReceiptError::Malformed)
    }

    /// Checks the signature over the exact text against `trusted`, then reads it.
    pub fn verify(line: &str, trusted: &TrustedKeys) -> Result<VerifiedReceipt, ReceiptError> {
        let (text, signature) = parts(line).ok_or(ReceiptError::NotOne)?;
        let key = trusted
            .signer_of(text.as_bytes(), &signature)
            .ok_or(ReceiptError::Untrusted)?;
        check_type(text)?;
        let receipt: Self = serde_json::from_str(text).map_err(|_| ReceiptError::Malformed)?;
        if receipt.text()? == text {
            Ok(VerifiedReceipt {
                receipt,
                signer: key.id(),
            })
        } else {
            Err(ReceiptError::Malformed)
        }
    }
}

fn parts(line: &str) -> Option<(&str, [u8; 64])> {
    if line.len() as u64 > limits::RECEIPT_SIZE {
        return None;
    }
    let (text, signature) = line.trim().rsplit_once(|c: char| c.is_ascii_whitespace())?;
    let signature = STANDARD.decode(signature).ok()?;
    Some((text.trim_end(), signature.try_into().ok()?))
}

fn check_type(text: &str) -> Result<(), ReceiptError> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let Typed { r#type } = serde_json::from_str(text).map_err(|_| ReceiptError::Malformed)?;
    match r#type.strip_prefix(TYPE_PREFIX) {
        Some(_) if r#type == TYPE => Ok(()),
        Some(_) => Err(ReceiptError::Newer(r#type)),
        None => Err(ReceiptError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32])
    }

    fn trusting(n: u8) -> TrustedKeys {
        TrustedKeys::new([key(n).public()], NonZeroUsize::MIN)
    }

    fn receipt() -> Receipt {
        let bundle = Link {
            sequence: "42".parse().unwrap(),
            sha256: Digest::of(b"manifest"),
        };
        let applied = "2026-11-24T01:49:38Z".parse().unwrap();
        Receipt::new("enclave-a", StreamId::from_bytes([7; 16]), bundle, applied)
    }

    fn refusal(line: &str, trusted: &TrustedKeys) -> ErrorId {
        Receipt::verify(line, trusted).unwrap_err().id()
    }

    #[test]
    fn a_receipt_is_one_short_line_of_ascii_that_survives_mail() {
        let line = receipt().sign(&key(1)).unwrap();
        assert!(line.is_ascii() && line.len() < 400, "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        for line in [
            line.clone(),
            line.replace(' ', "\r\n"),
            format!("\n  {line}\r\n\r\n"),
        ] {
            let verified = Receipt::verify(&line, &trusting(1)).unwrap();
            assert_eq!(*verified, receipt());
            assert_eq!(verified.signer(), key(1).public().id());
        }
    }

    #[test]
    fn a_changed_character_or_another_key_is_not_trusted() {
        let line = receipt().sign(&key(1)).unwrap();
        assert_eq!(refusal(&line, &trusting(2)), ErrorId::Untrusted);
        for (from, to) in [
            ("42", "43"),
            ("enclave-a", "enclave-b"),
            (" ", ""),
            ("==", "="),
            ("{", " {"),
        ] {
            let changed = line.replacen(from, to, 1);
            let is_whitespace_alone = changed.trim() == line.trim();
            assert!(
                is_whitespace_alone || refusal(&changed, &trusting(1)) == ErrorId::Untrusted,
                "{changed}"
            );
        }
        let long = format!("{}{line}", " ".repeat(5000));
        assert_eq!(refusal(&long, &trusting(1)), ErrorId::Untrusted);
        assert_eq!(refusal("", &trusting(1)), ErrorId::Untrusted);
    }

    #[test]
    fn what_is_signed_in_another_form_is_refused_and_a_later_one_named() {
        let signed = |text: &str| {
            let signature = STANDARD.encode(key(1).sign(text.as_bytes()));
            format!("{text} {signature}")
        };
        let text = receipt().text().unwrap();
        let later = text.replace("receipt.v1", "receipt.v2");
        assert_eq!(refusal(&signed(&later), &trusting(1)), ErrorId::TooNew);
        for other in [
            text.replace("\"enclave\"", " \"enclave\""),
            text.replace("enclave-a", "enclave a"),
            text.replace('}', ",\"more\":1}"),
            text.replace("receipt", "manifest"),
            "{}".to_owned(),
        ] {
            assert_eq!(
                refusal(&signed(&other), &trusting(1)),
                ErrorId::Untrusted,
                "{other}"
            );
        }
    }
}
