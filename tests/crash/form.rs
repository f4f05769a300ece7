//! Which cases are run, and by how many at once.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

/// How many of the cases are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A few of each.
    Short,
    /// All.
    Full,
    /// All of the scenarios whose names hold this.
    FullOf(String),
}

impl Form {
    /// As `MIMEOGRAPH_CRASH` has it: `full`, or `full:` and part of a name.
    pub(crate) fn asked_for() -> Self {
        let form = std::env::var("MIMEOGRAPH_CRASH").unwrap_or_default();
        match form.split_once(':') {
            None if form.is_empty() => Self::Short,
            None if form == "full" => Self::Full,
            Some(("full", part)) => Self::FullOf(part.to_owned()),
            _ => panic!("MIMEOGRAPH_CRASH is `full`, `full:SCENARIO` or not there, not `{form}`"),
        }
    }

    /// Whether a scenario is run.
    pub(crate) fn names(&self, scenario: &str) -> bool {
        match self {
            Self::FullOf(part) => scenario.contains(part.as_str()),
            Self::Short | Self::Full => true,
        }
    }

    /// All of `cases`, or `few` of them: the middle one of each of as many parts.
    pub(crate) fn choose<T>(&self, cases: Vec<T>, few: usize) -> Vec<T> {
        let all = cases.len();
        if *self != Self::Short || all <= few {
            return cases;
        }
        let middle = |part: usize| (2 * part + 1) * all / (2 * few);
        let chosen: Vec<usize> = (0..few).map(middle).collect();
        let cases = cases.into_iter().enumerate();
        let is_chosen = |(place, case)| chosen.contains(&place).then_some(case);
        cases.filter_map(is_chosen).collect()
    }
}

/// Does `work` for everything, all at once.
pub(crate) fn gather<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = all
            .into_iter()
            .map(|one| scope.spawn(|| work(one)))
            .collect();
        let results = workers.into_iter().map(ScopedJoinHandle::join);
        results
            .map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
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

/// Says what was done.
#[expect(clippy::print_stdout, reason = "the full form is there to be read")]
pub(crate) fn tell(line: &str) {
    println!("{line}");
}
