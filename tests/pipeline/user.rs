//! What a user does beside running a program: as whom it runs, in what disk, and what changed on disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_tests::gap::Ran;

/// One who may do nothing that root may.
pub(crate) const NOBODY: &str = "65534";

/// Runs a command.
#[track_caller]
pub(crate) fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    Ran {
        command: words.join(" "),
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same command, started by another: `wrapper`, then the command's own words.
pub(crate) fn wrapped(wrapper: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer
        .args(&wrapper[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
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

/// Kind and permissions, time, bytes.
type Found = (u32, (i64, i64), Vec<u8>);

/// Everything below a folder: names, kinds, permissions, times and bytes. Equal before and after means that
/// nothing was changed, not even for a moment: a file that came and went leaves its folder a new time.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let of = fs::metadata(&folder).unwrap();
        found.insert(
            folder.clone(),
            (of.mode(), (of.mtime(), of.mtime_nsec()), Vec::new()),
        );
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let of = path.symlink_metadata().unwrap();
            if of.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = if of.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            found.insert(path, (of.mode(), (of.mtime(), of.mtime_nsec()), bytes));
        }
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
