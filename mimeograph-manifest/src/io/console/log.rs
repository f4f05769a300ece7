//! Log lines on standard error: for people, or one JSON object each.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::{outlet, progress};
use crate::io::clock;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Lines of the child process have this target, and show whose they are.
const CHILD: &str = "oc-mirror";
/// What these say at our level is of no use to an operator.
const LIBRARIES: [&str; 8] = [
    "aws_config",
    "aws_runtime",
    "aws_sdk_s3",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "h2",
    "hyper_util",
    "rustls",
];

/// Starts logging for the whole process; a second call changes nothing.
pub(super) fn install(format: LogFormat, level: Option<&str>) {
    let (filter, unusable) = chosen(level, std::env::var("RUST_LOG").ok());
    let terminal = io::stderr().is_terminal();
    progress::choose(terminal && format == LogFormat::Text);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr)
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => builder
            .with_ansi(terminal && outlet::may_colour())
            .event_format(Line)
            .try_init(),
        LogFormat::Json => builder
            .json()
            .with_timer(Seconds)
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
    if let Some(error) = unusable {
        tracing::warn!("ignored the environment variable `RUST_LOG`: {error}");
    }
}

/// `--log-level`, else `RUST_LOG`, else `info`.
fn chosen(level: Option<&str>, variable: Option<String>) -> (EnvFilter, Option<ParseError>) {
    let variable = variable.filter(|text| !text.is_empty());
    let wanted = level.map(str::to_owned).or(variable);
    match wanted.as_deref().map(filter_of) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
        None => (filter_of("info").unwrap_or_default(), None),
    }
}

/// A filter; a bare level holds for our own lines, and libraries only warn.
pub(super) fn filter_of(text: &str) -> Result<EnvFilter, ParseError> {
    if text.parse::<Level>().is_err() {
        return EnvFilter::try_new(text);
    }
    let quiet = if text.eq_ignore_ascii_case("error") {
        "error"
    } else {
        "warn"
    };
    let libraries = LIBRARIES.map(|name| format!(",{name}={quiet}")).concat();
    EnvFilter::try_new(format!("{text}{libraries}"))
}

/// `2026-01-31T23:59:59Z INFO  message name=value`; an error in red where there are colours.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let colour = match *metadata.level() {
            _ if !writer.has_ansi_escapes() => None,
            Level::ERROR => Some("31"),
            Level::WARN => Some("33"),
            _ => None,
        };
        if let Some(colour) = colour {
            write!(writer, "\u{1b}[{colour}m")?;
        }
        write!(writer, "{} {:<5} ", clock::now(), metadata.level())?;
        if metadata.target() == CHILD {
            write!(writer, "{CHILD}: ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        if colour.is_some() {
            write!(writer, "\u{1b}[0m")?;
        }
        writeln!(writer)
    }
}

/// Whole seconds, as everywhere else.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", clock::now())
    }
}

/// Standard error, without tearing a progress bar, and without minding that nobody listens.
#[derive(Clone, Copy)]
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::beside(|| outlet::to_stderr(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(colours: bool) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(colours)
            .event_format(Line)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(chunks = 3, "shipped");
            tracing::error!(target: "oc-mirror", "\u{1b}[2Jbad");
        });
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_time_level_and_whose_it_is() {
        let text = lines(false);
        let [first, second] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        let (time, rest) = first.split_once(' ').unwrap();
        time.parse::<crate::time::Timestamp>().unwrap();
        assert_eq!(rest, "INFO  shipped chunks=3");
        assert_eq!(
            second.split_once(' ').unwrap().1,
            "ERROR oc-mirror: \\x1b[2Jbad"
        );
    }

    #[test]
    fn only_warnings_and_errors_are_coloured() {
        let text = lines(true);
        assert_eq!(text.matches("\u{1b}[31m").count(), 1, "{text:?}");
        assert!(text.lines().last().unwrap().ends_with("\u{1b}[0m"));
    }

    #[test]
    fn the_option_wins_over_the_variable_and_a_bad_variable_is_named() {
        let (filter, bad) = chosen(Some("debug"), Some("trace".into()));
        assert!(bad.is_none());
        assert!(filter.to_string().contains("debug") && !filter.to_string().contains("trace"));
        assert!(filter.to_string().contains("aws_sdk_s3=warn"));
        let (filter, bad) = chosen(None, Some("a=b=c".into()));
        assert!(bad.is_some());
        assert_eq!(filter.to_string(), "info");
    }
}
