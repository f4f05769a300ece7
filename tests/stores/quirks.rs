//! Servers that do not know, or silently ignore, the headers that we rely on.

use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::store::{Put, Shelve as _};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::name::Sequence;
use mimeograph_tests::s3::{Quirk, S3Server};

use crate::behaviours::{get, put, put_chunk};

const FIRST: Key = Key::Manifest(Sequence::FIRST);

/// What holds on every server, if one writer comes after the other.
fn writes_once(server: &S3Server) {
    let store = server.store("x");
    let chunk = put_chunk(&store, b"chunk");
    assert_eq!(put(&store, &chunk, b"chunk").unwrap(), Put::AlreadyThere);
    assert_eq!(
        put(&store, &chunk, b"Chunk").unwrap_err().id(),
        ErrorId::ChunkDamaged
    );
    assert_eq!(put(&store, &FIRST, b"{1}").unwrap(), Put::Written);
    assert_eq!(put(&store, &FIRST, b"{1}").unwrap(), Put::AlreadyThere);
    assert_eq!(
        put(&server.store("x"), &FIRST, b"{2}").unwrap_err().id(),
        ErrorId::Fork
    );
    assert_eq!(get(&store, &FIRST).unwrap(), b"{1}");
    assert_eq!(get(&store, &chunk).unwrap(), b"chunk");
}

fn put_headers(server: &S3Server, name: &str) -> Vec<bool> {
    let seen = server.seen();
    let puts = seen
        .iter()
        .filter(|seen| seen.method == "PUT" && seen.target.contains("/x/manifests"));
    puts.map(|seen| seen.headers.contains_key(name)).collect()
}

#[test]
fn a_server_that_ignores_the_condition_is_found_out_and_read_back() {
    let server = S3Server::start_with(Quirk::IgnoresConditions);
    assert!(!server.store("x").refuses_overwrite().unwrap());
    writes_once(&server);
    // Looked at before and after the one manifest that was put.
    let manifest = |seen: &&mimeograph_tests::s3::Seen| seen.target.contains("/x/manifests");
    let methods: Vec<_> = server
        .seen()
        .iter()
        .filter(manifest)
        .map(|seen| seen.method.clone())
        .collect();
    assert_eq!(methods[..3], ["GET", "PUT", "GET"]);
    assert_eq!(methods.iter().filter(|method| *method == "PUT").count(), 1);
}

#[test]
fn a_server_that_refuses_the_condition_gets_none() {
    let server = S3Server::start_with(Quirk::RefusesConditions);
    assert!(!server.store("x").refuses_overwrite().unwrap());
    writes_once(&server);
    assert_eq!(put_headers(&server, "if-none-match"), [false]);
    assert_eq!(put_headers(&server, "x-amz-checksum-sha256"), [true]);
}

#[test]
fn a_server_that_refuses_the_checksum_gets_none_after_the_first_time() {
    let server = S3Server::start_with(Quirk::RefusesChecksums);
    let store = server.store("x");
    assert!(store.refuses_overwrite().unwrap());
    for number in 1..4 {
        put(
            &store,
            &Key::Manifest(Sequence::try_from(number).unwrap()),
            b"{}",
        )
        .unwrap();
    }
    assert_eq!(put_headers(&server, "x-amz-checksum-sha256"), [false; 3]);
    assert_eq!(put_headers(&server, "if-none-match"), [true; 3]);
}

#[test]
fn writing_once_holds_without_checksums() {
    writes_once(&S3Server::start_with(Quirk::RefusesChecksums));
    writes_once(&S3Server::start_with(Quirk::ForgetsChecksums));
}

#[test]
fn writing_once_holds_without_either() {
    let server = S3Server::start_with(Quirk::RefusesBoth);
    assert!(!server.store("x").refuses_overwrite().unwrap());
    writes_once(&server);
}

#[test]
fn an_honest_server_is_asked_no_more_than_once_for_a_new_object() {
    let server = S3Server::start();
    let store = server.store("x");
    put(&store, &FIRST, b"{1}").unwrap();
    let methods: Vec<_> = server.seen().into_iter().map(|seen| seen.method).collect();
    // The probe twice, since it was not there, and the manifest.
    assert_eq!(methods, ["PUT", "PUT", "PUT"]);
    put(
        &server.store("x"),
        &Key::Manifest(Sequence::FIRST.next()),
        b"{2}",
    )
    .unwrap();
    assert_eq!(server.seen().len(), 5);
}
