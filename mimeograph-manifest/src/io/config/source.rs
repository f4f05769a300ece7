//! The text of the file, and errors that point into it.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Wrong};
use super::place::{self, Field, Position};
use super::scalar::{Mistake, Shown};
use crate::failure::ErrorId;

/// The file that was read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its absolute path.
    pub(super) file: PathBuf,
    /// Its text.
    pub(super) text: String,
}

impl Source {
    /// The folder that relative paths start from.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// An error about `field`: position, and `message`, which names it.
    pub(super) fn wrong(&self, field: &Field, message: String, remedy: &str) -> ConfigError {
        self.at(
            place::locate(&self.text, field),
            message,
            remedy,
            ErrorId::ConfigInvalid,
        )
    }

    /// An error of another name than `CONFIG_INVALID` about `field`.
    pub(super) fn named(
        &self,
        field: &Field,
        message: String,
        remedy: &str,
        id: ErrorId,
    ) -> ConfigError {
        self.at(place::locate(&self.text, field), message, remedy, id)
    }

    /// An error at a position that is known already.
    pub(super) fn at(
        &self,
        position: Option<Position>,
        message: String,
        remedy: &str,
        id: ErrorId,
    ) -> ConfigError {
        ConfigError::Wrong(Box::new(Wrong {
            file: self.file.clone(),
            position,
            message,
            remedy: remedy.to_owned(),
            id,
        }))
    }

    /// A value that its type refused.
    pub(super) fn mistake(&self, field: &Field, value: &str, mistake: &Mistake) -> ConfigError {
        let message = match mistake.shown {
            Shown::Yes => format!("`{field}` is `{}`, {}", shown(value), mistake.problem),
            Shown::No => format!("`{field}` {}", mistake.problem),
        };
        self.wrong(field, message, &mistake.remedy)
    }

    /// A field that this program cannot do without.
    pub(super) fn required(&self, field: &str, remedy: &str) -> ConfigError {
        self.wrong(
            &Field::named(field),
            format!("`{field}` is missing"),
            remedy,
        )
    }
}

/// A value in one line, cut where it is long.
pub(super) fn shown(value: &str) -> String {
    const LONGEST: usize = 80;
    let mut text: String = value.chars().take(LONGEST).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text.escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}
