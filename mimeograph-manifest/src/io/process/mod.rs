//! Runs a child to its end. Promises: every line of both its pipes is passed on, however many there are; SIGTERM
//! and SIGINT reach it and all it started; it gets its time and no more; it never outlives us.

mod child;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::failure::{ErrorId, Fault};
use crate::io::interrupt::Interrupt;

use child::Group;
pub use lines::{LINE_SIZE, Line, Pipe};

/// Lines that may wait for `on_line`; when so many do, the child waits too.
const WAITING_LINES: usize = 1024;
/// How often the clock and the signals are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a pipe may stay open after the child's end (by something that left its group).
const LINGER: Duration = Duration::from_secs(2);

/// What to run. Nothing is inherited: neither environment nor standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    pub dir: PathBuf,
}

/// How long it may take, and who may stop it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The time it gets; then SIGTERM.
    pub timeout: Duration,
    /// The time from SIGTERM to SIGKILL.
    pub grace: Duration,
    /// What to forward.
    pub interrupt: Interrupt,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// A run that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// Its time was up, so it was stopped.
    pub timed_out: bool,
    /// We were told to stop, so it was stopped.
    pub interrupted: bool,
    /// How long it ran.
    pub duration: Duration,
}

/// Runs `spec` to its end and hands each line to `on_line`.
pub fn run(
    spec: &Spec,
    on_line: &mut dyn FnMut(Line),
    limits: &Limits,
) -> Result<Ended, ProcessError> {
    let begun = Instant::now();
    let (mut child, stdout, stderr) = Group::start(spec)?;
    let (sender, receiver) = sync_channel(WAITING_LINES);
    lines::pass_on(stdout, Pipe::Stdout, sender.clone());
    lines::pass_on(stderr, Pipe::Stderr, sender);
    let mut watch = Watch::new(begun, limits);
    let status = loop {
        // Both pipes closed and the child alive: nothing more to read, go on watching.
        take_lines(&receiver, on_line, Instant::now() + TICK);
        watch.look(&child);
        if let Some(status) = child.ended().map_err(|source| waiting(spec, source))? {
            break status;
        }
    };
    take_lines(&receiver, on_line, Instant::now() + LINGER);
    Ok(Ended {
        status,
        timed_out: watch.timed_out,
        interrupted: watch.interrupted,
        duration: begun.elapsed(),
    })
}

fn waiting(spec: &Spec, source: io::Error) -> ProcessError {
    ProcessError::Wait {
        program: spec.program.clone(),
        source,
    }
}

/// Passes lines on until `until`, or until both pipes are closed and empty.
fn take_lines(receiver: &Receiver<Line>, on_line: &mut dyn FnMut(Line), until: Instant) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(line) => on_line(line),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(left.min(TICK));
                return;
            }
        }
        if left.is_zero() {
            return;
        }
    }
}

/// Sends the signals when their time has come, each once.
struct Watch<'a> {
    limits: &'a Limits,
    ends: Option<Instant>,
    kill_at: Option<Instant>,
    timed_out: bool,
    interrupted: bool,
}

impl<'a> Watch<'a> {
    fn new(begun: Instant, limits: &'a Limits) -> Self {
        Self {
            limits,
            ends: begun.checked_add(limits.timeout),
            kill_at: None,
            timed_out: false,
            interrupted: false,
        }
    }

    fn look(&mut self, child: &Group) {
        let now = Instant::now();
        if let Some(kill_at) = self.kill_at {
            if now >= kill_at {
                child.signal(Signal::KILL);
            }
        } else if let Some(signal) = self.limits.interrupt.signal() {
            self.interrupted = true;
            self.stop(child, signal, now);
        } else if self.ends.is_some_and(|ends| now >= ends) {
            self.timed_out = true;
            self.stop(child, Signal::TERM, now);
        }
    }

    fn stop(&mut self, child: &Group, signal: Signal, now: Instant) {
        child.signal(signal);
        self.kill_at = Some(now + self.limits.grace);
    }
}

/// What goes wrong before there is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be started.
    #[error("failed to start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its working directory is not there.
    #[error("failed to enter the working directory `{}`", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its end cannot be waited for.
    #[error("failed to wait for `{}`", program.display())]
    Wait {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ProcessError {
    fn starting(spec: &Spec, source: io::Error) -> Self {
        match check_directory(&spec.dir) {
            Ok(()) => Self::Start {
                program: spec.program.clone(),
                source,
            },
            Err(source) => Self::Directory {
                dir: spec.dir.clone(),
                source,
            },
        }
    }
}

fn check_directory(dir: &Path) -> io::Result<()> {
    std::fs::metadata(dir)?
        .is_dir()
        .then_some(())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory"))
}

impl Fault for ProcessError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Start { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    ErrorId::OcMirrorMissing
                }
                _ if is_no_program(source) => ErrorId::OcMirrorMissing,
                _ => ErrorId::Io,
            },
            Self::Directory { .. } => ErrorId::CannotCreate,
            Self::Wait { .. } => ErrorId::Io,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it executable, and mount its file system without `noexec`".into())
            }
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
                "if the file is there, the interpreter or loader that it needs is not (a binary \
                 for another C library or processor)"
                    .into(),
            ),
            Self::Start { source, .. } if is_no_program(source) => Some(
                "it is no program that can run here: compare it with what `uname -m` says".into(),
            ),
            _ => None,
        }
    }
}

/// A text, or a program for another processor.
fn is_no_program(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}
