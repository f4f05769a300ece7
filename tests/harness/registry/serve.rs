//! The HTTP face of the registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::sync::oneshot;

use super::path::Target;
use super::refusal::Refusal;
use super::store::Store;
use super::upload;

/// Distribution's limit for a manifest.
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
const PIECE: u64 = 256 * 1024;

pub(super) type Query = BTreeMap<String, String>;
type Answer = Result<Response<Body>, Refusal>;

/// What the running server shares with its handle.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) store: Store,
    pub(super) requests: AtomicU64,
    /// Methods, parts of paths, and what is answered instead.
    pub(super) refused: Mutex<Vec<(String, String, u16)>>,
    /// The header that every request must carry.
    authorization: Option<String>,
}

impl Served {
    pub(super) fn new(store: Store, credentials: Option<(String, String)>) -> Self {
        let basic =
            |(user, password): (String, String)| STANDARD.encode(format!("{user}:{password}"));
        let authorization = credentials.map(|pair| format!("Basic {}", basic(pair)));
        Self {
            store,
            requests: AtomicU64::new(0),
            refused: Mutex::default(),
            authorization,
        }
    }

    fn refusal(&self, method: &str, path: &str) -> Option<Refusal> {
        let refused = self.refused.lock().expect("no test panics with this lock");
        let mut refused = refused.iter();
        let (.., status) = refused.find(|(of, part, _)| of == method && path.contains(part))?;
        let status = StatusCode::from_u16(*status).expect("a status");
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::NOT_FOUND => "NAME_UNKNOWN",
            _ => "UNKNOWN",
        };
        Some(Refusal::new(status, code, "as the test asked"))
    }
}

/// Serve on a thread of its own until the sender is dropped.
pub(super) fn spawn(
    listener: TcpListener,
    served: Arc<Served>,
    stopped: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    listener
        .set_nonblocking(true)
        .expect("a socket that can wait");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            let router = Router::new().fallback(answer).with_state(served);
            tokio::select! {
                served = axum::serve(listener, router).into_future() => served.expect("a server that goes on"),
                _ = stopped => {}
            }
        });
    })
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response<Body> {
    served.requests.fetch_add(1, Ordering::SeqCst);
    let head = request.method() == "HEAD";
    let mut response = route(&served, request)
        .await
        .unwrap_or_else(|refusal| refusal.respond());
    if head {
        *response.body_mut() = Body::empty();
    }
    response.headers_mut().insert(
        "docker-distribution-api-version",
        header::HeaderValue::from_static("registry/2.0"),
    );
    response
}

async fn route(served: &Served, request: Request) -> Answer {
    let store = &served.store;
    let (parts, body) = request.into_parts();
    let presented = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if served.authorization.is_some() && served.authorization.as_deref() != presented {
        return Err(Refusal::unauthorized());
    }
    if let Some(refusal) = served.refusal(parts.method.as_str(), parts.uri.path()) {
        return Err(refusal);
    }
    let query = query(parts.uri.query().unwrap_or_default());
    let target =
        Target::parse(parts.uri.path()).ok_or_else(|| Refusal::name_unknown(parts.uri.path()))?;
    match (parts.method.as_str(), target) {
        ("GET" | "HEAD", Target::Base) => Ok(json(&json!({}))),
        ("GET", Target::Catalog) => {
            let names: Vec<String> = store.content().repositories.keys().cloned().collect();
            Ok(page(
                names,
                &query,
                "/v2/_catalog",
                |names| json!({ "repositories": names }),
            ))
        }
        ("GET", Target::Tags { repo }) => {
            let held = store
                .content()
                .get(&repo)
                .cloned()
                .ok_or_else(|| Refusal::name_unknown(&repo))?;
            let names = held.tags.into_keys().collect();
            Ok(page(
                names,
                &query,
                &format!("/v2/{repo}/tags/list"),
                |tags| json!({ "name": repo, "tags": tags }),
            ))
        }
        ("GET" | "HEAD", Target::Manifest { repo, reference }) => {
            get_manifest(store, &repo, &reference)
        }
        ("PUT", Target::Manifest { repo, reference }) => {
            put_manifest(store, (&repo, &reference), &parts.headers, body).await
        }
        ("DELETE", Target::Manifest { repo, reference }) => {
            let removed = store.change(|content| content.remove_manifest(&repo, &reference))?;
            if removed {
                Ok(empty(StatusCode::ACCEPTED))
            } else {
                Err(Refusal::manifest_unknown(&reference))
            }
        }
        ("GET" | "HEAD", Target::Blob { repo, digest }) => {
            get_blob(store, (&repo, &digest), &parts)
        }
        ("DELETE", Target::Blob { repo, digest }) => {
            let removed = store.change(|content| content.remove_blob(&repo, &digest))?;
            if removed {
                Ok(empty(StatusCode::ACCEPTED))
            } else {
                Err(Refusal::blob_unknown(&digest))
            }
        }
        ("POST", Target::Uploads { repo }) => upload::begin(store, &repo, &query, body).await,
        (method, Target::Upload { repo, id }) => {
            upload::go_on(store, method, (&repo, &id), &query, body).await
        }
        _ => Err(Refusal::unsupported()),
    }
}

