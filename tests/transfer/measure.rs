//! One program from its start to its end: time, processor time, memory, bytes on the loopback.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wait4::Wait4 as _;

/// What a program took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub wall: Duration,
    /// In all its threads, and in what it waited for.
    pub cpu: Duration,
    /// Largest resident set, in bytes.
    pub peak: u64,
    /// Bytes that crossed the loopback, in either direction.
    pub moved: u64,
    /// Requests that the server saw, where it counts them.
    pub requests: Option<u64>,
    /// What the server took meanwhile.
    pub server: Duration,
}

/// Runs a program; what it prints is lost unless it fails.
pub(crate) fn measure(mut command: Command) -> Result<Figures> {
    let before = loopback()?;
    let folder = tempfile::tempdir()?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    command
        .stdout(fs::File::create(&out)?)
        .stderr(fs::File::create(&err)?);
    let begin = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("{}: is it installed?", command.get_program().display()))?;
    let ended = child.wait4()?;
    let wall = begin.elapsed();
    ensure!(
        ended.status.success(),
        "{command:?} ended with {}: {}{}",
        ended.status,
        fs::read_to_string(out).unwrap_or_default(),
        fs::read_to_string(err).unwrap_or_default()
    );
    Ok(Figures {
        wall,
        cpu: ended.rusage.utime + ended.rusage.stime,
        peak: ended.rusage.maxrss,
        moved: loopback()?.saturating_sub(before),
        requests: None,
        server: Duration::ZERO,
    })
}

/// Bytes that were sent over the loopback so far.
fn loopback() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/dev")?;
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("lo:"));
    let line = lines.next().context("there is no loopback")?;
    let sent = line.split_ascii_whitespace().nth(8);
    Ok(sent.context("/proc/net/dev")?.parse()?)
}

/// The middle of several measurements, each figure for itself, and how far the walls lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub figures: Figures,
    pub least: Duration,
    pub most: Duration,
}

impl Median {
    pub(crate) fn of(all: &[Figures]) -> Self {
        fn middle<T: Ord + Copy>(all: &[Figures], of: impl Fn(&Figures) -> T) -> T {
            let mut values: Vec<T> = all.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        }
        let walls = || all.iter().map(|one| one.wall);
        Self {
            figures: Figures {
                wall: middle(all, |one| one.wall),
                cpu: middle(all, |one| one.cpu),
                peak: middle(all, |one| one.peak),
                moved: middle(all, |one| one.moved),
                requests: middle(all, |one| one.requests),
                server: middle(all, |one| one.server),
            },
            least: walls().min().unwrap_or_default(),
            most: walls().max().unwrap_or_default(),
        }
    }
}
