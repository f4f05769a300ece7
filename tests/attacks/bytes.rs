//! Bytes that a case gives, and places among them.

use mimeograph_manifest::manifest::Role;
use serde::Deserialize;

use crate::forge;
use crate::store::Store;

/// A role as the manifest has it.
#[derive(Debug, Deserialize)]
#[serde(remote = "Role", rename_all = "lowercase")]
pub(crate) enum RoleText {
    Archive,
    Imageset,
    Inventory,
    History,
    Local,
    Extra,
}

/// Bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Content {
    Text(String),
    /// Pairs of hexadecimal digits.
    Hex(String),
    /// So many zeros, which take no room.
    Zeros(u64),
    /// The letter `x` so many times.
    Xs(usize),
    /// What an object holds.
    Of(String),
    /// A file of a bundle, put together.
    File {
        bundle: u64,
        #[serde(with = "RoleText")]
        role: Role,
    },
}

/// A place in an object.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Byte {
    First,
    Middle,
    Last,
    At(usize),
}

impl Content {
    pub(crate) fn bytes(&self, store: &Store<'_>) -> Vec<u8> {
        match self {
            Self::Text(text) => store.fill(text).into_bytes(),
            Self::Hex(text) => {
                let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
                let pair = |pair: &[char]| String::from_iter(pair);
                let parse = |pair: String| u8::from_str_radix(&pair, 16).unwrap();
                digits.chunks(2).map(pair).map(parse).collect()
            }
            Self::Zeros(count) => vec![0; usize::try_from(*count).unwrap()],
            Self::Xs(count) => vec![b'x'; *count],
            Self::Of(name) => store.read(name),
            Self::File { bundle, role } => forge::content(store, &store.manifest(*bundle), *role),
        }
    }
}

impl Byte {
    pub(crate) fn flip(self, bytes: &mut [u8]) {
        let at = match self {
            Self::First => 0,
            Self::Middle => bytes.len() / 2,
            Self::Last => bytes.len() - 1,
            Self::At(at) => at,
        };
        bytes[at] ^= 1;
    }
}
