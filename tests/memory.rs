//! How much memory both programs take at most while a large archive goes the whole way.
//!
//! `cargo run --package mimeograph-tests --bin memory -- [GIB]` (4 by default) prints the peaks and fails where
//! one is above the limit. It needs about six times as much room in the temporary folder.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mimeograph_tests::gap::{Gap, Programs};
use mimeograph_tests::registry::gzip;

/// What is promised, in MiB.
const LIMIT: u64 = 300;
const LAYER: usize = 64 << 20;
const LAYERS: u64 = 4;
const IMAGES_PER_GIB: u64 = (1 << 30) / (LAYER as u64 * LAYERS);

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("memory: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program is there to be read")]
fn say(text: &str) {
    println!("{text}");
}

fn measure() -> Result<()> {
    let gib: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse().context("the size is a number of GiB")?,
        None => 4,
    };
    let folder = tempfile::tempdir()?;
    let gap = Gap::new(&folder.path().join("gap"), Programs::build()?)?;
    let mut names = Vec::new();
    let mut noise = Noise(1);
    for n in 0..gib * IMAGES_PER_GIB {
        let layers: Vec<_> = (0..LAYERS).map(|_| gzip(&noise.bytes(LAYER))).collect();
        let repository = format!("large/{n}");
        gap.source.put_image(&repository, "v1", &layers);
        names.push(format!("{repository}:v1"));
    }
    gap.ask_for(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let keys = gap.path("keys").display().to_string();
    let made = gap.bundler(&["keygen", "--out", &keys]);
    ensure!(made.status == 0, "{made}");

    say(&format!(
        "{gib} GiB, {} layers of 64 MiB",
        gib * IMAGES_PER_GIB * LAYERS
    ));
    let programs = gap.programs();
    let mut within = true;
    for (name, program, side) in [
        ("mimeograph-bundler", &programs.bundler, "connected"),
        ("mimeograph-populator", &programs.populator, "disconnected"),
    ] {
        let begin = Instant::now();
        let log = gap.path(side).join("log");
        let peak = peak_of(&mut gap.command(program, side, &["run"]), &log)? >> 10;
        within &= peak < LIMIT;
        say(&format!(
            "{name:<22} {peak:>5} MiB at most, {:>4} s",
            begin.elapsed().as_secs()
        ));
        // the other side needs nothing but the store: make room for it
        fs::remove_dir_all(gap.path(side))?;
    }
    ensure!(within, "more than {LIMIT} MiB");
    Ok(())
}

/// Runs a program, its log lines into a file, and gives its largest resident set, in KiB. What it starts itself
/// does not count.
fn peak_of(command: &mut Command, log: &Path) -> Result<u64> {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(fs::File::create(log)?)
        .spawn()?;
    let mut peak = 0;
    loop {
        peak = peak.max(high_water(&child).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                let told = fs::read_to_string(log)?;
                bail!("{command:?} ended with {status}:\n{told}");
            }
            ensure!(peak > 0, "nothing was measured");
            return Ok(peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `VmHWM` of proc(5), in KiB.
fn high_water(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Bytes that do not compress (xorshift64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = count / 8;
        let mut bytes = Vec::with_capacity(words * 8);
        for _ in 0..words {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend_from_slice(&self.0.to_le_bytes());
        }
        bytes
    }
}
