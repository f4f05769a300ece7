//! A recorded run of the real one, played again: its lines, its archive, its status, and its entry in the history.
//! A dry run plays the recording in `dry-run`, if there is one, and leaves the working directory of its archive.

use std::fs;
use std::io;
use std::path::Path;

use crate::log::print;

/// Plays `folder/log` and `folder/mirror_000001.tar` into the output that `destination` names; gives the exit status.
///
/// The log is as it was recorded: the command first, `exit status: N` last.
pub(crate) fn run(folder: &Path, destination: &str) -> io::Result<u8> {
    // A second recording, of what a second run did.
    let next = folder.join("next");
    if next.is_dir() && folder.join("played").exists() {
        return run(&next, destination);
    }
    fs::write(folder.join("played"), "")?;
    play(folder, destination, |output| {
        let archive = folder.join("mirror_000001.tar");
        if !archive.exists() {
            return Ok(());
        }
        fs::copy(archive, output.join("mirror_000001.tar"))?;
        let history = output.join("working-dir/.history");
        fs::create_dir_all(&history)?;
        fs::write(history.join(".history-2026-11-23T23:24:05Z"), "recorded\n")
    })
}

/// Plays `folder/dry-run`.
pub(crate) fn dry_run(folder: &Path, destination: &str) -> io::Result<u8> {
    let folder = folder.join("dry-run");
    if !folder.is_dir() {
        std::process::abort();
    }
    play(&folder, destination, |output| {
        let archive = folder.join("mirror_000001.tar");
        if !archive.exists() {
            return Ok(());
        }
        let file = fs::File::open(archive)?;
        for entry in tar::Archive::new(file).entries()? {
            let mut entry = entry?;
            if entry.path()?.starts_with("working-dir") {
                entry.unpack_in(output)?;
            }
        }
        Ok(())
    })
}

fn play(
    folder: &Path,
    destination: &str,
    leave: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<u8> {
    let output = Path::new(destination.trim_start_matches("file://"));
    let log = fs::read_to_string(folder.join("log"))?;
    let lines: Vec<&str> = log.lines().skip(1).collect();
    let Some((last, lines)) = lines.split_last() else {
        return Err(io::Error::other("the recorded log is empty"));
    };
    let status = last.trim_start_matches("exit status: ").parse();
    leave(output)?;
    for line in lines {
        print(true, &format!("{line}\n"));
    }
    status.map_err(io::Error::other)
}
