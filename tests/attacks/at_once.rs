//! Many cases, several at once.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` for every case, several at once, since each waits for other programs most of its time. All failures
/// are told, not the first alone; a panic is one, too.
pub(crate) fn at_once<T: Sync>(cases: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores * 3 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let done = catch_unwind(AssertUnwindSafe(|| work(case)));
                    if let Err(why) = done.unwrap_or_else(|panic| Err(said(&*panic))) {
                        failures.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or_default())
}
