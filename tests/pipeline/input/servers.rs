//! Stores and registries that do not answer, or refuse us; and secrets, which are never told.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::registry::{Options, Registry};
use mimeograph_tests::s3::S3Server;

use crate::lab::{Lab, done, layer, refused};
use crate::user::tree;

/// Both sides over a bucket, with these variables in place of the right ones.
fn over_s3(server: &S3Server, bucket: &str, endpoint: &str, variables: &[(&str, &str)]) -> Lab {
    Lab::with(|gap| {
        for (name, value) in server.environment() {
            gap.environment.push((name.to_owned(), value));
        }
        for (name, value) in variables {
            gap.environment.retain(|(known, _)| known != name);
            gap.environment
                .push(((*name).to_owned(), (*value).to_owned()));
        }
        let store = format!(
            "s3:\n  bucket:\n    name: {bucket}\n    endpoint: {endpoint}\n    subDir: one\n"
        );
        gap.configure(&store).unwrap();
    })
}

/// An address where nobody listens.
fn nobody() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = S3Server::start();
    let lab = over_s3(&server, "other-bucket", &server.endpoint, &[]);
    for ran in [
        lab.bundler(&["run"]),
        lab.populator(&["run"]),
        lab.bundler(&["list"]),
        lab.populator(&["verify"]),
    ] {
        refused(
            &ran,
            66,
            "INPUT_MISSING",
            &[
                "no bucket `other-bucket`",
                "correct `store.directory` or `s3.bucket`",
            ],
        );
    }
    assert_eq!(lab.oc_mirror_calls(), 0);
}

#[test]
fn a_store_that_does_not_answer_is_named_and_worth_another_try() {
    let server = S3Server::start();
    let endpoint = format!("http://{}", nobody());
    let lab = over_s3(
        &server,
        &server.bucket,
        &endpoint,
        &[("AWS_MAX_ATTEMPTS", "1")],
    );
    for ran in [
        lab.bundler(&["run"]),
        lab.populator(&["run"]),
        lab.populator(&["list"]),
    ] {
        refused(
            &ran,
            69,
            "STORE_UNREACHABLE",
            &["s3://mimeograph-bucket/one", &endpoint],
        );
    }
    assert_eq!(lab.oc_mirror_calls(), 0);
}

#[test]
fn a_login_that_the_store_refuses_is_no_reason_to_try_again() {
    let server = S3Server::start();
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "WrongSecretValue"),
        ("AWS_ACCESS_KEY_ID", "AKIDNOBODY"),
        ("AWS_ACCESS_KEY_ID", ""),
    ] {
        let alone = ("AWS_EC2_METADATA_DISABLED", "true");
        let lab = over_s3(
            &server,
            &server.bucket,
            &server.endpoint,
            &[(name, value), alone],
        );
        for ran in [
            lab.bundler(&["run", "--log-level", "trace"]),
            lab.populator(&["run", "--log-level", "trace"]),
        ] {
            refused(
                &ran,
                77,
                "STORE_FORBIDDEN",
                &["s3://mimeograph-bucket/one", "check the credentials"],
            );
            tells_none(&ran, &["WrongSecretValue", "TopSecretValue"]);
        }
    }
}

#[track_caller]
fn tells_none(ran: &Ran, secrets: &[&str]) {
    for secret in secrets {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(secret), "{secret} in {ran}");
        }
    }
}

const USER: &str = "someone";
const PASSWORD: &str = "HiddenPassword";

fn auth(password: &str) -> String {
    STANDARD.encode(format!("{USER}:{password}"))
}

/// Both registries want a login; both sides have an `authFile` with this password for them.
fn with_logins(gap: &mut Gap, password: &str) {
    let start = || {
        let credentials = Some((USER.to_owned(), PASSWORD.to_owned()));
        Registry::start_with(Options {
            credentials,
            ..Options::default()
        })
    };
    (gap.source, gap.target) = (Arc::new(start()), start());
    (gap.source_host, gap.target_host) = (gap.source.host(), gap.target.host());
    for n in 1..=2 {
        gap.source
            .put_image(&format!("apps/{n}"), "v1", &[layer(0), layer(n)]);
    }
    gap.ask_for(&["apps/1:v1", "apps/2:v1"]).unwrap();
    let store = format!("store:\n  directory: {}\n", gap.path("store").display());
    let line = format!("    authFile: {}\n", gap.path("auth.json").display());
    gap.configure_with(&store, &line, "").unwrap();
    log_in(gap, password);
}

fn log_in(gap: &Gap, password: &str) {
    let auth = auth(password);
    let entries = [&gap.source_host, &gap.target_host]
        .map(|host| format!("\"{host}\":{{\"auth\":\"{auth}\"}}"));
    let text = format!("{{\"auths\":{{{}}}}}", entries.join(","));
    fs::write(gap.path("auth.json"), text).unwrap();
}

