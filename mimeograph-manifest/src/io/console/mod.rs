//! The face of both programs: global options, log lines, progress, results, and how a command ends.
//!
//! It promises that every command ends in one place: with its result on standard output, or one error
//! line with a stable id and a hint, with one JSON line where a scheduler looks for it, and with the exit
//! status that belongs to the id. A panic ends there too. Nothing here fails because someone closed our
//! standard output.

mod front;
mod log;
mod metrics;
mod options;
mod outlet;
mod panic;
mod progress;
mod report;
mod summary;
mod termination;

pub use self::front::{Front, parse, run};
pub use self::log::LogFormat;
pub use self::options::{Options, Output};
pub use self::progress::Progress;
pub use self::report::{Report, ReportError};
pub use self::summary::{Facts, NewestBundle, OcMirrorRun};
