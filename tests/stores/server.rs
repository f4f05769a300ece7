//! What goes wrong with an S3 server, and what is said of it.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::location::{Keeping, LockMode, ObjectLock, S3Location};
use mimeograph_manifest::io::s3::{Login, Patience, S3Store};
use mimeograph_manifest::io::store::{Discard as _, Fetch as _, Put, Shelve as _, StoreError};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::name::Sequence;
use mimeograph_tests::s3::S3Server;

use crate::behaviours::{put, put_chunk};

const FIRST: Key = Key::Manifest(Sequence::FIRST);

pub(crate) fn impatient() -> Patience {
    Patience {
        attempts: 2,
        backoff: Duration::from_millis(10),
        connect: Duration::from_secs(2),
        stalled: Duration::from_secs(1),
        answer: Duration::from_secs(2),
    }
}

/// Every operation's error.
fn errors(store: &S3Store) -> Vec<StoreError> {
    vec![
        store.list("", &mut |_| ()).unwrap_err(),
        store.get(&FIRST, 9, &mut Vec::new()).unwrap_err(),
        put(store, &FIRST, b"{1}").unwrap_err(),
        store
            .replace(&FIRST, Bytes::from_static(b"x"), &Digest::of(b"x"))
            .unwrap_err(),
        store.remove(&FIRST).unwrap_err(),
        store.refuses_overwrite().unwrap_err(),
        store.clock().unwrap_err(),
    ]
}

/// The error and its causes in one line.
pub(crate) fn told(error: &StoreError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[test]
fn a_server_that_does_not_answer_is_unreachable() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let place = S3Location {
        bucket: "bucket".to_owned(),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        ..S3Location::default()
    };
    let login = Login::Keys {
        id: "id".to_owned(),
        secret: "TopSecretValue".to_owned(),
    };
    let store = S3Store::open_as(&place, login, impatient()).unwrap();
    for error in errors(&store) {
        let told = told(&error);
        assert_eq!(error.id(), ErrorId::StoreUnreachable, "{told}");
        for part in ["s3://bucket", &port.to_string(), "Connection refused"] {
            assert!(told.contains(part), "`{part}` is missing: {told}");
        }
    }
}

#[test]
fn a_server_that_takes_the_connection_and_says_nothing_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = S3Location {
        bucket: "bucket".to_owned(),
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..S3Location::default()
    };
    let login = Login::Keys {
        id: "id".to_owned(),
        secret: "TopSecretValue".to_owned(),
    };
    let patience = Patience {
        answer: Duration::from_millis(300),
        ..impatient()
    };
    let store = S3Store::open_as(&place, login, patience).unwrap();
    let error = store.list("", &mut |_| ()).unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreUnreachable, "{}", told(&error));
}

/// Answers each request with the next of `answers` and hangs up.
fn answering(answers: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = BufReader::new(socket.try_clone().unwrap()).lines();
            request
                .find(|line| line.as_ref().is_ok_and(String::is_empty))
                .unwrap()
                .unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

/// A store at a server that gives these answers.
fn open(answers: Vec<&'static str>) -> S3Store {
    let place = S3Location {
        bucket: "bucket".to_owned(),
        endpoint: Some(answering(answers)),
        ..S3Location::default()
    };
    let login = Login::Keys {
        id: "id".to_owned(),
        secret: "TopSecretValue".to_owned(),
    };
    S3Store::open_as(&place, login, impatient()).unwrap()
}

#[test]
fn a_server_that_hangs_up_on_a_chunk_that_it_has_is_asked_for_it() {
    let probed =
        "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let hangs_up = "";
    let there = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\
                 x-amz-checksum-sha256: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n\r\n";
    let nothing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let key = Key::Chunk(Digest::of(b"abc"));
    let store = open(vec![probed, hangs_up, hangs_up, there]);
    assert_eq!(put(&store, &key, b"abc").unwrap(), Put::AlreadyThere);
    let store = open(vec![probed, hangs_up, hangs_up, nothing]);
    let error = put(&store, &key, b"abc").unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreUnreachable, "{}", told(&error));
}

#[test]
fn a_body_that_breaks_off_is_read_again_from_the_start() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nmani";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nmanifest";
    let unwell = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mut into = Vec::new();
    assert!(
        open(vec![broken, unwell, whole])
            .get(&FIRST, 99, &mut into)
            .unwrap()
    );
    assert_eq!(into, b"manifest");

    let error = open(vec![broken, broken])
        .get(&FIRST, 99, &mut into)
        .unwrap_err();
    assert_eq!(error.id(), ErrorId::StoreUnreachable, "{}", told(&error));
    assert_eq!(into, b"");
}

