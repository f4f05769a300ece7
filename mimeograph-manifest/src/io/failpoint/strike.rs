//! Counting the points that are reached, and striking at one of them.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

static REACHED: AtomicU64 = AtomicU64::new(0);

pub(super) fn reach(name: &str, what: &Path) -> io::Result<()> {
    if let Some(file) = std::env::var_os("MIMEOGRAPH_FAILPOINTS_REACHED") {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        writeln!(file, "{name} {}", what.display())?;
    }
    let Ok(plan) = std::env::var("MIMEOGRAPH_FAILPOINT") else {
        return Ok(());
    };
    let Some(Plan { at, number, strike }) = Plan::parse(&plan) else {
        return Err(io::Error::other(format!("no such failpoint: `{plan}`")));
    };
    let is_meant = at == "*" || at == name;
    if !is_meant || REACHED.fetch_add(1, Ordering::SeqCst) + 1 != number {
        return Ok(());
    }
    match strike {
        Strike::Kill => loop {
            let _ = kill_process(getpid(), Signal::KILL);
        },
        Strike::Stop => Ok(kill_process(getpid(), Signal::STOP)?),
        Strike::Error(errno) => Err(errno.into()),
    }
}

struct Plan<'a> {
    at: &'a str,
    number: u64,
    strike: Strike,
}

enum Strike {
    Kill,
    Stop,
    Error(Errno),
}

impl<'a> Plan<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (rest, strike) = text.rsplit_once(':')?;
        let (at, number) = rest.rsplit_once(':')?;
        let strike = match strike {
            "kill" => Strike::Kill,
            "stop" => Strike::Stop,
            "eio" => Strike::Error(Errno::IO),
            "enospc" => Strike::Error(Errno::NOSPC),
            _ => return None,
        };
        let number = number.parse().ok()?;
        Some(Self { at, number, strike })
    }
}
