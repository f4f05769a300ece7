//! The IAM policies that lie in `deploy-*/iam` are enough for each command, and no command asks for more: what it asked the
//! store for is held against them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_tests::gap::{Ran, copy_folder};
use mimeograph_tests::s3::{S3Server, Seen};
use serde_json::Value;

use crate::lab::{Lab, done};

const SUBDIR: &str = "streams/one";

/// What a request asks for, as IAM has it: an action and a resource.
fn asked(server: &S3Server, request: &Seen) -> (&'static str, String) {
    let path = request.target.split('?').next().unwrap_or_default();
    let bucket = format!("arn:aws:s3:::{}", server.bucket);
    let key = path.trim_start_matches('/').strip_prefix(&server.bucket);
    let key = key.unwrap_or_else(|| panic!("another bucket: {request:?}"));
    let object = format!("{bucket}{key}");
    match request.method.as_str() {
        "GET" if request.target.contains("list-type=2") => ("s3:ListBucket", bucket),
        "GET" | "HEAD" => ("s3:GetObject", object),
        "PUT" => ("s3:PutObject", object),
        "DELETE" => ("s3:DeleteObject", object),
        _ => panic!("no policy knows this: {request:?}"),
    }
}

fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    }
}

/// The statements of a policy that allow something.
fn policy(file: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join(file)).unwrap();
    let policy: Value = serde_json::from_str(&text).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    assert!(
        statements.iter().all(|one| one["Effect"] == "Allow"),
        "{file}"
    );
    statements.clone()
}

/// `*` stands for anything, as IAM has it.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    last.map_or(rest.is_empty(), |last| {
        last.is_empty() || text.ends_with(last)
    })
}

fn allows(server: &S3Server, statement: &Value, action: &str, resource: &str) -> bool {
    let named = words(&statement["Resource"]).into_iter().any(|one| {
        let one = one
            .replace("BUCKET", &server.bucket)
            .replace("SUBDIR", SUBDIR);
        is_like(resource, &one)
    });
    named && words(&statement["Action"]).contains(&action)
}

/// By policy, which of its statements were needed.
type Needed = RefCell<BTreeMap<String, Vec<bool>>>;

/// Runs a command; each of its requests must be allowed.
fn within(server: &S3Server, needed: &Needed, file: &str, command: impl FnOnce() -> Ran) {
    let before = server.seen().len();
    let ran = command();
    done(&ran);
    let policy = policy(file);
    let mut needed = needed.borrow_mut();
    let needed = needed
        .entry(file.to_owned())
        .or_insert_with(|| vec![false; policy.len()]);
    let seen = server.seen();
    assert!(seen.len() > before, "{ran}");
    for request in &seen[before..] {
        let (action, resource) = asked(server, request);
        let found = policy
            .iter()
            .position(|one| allows(server, one, action, &resource));
        let found = found.unwrap_or_else(|| panic!("{file} lacks {action} of {resource}: {ran}"));
        needed[found] = true;
    }
}

/// The chunk that was written last: it is of the last bundle, whose archives are still here.
fn newest_chunk(chunks: &Path) -> PathBuf {
    let folders = fs::read_dir(chunks).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let newest = files.max_by_key(|file| file.metadata().unwrap().modified().unwrap());
    newest.unwrap()
}

#[test]
fn each_command_has_the_rights_that_it_needs_and_no_others() {
    let server = S3Server::start();
    let lab = Lab::with(|gap| {
        for (name, value) in server.environment() {
            gap.environment.push((name.to_owned(), value));
        }
        gap.configure(&format!(
            "s3:\n  bucket:\n    name: {}\n    endpoint: {}/\n    subDir: {SUBDIR}\n",
            server.bucket, server.endpoint
        ))
        .unwrap();
    });
    let (connected, disconnected) = ("deploy-connected/iam", "deploy-disconnected/iam");
    let at = |side: &str, name: &str| format!("{side}/{name}.json");
    let needed = Needed::default();
    let bundler = |policy: &str, arguments: &[&str]| {
        let file = at(connected, policy);
        within(&server, &needed, &file, || lab.bundler(arguments));
    };
    let populator = |policy: &str, arguments: &[&str]| {
        let file = at(disconnected, policy);
        within(&server, &needed, &file, || lab.populator(arguments));
    };

    bundler("bundler", &["run"]);
    lab.add_image(3);
    bundler("bundler-reader", &["mirror"]);
    bundler("bundler", &["publish"]);
    bundler("bundler-reader", &["check-store"]);
    let drive = lab.path("drive").display().to_string();
    bundler("bundler-reader", &["export", "--to", &drive]);
    let approver = lab.path("approver").display().to_string();
    done(&lab.bundler(&["keygen", "--out", &approver]));
    let key = format!("{approver}/signing.pem");
    bundler("bundler-sign", &["sign", "2", "--key", &key]);

    populator("populator", &["verify"]);
    populator("populator", &["fetch"]);
    // All that `load` needs of the store lies on disk.
    let before = server.seen().len();
    done(&lab.populator(&["load"]));
    assert_eq!(server.seen().len(), before);
    populator("populator", &["run"]);

    // What is gone from the store, `check-store` mends, and `import` brings again.
    let chunks = server.objects().join(SUBDIR).join("chunks");
    fs::remove_file(newest_chunk(&chunks)).unwrap();
    bundler("bundler-repair", &["check-store", "--repair"]);
    fs::remove_file(newest_chunk(&chunks)).unwrap();
    populator("populator-import", &["import", "--from", &drive]);
    for _ in 0..2 {
        bundler("bundler", &["run", "--full"]);
    }
    let (stream, was) = (server.objects().join(SUBDIR), lab.path("was"));
    copy_folder(&stream, &was).unwrap();
    bundler("bundler-prune", &["prune", "--keep-full", "1"]);
    // A transport that only adds leaves on the far side what has gone here.
    let copied = Command::new("cp")
        .arg("-an")
        .arg(was.join("."))
        .arg(&stream)
        .status();
    assert!(copied.unwrap().success());
    populator("populator", &["run"]);
    populator("populator-prune", &["prune"]);
    for (file, needed) in needed.borrow().iter() {
        assert!(
            needed.iter().all(|one| *one),
            "{file} has more than is needed: {needed:?}"
        );
    }
}
