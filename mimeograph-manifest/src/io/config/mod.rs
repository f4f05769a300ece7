//! The configuration file of both programs: found, read, checked once, and from then on typed.
//!
//! It promises that whatever a [`Config`] holds has the right form, and that each mistake is one error
//! that names file, line, field and value, with the remedy in its hint. It never holds credentials:
//! those of S3 come from the standard AWS chain, those of registries from `mirror.ocMirror.authFile`.
//! One file may serve both programs (leave `operation` out then): each checks the other side's parts
//! too, and asks only for its own.
//!
//! [`Config::load`] does not look at the files that are named; [`Config::imageset`] and its like do.

mod check;
mod duplicate;
mod error;
mod find;
mod inputs;
mod model;
mod place;
mod raw;
mod read;
mod scalar;
mod source;
mod validate;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

pub use self::error::{ConfigError, Wrong};
pub use self::model::{
    Artefacts, Bundle, Config, Mirror, OcMirrorSettings, OcMirrorVersion, Peer, Receipts,
    RemoveSignatures, Signing, State, StateCopy, Stream, Transfer, Trust, Upkeep, Versions,
};
pub use self::place::Position;
pub use self::scalar::{
    AbsolutePath, Bandwidth, ChunkSize, EnclaveName, Mistake, Parallel, Period, RegistryUri, Shown,
    StreamName,
};

use self::source::Source;
use crate::failure::ErrorId;
use crate::io::disk::{self, DiskError};
use crate::limits;

/// What a program does, as `operation` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The connected side.
    Bundle,
    /// The disconnected side.
    Populate,
}

impl Operation {
    /// The program that does it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Bundle => "mimeograph-bundler",
            Self::Populate => "mimeograph-populator",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "bundle",
            Self::Populate => "populate",
        })
    }
}

/// The environment, so that tests need not change the one of the process.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process; empty is unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Config {
    /// Reads and checks the file at `path` for the program that does `program`.
    pub fn load(path: &Path, program: Operation) -> Result<Self, ConfigError> {
        let failed =
            |source| ConfigError::Unreadable(DiskError::new(disk::Action::Read, path, source));
        let file = std::path::absolute(path).map_err(failed)?;
        let bytes = match disk::read_bounded(&file, limits::CONFIG_SIZE) {
            Ok(bytes) => bytes,
            Err(DiskError::TooLong { path, limit }) => {
                let source = Source {
                    file: path,
                    text: String::new(),
                };
                let message = format!("a configuration has at most {limit} bytes");
                let remedy = "name the configuration file itself with `--config FILE`";
                return Err(source.at(None, message, remedy, ErrorId::ConfigInvalid));
            }
            Err(error) => return Err(ConfigError::Unreadable(error)),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&Source { file, text }, program, &environment),
            Err(error) => Err(not_text(file, &error)),
        }
    }

    fn parse(
        source: &Source,
        program: Operation,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let raw = read::read(source)?;
        validate::validate(raw, source, program, environment)
    }
}

fn not_text(file: std::path::PathBuf, error: &std::string::FromUtf8Error) -> ConfigError {
    let bytes = error.as_bytes();
    let good = &bytes[..error.utf8_error().valid_up_to()];
    let begin = good
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let position = Position {
        line: 1 + good.split(|b| *b == b'\n').count() - 1,
        column: String::from_utf8_lossy(&good[begin..]).chars().count() + 1,
    };
    let source = Source {
        file,
        text: String::new(),
    };
    let remedy = "save the file as UTF-8";
    let message = "this is not UTF-8".to_owned();
    source.at(Some(position), message, remedy, ErrorId::ConfigInvalid)
}
