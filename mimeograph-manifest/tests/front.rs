//! How a command ends, seen from outside: this program runs itself as the command.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though without the harness, which would read our arguments"
)]

use std::fs;
use std::process::{Command, ExitCode, Output, Stdio};

use clap::{Parser, Subcommand};
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::Operation;
use mimeograph_manifest::io::console::{self, Front, Options, Progress, Report};
use mimeograph_manifest::io::retries;

const CHILD: &str = "MIMEOGRAPH_TEST_CHILD";

#[derive(Debug, Parser)]
#[command(name = "mimeograph-bundler", version)]
struct Line {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Role,
}

#[derive(Clone, Debug, Subcommand)]
enum Role {
    Succeed,
    Talk,
    Fail,
    Panic,
    PanicInThread,
    Config,
    Move,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to ship archive `a`")]
struct Broken(#[source] std::io::Error);

impl Fault for Broken {
    fn id(&self) -> ErrorId {
        ErrorId::StoreUnreachable
    }

    fn hint(&self) -> Option<String> {
        Some("try again".into())
    }
}

fn act(role: &Role, front: &Front) -> Result<Report, Failure> {
    front.note(|facts| facts.sequence = Some(7));
    front.stage("ship", || tracing::info!(chunks = 3, "shipped"));
    match role {
        Role::Succeed => Ok(Report::new("published", "bundle 7\n").with(&vec!["x"])?),
        Role::Talk => Ok(Report::new("published", "line\n".repeat(100_000))),
        Role::Fail => Err(Broken(std::io::Error::other("no\nroute")).into()),
        Role::Panic => {
            let none: Option<u8> = None;
            assert!(none.is_some(), "chunks went missing");
            Ok(Report::new("published", ""))
        }
        Role::PanicInThread => {
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(front.options().store.is_some(), "a worker stopped"));
            });
            Ok(Report::new("published", ""))
        }
        Role::Move => {
            let progress = Progress::begin("shipping", 4096);
            for _ in 0..4 {
                std::thread::sleep(std::time::Duration::from_millis(300));
                progress.add(1024);
                tracing::info!("a line between");
            }
            retries::note();
            progress.finish();
            Ok(Report::new("published", "moved"))
        }
        Role::Config => {
            let config = front.config()?;
            Ok(Report::new("read", config.file().display()))
        }
    }
}

