//! The values of the configuration: one type each, one constructor each (`FromStr`).

mod name;
mod parallel;
mod path;
mod period;
mod registry;
mod s3;
mod size;

use std::borrow::Cow;

pub use self::name::{EnclaveName, StreamName};
pub use self::parallel::Parallel;
pub use self::path::AbsolutePath;
pub(super) use self::path::program;
pub use self::period::Period;
pub use self::registry::{RegistryUri, RepositoryName};
pub(super) use self::s3::{BucketName, Endpoint, Prefix, Region};
pub use self::size::{Bandwidth, ChunkSize};

/// A value that is not what its field wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, after "`field` is `value`": `which has no unit`.
    pub problem: Cow<'static, str>,
    /// What to write instead.
    pub remedy: Cow<'static, str>,
    /// Whether the value may be printed.
    pub shown: Shown,
}

/// Whether a wrong value may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It may.
    Yes,
    /// It may hold a secret.
    No,
}

impl Mistake {
    /// A mistake in a value that may be printed.
    pub fn new(
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
            shown: Shown::Yes,
        }
    }

    /// The same, for a value that may hold a secret.
    pub(crate) fn hidden(self) -> Self {
        Self {
            shown: Shown::No,
            ..self
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}
