//! The judgement of runs, held against what the real `oc-mirror` printed: every recorded run of 4.17 (v1 and v2) and
//! of 5.2, with what became of it. The recordings are in `oc-mirror-logs/`, one file per version; the table beside
//! them says what each run was, by those who looked at the archives and registries afterwards.
#![cfg(feature = "io")]
#![expect(
    clippy::unwrap_used,
    reason = "a recording without its parts is a broken test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mimeograph_manifest::io::oc_mirror::Generation;
use mimeograph_manifest::io::oc_mirror::outcome::{Outcome, judge};
use mimeograph_manifest::io::oc_mirror::summary::LogSummary;
use mimeograph_manifest::io::process::{Ended, Status};

struct Recording {
    version: &'static str,
    name: String,
    command: String,
    lines: Vec<String>,
    status: i32,
}

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oc-mirror-logs")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn recordings() -> Vec<Recording> {
    let mut all = Vec::new();
    for version in ["4.17", "5.2"] {
        for section in read(&format!("oc-mirror-{version}.txt"))
            .split("### ")
            .skip(1)
        {
            let mut lines: Vec<String> = section.lines().map(str::to_owned).collect();
            let last = lines.pop().unwrap();
            let status = last.strip_prefix("exit status: ").unwrap().parse().unwrap();
            let name = lines.remove(0);
            let command = lines.remove(0);
            assert!(command.starts_with("$ "), "{name}");
            all.push(Recording {
                version,
                name,
                command,
                lines,
                status,
            });
        }
    }
    all
}

fn judge_recording(recording: &Recording) -> (LogSummary, Outcome) {
    let mut log = LogSummary::default();
    for line in &recording.lines {
        log.take(line);
    }
    let generation = if recording.command.contains(" --v2 ") {
        Generation::V2
    } else {
        Generation::V1
    };
    // 5.2 was built from source and does not know its version.
    let minor = (recording.version == "4.17").then_some((4, 17));
    let ended = Ended {
        status: Status::Exited(recording.status),
        timed_out: false,
        interrupted: false,
        duration: Duration::ZERO,
    };
    let outcome = judge(generation, minor, &ended, &log, &[]);
    (log, outcome)
}

/// The row of the table for an outcome.
fn row(log: &LogSummary, outcome: &Outcome) -> String {
    let retry = |retryable: bool| if retryable { "retry" } else { "final" };
    let class = match outcome {
        Outcome::Clean => "clean".to_owned(),
        Outcome::NothingToDo => "nothing-to-do".to_owned(),
        Outcome::Partial(partial) => format!(
            "partial failed={} missing={} lost={} {}{}",
            partial.failed.len(),
            partial.missing,
            partial.lost.len(),
            retry(partial.retryable),
            if partial.is_of_single_images() {
                " single"
            } else {
                ""
            },
        ),
        Outcome::Failed(failed) => {
            let categories: Vec<_> = failed.categories.iter().map(|c| c.as_str()).collect();
            format!(
                "failed [{}] {}",
                categories.join(" "),
                retry(failed.retryable)
            )
        }
        other => format!("{other:?}"),
    };
    let tallies: Vec<String> = log
        .tallies
        .iter()
        .map(|tally| format!("{} {}/{}", tally.category, tally.mirrored, tally.wanted))
        .collect();
    if tallies.is_empty() {
        class
    } else {
        format!("{class} | {}", tallies.join(", "))
    }
}

#[test]
fn every_recorded_run_is_judged_as_what_it_was() {
    let table = read("judged.txt");
    let mut expected: BTreeMap<&str, &str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" = ").unwrap())
        .collect();
    let mut wrong = Vec::new();
    for recording in recordings() {
        let (log, outcome) = judge_recording(&recording);
        let name = format!("{}/{}", recording.version, recording.name);
        let found = row(&log, &outcome);
        let wanted = expected.remove(name.as_str()).unwrap_or("(no row)");
        if wanted.strip_prefix("silent ").unwrap_or(wanted) != found {
            wrong.push(format!("{name} = {found}\n    the table: {wanted}"));
        }
    }
    wrong.extend(
        expected
            .keys()
            .map(|name| format!("{name} was not recorded")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// They are what the checks of archives, wish and target are for.
#[test]
fn what_is_lost_silently_is_known_by_name() {
    let table = read("judged.txt");
    let silent: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| line.split_once(" = silent "))
        .collect();
    assert!(silent.iter().all(|(_, row)| row.starts_with("clean")));
    for (name, _) in [
        (
            "4.17/platform/tag-moved/mirror-to-disk.log",
            "another release under the genuine tag",
        ),
        (
            "5.2/operators-mistyped-package/mirror-to-disk.log",
            "a package is not there",
        ),
        (
            "5.2/operators-mistyped-channel/mirror-to-disk.log",
            "a channel is not there",
        ),
        (
            "5.2/additional/two-sources-one-target/disk-to-mirror.log",
            "one image over the other",
        ),
        (
            "5.2/helm/local/mirror-to-disk.log",
            "images of jobs and custom resources",
        ),
    ] {
        assert!(silent.iter().any(|(silent, _)| *silent == name), "{name}");
    }
}

#[test]
fn no_run_that_ended_badly_passes_for_a_good_one() {
    for recording in recordings()
        .iter()
        .filter(|recording| recording.status != 0)
    {
        let (_, outcome) = judge_recording(recording);
        assert!(
            outcome.error().is_some(),
            "{}/{}",
            recording.version,
            recording.name
        );
    }
}
