//! What a user does beside running a program: as whom it runs, in what disk, and what changed on disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_tests::gap::Ran;
use mimeograph_tests::wrap::{self, wrapped};

/// One who may do nothing that root may.
pub(crate) const NOBODY: &str = "65534";

/// Runs a command.
#[track_caller]
pub(crate) fn run(command: Command) -> Ran {
    wrap::run(command).unwrap()
}

/// The same command as user and group `id`, in no other group. Only root can do that: others stay who they are,
/// and may do no more than `id`.
pub(crate) fn as_user(id: &str, command: &Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        return wrapped(&["env"], command);
    }
    let (user, group) = (format!("--reuid={id}"), format!("--regid={id}"));
    wrapped(&["setpriv", &user, &group, "--clear-groups", "--"], command)
}

/// A file or folder as it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    mode: u32,
    changed: (i64, i64),
    /// A file's bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let of = path.symlink_metadata().unwrap();
        Self {
            mode: of.mode(),
            changed: (of.mtime(), of.mtime_nsec()),
            bytes: if of.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            },
        }
    }
}

/// Everything below a folder: names, kinds, permissions, times and bytes. Equal before and after means that
/// nothing was changed, not even for a moment: a file that came and went leaves its folder a new time.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut paths = vec![folder.to_owned()];
    while let Some(path) = paths.pop() {
        if path.is_dir() && !path.is_symlink() {
            paths.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let entry = Entry::of(&path);
        found.insert(path, entry);
    }
    found
}

/// The names of the files below a folder, relative to it.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let below = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
    let paths = tree(folder);
    paths
        .keys()
        .filter(|path| !path.is_dir())
        .map(below)
        .collect()
}
