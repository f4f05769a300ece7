//! Where every command begins and ends.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::log::LogFormat;
use super::options::{Options, Output};
use super::report::Report;
use super::summary::{Facts, Summary};
use super::{log, metrics, outlet, panic, progress, termination};
use crate::failure::{ErrorId, Exit, Failure, Fault};
use crate::io::config::{Config, Operation};
use crate::io::disk::{Action, DiskError};
use crate::io::failpoint;
use crate::io::location::StoreLocation;

/// The version of both programs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a command sees of the command line, and where it notes what it finds out.
#[derive(Debug)]
pub struct Front {
    program: Operation,
    options: Options,
    facts: Mutex<Facts>,
    begun: Instant,
}

impl Front {
    /// The global options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The configuration: found, read and checked for this program.
    pub fn config(&self) -> Result<Config, Failure> {
        let path = Config::find(self.options.config.as_deref())?;
        Ok(Config::load(&path, self.program)?)
    }

    /// Another configuration, read and checked for this program.
    pub fn config_of(&self, file: &Path) -> Result<Config, Failure> {
        Ok(Config::load(file, self.program)?)
    }

    /// The same for commands that can do without: `None` where none is named and none lies at any of the
    /// places that are tried unasked.
    pub fn config_if_any(&self) -> Result<Option<Config>, Failure> {
        match Config::find_if_any(self.options.config.as_deref())? {
            Some(path) => Ok(Some(Config::load(&path, self.program)?)),
            None => Ok(None),
        }
    }

    /// The store: `--store`, else the configuration's. With `--store` no configuration is needed.
    pub fn location(&self) -> Result<StoreLocation, Failure> {
        match (&self.options.store, self.config_if_any()?) {
            (Some(location), None) => Ok(location.clone()),
            (flag, Some(config)) => Ok(config.location(flag.clone())?),
            (None, None) => Ok(self.config()?.location(None)?),
        }
    }

    /// Notes what goes into the last line, whatever becomes of the command.
    pub fn note(&self, write: impl FnOnce(&mut Facts)) {
        write(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs a stage and notes how long it took; a stage that runs again adds to its time.
    pub fn stage<T>(&self, name: &'static str, body: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = body();
        let seconds = begun.elapsed().as_secs_f64();
        self.note(|facts| {
            let total = facts.durations.entry(name).or_default();
            *total = ((*total + seconds) * 1000.0).round() / 1000.0;
        });
        result
    }
}

/// Reads the command line. What cannot be read has been reported, with status 64, where the line says that
/// reports go; help and version are no failure.
pub fn parse<P: clap::Parser>(program: Operation) -> Result<P, ExitCode> {
    use clap::error::ErrorKind;
    let error = match P::try_parse() {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Nothing is left to do where this cannot be printed.
        let _ = error.print();
        return Err(ExitCode::SUCCESS);
    }
    let options = Options::gleaned(std::env::args_os().skip(1));
    let rendered = error.render().to_string();
    let (first, _) = rendered.split_once("\n\n").unwrap_or((&rendered, ""));
    let usage = Usage {
        program,
        message: outlet::one_line(first.strip_prefix("error: ").unwrap_or(first)),
    };
    if options.log_format == LogFormat::Text {
        let _ = error.print();
    } else {
        log::install(options.log_format, None);
    }
    let front = Front {
        program,
        options,
        facts: Mutex::default(),
        begun: Instant::now(),
    };
    Err(front.end("", Err(usage.into())))
}

/// The command line is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Usage {
    program: Operation,
    message: String,
}

impl Fault for Usage {
    fn id(&self) -> ErrorId {
        ErrorId::Usage
    }

    fn hint(&self) -> Option<String> {
        let program = self.program.program();
        Some(format!("`{program} --help` shows commands and options"))
    }
}

/// Runs a command: starts the log, catches panics, prints result or error, writes the last line.
pub fn run(
    program: Operation,
    command: &'static str,
    options: Options,
    body: impl FnOnce(&Front) -> Result<Report, Failure>,
) -> ExitCode {
    log::install(options.log_format, options.log_level.as_deref());
    panic::install_hook();
    let front = Front {
        program,
        options,
        facts: Mutex::default(),
        begun: Instant::now(),
    };
    let result = panic::catch(program.program(), || body(&front));
    front.end(command, result)
}

impl Front {
    fn end(self, command: &'static str, result: Result<Report, Failure>) -> ExitCode {
        let (mut summary, report) = self.summarise(command, result);
        if let Some(failure) = self.print(&summary, report.as_ref()) {
            summary = self.summarise(command, Err(failure)).0;
        }
        self.log_end(&summary);
        // Before there is a command, clap has printed what it has to say, with more than fits into a line.
        let told = command.is_empty() && self.options.log_format == LogFormat::Text;
        if summary.error_id.is_some() && !told {
            self.complain(&summary);
        }
        self.tell(&summary);
        // Everything is done; a test may end us before that is told.
        let _ = failpoint::reach("end", command);
        let path = self.options.termination_message.as_deref();
        let exit = summary.exit;
        termination::write(path, &summary.fitted().line(None));
        exit.into()
    }