fn get_manifest(store: &Store, repo: &str, reference: &str) -> Answer {
    let found = store
        .content()
        .get(repo)
        .ok_or_else(|| Refusal::name_unknown(repo))?
        .manifest(reference);
    let (digest, kind) = found.ok_or_else(|| Refusal::manifest_unknown(reference))?;
    let bytes = std::fs::read(store.blob_path(&digest)?)?;
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, bytes.len())
        .header(header::ETAG, format!("\"{digest}\""))
        .header("docker-content-digest", digest);
    response
        .body(Body::from(bytes))
        .map_err(|error| Refusal::manifest_invalid(error.to_string()))
}

async fn put_manifest(
    store: &Store,
    (repo, reference): (&str, &str),
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let bytes = axum::body::to_bytes(body, MANIFEST_LIMIT).await;
    let bytes = bytes.map_err(|error| Refusal::manifest_invalid(error.to_string()))?;
    let digest = store.put_manifest(repo, reference, kind, &bytes)?;
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{repo}/manifests/{digest}"))
        .header("docker-content-digest", digest);
    response
        .body(Body::empty())
        .map_err(|error| Refusal::manifest_invalid(error.to_string()))
}

fn get_blob(
    store: &Store,
    (repo, digest): (&str, &str),
    parts: &axum::http::request::Parts,
) -> Answer {
    let held = store
        .content()
        .get(repo)
        .is_some_and(|held| held.blobs.contains(digest));
    if !held {
        return Err(Refusal::blob_unknown(digest));
    }
    let mut file = File::open(store.blob_path(digest)?)?;
    let size = file.metadata()?.len();
    let asked = parts
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let range = asked.and_then(|asked| range(asked, size));
    let (start, end) = range.unwrap_or((0, size));
    file.seek(SeekFrom::Start(start))?;
    let mut response = Response::builder()
        .status(if range.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        })
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, end - start)
        .header(header::ACCEPT_RANGES, "bytes")
        .header("docker-content-digest", digest);
    if range.is_some() {
        response = response.header(
            header::CONTENT_RANGE,
            format!("bytes {start}-{}/{size}", end - 1),
        );
    }
    response
        .body(stream(file.take(end - start)))
        .map_err(|error| Refusal::digest_invalid(error.to_string()))
}

/// `bytes=FIRST-[LAST]`, as start and end.
fn range(asked: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = first.parse().ok()?;
    let end = if last.is_empty() {
        size
    } else {
        last.parse::<u64>().ok()?.checked_add(1)?.min(size)
    };
    (start < end).then_some((start, end))
}

/// A body that reads its file piece by piece.
fn stream(file: std::io::Take<File>) -> Body {
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::new();
        file.by_ref().take(PIECE).read_to_end(&mut piece)?;
        Ok::<_, std::io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    });
    Body::from_stream(pieces)
}

/// A list in pages of `n`, after `last`.
fn page(
    names: Vec<String>,
    query: &Query,
    path: &str,
    body: impl Fn(&[String]) -> serde_json::Value,
) -> Response<Body> {
    let last = query.get("last").cloned().unwrap_or_default();
    let count = query
        .get("n")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let all: Vec<String> = names.into_iter().filter(|name| *name > last).collect();
    let shown = &all[..all.len().min(count)];
    let mut response = json(&body(shown));
    if let (true, Some(last)) = (shown.len() < all.len(), shown.last()) {
        let link = format!("<{path}?n={count}&last={last}>; rel=\"next\"");
        response
            .headers_mut()
            .insert(header::LINK, link.parse().expect("names are ASCII"));
    }
    response
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response
        .body(Body::from(value.to_string()))
        .expect("static headers")
}

/// A response with nothing in it.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .expect("no headers")
}

fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), decode(value)))
        .collect()
}

/// Percent-decoding, as far as digests and names need it.
fn decode(text: &str) -> String {
    text.replace("%3A", ":")
        .replace("%3a", ":")
        .replace("%2F", "/")
        .replace("%2f", "/")
}