fn child() -> ExitCode {
    match console::parse::<Line>(Operation::Bundle) {
        Ok(Line { options, command }) => console::run(Operation::Bundle, "run", options, |front| {
            act(&command, front)
        }),
        Err(code) => code,
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env_clear().env(CHILD, "1");
    command
}

struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

fn ended(output: Output) -> Ended {
    Ended {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(arguments: &[&str]) -> Ended {
    ended(command(arguments).output().unwrap())
}

/// The error lines alone.
fn complaint(stderr: &str) -> Vec<&str> {
    let ours = |line: &&str| line.starts_with("mimeograph-bundler: ");
    stderr.lines().filter(ours).collect()
}

fn json(text: &str) -> serde_json::Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

fn success_prints_its_text_or_one_json_line() {
    let end = run(&["succeed"]);
    assert_eq!((end.status, end.stdout.as_str()), (0, "bundle 7\n"));
    assert!(
        end.stderr.ends_with(" INFO  shipped chunks=3\n"),
        "{}",
        end.stderr
    );
    let end = run(&["--output", "json", "succeed", "--log-level", "error"]);
    assert_eq!((end.status, end.stderr.as_str()), (0, ""));
    let line = json(&end.stdout);
    assert_eq!(line["outcome"], "published");
    assert_eq!(line["sequence"], 7);
    assert_eq!(line["result"], serde_json::json!(["x"]));
    assert!(line["durations"]["ship"].is_number());
}

fn a_stage_without_a_terminal_ends_with_a_line() {
    let end = run(&["move"]);
    assert_eq!((end.status, end.stdout.as_str()), (0, "moved\n"));
    let last = end.stderr.lines().last().unwrap();
    assert!(
        last.contains(" INFO  shipping: done, 4.00 KiB in "),
        "{last}"
    );
    assert!(last.ends_with("/s, 1 retry"), "{last}");
    assert!(!end.stderr.contains('\u{1b}'), "{}", end.stderr);
}

fn failure_prints_one_error_line_and_the_hint_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    let end = run(&["fail", "--termination-message", file.to_str().unwrap()]);
    assert_eq!((end.status, end.stdout.as_str()), (69, ""));
    assert_eq!(
        complaint(&end.stderr),
        [
            "mimeograph-bundler: error: failed to ship archive `a`: no route [STORE_UNREACHABLE]",
            "mimeograph-bundler: hint: try again"
        ]
    );
    let line = json(&fs::read_to_string(&file).unwrap());
    assert_eq!(line["errorId"], "STORE_UNREACHABLE");
    assert_eq!(line["exit"], 69);
    assert_eq!(line["sequence"], 7);
    let end = run(&["fail", "--output=json"]);
    assert_eq!(
        json(&end.stdout)["message"],
        "failed to ship archive `a`: no route"
    );
}

fn json_log_lines_are_all_json() {
    let end = run(&["fail", "--log-format", "json"]);
    let lines: Vec<serde_json::Value> = end
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["message"], "shipped");
    assert_eq!(lines[0]["chunks"], 3);
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert_eq!(last["errorId"], "STORE_UNREACHABLE");
    assert_eq!(last["hint"], "try again");
}

fn a_panic_is_reported_as_a_bug_with_status_70() {
    for (role, words) in [
        ("panic", "chunks went missing"),
        ("panic-in-thread", "a worker stopped"),
    ] {
        let end = run(&[role]);
        assert_eq!(end.status, 70, "{role}");
        let start =
            format!("mimeograph-bundler: error: this is a bug in mimeograph-bundler: {words}, at ");
        let lines = complaint(&end.stderr);
        assert!(
            lines[0].starts_with(&start) && lines[0].ends_with(" [BUG]"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("mimeograph-bundler: hint: please report it"),
            "{lines:?}"
        );
        assert!(!end.stderr.contains("thread '"), "{}", end.stderr);
    }
}

fn a_wrong_command_line_is_64_and_help_is_0() {
    for wrong in [
        &["no-such"][..],
        &[],
        &["succeed", "--output", "xml"],
        &["succeed", "--store", "x"],
    ] {
        let end = run(wrong);
        assert_eq!((end.status, end.stdout.as_str()), (64, ""), "{wrong:?}");
        assert!(!end.stderr.is_empty());
    }
    for asked in [&["--help"][..], &["--version"], &["succeed", "--help"]] {
        let end = run(asked);
        assert_eq!((end.status, end.stderr.as_str()), (0, ""), "{asked:?}");
        assert!(!end.stdout.is_empty());
    }
}

fn a_closed_standard_output_is_no_failure_and_a_full_one_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["talk"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let end = ended(output);
    assert_eq!((end.status, complaint(&end.stderr)), (0, vec![]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["fail"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(&["talk"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let end = ended(output);
    assert_eq!(end.status, 73);
    assert_eq!(
        complaint(&end.stderr)[0],
        "mimeograph-bundler: error: failed to write `standard output`: No space left on device (os error 28) [NO_SPACE]"
    );
}

fn a_termination_message_that_cannot_be_written_is_a_warning() {
    let end = run(&["succeed", "--termination-message", "/absent/message"]);
    assert_eq!(end.status, 0);
    assert!(
        end.stderr
            .contains(" WARN  failed to write the termination message `/absent/message`: "),
        "{}",
        end.stderr
    );
}

fn a_mistake_in_the_configuration_is_told_with_its_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mimeograph-config.yaml");
    fs::write(
        &file,
        "apiVersion: mimeograph.io/v1alpha1\nkind: MimeographConfiguration\noperation: populate\n",
    )
    .unwrap();
    let expected = format!(
        "mimeograph-bundler: error: {}:3:1: `operation` is `populate`, which `mimeograph-bundler` does not do [WRONG_OPERATION]",
        file.display()
    );
    let found = |command: &mut Command| {
        let end = ended(command.current_dir(folder.path()).output().unwrap());
        assert_eq!(end.status, 78);
        complaint(&end.stderr)[0].to_owned()
    };
    assert_eq!(found(command(&["config", "--config"]).arg(&file)), expected);
    assert_eq!(
        found(command(&["config"]).env("MIMEOGRAPH_CONFIG", &file)),
        expected
    );
    // The mounted place comes first where a machine has it.
    if !std::path::Path::new("/mimeograph/mimeograph-config.yaml").exists() {
        assert_eq!(found(&mut command(&["config"])), expected);
    }
    let end = run(&["config", "--config", "/absent"]);
    assert_eq!(end.status, 66);
}

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let tests: [(&str, fn()); 9] = [
        ("success", success_prints_its_text_or_one_json_line),
        ("progress", a_stage_without_a_terminal_ends_with_a_line),
        ("failure", failure_prints_one_error_line_and_the_hint_apart),
        ("json log", json_log_lines_are_all_json),
        ("panic", a_panic_is_reported_as_a_bug_with_status_70),
        ("usage", a_wrong_command_line_is_64_and_help_is_0),
        (
            "closed",
            a_closed_standard_output_is_no_failure_and_a_full_one_is,
        ),
        (
            "termination",
            a_termination_message_that_cannot_be_written_is_a_warning,
        ),
        (
            "configuration",
            a_mistake_in_the_configuration_is_told_with_its_line_and_remedy,
        ),
    ];
    for (name, test) in tests {
        test();
        println!("front: {name}: ok");
    }
    ExitCode::SUCCESS
}
