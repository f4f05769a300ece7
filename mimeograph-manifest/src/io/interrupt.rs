//! Whether someone asked us to stop: SIGTERM and SIGINT are noted, never acted on by themselves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};

/// A note that says which signal arrived, if any. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Notes the SIGTERM and SIGINT of this process from now on. Make one, at the start of a command.
    pub fn of_this_process() -> io::Result<Self> {
        let note = Self::default();
        for (number, signal) in [(SIGTERM, Signal::TERM), (SIGINT, Signal::INT)] {
            let mark = usize::try_from(signal.as_raw()).unwrap_or_default();
            signal_hook::flag::register_usize(number, Arc::clone(&note.0), mark)?;
        }
        Ok(note)
    }

    /// Asks for a stop as `signal` would.
    pub fn raise(&self, signal: Signal) {
        let mark = usize::try_from(signal.as_raw()).unwrap_or_default();
        self.0.store(mark, Ordering::SeqCst);
    }

    /// The signal that arrived last.
    pub fn signal(&self) -> Option<Signal> {
        let mark = self.0.load(Ordering::SeqCst);
        [Signal::TERM, Signal::INT]
            .into_iter()
            .find(|signal| usize::try_from(signal.as_raw()) == Ok(mark))
    }

    /// Whether one arrived.
    pub fn is_raised(&self) -> bool {
        self.signal().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpid, kill_process};
    use std::time::{Duration, Instant};

    #[test]
    fn a_signal_is_noted_and_does_not_end_us() {
        let interrupt = Interrupt::of_this_process().unwrap();
        assert!(!interrupt.is_raised());
        for signal in [Signal::TERM, Signal::INT] {
            kill_process(getpid(), signal).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while interrupt.signal() != Some(signal) {
                assert!(Instant::now() < deadline, "{signal:?} was not noted");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The signals of this process cannot be noted.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen for SIGTERM and SIGINT")]
pub struct InterruptError(#[source] io::Error);

impl crate::failure::Fault for InterruptError {
    fn id(&self) -> crate::failure::ErrorId {
        crate::failure::ErrorId::Io
    }
}

/// [`Interrupt::of_this_process`] as an error with a name.
pub fn watch() -> Result<Interrupt, InterruptError> {
    Interrupt::of_this_process().map_err(InterruptError)
}