    /// For whoever collects JSON logs: the figures of a run in one line of them.
    fn log_end(&self, summary: &Summary) {
        if self.options.log_format != LogFormat::Json || !metrics::are_of(summary) {
            return;
        }
        let facts = &summary.facts;
        let newest = facts.newest;
        tracing::info!(
            target: "mimeograph",
            command = summary.command,
            outcome = summary.outcome,
            exit = summary.exit,
            errorId = summary.error_id.map(ErrorId::as_str),
            stream = facts.stream.as_ref().map(tracing::field::display),
            sequence = facts.sequence,
            newest = newest.map(|newest| newest.sequence),
            created = newest.map(|newest| tracing::field::display(newest.created)),
            expires = newest.map(|newest| tracing::field::display(newest.expires)),
            applied = facts.applied,
            behind = facts.behind,
            bytes = facts.bytes,
            chunks = facts.chunks,
            chunksSent = facts.chunks_sent,
            durations = serde_json::to_string(&facts.durations).ok(),
            seconds = self.begun.elapsed().as_secs_f64(),
            "end"
        );
    }

    /// Metrics, where the configuration has a place for them. That they cannot be told changes nothing of the run.
    fn tell(&self, summary: &Summary) {
        if !metrics::are_of(summary) {
            return;
        }
        if let Ok(Some(config)) = self.config_if_any() {
            metrics::tell(&config, summary, self.begun.elapsed());
        }
    }

    fn summarise(
        &self,
        command: &'static str,
        result: Result<Report, Failure>,
    ) -> (Summary, Option<Report>) {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut summary = Summary {
            program: self.program.program(),
            version: VERSION,
            command,
            outcome: "failed",
            error_id: None,
            exit: Exit::Done.code(),
            message: None,
            hint: None,
            facts: facts.clone(),
            cut: Vec::new(),
        };
        match result {
            Ok(report) => {
                summary.outcome = report.outcome;
                if let Some(failure) = &report.failure {
                    summary.fail(failure);
                }
                (summary, Some(report))
            }
            Err(failure) => {
                summary.fail(&failure);
                (summary, None)
            }
        }
    }

    /// Prints the result; returns why that failed, where the command itself had not.
    fn print(&self, summary: &Summary, report: Option<&Report>) -> Option<Failure> {
        let text = match (self.options.output, report) {
            (Output::Json, report) => {
                let result = report.and_then(|report| report.result.as_ref());
                summary.clone().fitted().line(result)
            }
            (Output::Text, Some(report)) if !report.text.is_empty() => {
                format!("{}\n", report.text.trim_end_matches('\n'))
            }
            (Output::Text, _) => return None,
        };
        let written = outlet::to_stdout(&text);
        let path = std::path::Path::new("standard output");
        report?;
        written
            .err()
            .map(|source| DiskError::new(Action::Write, path, source).into())
    }

    /// The error line, and the hint apart.
    fn complain(&self, summary: &Summary) {
        let message = summary.message.as_deref().unwrap_or_default();
        let id = summary.error_id.map_or("", |id| id.as_str());
        if self.options.log_format == LogFormat::Json {
            let hint = summary.hint.as_deref();
            tracing::error!(target: "mimeograph", errorId = id, hint, "{message}");
            return;
        }
        let program = summary.program;
        let red = std::io::stderr().is_terminal() && outlet::may_colour();
        let (begin, end) = if red {
            ("\u{1b}[31m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        let hint = summary
            .hint
            .as_ref()
            .map(|hint| format!("{program}: hint: {hint}\n"))
            .unwrap_or_default();
        let text = format!("{program}: {begin}error:{end} {message} [{id}]\n{hint}");
        progress::beside(|| outlet::to_stderr(text.as_bytes()));
    }
}
