//! What programs and schedulers read of ours: results as JSON, the last line, log lines, statuses.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use mimeograph_tests::gap::Ran;
use serde_json::Value;

use crate::lab::{Lab, done, refused};
use crate::user::run;

/// The one line of JSON with the members that every command has.
#[track_caller]
fn ended(ran: &Ran, program: &str, command: &str, outcome: &str, exit: i32) -> Value {
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
    let json = ran.json();
    let of = |member: &str| json[member].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (of("program").as_str(), of("command").as_str()),
        (program, command),
        "{ran}"
    );
    assert_eq!(
        (of("outcome").as_str(), json["exit"].as_i64()),
        (outcome, Some(exit.into())),
        "{ran}"
    );
    assert_eq!(ran.status, exit, "{ran}");
    assert!(!of("version").is_empty(), "{ran}");
    let failed = exit != 0;
    assert_eq!(json.get("errorId").is_some(), failed, "{ran}");
    assert_eq!(json.get("message").is_some(), failed, "{ran}");
    json
}

const BUNDLER: &str = "mimeograph-bundler";
const POPULATOR: &str = "mimeograph-populator";

#[test]
fn every_command_ends_with_one_line_of_json_with_the_members_that_are_documented() {
    let lab = Lab::new();
    let bundler = |arguments: &[&str]| lab.bundler(&[arguments, &["--output", "json"]].concat());
    let populator =
        |arguments: &[&str]| lab.populator(&[arguments, &["--output", "json"]].concat());
    let keys = lab.path("new").display().to_string();
    let json = ended(
        &bundler(&["keygen", "--out", &keys]),
        BUNDLER,
        "keygen",
        "done",
        0,
    );
    assert_eq!(json["result"]["keyId"].as_str().map(str::len), Some(64));
    let json = ended(&bundler(&["check"]), BUNDLER, "check", "fit", 0);
    assert_eq!(json["result"][0]["what"], "config");
    let json = ended(&bundler(&["run"]), BUNDLER, "run", "published", 0);
    for member in [
        "stream",
        "sequence",
        "keyIds",
        "ocMirror",
        "bytes",
        "chunks",
        "durations",
    ] {
        assert!(json.get(member).is_some(), "no {member}: {json}");
    }
    assert_eq!(
        (
            json["sequence"].as_u64(),
            json["ocMirror"]["status"].as_i64()
        ),
        (Some(1), Some(0))
    );
    for stage in ["mirror", "ship", "seal"] {
        assert!(json["durations"].get(stage).is_some(), "no {stage}: {json}");
    }
    assert_eq!(json["result"]["kind"], "full");
    let json = ended(&bundler(&["list"]), BUNDLER, "list", "done", 0);
    for member in [
        "sequence", "kind", "created", "expires", "files", "bytes", "chunks", "sha256",
    ] {
        assert!(
            json["result"][0].get(member).is_some(),
            "no {member}: {json}"
        );
    }
    ended(&bundler(&["show", "1"]), BUNDLER, "show", "done", 0);
    ended(&bundler(&["show", "7"]), BUNDLER, "show", "failed", 66);

    ended(&populator(&["check"]), POPULATOR, "check", "fit", 0);
    ended(&populator(&["list"]), POPULATOR, "list", "done", 0);
    ended(&populator(&["show", "1"]), POPULATOR, "show", "done", 0);
    ended(&populator(&["verify"]), POPULATOR, "verify", "verified", 0);
    let to = lab.path("there").display().to_string();
    ended(
        &populator(&["unpack", "1", "--to", &to]),
        POPULATOR,
        "unpack",
        "done",
        0,
    );
    ended(
        &populator(&["unpack", "1", "--to", &to]),
        POPULATOR,
        "unpack",
        "failed",
        73,
    );
    let json = ended(&populator(&["run"]), POPULATOR, "run", "applied", 0);
    for member in [
        "stream",
        "sequence",
        "keyIds",
        "ocMirror",
        "bytes",
        "chunks",
        "durations",
    ] {
        assert!(json.get(member).is_some(), "no {member}: {json}");
    }
    assert_eq!(json["result"]["applied"][0]["confirmed"], 2);
    ended(&populator(&["run"]), POPULATOR, "run", "nothing to do", 0);
    ended(&populator(&["dance"]), POPULATOR, "", "failed", 64);
    fs::write(lab.path("disconnected.yaml"), "x: 1").unwrap();
    let json = ended(&populator(&["run"]), POPULATOR, "run", "failed", 78);
    assert!(
        json["hint"].is_string()
            && json["message"]
                .as_str()
                .unwrap()
                .contains("disconnected.yaml"),
        "{json}"
    );
}

/// Runs with a file for the last line; what was said, and that line.
fn told(lab: &Lab, program: &Path, side: &str, arguments: &[&str]) -> (Ran, Value) {
    let file = lab.path("termination");
    fs::write(&file, "x".repeat(9000)).unwrap();
    let ran = run(lab.command(
        program,
        side,
        &[arguments, &["--termination-message", "termination"]].concat(),
    ));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.len() <= 4096, "{} bytes", text.len());
    assert_eq!(text.lines().count(), 1, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["exit"].as_i64(), Some(ran.status.into()), "{ran}");
    (ran, json)
}

