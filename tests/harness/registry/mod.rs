//! A small OCI distribution registry, in process and on loopback: what tests mirror from and to.
//!
//! It keeps image indexes, names of any depth, tag lists and the catalogue, and allows deletes. As the real
//! one does, it checks digests and refuses a manifest whose blobs or instances it does not hold.
//! Blobs lie on disk and are streamed, so that an image of gigabytes costs no memory.

#![expect(
    clippy::expect_used,
    reason = "a registry that cannot start or store fails the test that wanted it"
)]

mod content;
mod fill;
mod manifest;
mod path;
mod refusal;
mod serve;
mod store;
mod upload;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use self::fill::gzip;
use self::serve::Served;
use self::store::Store;

/// Whether an index may name instances that were never pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Indexes {
    /// As distribution does by default: all of them must be there.
    #[default]
    Complete,
    /// As with `validation.manifests.indexes.platforms: none`.
    Sparse,
}

/// How a registry is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it keeps its content; a temporary folder of its own if absent.
    pub dir: Option<PathBuf>,
    /// The address to listen on; a free port on loopback if absent.
    pub address: Option<SocketAddr>,
    /// User and password that every request must carry.
    pub credentials: Option<(String, String)>,
    /// Whether indexes may be sparse.
    pub indexes: Indexes,
}

/// A running registry; it stops when dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    served: Arc<Served>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _temporary: Option<tempfile::TempDir>,
}

impl Registry {
    /// Start an empty registry on a free loopback port.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Start a registry whose content lies in `dir`, and stays there.
    pub fn start_at(dir: &Path) -> Self {
        Self::start_with(Options {
            dir: Some(dir.to_owned()),
            ..Options::default()
        })
    }

    /// Start a registry.
    pub fn start_with(options: Options) -> Self {
        let temporary = options
            .dir
            .is_none()
            .then(|| tempfile::tempdir().expect("a temporary folder"));
        let dir = options
            .dir
            .unwrap_or_else(|| temporary.as_ref().expect("made above").path().to_owned());
        let address = options
            .address
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(address).expect("an address to listen on");
        let address = listener
            .local_addr()
            .expect("the address of a bound socket");
        let store = Store::open(&dir, options.indexes).expect("a folder for the registry");
        let served = Arc::new(Served::new(store, options.credentials));
        let (stop, stopped) = oneshot::channel();
        let thread = serve::spawn(listener, Arc::clone(&served), stopped);
        Self {
            address,
            served,
            stop: Some(stop),
            thread: Some(thread),
            _temporary: temporary,
        }
    }

    /// Copies everything that it stores to `dir`, for another registry to start at.
    pub fn copy_to(&self, dir: &Path) -> std::io::Result<()> {
        self.served.store.copy_to(dir)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// How many requests came in so far.
    pub fn requests(&self) -> u64 {
        self.served.requests.load(Ordering::SeqCst)
    }

    /// From now on requests of one method, whose path has a part, are answered with a status.
    pub fn refuse(&self, method: &str, part: &str, status: u16) {
        let mut refused = self
            .served
            .refused
            .lock()
            .expect("no test panics with this lock");
        refused.push((method.to_owned(), part.to_owned(), status));
    }

    /// Nothing is refused any more.
    pub fn refuse_nothing(&self) {
        let mut refused = self
            .served
            .refused
            .lock()
            .expect("no test panics with this lock");
        refused.clear();
    }

    /// Everything it stores. Two equal snapshots mean that nothing changed between them.
    ///
    /// `REPO:TAG` gives the digest, `REPO@DIGEST` the SHA-256 of the manifest's bytes as they lie there,
    /// `REPO/blobs@DIGEST` that of the blob.
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        self.served.store.snapshot()
    }

    /// `REPO:TAG` and digest of every tag.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.served.store.tags()
    }

    /// The digest that a tag names.
    pub fn digest_of(&self, repo: &str, tag: &str) -> Option<String> {
        self.tags().remove(&format!("{repo}:{tag}"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // a panic in there was printed already, and dropping must not raise another
            drop(thread.join());
        }
    }
}
