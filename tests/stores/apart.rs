//! A test in a process of its own: as another user, on another disk, with another environment.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// Runs an ignored test of this program by way of `wrapper`, with the variables given and few others.
pub(crate) fn run_apart(wrapper: &[&str], test: &str, variables: &[(&str, &str)]) {
    // A copy that another user may execute, wherever this one lies.
    let copy = tempfile::tempdir().unwrap();
    let program = copy.path().join("stores");
    // By another process: a child of another thread could hold what we write to open, and then it could not be run.
    let copied = Command::new("cp")
        .args([std::env::current_exe().unwrap().as_path(), &program])
        .status()
        .unwrap();
    assert!(copied.success());
    for path in [copy.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(&program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", copy.path())
        .envs(variables.iter().copied())
        .current_dir("/")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{wrapper:?}: {said}");
}
