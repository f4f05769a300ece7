//! Killed at any moment, a run is taken up by the next one.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::{arrives, settled};
use crate::lab::{Lab, done};

/// Runs a program and kills it after so long; tells whether it was still running.
fn killed_after(lab: &Lab, side: &str, time: Duration) -> bool {
    let program = match side {
        "connected" => &lab.programs().bundler,
        _ => &lab.programs().populator,
    };
    let mut command = lab.command(program, side, &["run"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(time);
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_running
}

/// Kills a program again and again, each time a little later, until it once gets through.
fn killed_until_done(lab: &Lab, side: &str) {
    let mut kills = 0;
    for step in 0_u32.. {
        if !killed_after(lab, side, Duration::from_millis(40) * step) {
            break;
        }
        kills += 1;
    }
    assert!(kills > 2, "killed {kills} times only");
}

#[test]
fn a_bundler_that_is_killed_again_and_again_publishes_everything_once() {
    let lab = settled();
    killed_until_done(&lab, "connected");
    // Of a run that was killed after it had published everything nothing remains to be done.
    done(&lab.bundler(&["run"]));
    let ran = lab.bundler(&["list", "--output", "json"]);
    let sequences: Vec<_> = ran.json()["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bundle| bundle["sequence"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, expected);
    done(&lab.populator(&["verify"]));
    arrives(&lab, 3);
}

#[test]
fn a_populator_that_is_killed_again_and_again_applies_everything() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    killed_until_done(&lab, "disconnected");
    arrives(&lab, 3);
}

#[test]
fn what_was_mirrored_is_shipped_before_oc_mirror_runs_again() {
    let lab = settled();
    // A store that takes no new chunk: the archives are mirrored and stay.
    let chunks = lab.path("store/chunks");
    let in_the_way: Vec<_> = (0..=255_u8)
        .map(|n| chunks.join(format!("{n:02x}")))
        .filter(|path| !path.exists())
        .collect();
    for path in &in_the_way {
        fs::write(path, "in the way").unwrap();
    }
    let ran = lab.bundler(&["run"]);
    assert_ne!(ran.status, 0, "{ran}");
    for path in &in_the_way {
        fs::remove_file(path).unwrap();
    }

    lab.play("VERSION=5.2\nMISBEHAVE=exit=1\n").unwrap();
    let before = lab.store_files().len();
    let ran = lab.bundler(&["run"]);
    assert_eq!(ran.status, 84, "{ran}");
    assert!(ran.stderr.contains("shipped first"), "{ran}");
    assert!(lab.store_files().len() > before, "nothing was shipped");
    lab.play(super::GOOD).unwrap();
    arrives(&lab, 3);
}

#[test]
fn a_chunk_that_the_store_lost_is_sent_again() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let chunks: Vec<_> = lab
        .store_files()
        .into_iter()
        .filter(|path| path.starts_with(lab.path("store/chunks")))
        .collect();
    for chunk in &chunks {
        fs::remove_file(chunk).unwrap();
    }
    done(&lab.bundler(&["run", "--full"]));
    arrives(&lab, 2);
}