#[test]
fn the_termination_message_is_one_short_line_after_success_failure_and_misuse() {
    let lab = Lab::new();
    let (bundler, populator) = (&lab.programs().bundler, &lab.programs().populator);
    let (ran, json) = told(&lab, bundler, "connected", &["run"]);
    done(&ran);
    assert_eq!(
        (json["outcome"].as_str(), json["sequence"].as_u64()),
        (Some("published"), Some(1))
    );
    assert!(json.get("result").is_none(), "it may be long: {json}");
    let (ran, json) = told(&lab, populator, "disconnected", &["run"]);
    done(&ran);
    assert_eq!(json["outcome"], "applied");
    for (program, side) in [(bundler, "connected"), (populator, "disconnected")] {
        let (_, json) = told(&lab, program, side, &["show", "9"]);
        assert_eq!(
            (json["errorId"].as_str(), json["exit"].as_u64()),
            (Some("INPUT_MISSING"), Some(66))
        );
        for misuse in [
            &["dance"][..],
            &["show"],
            &["list", "--speed", "9"],
            &["list", "--store", "/mnt"],
        ] {
            let (ran, json) = told(&lab, program, side, misuse);
            assert_eq!(
                (json["errorId"].as_str(), json["exit"].as_u64()),
                (Some("USAGE"), Some(64)),
                "{ran}"
            );
            assert!(!json["message"].as_str().unwrap().is_empty());
        }
    }
    // What is named may be as long as it likes; the last option of a name is the one that counts.
    let long = "n".repeat(20_000);
    let (_, json) = told(&lab, bundler, "connected", &["run", "--config", &long]);
    assert_eq!(json["errorId"], "CONFIG_MISSING");
    assert!(
        json["cut"].as_array().is_some_and(|cut| !cut.is_empty()),
        "{json}"
    );
}

#[test]
fn a_termination_message_that_cannot_be_written_changes_nothing_of_the_outcome() {
    let lab = Lab::new();
    for place in ["store", "no/such/folder"] {
        let ran = lab.bundler(&["check", "--termination-message", place]);
        done(&ran);
        assert!(
            ran.stderr.contains(&format!(
                "failed to write the termination message `{place}`"
            )),
            "{ran}"
        );
    }
}

#[test]
fn every_log_line_is_json_where_that_is_asked_for() {
    let lab = Lab::new();
    let as_json = |ran: &Ran| -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{error} in `{line}` of {ran}"))
        };
        ran.stderr.lines().map(parse).collect()
    };
    for (program, side) in [
        (&lab.programs().bundler, "connected"),
        (&lab.programs().populator, "disconnected"),
    ] {
        let ran = run(lab.command(program, side, &["run", "--log-format", "json"]));
        done(&ran);
        let lines = as_json(&ran);
        assert!(
            lines.iter().any(|line| line["target"] == "oc-mirror"),
            "{ran}"
        );
        for line in &lines {
            for member in ["timestamp", "level", "message"] {
                assert!(line[member].is_string(), "no {member}: {line}");
            }
        }
        for (arguments, id) in [(&["show", "9"][..], "INPUT_MISSING"), (&["dance"], "USAGE")] {
            let ran =
                run(lab.command(program, side, &[arguments, &["--log-format=json"]].concat()));
            let lines = as_json(&ran);
            assert_eq!(lines.last().unwrap()["errorId"], id, "{ran}");
            assert_eq!(lines.last().unwrap()["level"], "ERROR", "{ran}");
        }
    }
}

#[test]
fn text_has_no_colours_and_no_bars_where_no_terminal_is() {
    let lab = Lab::new();
    for ran in [
        lab.bundler(&["run", "--log-level", "debug"]),
        lab.populator(&["run", "--log-level", "debug"]),
        lab.populator(&["verify"]),
        lab.bundler(&["show", "9"]),
        lab.bundler(&["dance"]),
        lab.bundler(&["--help"]),
    ] {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{ran}");
        }
    }
}

#[test]
fn help_and_version_are_no_failure_and_misuse_says_how_it_is_done() {
    let lab = Lab::new();
    for (program, name) in [
        (&lab.programs().bundler, BUNDLER),
        (&lab.programs().populator, POPULATOR),
    ] {
        let ask = |arguments: &[&str]| {
            let mut command = lab.bare(program);
            command.args(arguments);
            run(command)
        };
        let help = ask(&["--help"]);
        done(&help);
        for word in [
            "run",
            "check",
            "list",
            "show",
            "--config",
            "--termination-message",
        ] {
            assert!(help.stdout.contains(word), "no {word}: {help}");
        }
        done(&ask(&["help", "show"]));
        done(&ask(&["show", "--help"]));
        let version = ask(&["--version"]);
        done(&version);
        assert!(version.stdout.starts_with(&format!("{name} ")), "{version}");
        for misuse in [
            &["dance"][..],
            &["--colour"],
            &["show"],
            &["run", "now"],
            &["--output", "yaml"],
            &["--log-level", "a=b=c"],
        ] {
            let ran = ask(misuse);
            assert_eq!((ran.status, ran.stdout.as_str()), (64, ""), "{ran}");
            assert!(ran.stderr.starts_with("error: "), "{ran}");
            assert!(ran.stderr.contains("--help"), "{ran}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let mut command = lab.command(&lab.programs().populator, "disconnected", &["show", "1"]);
    let mut gone = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(gone.stdout.take());
    assert_eq!(gone.wait().unwrap().code(), Some(0));
    let mut command = lab.bare(Path::new("sh"));
    command
        .args(["-c", "\"$0\" --config disconnected.yaml show 1 >/dev/full"])
        .arg(&lab.programs().populator);
    refused(&run(command), 73, "NO_SPACE", &["standard output"]);
}
