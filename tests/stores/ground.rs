//! A fresh place for each behaviour, in each kind of store.

use mimeograph_manifest::io::dir::DirStore;
#[cfg(feature = "real-servers")]
use mimeograph_manifest::io::s3::{Patience, S3Store};
use mimeograph_manifest::io::store::{Discard, Shelve};
use mimeograph_tests::s3::S3Server;
#[cfg(feature = "real-servers")]
use mimeograph_tests::servers::Weed;

/// A store with all rights.
pub(crate) trait Whole: Shelve + Discard {}

impl<S: Shelve + Discard> Whole for S {}

/// Opens a store at a folder of the test's own place (empty: the place itself).
pub(crate) type Open<'a> = &'a (dyn Fn(&str) -> Box<dyn Whole> + Sync);

pub(crate) fn directory_store(_: &str, behaviour: fn(Open<'_>)) {
    let root = tempfile::tempdir().unwrap();
    behaviour(&|folder| {
        let path = root.path().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        Box::new(DirStore::open(&path).unwrap())
    });
}

pub(crate) fn in_process_s3(_: &str, behaviour: fn(Open<'_>)) {
    let server = S3Server::start();
    behaviour(&|folder| Box::new(server.store(&join("streams/one", folder))));
}

/// A real server.
#[cfg(feature = "real-servers")]
pub(crate) fn real_s3(name: &str, behaviour: fn(Open<'_>)) {
    static WEED: std::sync::LazyLock<Weed> = std::sync::LazyLock::new(Weed::start);
    behaviour(&|folder| {
        let place = WEED.location(&join(name, folder));
        Box::new(S3Store::open_as(&place, Weed::login(), Patience::default()).unwrap())
    });
}

fn join(place: &str, folder: &str) -> String {
    if folder.is_empty() {
        place.to_owned()
    } else {
        format!("{place}/{folder}")
    }
}
