//! Whole runs of `oc-mirror`, again where that may help, with a pause between them, each within its
//! time and all within theirs.

use std::time::{Duration, Instant};

use crate::failure::{ErrorId, Failure, Fault, chain};
use crate::io::config::OcMirrorSettings;
use crate::io::interrupt::Interrupt;

/// Before the second attempt; doubled for each further one.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_mins(5);

/// A failed attempt, and whether another may do better.
#[derive(Debug)]
pub struct Attempt {
    /// Why it failed.
    pub failure: Failure,
    /// Whether trying again may help.
    pub may_pass: bool,
}

impl<E: Into<Failure>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self {
            failure: error.into(),
            may_pass: false,
        }
    }
}

/// The time for all attempts is over.
#[derive(Debug, thiserror::Error)]
#[error("the time for all attempts (`mirror.ocMirror.deadline`) is over")]
struct DeadlineError;

impl Fault for DeadlineError {
    fn id(&self) -> ErrorId {
        ErrorId::OcMirrorUnfinished
    }

    fn hint(&self) -> Option<String> {
        Some("run it again: what was fetched is in the cache; or raise the deadline".into())
    }
}

/// Calls `once` with the number of the attempt, from 0, and the time that it gets, until it succeeds,
/// fails for good, or retries or time are used up.
pub fn run<T>(
    settings: &OcMirrorSettings,
    interrupt: &Interrupt,
    mut once: impl FnMut(u32, Duration) -> Result<T, Attempt>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + settings.deadline.duration();
    let mut attempt = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(DeadlineError.into());
        }
        let Attempt { failure, may_pass } =
            match once(attempt, settings.timeout.duration().min(left)) {
                Ok(result) => return Ok(result),
                Err(failed) => failed,
            };
        if attempt >= settings.retries || !may_pass || interrupt.is_raised() {
            return Err(failure);
        }
        let pause = PAUSE
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(LONGEST);
        tracing::warn!(
            attempt = attempt + 1,
            of = settings.retries + 1,
            pause_seconds = pause.as_secs(),
            "{}; trying again with less at once",
            chain(failure.as_error())
        );
        sleep(pause, interrupt);
        attempt += 1;
    }
}

fn sleep(pause: Duration, interrupt: &Interrupt) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !interrupt.is_raised() {
        std::thread::sleep(Duration::from_millis(100));
    }
}
