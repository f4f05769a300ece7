//! A server whose certificate an authority of our own has signed.

use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::location::S3Location;
use mimeograph_manifest::io::s3::S3Store;
use mimeograph_manifest::io::store::Fetch as _;
use mimeograph_tests::s3::S3Server;

use crate::behaviours::{get, put_chunk};
use crate::server::{impatient, told};

#[test]
fn a_ca_bundle_makes_the_server_trusted() {
    let server = S3Server::start_tls();
    let store = server.store("x");
    let key = put_chunk(&store, b"chunk");
    assert_eq!(get(&store, &key).unwrap(), b"chunk");
    assert!(store.clock().unwrap().is_some());
}

#[test]
fn without_it_the_server_is_not_talked_to() {
    let server = S3Server::start_tls();
    let place = S3Location {
        ca_bundle: None,
        ..server.location("x")
    };
    let store = S3Store::open_as(&place, server.login(), impatient()).unwrap();
    let error = store.list("", &mut |_| ()).unwrap_err();
    let told = told(&error);
    assert_eq!(error.id(), ErrorId::StoreUnreachable, "{told}");
    assert!(told.contains("UnknownIssuer"), "{told}");
    assert_eq!(server.seen().len(), 0);
}
