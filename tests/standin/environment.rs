//! Versions, flags, ports, variables, folders: what ends a run before it begins.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::lab::{Ended, Lab};

fn lab(release: &'static str) -> Lab {
    let lab = Lab::new(release);
    lab.source
        .put_image("a/one", "v1", &[b"layer one".to_vec()]);
    lab.images(&["a/one:v1"]);
    lab
}

fn run(lab: &Lab, arguments: &[&str]) -> Ended {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    lab.run(&arguments)
}

fn with(lab: &Lab, variable: &str, value: &str) -> Ended {
    let output = lab
        .command(&lab.m2d_arguments(&[]))
        .env(variable, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ended {
        status: output.status.code(),
        text,
    }
}

#[test]
fn versions_are_json_on_stdout_and_noise_on_stderr() {
    for (release, expected) in [
        ("4.17", "4.17.0-"),
        ("4.20", "4.20.0-"),
        ("5.2", "v0.0.0-unknown"),
    ] {
        let lab = lab(release);
        let arguments = ["version", "--output", "json"].map(str::to_owned);
        let output = lab.command(&arguments).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            found["clientVersion"]["gitVersion"]
                .as_str()
                .unwrap()
                .starts_with(expected)
        );
        assert!(output.status.success() && !output.stderr.is_empty());
        assert_eq!(
            run(&lab, &["--v1", "version"]).status,
            Some(i32::from(release == "4.17"))
        );
    }
}

#[test]
fn help_lists_the_flags_of_its_release() {
    for (release, there, absent) in [
        ("4.17", "--loglevel", "--cache-dir"),
        ("4.17", "--max-parallel-downloads", "--remove-signatures"),
        ("4.20", "--cache-dir", "--loglevel"),
        ("4.20", "--parallel-images", "--dry-run-manifest-lists"),
        (
            "5.2",
            "--dry-run-manifest-lists",
            "--max-parallel-downloads",
        ),
    ] {
        let lab = lab(release);
        let help = run(&lab, &["--v2", "--help"]);
        assert_eq!(help.status, Some(0));
        assert!(
            help.text.contains(there) && !help.text.contains(absent),
            "{release}: {}",
            help.text
        );
        let refused = run(&lab, &["--v2", absent, "x", "file://out"]);
        assert_eq!(refused.status, Some(1));
        assert!(
            refused.text.contains(&format!("unknown flag: {absent}")),
            "{}",
            refused.text
        );
    }
}

#[test]
fn the_newest_wants_to_be_told_which() {
    let lab = lab("5.2");
    for arguments in [&["--help"][..], &[], &["--v1", "--v2", "--help"]] {
        assert_eq!(run(&lab, arguments).status, Some(255), "{arguments:?}");
    }
    assert_eq!(run(&lab, &["--v1", "--help"]).status, Some(0));
    let old = self::lab("4.17");
    assert!(run(&old, &["--help"]).text.contains("--source-use-http"));
}

#[test]
fn calls_are_written_down_if_the_file_is_there() {
    let lab = lab("5.2");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    assert!(!lab.path("bin/oc-mirror.calls").exists());
    fs::write(lab.path("bin/oc-mirror.calls"), "").unwrap();
    assert_eq!(lab.m2d(&[]).status, Some(0));
    let calls = fs::read_to_string(lab.path("bin/oc-mirror.calls")).unwrap();
    let call: Value = serde_json::from_str(calls.trim()).unwrap();
    assert_eq!(call["argv"][1], "--v2");
    assert_eq!(call["env"], serde_json::json!(["HOME"]));
    assert!(call["cwd"].is_string() && call["umask"].is_string());
}

#[test]
fn bound_ports_end_the_run_before_archives_go() {
    let lab = lab("5.2");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    let bound = TcpListener::bind(("127.0.0.1", lab.port)).unwrap();
    let ended = lab.m2d(&[]);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.text.contains("is already bound and cannot be used"),
        "{}",
        ended.text
    );
    assert!(lab.archive().exists());
    drop(bound);
}

#[test]
fn registry_variables_reconfigure_the_cache() {
    let lab = lab("5.2");
    for (variable, value, status) in [
        ("REGISTRY_AUTH_FILE", "/x", Some(2)),
        ("REGISTRY_STORAGE", "x", Some(2)),
        ("REGISTRY_HTTP_ADDR", "nonsense", Some(2)),
        ("REGISTRY_HTTP_ADDR", "127.0.0.1:1", Some(2)),
        ("REGISTRY_PORT", "tcp://10.0.0.1:5000", Some(0)),
        ("REGISTRY_SERVICE_HOST", "10.0.0.1", Some(0)),
    ] {
        let address = value == "127.0.0.1:1";
        let other = format!("127.0.0.1:{}", lab.port + 1);
        let (value, status) = if address {
            (other.as_str(), Some(8))
        } else {
            (value, status)
        };
        let ended = with(&lab, variable, value);
        assert_eq!(ended.status, status, "{variable}={value}: {}", ended.text);
    }
    fs::write(lab.archive(), "an old archive").unwrap();
    assert_eq!(with(&lab, "REGISTRY_AUTH_FILE", "/x").status, Some(2));
    assert!(!lab.archive().exists());
    let own = format!("127.0.0.1:{}", lab.port);
    assert_eq!(with(&lab, "REGISTRY_HTTP_ADDR", &own).status, Some(0));
}

