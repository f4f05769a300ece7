use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// An `oc-mirror` that answers as `script` says, `$*` being its arguments.
fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("oc-mirror");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn probe(script: &str) -> Result<OcMirror, ProbeError> {
    let dir = tempfile::tempdir().unwrap();
    let path = program(dir.path(), script);
    OcMirror::probe(&path, dir.path(), &Interrupt::default())
}

const V1_HELP: &str =
    "echo '      --source-use-http   Use plain HTTP'; echo '      --from string   Path'";
const V2_HELP: &str =
    "echo '      --workspace string   oc-mirror workspace'; echo '  -p, --port uint16   HTTP port'";

fn script(version: &str, cases: &str) -> String {
    format!(
        "case \"$*\" in\n'version --output json')\n  echo 'noise' >&2\n  echo '{{\"clientVersion\": {{\"gitVersion\": \"{version}\"}}}}';;\n{cases}\n*) echo \"unknown flag\" >&2; exit 1;;\nesac"
    )
}

#[test]
fn the_first_versions_have_v1_alone_and_no_flag_for_it() {
    // 4.14 takes `--v2` and shows v1's help.
    let script = script(
        "4.14.0-202305",
        &format!("'--help'|'--v2 --help') {V1_HELP};;"),
    );
    let found = probe(&script).unwrap();
    assert_eq!(found.minor, Some((4, 14)));
    assert!(found.offers(Generation::V1) && !found.offers(Generation::V2));
    assert_eq!(found.selector(Generation::V1), None);
    let error = found.require(Generation::V2).unwrap_err();
    assert_eq!(error.id(), ErrorId::VersionMismatch);
}

#[test]
fn from_4_16_on_both_are_there() {
    let cases = format!(
        "'--help'|'--v1 --help') {V1_HELP};;\n'--v2 --help') {V2_HELP}; echo '      --loglevel string';;"
    );
    let found = probe(&script(
        "v4.17.0-202411251634.p0.g0b2b0d7.assembly.stream.el9",
        &cases,
    ))
    .unwrap();
    assert_eq!(found.minor, Some((4, 17)));
    assert_eq!(found.selector(Generation::V1), Some("--v1"));
    assert_eq!(found.selector(Generation::V2), Some("--v2"));
    assert!(found.has("--port") && !found.has("--cache-dir") && !found.has("--from"));
    assert_eq!(found.log_level_flag(), "--loglevel");
    assert_eq!(
        found.require(Generation::V2).map_err(|error| error.id()),
        Ok(())
    );
}

#[test]
fn from_4_21_on_a_flag_must_be_given() {
    let cases = format!(
        "'--help') echo 'mandatory' >&2; exit 255;;\n'--v1 --help') {V1_HELP};;\n'--v2 --help') {V2_HELP}; echo '      --cache-dir string'; echo '      --log-level string';;"
    );
    let found = probe(&script("v0.0.0-unknown", &cases)).unwrap();
    assert_eq!(found.minor, None);
    assert_eq!(found.version, "v0.0.0-unknown");
    assert_eq!(found.selector(Generation::V1), Some("--v1"));
    assert!(found.offers(Generation::V2) && found.has("--cache-dir"));
    assert_eq!(found.log_level_flag(), "--log-level");
}

#[test]
fn once_v1_is_gone_it_is_not_offered() {
    let cases = format!("'--help'|'--v2 --help') {V2_HELP};;");
    let found = probe(&script("v5.3.0", &cases)).unwrap();
    assert!(!found.offers(Generation::V1) && found.offers(Generation::V2));
    assert_eq!(found.minor, Some((5, 3)));
}

#[test]
fn our_environment_does_not_reach_it() {
    let cases = format!("'--v2 --help') [ -z \"$CARGO_MANIFEST_DIR\" ] && {V2_HELP};;");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(
        probe(&script("v4.18.1", &cases))
            .unwrap()
            .offers(Generation::V2)
    );
}

#[test]
fn what_is_not_there_not_executable_or_something_else_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = find(Path::new("oc-mirror"), Some(dir.path().as_os_str())).unwrap_err();
    assert_eq!(missing.to_string(), "there is no `oc-mirror`");
    assert_eq!(missing.id(), ErrorId::OcMirrorMissing);
    assert!(missing.hint().is_some());

    let path = program(dir.path(), "exit 0");
    let found = find(Path::new("oc-mirror"), Some(dir.path().as_os_str())).unwrap();
    assert_eq!(found, path);
    let strange = OcMirror::probe(&path, dir.path(), &Interrupt::default()).unwrap_err();
    assert!(matches!(strange, ProbeError::Strange { .. }), "{strange}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let plain = find(&path, None).unwrap_err();
    assert!(matches!(plain, ProbeError::NotExecutable { .. }), "{plain}");
}
