//! How far a stage is: a bar on a terminal, a log line every ten seconds elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use crate::io::config::Period;
use crate::io::retries;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);
const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left{prefix}";

/// All bars; they draw on standard error.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
/// Whether there is a terminal to draw on.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Says whether stages are drawn as bars from now on.
pub(super) fn choose(drawn: bool) {
    DRAWN.store(drawn, Ordering::Relaxed);
}

/// Does something on standard error that bars must not tear.
pub(super) fn beside(act: impl FnOnce()) {
    if DRAWN.load(Ordering::Relaxed) {
        BARS.suspend(act);
    } else {
        act();
    }
}

/// How far a stage is. Clones, in any thread, count together; when the last one goes, it ends.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Handle>);

impl Progress {
    /// Begins a stage (`shipping`) that moves `total_bytes`.
    pub fn begin(what: impl Into<String>, total_bytes: u64) -> Self {
        Self::every(EVERY, what.into(), total_bytes, |line| {
            tracing::info!("{line}");
        })
    }

    fn every(
        period: Duration,
        what: String,
        total: u64,
        say: impl Fn(String) + Send + 'static,
    ) -> Self {
        let count = Arc::new(Count {
            what,
            total,
            begun: Instant::now(),
            done: AtomicU64::new(0),
            retried: retries::count(),
            finished: AtomicBool::new(false),
        });
        let show = if DRAWN.load(Ordering::Relaxed) {
            Show::Bar(bar(&count))
        } else {
            Show::Lines(lines(period, Arc::clone(&count), say))
        };
        Self(Arc::new(Handle { count, show }))
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.0.count.done.fetch_add(bytes, Ordering::Relaxed);
        if let Show::Bar(bar) = &self.0.show {
            bar.inc(bytes);
            let retries = self.0.count.retries();
            if retries > 0 {
                bar.set_prefix(format!(", {}", tries(retries)));
            }
        }
    }

