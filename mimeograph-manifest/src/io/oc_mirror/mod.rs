//! `oc-mirror` as it is: what the installed one can do, where it may run, and what a run really did. The argument
//! lists stand elsewhere, one file per side.

pub mod auth;
pub mod environment;
pub mod flags;
pub mod port;
pub mod private;
pub mod probe;

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

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
