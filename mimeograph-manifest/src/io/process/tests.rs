use super::*;
use std::time::Duration;

fn shell(script: &str) -> Spec {
    Spec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        dir: std::env::temp_dir(),
    }
}

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_mins(1),
        grace: Duration::from_mins(1),
        interrupt: Interrupt::default(),
    }
}

fn run_lines(spec: &Spec, limits: &Limits) -> (Ended, Vec<Line>) {
    let mut lines = Vec::new();
    let ended = run(spec, &mut |line| lines.push(line), limits).unwrap();
    (ended, lines)
}

fn texts(lines: &[Line], pipe: Pipe) -> Vec<&str> {
    lines
        .iter()
        .filter(|line| line.pipe == pipe)
        .map(|line| line.text.as_str())
        .collect()
}

#[test]
fn both_pipes_and_the_exit_status_arrive() {
    let (ended, lines) = run_lines(
        &shell("echo one; echo two >&2; printf three; exit 12"),
        &limits(),
    );
    assert_eq!(ended.status, Status::Exited(12));
    assert!(!ended.timed_out && !ended.interrupted);
    assert_eq!(texts(&lines, Pipe::Stdout), ["one", "three"]);
    assert_eq!(texts(&lines, Pipe::Stderr), ["two"]);
}

#[test]
fn the_environment_the_directory_and_the_umask_are_exactly_what_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec =
        shell("env | grep -v -e ^PWD= -e ^OLDPWD= -e ^SHLVL= -e ^_=; pwd -P; umask; cat");
    spec.dir = dir.path().to_owned();
    let (_, lines) = run_lines(&spec, &limits());
    let cwd = dir.path().canonicalize().unwrap();
    assert_eq!(
        texts(&lines, Pipe::Stdout),
        ["PATH=/usr/bin:/bin", cwd.to_str().unwrap(), "0022"]
    );
}

#[test]
fn a_flood_on_both_pipes_is_drained() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done";
    let (ended, lines) = run_lines(&shell(script), &limits());
    assert_eq!(ended.status, Status::Exited(0));
    assert_eq!(texts(&lines, Pipe::Stdout).len(), 20_000);
    assert_eq!(texts(&lines, Pipe::Stderr).last(), Some(&"e19999"));
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let limits = Limits {
        timeout: Duration::from_millis(300),
        grace: Duration::from_millis(300),
        ..limits()
    };
    let script = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    let (ended, lines) = run_lines(&shell(script), &limits);
    assert_eq!(ended.status, Status::Killed(9));
    assert!(ended.timed_out && !ended.interrupted);
    assert!(ended.duration >= Duration::from_millis(600), "{ended:?}");
    assert_eq!(texts(&lines, Pipe::Stdout), ["deaf"]);
}

#[test]
fn a_child_whose_time_is_up_may_end_by_itself() {
    let limits = Limits {
        timeout: Duration::from_millis(300),
        ..limits()
    };
    let script = "trap 'echo tidy; exit 3' TERM; echo on; while :; do sleep 0.05; done";
    let (ended, lines) = run_lines(&shell(script), &limits);
    assert_eq!((ended.status, ended.timed_out), (Status::Exited(3), true));
    assert_eq!(texts(&lines, Pipe::Stdout), ["on", "tidy"]);
}

#[test]
fn our_sigterm_and_sigint_reach_the_child() {
    for (signal, name) in [(Signal::TERM, "term"), (Signal::INT, "int")] {
        let limits = limits();
        let script = "trap 'echo term; exit 0' TERM; trap 'echo int; exit 0' INT
            echo ready; while :; do sleep 0.05; done";
        let mut lines = Vec::new();
        let ended = run(
            &shell(script),
            &mut |line| {
                if line.text == "ready" {
                    limits.interrupt.raise(signal);
                }
                lines.push(line);
            },
            &limits,
        );
        assert!(ended.unwrap().interrupted);
        assert_eq!(texts(&lines, Pipe::Stdout), ["ready", name]);
    }
}

#[test]
fn what_the_child_left_running_is_gone_and_holds_nothing_up() {
    let (ended, lines) = run_lines(&shell("sleep 600 & echo $!"), &limits());
    assert_eq!(ended.status, Status::Exited(0));
    assert!(ended.duration < Duration::from_secs(30));
    let left = format!("/proc/{}/stat", lines[0].text);
    let gone = |stat: &str| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    };
    // It is an orphan now: whoever adopts it may take a moment to bury it.
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(&left).is_ok_and(|stat| !gone(&stat)) {
        assert!(Instant::now() < deadline, "process {} lives", lines[0].text);
        std::thread::sleep(TICK);
    }
}

#[test]
fn a_child_that_closes_its_pipes_is_still_waited_for() {
    let (ended, lines) = run_lines(&shell("exec >&- 2>&-; sleep 0.4; exit 5"), &limits());
    assert_eq!((ended.status, lines), (Status::Exited(5), Vec::new()));
    assert!(ended.duration >= Duration::from_millis(400));
}

#[test]
fn what_cannot_be_started_is_named() {
    let mut spec = shell("");
    spec.program = "/nowhere/oc-mirror".into();
    let error = run(&spec, &mut |_| {}, &limits()).unwrap_err();
    assert_eq!(error.to_string(), "failed to start `/nowhere/oc-mirror`");
    assert_eq!(error.id(), ErrorId::OcMirrorMissing);
    let mut spec = shell("");
    spec.dir = "/nowhere".into();
    let error = run(&spec, &mut |_| {}, &limits()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to enter the working directory `/nowhere`"
    );
    assert_eq!(error.id(), ErrorId::CannotCreate);
}

/// The test plays both parts: started again by itself, it is the one that is killed.
#[test]
fn the_child_does_not_outlive_us() {
    const NOTE: &str = "MIMEOGRAPH_TEST_PID_FILE";
    if let Some(note) = std::env::var_os(NOTE) {
        let script = format!("echo $$ > '{}'; exec sleep 600", note.display());
        run(&shell(&script), &mut |_| {}, &limits()).unwrap();
        panic!("it should have been killed by now");
    }
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("pid");
    let mut us = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "io::process::tests::the_child_does_not_outlive_us",
        ])
        .env(NOTE, &note)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let wait_for = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(Instant::now() < deadline, "waited too long");
            std::thread::sleep(TICK);
        }
    };
    let pid = || std::fs::read_to_string(&note).unwrap_or_default();
    wait_for(&|| pid().ends_with('\n'));
    let lives = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z"))
    };
    assert!(lives(&pid()));
    us.kill().unwrap();
    us.wait().unwrap();
    wait_for(&|| !lives(&pid()));
}

#[test]
fn a_program_for_another_processor_is_no_oc_mirror() {
    let error = ProcessError::Start {
        program: "/bin/x".into(),
        source: std::io::Error::from_raw_os_error(8), // ENOEXEC
    };
    assert_eq!(error.id(), ErrorId::OcMirrorMissing);
    assert!(error.hint().unwrap().contains("uname -m"));
}
