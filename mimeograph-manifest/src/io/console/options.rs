//! The options that every command has.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr as _;

use clap::{Args, ValueEnum};

use super::log::{LogFormat, filter_of};
use crate::io::location::StoreLocation;

/// The options that every command has; they may stand before it or after it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// The configuration file [default: $MIMEOGRAPH_CONFIG, /mimeograph/mimeograph-config.yaml, ./mimeograph-config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The store, instead of the one in the configuration: dir:PATH or s3://BUCKET/PREFIX
    #[arg(long, global = true, value_name = "STORE", value_parser = StoreLocation::from_str)]
    pub store: Option<StoreLocation>,

    /// How results are written to standard output
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,

    /// How log lines are written to standard error
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// error, warn, info, debug, trace or a filter as in $RUST_LOG [default: $RUST_LOG, info]
    #[arg(long, global = true, value_name = "LEVEL", value_parser = checked_level)]
    pub log_level: Option<String>,

    /// Where the last JSON line goes [default: /dev/termination-log, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub termination_message: Option<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object on one line.
    Json,
}

impl Options {
    /// Of a command line that cannot be read: what says where and how that is to be reported.
    pub(super) fn gleaned(line: impl Iterator<Item = OsString>) -> Self {
        let mut options = Self::default();
        let mut words = line.peekable();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, OsString::from(value)),
                None => (text.as_str(), words.peek().cloned().unwrap_or_default()),
            };
            match name {
                "--output" if value == "json" => options.output = Output::Json,
                "--log-format" if value == "json" => options.log_format = LogFormat::Json,
                "--termination-message" if !value.is_empty() => {
                    options.termination_message = Some(value.into());
                }
                _ => {}
            }
        }
        options
    }
}

fn checked_level(text: &str) -> Result<String, String> {
    filter_of(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, PartialEq, Subcommand)]
    enum Command {
        List,
    }

    fn read(line: &str) -> Result<Options, clap::Error> {
        let line = Line::try_parse_from(line.split(' '))?;
        assert_eq!(line.command, Command::List);
        Ok(line.options)
    }

    #[test]
    fn options_may_stand_before_or_after_the_command() {
        for line in [
            "m --config c --store dir:/mnt --output json --log-format json --log-level debug list",
            "m list --config c --store dir:/mnt --output json --log-format json --log-level debug",
            "m --config c --output json list --store dir:/mnt --log-format json --log-level debug",
        ] {
            let options = read(line).unwrap();
            assert_eq!(options.config, Some("c".into()));
            assert_eq!(options.store, Some(StoreLocation::Directory("/mnt".into())));
            assert_eq!(options.output, Output::Json);
            assert_eq!(options.log_format, LogFormat::Json);
            assert_eq!(options.log_level.as_deref(), Some("debug"));
        }
        let options = read("m list").unwrap();
        assert_eq!(options.output, Output::Text);
        assert_eq!(options.log_format, LogFormat::Text);
    }

    #[test]
    fn of_a_wrong_line_it_is_known_where_and_how_to_report_that() {
        for line in [
            "--wrong --output json list --termination-message=t --log-format json",
            "list --log-format=json --output=json --termination-message t --store",
        ] {
            let options = Options::gleaned(line.split(' ').map(OsString::from));
            assert_eq!(options.output, Output::Json, "{line}");
            assert_eq!(options.log_format, LogFormat::Json, "{line}");
            assert_eq!(options.termination_message, Some("t".into()), "{line}");
        }
        let options = Options::gleaned(["--output", "yaml"].map(OsString::from).into_iter());
        assert_eq!(options.output, Output::Text);
    }

    #[test]
    fn a_store_or_level_of_no_known_form_is_a_usage_error() {
        for line in [
            "m list --store /mnt",
            "m list --store dir:",
            "m list --log-level a=b=c",
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(
                error.kind(),
                clap::error::ErrorKind::ValueValidation,
                "{line}"
            );
        }
    }
}
