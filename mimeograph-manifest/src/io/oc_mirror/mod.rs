//! `oc-mirror` as it is: what the installed one can do, where it may run, and what a run really did. The argument
//! lists stand elsewhere, one file per side.

pub mod auth;
pub mod environment;
pub mod error_files;
pub mod flags;
pub mod history;
pub mod image;
pub mod log;
mod nature;
pub mod outcome;
mod outcome_error;
pub mod port;
pub mod private;
pub mod probe;
pub mod residue;
pub mod summary;

/// The two programs that share the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// Image sets of `mirror.openshift.io/v1alpha2`.
    V1,
    /// Image sets of `mirror.openshift.io/v2alpha1`.
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

/// Words that v2 from 4.18 on refuses anywhere in its destination and in `--from`.
const FORBIDDEN: &[&str] = &[
    "cluster-resources",
    "dry-run",
    "graph-preparation",
    "helm",
    "hold-operator",
    "hold-release",
    "delete",
    "logs",
    "operator-catalogs",
    "release-images",
    "signatures",
];

/// The word for which v2 would refuse this destination or `--from`, if any: `/data/catalogs` has `logs` in it.
pub fn forbidden_word(place: &str) -> Option<&'static str> {
    FORBIDDEN.iter().copied().find(|word| place.contains(word))
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::forbidden_word;

    #[test]
    fn forbidden_words_are_found_within_others() {
        assert_eq!(forbidden_word("file:///data/catalogs/1"), Some("logs"));
        assert_eq!(forbidden_word("file:///home/helmut/1"), Some("helm"));
        assert_eq!(forbidden_word("file://1234"), None);
    }
}
