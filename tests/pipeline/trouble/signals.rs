//! Signals, time, and two at once.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mimeograph_tests::gap::Ran;

use super::{GOOD, all_arrives, arrives, configure, settled};
use crate::lab::{Lab, done, refused};

/// A program of one side on its way.
struct Going<'a> {
    child: Child,
    lab: &'a Lab,
    side: &'static str,
}

fn start<'a>(lab: &'a Lab, side: &'static str) -> Going<'a> {
    let program = match side {
        "connected" => &lab.programs().bundler,
        _ => &lab.programs().populator,
    };
    let log = fs::File::create(lab.path("log")).unwrap();
    let mut command = lab.command(program, side, &["run"]);
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    Going { child, lab, side }
}

impl Going<'_> {
    /// Waits until `oc-mirror` was started once more.
    fn until_oc_mirror(self, calls: usize) -> Self {
        let begin = Instant::now();
        while self.lab.oc_mirror_calls() <= calls {
            assert!(
                begin.elapsed() < Duration::from_mins(1),
                "oc-mirror was not started"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status();
        assert!(sent.unwrap().success());
    }

    fn ended(mut self) -> Ran {
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        let stderr = fs::read_to_string(self.lab.path("log")).unwrap();
        let (command, stdout) = (self.side.to_owned(), String::new());
        Ran {
            command,
            status,
            stdout,
            stderr,
        }
    }
}

/// Whether a stand-in of this lab is still running.
fn oc_mirror_lives(lab: &Lab) -> bool {
    let program = lab.path("bin/oc-mirror");
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|entry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program))
}

fn until_oc_mirror_is_gone(lab: &Lab) {
    let begin = Instant::now();
    while oc_mirror_lives(lab) {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "oc-mirror outlives us"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sigterm_ends_oc_mirror_and_us_and_nothing_is_lost() {
    for side in ["connected", "disconnected"] {
        let lab = settled();
        if side == "disconnected" {
            done(&lab.bundler(&["run"]));
        }
        lab.play("VERSION=5.2\nMISBEHAVE=hang\n").unwrap();
        let going = start(&lab, side).until_oc_mirror(lab.oc_mirror_calls());
        going.signal("TERM");
        refused(&going.ended(), 75, "INTERRUPTED", &["oc-mirror"]);
        assert!(!oc_mirror_lives(&lab));
        lab.play(GOOD).unwrap();
        if side == "connected" {
            done(&lab.bundler(&["run"]));
        }
        arrives(&lab, 3);
    }
}

#[test]
fn an_oc_mirror_that_ignores_sigterm_is_killed_in_the_end() {
    let lab = settled();
    lab.play("VERSION=5.2\nMISBEHAVE=hang-term\n").unwrap();
    let going = start(&lab, "connected").until_oc_mirror(lab.oc_mirror_calls());
    going.signal("TERM");
    refused(&going.ended(), 75, "INTERRUPTED", &[]);
    assert!(!oc_mirror_lives(&lab));
    all_arrives(&lab, 3);
}

#[test]
fn oc_mirror_does_not_outlive_a_program_that_was_killed() {
    let lab = settled();
    lab.play("VERSION=5.2\nMISBEHAVE=hang-term\n").unwrap();
    let going = start(&lab, "connected").until_oc_mirror(lab.oc_mirror_calls());
    going.signal("KILL");
    assert_eq!(going.ended().status, -1);
    until_oc_mirror_is_gone(&lab);
    all_arrives(&lab, 3);
}

#[test]
fn an_attempt_that_takes_too_long_is_ended() {
    let lab = settled();
    configure(
        &lab,
        "connected",
        "retries: 0",
        "retries: 0\n    timeout: 2s",
    );
    lab.play("VERSION=5.2\nMISBEHAVE=hang\n").unwrap();
    refused(
        &lab.bundler(&["run"]),
        85,
        "OC_MIRROR_UNFINISHED",
        &["time"],
    );
    assert!(!oc_mirror_lives(&lab));
    configure(&lab, "connected", "    timeout: 2s\n", "");
    all_arrives(&lab, 3);
}

#[test]
fn of_two_runs_at_once_one_goes_on() {
    for side in ["connected", "disconnected"] {
        let lab = settled();
        if side == "disconnected" {
            done(&lab.bundler(&["run"]));
        }
        lab.play("VERSION=5.2\nMISBEHAVE=hang\n").unwrap();
        let going = start(&lab, side).until_oc_mirror(lab.oc_mirror_calls());
        let second = match side {
            "connected" => lab.bundler(&["run"]),
            _ => lab.populator(&["run"]),
        };
        refused(&second, 75, "LOCKED", &["metadata/lock"]);
        // Another configuration that shares the large folder by mistake.
        let file = format!("{side}.yaml");
        let text = std::fs::read_to_string(lab.path(&file)).unwrap();
        let other = text.replace(&format!("/{side}/metadata"), "/other-metadata");
        assert_ne!(text, other);
        std::fs::write(lab.path("other.yaml"), other).unwrap();
        let program = match side {
            "connected" => &lab.programs().bundler,
            _ => &lab.programs().populator,
        };
        let second = crate::user::run(lab.command(program, "other", &["run"]));
        refused(&second, 75, "LOCKED", &["bundle/bundle.lock"]);
        going.signal("TERM");
        assert_eq!(going.ended().status, 75);
    }
}
