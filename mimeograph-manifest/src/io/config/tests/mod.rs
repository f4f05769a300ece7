mod inputs;
mod mistakes;
mod original;
mod table;

use std::path::PathBuf;

use super::source::Source;
use super::{Config, ConfigError, Operation};

const HEAD: &str = "apiVersion: mimeograph.io/v1alpha1\nkind: MimeographConfiguration\n";
const MIRROR: &str = "mirror: { imagesetConfig: i.yaml, targetRegistryURI: r.example.com/a }\n";

/// A file `/etc/m/config.yaml` of this text, read without an environment.
fn parse(text: &str, program: Operation) -> Result<Config, ConfigError> {
    parse_with(text, program, &|_| None)
}

fn parse_with(
    text: &str,
    program: Operation,
    environment: super::Environment<'_>,
) -> Result<Config, ConfigError> {
    let source = Source {
        file: PathBuf::from("/etc/m/config.yaml"),
        text: text.to_owned(),
    };
    Config::parse(&source, program, environment)
}

/// The header (lines 1 and 2), what both programs ask for (line 3), then `text` from line 4.
fn with(text: &str) -> String {
    format!("{HEAD}{MIRROR}{text}")
}
