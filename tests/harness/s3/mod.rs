//! An S3 server in process, honest or with the habits of some that are out there.

#![expect(
    clippy::expect_used,
    reason = "a test ends where its server cannot be set up"
)]

mod quirks;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::location::S3Location;
use mimeograph_manifest::io::s3::{Login, Patience, S3Store};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub use self::quirks::Quirk;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `PUT`, `GET`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// A header of it, where it has that.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a header in ASCII"))
    }

    /// That its body came as it is: whole, in no framing, with its own digest in the signature and in one checksum.
    ///
    /// # Panics
    ///
    /// Where it did not.
    pub fn assert_plain(&self, length: usize, digest: &Digest) {
        for name in [
            "content-encoding",
            "expect",
            "te",
            "trailer",
            "transfer-encoding",
            "x-amz-decoded-content-length",
            "x-amz-trailer",
        ] {
            assert_eq!(self.header(name), None, "{name}: {self:?}");
        }
        let names = self.headers.keys().map(hyper::header::HeaderName::as_str);
        let checksums: Vec<_> = names.filter(|name| name.contains("checksum")).collect();
        assert_eq!(checksums, ["x-amz-checksum-sha256"], "{self:?}");
        assert_eq!(self.header("content-length"), Some(&*length.to_string()));
        assert_eq!(
            self.header("x-amz-content-sha256"),
            Some(&*digest.to_string())
        );
    }
}

/// A server with one bucket, gone when dropped.
pub struct S3Server {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// An access key that may do everything.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The certificate of the authority that vouches for the server, where it speaks https.
    pub ca_bundle: Option<PathBuf>,
    seen: Arc<Mutex<Vec<Seen>>>,
    folder: tempfile::TempDir,
    // Dropping it ends the server.
    _runtime: Runtime,
}

impl fmt::Debug for S3Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Server").field(&self.endpoint).finish()
    }
}

impl S3Server {
    /// Starts an honest server.
    pub fn start() -> Self {
        Self::start_with(Quirk::None)
    }

    /// Starts one with a habit.
    pub fn start_with(quirk: Quirk) -> Self {
        Self::build(|objects| quirks::Objects::new(objects, quirk), false)
    }

    /// Starts an honest one that speaks https.
    pub fn start_tls() -> Self {
        Self::build(|objects| quirks::Objects::new(objects, Quirk::None), true)
    }

    /// Starts `s3s-fs` as it is, which knows uploads in parts and no conditions.
    pub fn start_plain() -> Self {
        Self::build(
            |objects| s3s_fs::FileSystem::new(objects).expect("a folder"),
            false,
        )
    }

    fn build<S: s3s::S3>(objects_in: impl FnOnce(&Path) -> S, https: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the objects");
        let objects = folder.path().join("objects");
        let bucket = "mimeograph-bucket".to_owned();
        std::fs::create_dir_all(objects.join(&bucket)).expect("a bucket");
        let (access_key, secret_key) = ("AKIDEXAMPLE".to_owned(), "TopSecretValue".to_owned());

        let mut service = S3ServiceBuilder::new(objects_in(&objects));
        service.set_auth(SimpleAuth::from_single(&access_key, secret_key.as_str()));
        let (acceptor, ca_bundle) = if https {
            let (acceptor, ca_bundle) = certified(folder.path());
            (Some(acceptor), Some(ca_bundle))
        } else {
            (None, None)
        };

        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::default();
        runtime.spawn(accept(
            listener,
            acceptor,
            service.build(),
            Arc::clone(&seen),
        ));
        let scheme = if https { "https" } else { "http" };
        Self {
            endpoint: format!("{scheme}://127.0.0.1:{port}"),
            bucket,
            access_key,
            secret_key,
            ca_bundle,
            seen,
            folder,
            _runtime: runtime,
        }
    }

    /// A place in its bucket.
    pub fn location(&self, prefix: &str) -> S3Location {
        S3Location {
            bucket: self.bucket.clone(),
            prefix: prefix.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            ca_bundle: self.ca_bundle.clone(),
            ..S3Location::default()
        }
    }

    /// The variables by which a program finds the server and may use it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL_S3", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
        ];
        if let Some(path) = &self.ca_bundle {
            variables.push(("AWS_CA_BUNDLE", path.display().to_string()));
        }
        variables
    }

    /// The access key.
    pub fn login(&self) -> Login {
        Login::Keys {
            id: self.access_key.clone(),
            secret: self.secret_key.clone(),
        }
    }

    /// A place in its bucket, opened.
    pub fn store(&self, prefix: &str) -> S3Store {
        S3Store::open_as(&self.location(prefix), self.login(), Patience::default())
            .expect("a store")
    }

    /// Where the bucket's objects lie as files, by their names.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects").join(&self.bucket)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        // As real servers have it: else each small answer waits for the client's delayed ACK.
        let _ = socket.set_nodelay(true);
        let (service, seen, tls) = (service.clone(), Arc::clone(&seen), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(socket, service, seen).await,
                Some(tls) => {
                    // A client that does not trust us is gone before the first request.
                    if let Ok(socket) = tls.accept(socket).await {
                        serve(socket, service, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(socket: S, service: S3Service, seen: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watched = service_fn(move |request: Request<Incoming>| {
        let entry = Seen {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
        let service = service.clone();
        async move { service.call(request.map(s3s::Body::from)).await }
    });
    let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // A client may go at any time.
    let _ = connection
        .serve_connection(TokioIo::new(socket), watched)
        .await;
}

/// A leaf for 127.0.0.1 by an authority of our own, whose certificate is left in `folder`.
fn certified(folder: &Path) -> (TlsAcceptor, PathBuf) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("an authority");
    let path = folder.join("ca.pem");
    std::fs::write(&path, ca_certificate.pem()).expect("its certificate");

    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let leaf = rcgen::CertificateParams::new(names).expect("parameters");
    let leaf = leaf
        .signed_by(&key, &rcgen::Issuer::new(ca, ca_key))
        .expect("a leaf");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a server's settings");
    (TlsAcceptor::from(Arc::new(config)), path)
}
