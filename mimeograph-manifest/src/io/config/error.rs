//! One error for the configuration: file, line, field, value, and apart from it what to do.

use std::fmt;
use std::path::PathBuf;

use super::place::Position;
use crate::failure::{ErrorId, Fault};
use crate::io::disk::DiskError;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file at any of its places.
    #[error("there is no configuration file: looked for {}", listed(.0))]
    Missing(Vec<PathBuf>),
    /// The file that was named cannot be read.
    #[error("failed to open the configuration")]
    Unreadable(#[source] DiskError),
    /// Something in the file is wrong.
    #[error(transparent)]
    Wrong(Box<Wrong>),
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Wrong {
    /// The file.
    pub file: PathBuf,
    /// Where in it, where that is known.
    pub position: Option<Position>,
    /// Field, value and problem in one sentence.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Its stable name.
    pub id: ErrorId,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Wrong {}

impl Fault for ConfigError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Missing(_) => ErrorId::ConfigMissing,
            Self::Unreadable(source) => match source.id() {
                ErrorId::InputMissing => ErrorId::ConfigMissing,
                id => id,
            },
            Self::Wrong(wrong) => wrong.id,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some(
                "name it with `--config FILE` or in the environment variable `MIMEOGRAPH_CONFIG`"
                    .into(),
            ),
            Self::Unreadable(source) => source
                .hint()
                .or_else(|| Some("name the configuration file itself with `--config FILE`".into())),
            Self::Wrong(wrong) => Some(wrong.remedy.clone()),
        }
    }
}

fn listed(places: &[PathBuf]) -> String {
    let quoted: Vec<_> = places
        .iter()
        .map(|place| format!("`{}`", place.display()))
        .collect();
    quoted.join(", then ")
}
