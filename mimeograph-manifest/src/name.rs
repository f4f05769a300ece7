//! Names that come from outside: one fallible constructor each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::text::as_text;

/// A name or number that is not what the format allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct NameError(&'static str);

/// The place of a bundle in its stream, from 1; written in object names with ten digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Sequence(u64);

impl Sequence {
    /// The first of a stream.
    pub const FIRST: Self = Self(1);

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Ten digits, zeros first, as in object names.
    pub fn padded(self) -> String {
        format!("{:010}", self.0)
    }

    /// Reads exactly ten digits.
    pub fn from_padded(text: &str) -> Result<Self, NameError> {
        if text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse()
        } else {
            Err(NameError("a sequence number of ten digits"))
        }
    }
}

impl TryFrom<u64> for Sequence {
    type Error = NameError;

    fn try_from(number: u64) -> Result<Self, NameError> {
        // The next one must have ten digits too.
        (1..9_999_999_999)
            .contains(&number)
            .then_some(Self(number))
            .ok_or(NameError("a sequence number from 1 to 9999999998"))
    }
}

impl From<Sequence> for u64 {
    fn from(sequence: Sequence) -> Self {
        sequence.0
    }
}

impl FromStr for Sequence {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse::<u64>()
            .map_err(|_| NameError("a sequence number"))?
            .try_into()
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A stream's identity: 128 random bits, 32 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(String);

impl StreamId {
    /// From 16 random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}

impl FromStr for StreamId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 32 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError("a stream id of 32 lower-case hexadecimal digits"))
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(StreamId);

/// Whether this can be the name of an enclave.
pub(crate) fn is_enclave(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    begins && text.len() <= limits::NAME_LENGTH && text.bytes().all(allowed)
}

/// The name of a file of a bundle: one component, or up to eight for roles `local` and `extra`.
///
/// No component is `.` or `..`, none is empty, and there is no leading `/`: joined to a directory,
/// a name stays below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one component of `[A-Za-z0-9][A-Za-z0-9._-]*` without `..`, as every role but
    /// `local` and `extra` asks.
    pub fn is_plain(&self) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        self.0.bytes().all(plain)
            && self.0.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !self.0.contains("..")
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'~' | b'@' | b'=' | b'-')
        };
        let component = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(allowed)
        };
        if text.len() <= limits::NAME_LENGTH
            && text.split('/').count() <= limits::NAME_COMPONENTS
            && text.split('/').all(component)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError(
                "a file name (up to 8 components of `[A-Za-z0-9._+~@=-]+`, 255 bytes)",
            ))
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(FileName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traversal_and_absolute_names_cannot_be_made() {
        for name in [
            "",
            ".",
            "..",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "a/./b",
            "a\\b",
            "a\0",
            "é",
            "a b",
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert!(name.parse::<FileName>().is_err(), "{name:?}");
        }
        for name in [
            "mirror_000001.tar",
            "charts/x/templates/_helpers.tpl",
            "charts/.helmignore",
            "a+b~c@d=e",
        ] {
            assert!(name.parse::<FileName>().is_ok(), "{name:?}");
        }
        assert!(!"_x".parse::<FileName>().unwrap().is_plain());
        assert!(!"a..b".parse::<FileName>().unwrap().is_plain());
        assert!("a.b-c_d".parse::<FileName>().unwrap().is_plain());
    }

    #[test]
    fn a_sequence_has_ten_digits_and_begins_at_one() {
        assert!(Sequence::from_padded("0000000000").is_err());
        assert!(Sequence::from_padded("000000001").is_err());
        assert!(Sequence::from_padded("+000000001").is_err());
        assert_eq!(
            Sequence::from_padded("0000000042").unwrap().padded(),
            "0000000042"
        );
        assert!("9999999999".parse::<Sequence>().is_err());
    }

    #[test]
    fn sequences_follow_each_other_to_the_last_but_one_of_ten_digits() {
        let two = Sequence::FIRST.next();
        assert_eq!((two.number(), two.next().number()), (2, 3));
        assert_eq!(u64::from(two), 2);
        assert!(Sequence::try_from(9_999_999_998).is_ok());
        assert!(Sequence::try_from(9_999_999_999).is_err());
        assert!(Sequence::try_from(0).is_err());
        assert!(Sequence::from_padded("00000000042").is_err());
    }

    #[test]
    fn a_stream_id_is_32_lower_case_hexadecimal_digits() {
        let id = StreamId::from_bytes([0xa7; 16]);
        assert_eq!(id.to_string(), "a7".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "A7".repeat(16),
            "g7".repeat(16),
            "a7".repeat(15),
            "a7".repeat(17),
            "+".to_owned() + &"a".repeat(31),
            String::new(),
        ] {
            assert!(wrong.parse::<StreamId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_enclave_has_a_plain_name() {
        let longest = "e".repeat(limits::NAME_LENGTH);
        for name in ["a", "1", "Lab-1_b.c", &longest] {
            assert!(is_enclave(name), "{name}");
        }
        let longer = longest.clone() + "e";
        for name in ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "é", &longer] {
            assert!(!is_enclave(name), "{name:?}");
        }
    }

    #[test]
    fn the_longest_name_of_a_file_has_255_bytes_and_8_components() {
        let longest = "f".repeat(limits::NAME_LENGTH);
        assert!(longest.parse::<FileName>().is_ok());
        assert!((longest + "f").parse::<FileName>().is_err());
        assert!("1/2/3/4/5/6/7/8".parse::<FileName>().is_ok());
        assert!("1/2/3/4/5/6/7/8/9".parse::<FileName>().is_err());
        let name: FileName = "d/f".parse().unwrap();
        assert_eq!(name.as_str(), "d/f");
        for fancy in ["d/f", "a+b", ".a", "-a", "a..", "~"] {
            assert!(!fancy.parse::<FileName>().unwrap().is_plain(), "{fancy}");
        }
    }
}