    /// All is done: says so when the last clone goes. A stage that goes without this has failed.
    pub fn finish(self) {
        self.0.count.finished.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Handle {
    count: Arc<Count>,
    show: Show,
}

#[derive(Debug)]
enum Show {
    Bar(ProgressBar),
    /// The thread that says the lines ends when its sender goes.
    Lines(Option<(Sender<()>, thread::JoinHandle<()>)>),
}

impl Drop for Handle {
    fn drop(&mut self) {
        match &mut self.show {
            Show::Bar(bar) => {
                bar.finish_and_clear();
                BARS.remove(bar);
                if self.count.finished.load(Ordering::Relaxed) {
                    tracing::info!("{}", self.count.end());
                }
            }
            Show::Lines(thread) => {
                if let Some((sender, thread)) = thread.take() {
                    drop(sender);
                    let _ = thread.join();
                }
            }
        }
    }
}

fn bar(count: &Count) -> ProgressBar {
    let bar = BARS.add(ProgressBar::new(count.total));
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar.set_message(count.what.clone());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn lines(
    period: Duration,
    count: Arc<Count>,
    say: impl Fn(String) + Send + 'static,
) -> Option<(Sender<()>, thread::JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel::<()>();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let work = move || {
        tracing::dispatcher::with_default(&dispatch, || {
            while receiver.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                say(count.now());
            }
            if count.finished.load(Ordering::Relaxed) {
                say(count.end());
            }
        });
    };
    // Without a thread there are no lines; the work itself goes on.
    let thread = thread::Builder::new().name("progress".into()).spawn(work);
    thread.ok().map(|thread| (sender, thread))
}

#[derive(Debug)]
struct Count {
    what: String,
    total: u64,
    begun: Instant,
    done: AtomicU64,
    /// How often something had been tried again before.
    retried: u64,
    finished: AtomicBool,
}

impl Count {
    fn retries(&self) -> u64 {
        retries::count().saturating_sub(self.retried)
    }

    fn now(&self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let retries = self.retries();
        under_way(&self.what, done, self.total, self.begun.elapsed(), retries)
    }

    fn end(&self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let retries = self.retries();
        ended(&self.what, done, self.begun.elapsed(), retries)
    }
}

/// `shipping: 1.00 GiB of 4.00 GiB (25 %), 100.00 MiB/s, 30s left, 1 retry`
fn under_way(what: &str, done: u64, total: u64, elapsed: Duration, retries: u64) -> String {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    let moved = match total {
        0 => format!("{what}: {}", HumanBytes(done)),
        _ => format!(
            "{what}: {} of {} ({percent} %)",
            HumanBytes(done),
            HumanBytes(total)
        ),
    };
    let rate = per_second(done, elapsed);
    let line = match total.saturating_sub(done).checked_div(rate) {
        Some(left) => format!(
            "{moved}, {}/s, {} left",
            HumanBytes(rate),
            Period::from_seconds(left)
        ),
        None => format!("{moved}, {}/s", HumanBytes(rate)),
    };
    with_retries(line, retries)
}

/// `shipping: done, 4.00 GiB in 40s, 102.40 MiB/s`
fn ended(what: &str, done: u64, elapsed: Duration, retries: u64) -> String {
    let rate = per_second(done, elapsed);
    let time = Period::from_seconds(elapsed.as_secs());
    let line = format!(
        "{what}: done, {} in {time}, {}/s",
        HumanBytes(done),
        HumanBytes(rate)
    );
    with_retries(line, retries)
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

fn with_retries(line: String, retries: u64) -> String {
    if retries == 0 {
        return line;
    }
    format!("{line}, {}", tries(retries))
}

fn tries(retries: u64) -> String {
    format!(
        "{retries} {}",
        if retries == 1 { "retry" } else { "retries" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_line_has_bytes_rate_and_time_left() {
        let line = |done, total, secs, retries| {
            under_way("shipping", done, total, Duration::from_secs(secs), retries)
        };
        assert_eq!(
            line(GIB, 4 * GIB, 10, 0),
            "shipping: 1.00 GiB of 4.00 GiB (25 %), 102.40 MiB/s, 30s left"
        );
        assert_eq!(
            line(0, 4 * GIB, 10, 1),
            "shipping: 0 B of 4.00 GiB (0 %), 0 B/s, 1 retry"
        );
        assert_eq!(line(0, 0, 0, 0), "shipping: 0 B, 0 B/s");
        assert_eq!(
            line(5 * GIB, 4 * GIB, 3600, 2),
            "shipping: 5.00 GiB of 4.00 GiB (100 %), 1.42 MiB/s, 0s left, 2 retries"
        );
        assert_eq!(
            ended("fetching", 4 * GIB, Duration::from_secs(95), 3),
            "fetching: done, 4.00 GiB in 1m35s, 43.12 MiB/s, 3 retries"
        );
    }

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    fn watched() -> (Progress, mpsc::Receiver<String>) {
        let (sender, lines) = mpsc::channel();
        let period = Duration::from_millis(20);
        let progress = Progress::every(period, "shipping".into(), 4000, move |line| {
            let _ = sender.send(line);
        });
        (progress, lines)
    }

    #[test]
    fn threads_count_together_and_lines_come_even_when_nothing_moves() {
        let (progress, lines) = watched();
        thread::scope(|scope| {
            for _ in 0..4 {
                let progress = progress.clone();
                scope.spawn(move || (0..10).for_each(|_| progress.add(100)));
            }
        });
        let wait = Duration::from_secs(20);
        assert!(lines.recv_timeout(wait).unwrap().starts_with("shipping: "));
        let second = lines.recv_timeout(wait).unwrap();
        assert!(second.contains("3.91 KiB of 3.91 KiB (100 %)"), "{second}");
        progress.finish();
        let last = lines.iter().last().unwrap();
        assert!(last.starts_with("shipping: done, 3.91 KiB in "), "{last}");
    }

    #[test]
    fn a_stage_that_failed_does_not_say_that_it_is_done() {
        let (progress, lines) = watched();
        progress.add(1);
        drop(progress);
        assert!(lines.iter().all(|line| !line.contains("done")));
    }
}
