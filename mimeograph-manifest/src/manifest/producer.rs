//! What made a bundle.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What made the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Producer {
    /// Mimeograph's version.
    pub mimeograph: String,
    /// What `oc-mirror version` calls itself.
    pub oc_mirror: String,
    /// SHA-256 of the `oc-mirror` program.
    pub oc_mirror_sha256: Digest,
    /// Which of its two generations ran.
    pub generation: Generation,
    /// The flags that change content: names of [`Flag`]s.
    pub flags: Vec<String>,
}

impl Producer {
    /// Major and minor number of the `oc-mirror`; `None` where it did not know itself.
    pub fn minor(&self) -> Option<(u32, u32)> {
        minor(&self.oc_mirror)
    }

    /// Whether it was told so.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.iter().any(|name| name == flag.as_str())
    }
}

/// Major and minor number in what an `oc-mirror` calls itself, `v4.17.0-202411251634.p0.g0b2b0d7.…` for
/// instance; `None` for `v0.0.0-unknown`.
pub fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(['.', '-', '+']);
    let pair = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (pair != (0, 0)).then_some(pair)
}

/// A flag of `oc-mirror` that changes what is mirrored, or how it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It takes releases without signatures.
    IgnoreReleaseSignature,
    /// It leaves cosign signatures behind.
    RemoveSignatures,
}

impl Flag {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::IgnoreReleaseSignature, Self::RemoveSignatures];

    /// Its name, without dashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IgnoreReleaseSignature => "ignore-release-signature",
            Self::RemoveSignatures => "remove-signatures",
        }
    }
}

/// `oc-mirror` has two generations with different archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// `--v1`: `mirror_seq1_000000.tar`.
    V1,
    /// `--v2`: `mirror_000001.tar`.
    V2,
}

impl Generation {
    /// `v1` or `v2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
