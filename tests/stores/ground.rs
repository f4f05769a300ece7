//! A fresh place for each behaviour, in each kind of store.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use mimeograph_manifest::io::location::{S3Location, StoreLocation};
use mimeograph_manifest::io::store::Shelve;
use mimeograph_tests::s3::S3Server;

/// Opens a store at a folder of the test's own place (empty: the place itself).
pub(crate) type Open<'a> = &'a (dyn Fn(&str) -> Box<dyn Shelve> + Sync);

pub(crate) fn directory_store(_: &str, behaviour: fn(Open<'_>)) {
    let root = tempfile::tempdir().unwrap();
    behaviour(&|folder| {
        let path = root.path().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        StoreLocation::Directory(path).open().unwrap()
    });
}

pub(crate) fn in_process_s3(_: &str, behaviour: fn(Open<'_>)) {
    let server = S3Server::start();
    behaviour(&|folder| Box::new(server.store(&join("streams/one", folder))));
}

/// A real server, where one is named; its credentials come from the standard chain. The bucket must exist.
pub(crate) fn real_s3(name: &str, behaviour: fn(Open<'_>)) {
    let Ok(endpoint) = std::env::var("MIMEOGRAPH_TEST_S3_ENDPOINT") else {
        let must = std::env::var("MIMEOGRAPH_TEST_REAL").is_ok_and(|value| value == "1");
        assert!(
            !must,
            "MIMEOGRAPH_TEST_REAL=1, but MIMEOGRAPH_TEST_S3_ENDPOINT is not set"
        );
        // Past the test runner's capture: a test that did not run must not look like one that did.
        let _ = writeln!(
            std::io::stderr(),
            "{name}: NOT RUN on a real S3 server (MIMEOGRAPH_TEST_S3_ENDPOINT)"
        );
        return;
    };
    let bucket = std::env::var("MIMEOGRAPH_TEST_S3_BUCKET").expect("MIMEOGRAPH_TEST_S3_BUCKET");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let place = format!("stores/{}/{name}", now.as_nanos());
    behaviour(&|folder| {
        let location = StoreLocation::S3(S3Location {
            bucket: bucket.clone(),
            prefix: join(&place, folder),
            endpoint: Some(format!("{endpoint}/")),
            ..S3Location::default()
        });
        location.open().unwrap()
    });
}

fn join(place: &str, folder: &str) -> String {
    if folder.is_empty() {
        place.to_owned()
    } else {
        format!("{place}/{folder}")
    }
}
