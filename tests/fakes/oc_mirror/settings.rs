//! How the stand-in is told what to be: `STANDIN_*` variables, and the same names in a file beside the program.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::release::Release;

/// What this copy of the program was told.
#[derive(Debug)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
    program: PathBuf,
}

impl Settings {
    /// The file wins, because the programs under test pass few variables on.
    pub(crate) fn load() -> io::Result<Self> {
        let program = env::current_exe()?;
        let named = |(name, value): (String, String)| {
            Some((name.strip_prefix("STANDIN_")?.to_owned(), value))
        };
        let mut values: BTreeMap<String, String> = env::vars().filter_map(named).collect();
        let file = fs::read_to_string(beside(&program, "settings")).unwrap_or_default();
        let lines = file.lines().filter(|line| !line.starts_with('#'));
        let pair = |(name, value): (&str, &str)| (name.trim().to_owned(), value.trim().to_owned());
        values.extend(lines.filter_map(|line| line.split_once('=')).map(pair));
        Ok(Self { values, program })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The release that is played; the newest if none is named.
    pub(crate) fn release(&self) -> Release {
        self.get("VERSION")
            .and_then(Release::parse)
            .unwrap_or(Release::V5_2)
    }

    /// Whether `MISBEHAVE` names this.
    pub(crate) fn does(&self, misdeed: &str) -> bool {
        self.misdeeds().any(|found| found == misdeed)
    }

    /// The number of `exit=N`.
    pub(crate) fn exit(&self) -> Option<u8> {
        self.misdeeds()
            .find_map(|found| found.strip_prefix("exit=")?.parse().ok())
    }

    /// Whether this image is the one that misdeeds strike: it holds `IMAGE`, else it is the last.
    pub(crate) fn strikes(&self, name: &str, last: bool) -> bool {
        self.get("IMAGE").map_or(last, |part| name.contains(part))
    }

    /// Whether this run is one of the first `TRANSIENT` (1) that fail. Counts in a file beside the program.
    pub(crate) fn fails_for_now(&self) -> io::Result<bool> {
        if !self.does("transient") {
            return Ok(false);
        }
        let path = beside(&self.program, "runs");
        let runs: u64 = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        fs::write(path, (runs + 1).to_string())?;
        Ok(runs < self.number("TRANSIENT").unwrap_or(1))
    }

    /// Append this call to `<program>.calls`, if that exists.
    pub(crate) fn record_call(&self) -> io::Result<()> {
        let Ok(mut calls) = OpenOptions::new()
            .append(true)
            .open(beside(&self.program, "calls"))
        else {
            return Ok(());
        };
        let names: Vec<String> = env::vars_os()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        let arguments: Vec<String> = env::args().collect();
        let call = json!({ "argv": arguments, "cwd": env::current_dir()?, "env": names, "umask": umask() });
        writeln!(calls, "{call}")
    }

    fn misdeeds(&self) -> impl Iterator<Item = &str> {
        self.get("MISBEHAVE")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
    }
}

/// The process's umask in octal, as the kernel shows it.
pub(crate) fn umask() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.map_or_else(|| "0022".to_owned(), |value| value.trim().to_owned())
}

fn beside(program: &Path, ending: &str) -> PathBuf {
    let mut name = program.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
