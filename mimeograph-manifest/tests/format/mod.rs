//! What the tests of the format share: the vectors' places, a scratch folder, other programs.

mod by_hand;
mod keys;
pub(crate) mod store;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A place among the vectors.
pub(crate) fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

/// What lies in a folder, in order of names.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// A folder that goes away with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mimeograph-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program that must succeed; its standard output.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A], folder: &Path) -> String {
    let (succeeded, output) = try_to_run(program, arguments, folder);
    assert!(succeeded, "`{program}` failed: {output}");
    output
}

/// Runs a program that must be there: whether it succeeded, and all that it wrote.
pub(crate) fn try_to_run<A: AsRef<OsStr>>(
    program: &str,
    arguments: &[A],
    folder: &Path,
) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("`{program}` is needed for this test: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
