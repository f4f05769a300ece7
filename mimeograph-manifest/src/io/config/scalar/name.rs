//! Names that people give.

use std::str::FromStr;

use super::Mistake;
use crate::limits;
use crate::name::is_enclave;
use crate::text::as_text;

/// What people call a stream: one line of text.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamName(String);

impl StreamName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let fits = !text.trim().is_empty() && text.len() <= limits::NAME_LENGTH;
        if fits && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Mistake::new(
                "which is not a name",
                "write one line of text, up to 255 bytes",
            ))
        }
    }
}

/// The name of an enclave: one network inside a gap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnclaveName(String);

impl EnclaveName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnclaveName {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if is_enclave(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Mistake::new(
                "which is not an enclave's name",
                "write letters, digits, `.`, `_` and `-`, a letter or digit first",
            ))
        }
    }
}

macro_rules! displayed {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        as_text!($type);
    };
}
displayed!(StreamName);
displayed!(EnclaveName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_line_and_enclaves_one_word() {
        assert!("Red Hat operators, é".parse::<StreamName>().is_ok());
        for wrong in ["", " ", "a\nb", "\u{1b}[31m"] {
            assert!(wrong.parse::<StreamName>().is_err(), "{wrong:?}");
        }
        assert!("north-1.a_b".parse::<EnclaveName>().is_ok());
        for wrong in ["", "-a", "a b", "é", "a/b"] {
            assert!(wrong.parse::<EnclaveName>().is_err(), "{wrong:?}");
        }
    }
}