#[test]
fn home_and_cache_are_looked_for() {
    let without_home = |lab: &Lab| {
        let output = lab
            .command(&lab.m2d_arguments(&[]))
            .env_remove("HOME")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let (status, text) = without_home(&lab("5.2"));
    assert!(
        status == Some(8) && text.contains("unable to resolve HOME directory"),
        "{text}"
    );
    assert_eq!(without_home(&lab("4.20")).0, Some(0));
    assert_eq!(without_home(&lab("4.17")).0, Some(0));
    let lab = lab("4.17");
    let mut command = lab.command(&lab.m2d_arguments(&[]));
    let output = command
        .env_remove("HOME")
        .env_remove("OC_MIRROR_CACHE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("$HOME is not defined"));
    let both = with(&self::lab("5.2"), "OC_MIRROR_CACHE", "/x");
    assert_eq!(both.status, Some(1));
}

#[test]
fn words_in_destinations_are_refused_by_newer_releases() {
    for (release, status) in [("4.17", Some(0)), ("4.20", Some(1)), ("5.2", Some(1))] {
        let lab = lab(release);
        let mut arguments = lab.m2d_arguments(&[]);
        arguments.pop();
        arguments.push(format!("file://{}", lab.path("catalogs").display()));
        assert_eq!(lab.run(&arguments).status, status, "{release}");
    }
}

#[test]
fn old_archives_go_at_once_or_stay() {
    for (release, left) in [("4.17", true), ("5.2", false)] {
        let lab = lab(release);
        fs::create_dir(lab.path("bundle")).unwrap();
        for name in [
            "mirror_000001.tar",
            "mirror_000002.tar",
            "mirror_seq1_000000.tar",
        ] {
            fs::write(lab.path("bundle").join(name), "old").unwrap();
        }
        lab.images(&["a/absent:v1"]);
        lab.m2d(&["--dry-run"]);
        assert_eq!(
            lab.path("bundle/mirror_000002.tar").exists(),
            left,
            "{release}"
        );
        assert_eq!(
            lab.path("bundle/mirror_seq1_000000.tar").exists(),
            left,
            "{release}"
        );
        assert_eq!(lab.archive().exists(), left);
        assert_eq!(fs::read(lab.archive()).unwrap_or_default(), b"");
        let dry = lab.path("bundle/working-dir/dry-run");
        assert!(dry.join("mapping.txt").exists() && dry.join("missing.txt").exists());
    }
}

#[test]
fn resources_are_gone_before_the_target_is_asked() {
    let lab = lab("5.2");
    fs::create_dir_all(lab.path("in/working-dir/cluster-resources")).unwrap();
    fs::write(lab.path("in/working-dir/cluster-resources/old.yaml"), "").unwrap();
    let from = format!("file://{}", lab.path("in").display());
    let port = lab.port.to_string();
    let common = [
        "--v2",
        "-c",
        "imageset.yaml",
        "-p",
        &port,
        "--cache-dir",
        "c",
        "--from",
        &from,
    ];
    // nobody listens there
    let ended = run(
        &lab,
        &[
            &common[..],
            &["--dest-tls-verify=false", "docker://127.0.0.1:1"],
        ]
        .concat(),
    );
    assert_eq!(ended.status, Some(1), "{}", ended.text);
    assert!(
        !lab.path("in/working-dir/cluster-resources/old.yaml")
            .exists()
    );
}

#[test]
fn sidecars_are_taken_for_archives() {
    let lab = lab("5.2");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    lab.carry();
    fs::write(
        lab.path("in/mirror_000001.tar.sha256"),
        "abc  mirror_000001.tar\n".repeat(40),
    )
    .unwrap();
    assert_eq!(lab.d2m(&[]).status, Some(1));
    fs::remove_file(lab.path("in/mirror_000001.tar.sha256")).unwrap();
    assert_eq!(lab.d2m(&[]).status, Some(0));
    fs::remove_file(lab.path("in/mirror_000001.tar")).unwrap();
    assert_eq!(lab.d2m(&[]).status, Some(1));
}

#[test]
fn plain_registries_need_leave_and_credentials_are_used() {
    use mimeograph_tests::registry::{Options, Registry};
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let source = Registry::start_with(Options {
        credentials,
        ..Options::default()
    });
    source.put_image("a/one", "v1", &[b"layer one".to_vec()]);
    let lab = Lab {
        source,
        ..lab("5.2")
    };
    lab.images(&["a/one:v1"]);
    let refused = lab.m2d(&[]);
    assert!(
        refused.status == Some(8) && refused.text.contains("authentication required"),
        "{}",
        refused.text
    );
    let host = lab.source.host();
    fs::write(
        lab.path("auth.json"),
        format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}}}}"),
    )
    .unwrap();
    assert_eq!(lab.m2d(&["--authfile", "auth.json"]).status, Some(0));
    let strict = lab.m2d(&["--authfile", "auth.json", "--src-tls-verify=true"]);
    assert!(
        strict.status == Some(8)
            && strict
                .text
                .contains("server gave HTTP response to HTTPS client")
    );
}

#[test]
fn the_oldest_says_0_when_the_target_is_down() {
    let lab = lab("4.17");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    lab.carry();
    let from = format!("file://{}", lab.path("in").display());
    let arguments = [
        "--v2",
        "-c",
        "imageset.yaml",
        "-p",
        &lab.port.to_string(),
        "--from",
        &from,
    ];
    let ended = run(
        &lab,
        &[
            &arguments[..],
            &["--dest-tls-verify=false", "docker://127.0.0.1:1"],
        ]
        .concat(),
    );
    assert_eq!(ended.status, Some(0));
    assert!(
        ended.text.contains("0 / 1 addtional images mirrored"),
        "{}",
        ended.text
    );
}