#[test]
fn secrets_are_never_told_and_never_left_on_disk() {
    let server = S3Server::start();
    let lab = Lab::with(|gap| {
        with_logins(gap, PASSWORD);
        for (name, value) in server.environment() {
            gap.environment.push((name.to_owned(), value));
        }
        let line = format!("    authFile: {}\n", gap.path("auth.json").display());
        let store = format!(
            "s3:\n  bucket:\n    name: {}\n    endpoint: {}\n",
            server.bucket, server.endpoint
        );
        gap.configure_with(&store, &line, "").unwrap();
    });
    let encoded = auth(PASSWORD);
    let secrets = [PASSWORD, &encoded, "TopSecretValue"];
    let key = fs::read_to_string(lab.path("keys/signing.pem")).unwrap();
    let key = key.lines().nth(1).unwrap();
    let mut runs = vec![lab.bundler(&["check"]), lab.populator(&["check"])];
    let loud = [
        "run",
        "--log-level",
        "trace",
        "--output",
        "json",
        "--termination-message",
        "last",
    ];
    for _ in 0..2 {
        runs.push(lab.bundler(&loud));
        runs.push(lab.populator(&loud));
    }
    for ran in &runs {
        done(ran);
        tells_none(ran, &secrets);
        tells_none(ran, &[key]);
    }
    let last = lab.path("last");
    let mut files = vec![(last.clone(), fs::read(last).unwrap())];
    for folder in [
        lab.path("connected"),
        lab.path("disconnected"),
        server.objects(),
    ] {
        files.extend(
            tree(&folder)
                .into_iter()
                .map(|(path, entry)| (path, entry.bytes)),
        );
    }
    for (path, bytes) in files {
        for secret in secrets.iter().chain([&key]) {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}

#[test]
fn a_login_that_a_registry_refuses_is_named_and_publishes_or_applies_nothing() {
    let lab = Lab::with(|gap| with_logins(gap, "WrongPassword"));
    let hint = "hint: check the registry's entry in `mirror.ocMirror.authFile`";
    let ran = lab.bundler(&["run"]);
    refused(
        &ran,
        86,
        "PARTIAL",
        &[&lab.source_host, "unauthorized", hint],
    );
    tells_none(&ran, &["WrongPassword", &auth("WrongPassword")]);
    assert!(lab.bundler(&["list"]).stdout.contains("no bundles yet"));
    log_in(&lab, PASSWORD);
    done(&lab.bundler(&["run"]));
    log_in(&lab, "WrongPassword");
    // Where the state's copy lies there, that is asked for first.
    let ran = lab.populator(&["run"]);
    let words = [&*lab.target_host, "mimeograph-state", "authFile"];
    refused(&ran, 77, "REGISTRY_FORBIDDEN", &words);
    tells_none(&ran, &["WrongPassword", &auth("WrongPassword")]);
    let file = lab.path("disconnected.yaml");
    let right = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{right}state: {{ copy: none }}\n")).unwrap();
    let ran = lab.populator(&["run", "--first"]);
    // From 4.20 it asks the target before it begins; before, each image fails.
    let (status, id) = match ran.status {
        86 => (86, "PARTIAL"),
        _ => (84, "OC_MIRROR_FAILED"),
    };
    refused(&ran, status, id, &[&lab.target_host, hint]);
    tells_none(&ran, &["WrongPassword", &auth("WrongPassword")]);
    assert_eq!(lab.target.tags().len(), 0);
    log_in(&lab, PASSWORD);
    fs::write(&file, right).unwrap();
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 2);
}

#[test]
fn a_target_that_does_not_answer_is_named_and_the_bundle_is_applied_once_it_does() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let file = lab.path("disconnected.yaml");
    let right = fs::read_to_string(&file).unwrap();
    let away = nobody();
    fs::write(&file, right.replace(&lab.target_host, &away)).unwrap();
    let ran = lab.populator(&["run"]);
    refused(&ran, 69, "REGISTRY_UNREACHABLE", &[&away, "refused"]);
    let without_copy = right.replace(&lab.target_host, &away) + "state: { copy: none }\n";
    fs::write(&file, without_copy).unwrap();
    let ran = lab.populator(&["run", "--first"]);
    refused(
        &ran,
        85,
        "OC_MIRROR_UNFINISHED",
        &[&away, "connection refused"],
    );
    let listed = lab.populator(&["list", "--output", "json"]).json();
    assert_eq!(listed["result"][0]["here"], "new");
    fs::write(&file, right).unwrap();
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 2);
}
