//! An `oc-mirror` that is not there, not to be run, or none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::lab::{Lab, done, refused};
use crate::user::names;

/// Puts a text in the program's place.
fn replace(lab: &Lab, text: &str, mode: u32) {
    let program = lab.path("bin/oc-mirror");
    let _ = fs::remove_file(&program);
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_oc_mirror_that_cannot_be_used_is_named_with_what_to_do_before_anything_is_touched() {
    type Breaks = fn(&Lab);
    let breaks: [(Breaks, [&str; 2]); 6] = [
        (
            |lab| fs::remove_file(lab.path("bin/oc-mirror")).unwrap(),
            ["there is no `", "install it"],
        ),
        (
            |lab| replace(lab, "#!/bin/sh\n", 0o644),
            ["is not executable", "chmod a+x"],
        ),
        (
            |lab| replace(lab, "#!/bin/true\n", 0o755),
            [
                "does not answer as `oc-mirror` does",
                "version --output json",
            ],
        ),
        (
            |lab| replace(lab, "#!/bin/false\n", 0o755),
            [
                "does not answer as `oc-mirror` does",
                "version --output json",
            ],
        ),
        (
            |lab| replace(lab, "#!/no/such/interpreter\n", 0o755),
            ["failed to start", "the interpreter or loader"],
        ),
        (
            |lab| replace(lab, "\u{7f}ELF of another world", 0o755),
            ["`", "hint: "],
        ),
    ];
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let before = names(&lab.path("store"));
    for (break_it, words) in breaks {
        break_it(&lab);
        for ran in [lab.bundler(&["run"]), lab.populator(&["run"])] {
            refused(
                &ran,
                66,
                "OC_MIRROR_MISSING",
                &[&["bin/oc-mirror"], &words[..]].concat(),
            );
        }
    }
    assert_eq!(names(&lab.path("store")), before);
    assert_eq!(lab.target.tags().len(), 0);
}

#[test]
fn an_oc_mirror_named_in_the_environment_or_path_is_found() {
    let lab = Lab::new();
    let file = lab.path("connected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let program = lab.path("bin/oc-mirror").display().to_string();
    fs::write(&file, text.replace(&format!("    path: {program}\n"), "")).unwrap();
    refused(
        &lab.bundler(&["run"]),
        66,
        "OC_MIRROR_MISSING",
        &["there is no `oc-mirror`", "`MIMEOGRAPH_OC_MIRROR`"],
    );
    let mut named = lab.command(&lab.programs().bundler, "connected", &["check"]);
    done(&crate::user::run({
        named.env("MIMEOGRAPH_OC_MIRROR", &program);
        named
    }));
    let mut found = lab.command(&lab.programs().bundler, "connected", &["check"]);
    let path = std::env::var("PATH").unwrap();
    found.env("PATH", format!("{}:{path}", lab.path("bin").display()));
    done(&crate::user::run(found));
}

#[test]
fn an_oc_mirror_that_never_says_its_version_can_be_interrupted_and_is_not_left_behind() {
    let lab = Lab::new();
    replace(
        &lab,
        "#!/bin/sh\necho $$ > \"$0.process\"\nexec sleep 1000\n",
        0o755,
    );
    let mut command = lab.command(&lab.programs().bundler, "connected", &["run"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let sign = lab.path("bin/oc-mirror.process");
    let process = eventually(|| fs::read_to_string(&sign).ok()?.trim().parse::<i32>().ok());
    let ours = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(ours, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("[INTERRUPTED]"), "{said}");
    eventually(|| (!Path::new(&format!("/proc/{process}")).exists()).then_some(()));
}

/// Asks until there is an answer.
fn eventually<T>(ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no answer");
        std::thread::sleep(Duration::from_millis(10));
    }
}