#[test]
fn a_wrong_secret_is_forbidden_and_not_told() {
    let server = S3Server::start();
    let login = Login::Keys {
        id: server.access_key.clone(),
        secret: "AnotherSecretValue".to_owned(),
    };
    let store = S3Store::open_as(&server.location("x"), login, impatient()).unwrap();
    for error in errors(&store) {
        let told = told(&error);
        assert_eq!(error.id(), ErrorId::StoreForbidden, "{told}");
        assert!(told.contains("SignatureDoesNotMatch"), "{told}");
        assert!(!told.contains("SecretValue"), "{told}");
    }
}

#[test]
fn a_missing_bucket_is_a_missing_input() {
    let server = S3Server::start();
    let place = S3Location {
        bucket: "another-bucket".to_owned(),
        ..server.location("x")
    };
    let store = S3Store::open_as(&place, server.login(), impatient()).unwrap();
    for error in [
        store.list("", &mut |_| ()).unwrap_err(),
        store.clock().unwrap_err(),
    ] {
        let told = told(&error);
        assert_eq!(error.id(), ErrorId::InputMissing, "{told}");
        assert!(
            told.contains("there is no bucket `another-bucket`"),
            "{told}"
        );
    }
}

#[test]
fn a_server_of_another_kind_is_a_wrong_setting() {
    let server = S3Server::start();
    let place = S3Location {
        endpoint: Some(format!("{}/somewhere/else", server.endpoint)),
        ..server.location("x")
    };
    let store = S3Store::open_as(&place, server.login(), impatient()).unwrap();
    let error = store.list("", &mut |_| ()).unwrap_err();
    assert!(!error.id().exit().is_worth_retrying(), "{}", told(&error));
}

#[test]
fn a_ca_bundle_that_is_none_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let pem =
        |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    for (name, content) in [
        ("empty", String::new()),
        (
            "key",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
        ),
        ("damaged", pem("????")),
        ("no-certificate", pem("AAAA")),
        ("absent", String::new()),
    ] {
        let path = folder.path().join(name);
        if name != "absent" {
            std::fs::write(&path, content).unwrap();
        }
        let place = S3Location {
            bucket: "bucket".to_owned(),
            ca_bundle: Some(path),
            ..S3Location::default()
        };
        let error = S3Store::open_as(&place, Login::Chain, impatient()).unwrap_err();
        assert_eq!(error.id(), ErrorId::ConfigInvalid, "{}", told(&error));
        assert!(told(&error).contains(name), "{}", told(&error));
    }
}

#[test]
fn a_body_is_sent_plain_with_one_checksum_and_a_condition() {
    let server = S3Server::start();
    let store = server.store("x");
    let key = put_chunk(&store, &vec![7; 3 << 20]);
    let seen = server.seen();
    let chunk = |request: &&mimeograph_tests::s3::Seen| request.target.contains("chunks/");
    let [request] = seen.iter().filter(chunk).collect::<Vec<_>>()[..] else {
        panic!("one request for one chunk: {seen:?}");
    };
    let Key::Chunk(digest) = key else {
        unreachable!()
    };
    assert_eq!(request.method, "PUT");
    assert_eq!(request.header("if-none-match"), Some("*"));
    request.assert_plain(3 << 20, &digest);
}

#[test]
fn what_is_written_asks_for_its_key_and_its_lock_and_the_probe_for_no_lock() {
    let server = S3Server::start();
    let place = S3Location {
        keeping: Keeping {
            kms_key: Some("alias/mimeograph".to_owned()),
            lock: Some(ObjectLock {
                mode: LockMode::Governance,
                days: 30,
            }),
        },
        ..server.location("x")
    };
    let store = S3Store::open_as(&place, server.login(), impatient()).unwrap();
    let now = std::time::SystemTime::now();
    put_chunk(&store, b"chunk");
    let seen = server.seen();
    let puts: Vec<_> = seen.iter().filter(|one| one.method == "PUT").collect();
    assert!(puts.len() >= 2, "{seen:?}");
    for put in puts {
        let header = |name: &str| put.header(name);
        assert_eq!(header("x-amz-server-side-encryption"), Some("aws:kms"));
        assert_eq!(
            header("x-amz-server-side-encryption-aws-kms-key-id"),
            Some("alias/mimeograph")
        );
        let (mode, until) = (
            header("x-amz-object-lock-mode"),
            header("x-amz-object-lock-retain-until-date"),
        );
        if put.target.contains("probe") {
            assert_eq!((mode, until), (None, None), "{put:?}");
            continue;
        }
        assert_eq!(mode, Some("GOVERNANCE"), "{put:?}");
        let until: jiff::Timestamp = until.unwrap().parse().unwrap();
        let days =
            (until.as_second() - jiff::Timestamp::try_from(now).unwrap().as_second()) / 86_400;
        assert!((29..=30).contains(&days), "{until}");
    }
}
