//! Which cases are run, and by how many at once.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many of the cases are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A few of each.
    Short,
    /// All.
    Full,
}

impl Form {
    /// As `MIMEOGRAPH_CRASH` has it.
    pub(crate) fn asked_for() -> Self {
        match std::env::var("MIMEOGRAPH_CRASH").as_deref() {
            Ok(form) if form == "full" || form.starts_with("full:") => Self::Full,
            Err(_) | Ok("") => Self::Short,
            Ok(other) => panic!("MIMEOGRAPH_CRASH is `full`, `full:SCENARIO` or not there, not `{other}`"),
        }
    }

    /// Whether a scenario is asked for: all are, unless one is named.
    pub(crate) fn names(scenario: &str) -> bool {
        let form = std::env::var("MIMEOGRAPH_CRASH").unwrap_or_default();
        let named = form.strip_prefix("full:").unwrap_or_default();
        scenario.contains(named)
    }

    /// All of `cases`, or `few` of them: spread over all, and always the last.
    pub(crate) fn choose<T>(self, mut cases: Vec<T>, few: usize) -> Vec<T> {
        if self == Self::Full || cases.len() <= few {
            return cases;
        }
        let (all, mut number) = (cases.len(), 0);
        cases.retain(|_| {
            number += 1;
            number * few / all > (number - 1) * few / all
        });
        cases
    }
}

/// Does `work` for every case, several at once, since each waits for disks and other programs most of its time.
/// All failures are told, not the first alone.
pub(crate) fn at_once<T: Sync>(cases: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores * 6 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(failure) = work(case) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}
