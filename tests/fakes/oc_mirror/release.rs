//! The releases that are played, and in what they differ.

/// A release of oc-mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Release {
    V4_17,
    V4_20,
    V5_2,
}

impl Release {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "4.17" => Some(Self::V4_17),
            "4.20" => Some(Self::V4_20),
            "5.2" => Some(Self::V5_2),
            _ => None,
        }
    }

    /// What `version` prints unless `GIT_VERSION` says otherwise.
    pub(crate) fn git_version(self) -> &'static str {
        match self {
            Self::V4_17 => "4.17.0-202511101432.p2.g0000000.assembly.stream.el9-0000000",
            Self::V4_20 => "4.20.0-202511101432.p2.g0000000.assembly.stream.el9-0000000",
            Self::V5_2 => "v0.0.0-unknown",
        }
    }

    /// Failures end with a bitmask, old archives are deleted, archives are sanitised, output goes to stdout.
    pub(crate) fn is_strict(self) -> bool {
        self >= Self::V4_20
    }

    /// The tag under which an image named by digest alone lies.
    pub(crate) fn tag_of(self, digest: &str) -> String {
        let hex = digest.trim_start_matches("sha256:");
        if self == Self::V4_17 {
            hex.to_owned()
        } else {
            format!("sha256-{hex}")
        }
    }
}
