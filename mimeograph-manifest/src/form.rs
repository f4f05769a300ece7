//! The one form of what is signed, and what a document must be for that.
//!
//! Reading accepts exactly what writing produces: after a strict parse a document is written again and
//! compared. So duplicate or unknown members, other orders, spaces, escapes and numbers cannot carry a
//! second meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::layout::Key;
use crate::name::Sequence;
use crate::time::Timestamp;
use crate::trust::Asks;

/// A document that is signed: a manifest, or a list of what is dropped.
pub trait Document: Serialize + DeserializeOwned {
    /// What stands for it in its `type`.
    const NAME: &'static str;
    /// What people call one, before its number.
    const CALLED: &'static str;
    /// Its longest form, in bytes.
    const SIZE: u64;
    /// The object that one is.
    fn key(number: Sequence) -> Key;
    /// The object that a signature is: over the one with digest `document`, by the key with `key_id`.
    fn signature_key(number: Sequence, document: &Digest, key_id: &Digest) -> Key;

    /// Its number, which stands in its object's name.
    fn number(&self) -> Sequence;

    /// When it was made.
    fn created(&self) -> Timestamp;

    /// Whose signatures it needs.
    fn asks(&self) -> Asks;

    /// Checks what every one must keep to; whoever makes one does before signing.
    fn check(&self) -> Result<(), FormError>;

    /// Writes all of it.
    fn write(&self, lines: &mut Writer) -> serde_json::Result<()>;

    /// The exact bytes: one member a line, one element of a long list a line, ended by a line feed.
    fn to_bytes(&self) -> Result<Vec<u8>, FormError> {
        let mut lines = Writer(Vec::new());
        self.write(&mut lines).map_err(FormError::Json)?;
        Ok(lines.0)
    }
}

/// Reads the exact bytes. To be called with bytes whose signature was verified, and nowhere else:
/// `Signed::verify` does.
pub(crate) fn read<T: Document>(bytes: &[u8]) -> Result<T, FormError> {
    check_type(T::NAME, bytes)?;
    let document: T = serde_json::from_slice(bytes).map_err(FormError::Json)?;
    document.check()?;
    if document.to_bytes()? == bytes {
        Ok(document)
    } else {
        Err(FormError::NotCanonical)
    }
}

/// The first bytes name the format and its version, 1.
fn check_type(name: &'static str, bytes: &[u8]) -> Result<(), FormError> {
    let prefix = format!("{{\"type\":\"application/vnd.mimeograph.{name}.v");
    let rest = bytes
        .strip_prefix(prefix.as_bytes())
        .ok_or(FormError::NotOurs(name))?;
    let digits = rest
        .iter()
        .take(10)
        .take_while(|b| b.is_ascii_digit())
        .count();
    let version = String::from_utf8_lossy(&rest[..digits]).into_owned();
    match (version.as_str(), &rest[digits..]) {
        ("1", [b'+', b'j', b's', b'o', b'n', b'"', ..]) => Ok(()),
        ("" | "1", _) => Err(FormError::NotOurs(name)),
        (other, _) if other.starts_with('0') => Err(FormError::NotOurs(name)),
        _ => Err(FormError::Newer(version)),
    }
}

/// Why bytes are not the document that they should be.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Not ours at all.
    #[error("the first bytes do not name a Mimeograph {0}")]
    NotOurs(&'static str),
    /// A format that came later.
    #[error("format version {0} is newer than this program, which knows 1")]
    Newer(String),
    /// Not JSON, or members that do not belong.
    #[error("not what its type says")]
    Json(#[source] serde_json::Error),
    /// JSON, but not in its one form.
    #[error(
        "not in the one form that the format allows (member order, spacing, escapes or duplicates)"
    )]
    NotCanonical,
    /// A member's value cannot be.
    #[error("`{member}` {problem}")]
    Value {
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
}

pub(crate) fn value(member: impl Into<String>, problem: impl Into<String>) -> FormError {
    FormError::Value {
        member: member.into(),
        problem: problem.into(),
    }
}

/// Writes the members of a document, one after the other.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn value<T: Serialize>(&mut self, value: &T) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.0, value)
    }

    pub(crate) fn member<T: Serialize>(
        &mut self,
        before: &str,
        name: &str,
        value: &T,
    ) -> serde_json::Result<()> {
        self.name(before, name);
        self.value(value)
    }

    /// A list with each element on a line of its own.
    pub(crate) fn list<T>(
        &mut self,
        before: &str,
        name: &str,
        elements: &[T],
        mut write: impl FnMut(&mut Self, &T) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.name(before, name);
        self.text("[");
        for (n, element) in elements.iter().enumerate() {
            self.text(if n == 0 { "\n" } else { ",\n" });
            write(self, element)?;
        }
        self.text("]");
        Ok(())
    }

    fn name(&mut self, before: &str, name: &str) {
        self.text(before);
        self.text("\"");
        self.text(name);
        self.text("\":");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_name_a_document_of_ours_in_a_version_that_we_know_or_a_later_one() {
        let check = |version: &str| {
            let bytes = format!("{{\"type\":\"application/vnd.mimeograph.x.{version}");
            check_type("x", bytes.as_bytes())
        };
        assert!(check("v1+json\",").is_ok());
        for version in ["v2+json\"", "v10+json\"", "v3"] {
            assert!(
                matches!(check(version), Err(FormError::Newer(_))),
                "{version}"
            );
        }
        for version in [
            "v1+yaml\"",
            "v1",
            "v+json\"",
            "v01+json\"",
            "v0+json\"",
            "w1+json\"",
            "",
        ] {
            assert!(
                matches!(check(version), Err(FormError::NotOurs("x"))),
                "{version}"
            );
        }
        assert!(check_type("y", b"{\"type\":\"application/vnd.mimeograph.x.v1+json\"").is_err());
    }
}
