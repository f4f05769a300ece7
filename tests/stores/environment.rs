//! What a store takes from the environment: credentials, endpoint, bucket, proxy.

use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_tests::s3::S3Server;

use crate::apart::run_apart;
use crate::behaviours::{get, put_chunk};

#[test]
fn credentials_come_from_the_standard_chain_and_the_rest_from_the_environment() {
    for endpoint in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "BUCKET_HOST"] {
        let server = S3Server::start();
        let variables = [
            ("AWS_ACCESS_KEY_ID", server.access_key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &server.secret_key),
            (endpoint, &format!("{}/", server.endpoint)),
            ("AWS_REGION", ""),
            ("BUCKET_REGION", ""),
            ("BUCKET_NAME", &server.bucket),
        ];
        run_apart(
            &["env"],
            "environment::a_store_by_the_environment_alone",
            &variables,
        );
        assert!(!server.seen().is_empty(), "{endpoint}");
    }
}

#[test]
fn a_proxy_is_asked_for_the_store() {
    // The server is the proxy: only by way of it can a name be reached that does not exist.
    let server = S3Server::start();
    run_apart(
        &["env"],
        "environment::a_store_by_the_environment_alone",
        &[
            ("HTTP_PROXY", &server.endpoint),
            ("AWS_ENDPOINT_URL_S3", "http://store.invalid"),
            ("AWS_ACCESS_KEY_ID", &server.access_key),
            ("AWS_SECRET_ACCESS_KEY", &server.secret_key),
            ("BUCKET_NAME", &server.bucket),
        ],
    );
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.headers["host"] == "store.invalid"),
        "{seen:?}"
    );
    assert!(!seen.is_empty());
}

#[test]
#[ignore = "needs variables: run by the tests before"]
fn a_store_by_the_environment_alone() {
    let store = StoreLocation::parse("s3:///streams/one")
        .unwrap()
        .open()
        .unwrap();
    let key = put_chunk(&*store, b"chunk");
    assert_eq!(get(&*store, &key).unwrap(), b"chunk");
}

#[test]
fn no_credentials_at_all_is_forbidden() {
    let server = S3Server::start();
    run_apart(
        &["env"],
        "environment::a_store_without_credentials",
        &[
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL_S3", &server.endpoint),
            ("BUCKET_NAME", &server.bucket),
        ],
    );
}

#[test]
#[ignore = "needs variables: run by the test before"]
fn a_store_without_credentials() {
    let store = StoreLocation::parse("s3://")
        .unwrap()
        .open_to_read()
        .unwrap();
    let error = store.list("", &mut |_| ()).unwrap_err();
    assert_eq!(
        error.id(),
        ErrorId::StoreForbidden,
        "{}",
        crate::server::told(&error)
    );
}
