//! The S3 store: the SDK behind a blocking face.
//!
//! Every object is one PUT with its SHA-256 in a header and `If-None-Match: *`: no `aws-chunked`
//! framing, no trailers, no multipart, which many stores other than AWS's get wrong. What a store does
//! not know (the checksum header, the condition) is left out after it has refused it once; what it
//! silently ignores is found by a probe, and then made good by reading back.

mod ask;
mod client;
mod discard;
mod failure;
mod renew;
mod watch;
mod write;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use tokio::runtime::Runtime;

pub use self::client::{Login, Patience};
use self::failure::{Trouble, status};
use self::write::Condition;
use super::landing::Landing;
use super::location::S3Location;
use super::retries;
use super::store::{Fetch, Listed, StoreError};
use crate::layout::{Key, MANIFESTS};
use crate::limits;
use crate::time::Timestamp;

/// A place in a bucket.
#[derive(Clone, Debug)]
pub struct S3Store {
    runtime: &'static Runtime,
    client: Client,
    place: Arc<S3Location>,
    patience: Patience,
    /// Whether the store knows `x-amz-checksum-sha256`; taken as given until it refuses it.
    checksums: Arc<AtomicBool>,
    /// What it makes of `If-None-Match`, once probed.
    condition: Arc<OnceLock<Condition>>,
}

/// A piece of a body with fewer bytes says that the network is slower than we are, and every one that comes wakes a thread:
/// they are let gather for a while, where that many are still to come. It saves a fifth of the processor time of a download
/// in small packets.
const SMALL: usize = 64 << 10;
/// For so long.
const GATHER: Duration = Duration::from_millis(5);

impl S3Store {
    /// Opens a place in a bucket with the standard credential chain. Asks nothing of the store.
    pub fn open(place: &S3Location) -> Result<Self, StoreError> {
        Self::open_as(place, Login::Chain, Patience::from_environment())
    }

    /// Opens it with credentials and patience of one's own.
    pub fn open_as(
        place: &S3Location,
        login: Login,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        let place = place.completed(|name| std::env::var(name).ok())?;
        let runtime = runtime().map_err(|source| StoreError::Io {
            operation: "start threads".to_owned(),
            place: describe(&place),
            source: std::io::Error::new(source.kind(), source.to_string()),
        })?;
        let client = runtime.block_on(client::connect(&place, login, &patience))?;
        Ok(Self {
            runtime,
            client,
            place: Arc::new(place),
            patience,
            checksums: Arc::new(AtomicBool::new(true)),
            condition: Arc::default(),
        })
    }

    fn name(&self, name: &str) -> String {
        match self.place.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    fn trouble(&self, operation: String) -> Trouble<'_> {
        Trouble {
            operation,
            place: &self.place,
        }
    }

    async fn list_pages(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), StoreError> {
        let failed = || self.trouble(format!("list `{prefix}`"));
        let base = self.name("");
        let mut count = 0;
        let mut token: Option<String> = None;
        loop {
            let page = self.list_page(prefix, token.as_ref()).await?;
            for object in page.contents() {
                let Some(name) = object.key().and_then(|key| key.strip_prefix(&base)) else {
                    continue;
                };
                if name.is_empty() {
                    continue; // the folder itself, as some consoles make it
                }
                count += 1;
                if count > limits::OBJECTS {
                    return Err(failed().answer("there is no end to its list"));
                }
                each(Listed {
                    name: name.to_owned(),
                    size: object
                        .size()
                        .and_then(|size| size.try_into().ok())
                        .unwrap_or(0),
                    modified: Timestamp::from_unix(
                        object
                            .last_modified()
                            .map_or(0, aws_sdk_s3::primitives::DateTime::secs),
                    ),
                });
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            let next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() || next == token {
                return Err(failed().answer("its list breaks off without saying where to go on"));
            }
            token = next;
        }
    }

    /// One page, again where it breaks off.
    async fn list_page(
        &self,
        prefix: &str,
        token: Option<&String>,
    ) -> Result<ListObjectsV2Output, StoreError> {
        let failed = || self.trouble(format!("list `{prefix}`"));
        let mut attempt = 1;
        loop {
            let whole = ask::Whole::default();
            let page = self.client.list_objects_v2().bucket(&self.place.bucket);
            let page = page
                .prefix(self.name(prefix))
                .set_continuation_token(token.cloned());
            let is_last = attempt >= self.patience.attempts;
            match page.customize().interceptor(whole.clone()).send().await {
                Ok(page) if whole.seen() => return Ok(page),
                Ok(_) if is_last => return Err(failed().answer("its list breaks off")),
                Err(error) if is_last || status(&error) != Some(200) => {
                    return Err(failed().sdk(error));
                }
                Ok(_) | Err(_) => {}
            }
            tracing::debug!(prefix, attempt, "the list broke off; asking for it again");
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// One GET, again where the body breaks off: the SDK tries again only until the headers are there.
    async fn read(&self, key: &Key, into: &mut impl Sink) -> Result<bool, StoreError> {
        let mut attempt = 1;
        loop {
            match self.read_once(key, into).await {
                Ok(found) => return Ok(found),
                Err(Broken::Body(_)) if attempt < self.patience.attempts => {
                    tracing::debug!(%key, attempt, "the body broke off; reading it again");
                    self.pause(attempt).await;
                    attempt += 1;
                }
                Err(Broken::Request(error) | Broken::Body(error)) => return Err(error),
            }
        }
    }

    async fn read_once(&self, key: &Key, into: &mut impl Sink) -> Result<bool, Broken> {
        let failed = || self.trouble(format!("read `{key}`"));
        let request = self.client.get_object().bucket(&self.place.bucket);
        let mut found = match request.key(self.name(&key.to_string())).send().await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(Broken::Request(failed().sdk(error))),
        };
        let said = found.content_length();
        let mut left: u64 = said.and_then(|length| length.try_into().ok()).unwrap_or(0);
        into.begin(said.and_then(|length| length.try_into().ok()))
            .map_err(|error| Broken::Request(failed().io(error)))?;
        while let Some(piece) = found.body.next().await {
            let piece = piece.map_err(|error| Broken::Body(failed().unreachable(error)))?;
            if into.take(&piece).is_break() {
                break;
            }
            left = left.saturating_sub(piece.len() as u64);
            if piece.len() < SMALL && left > SMALL as u64 {
                tokio::time::sleep(GATHER).await;
            }
        }
        Ok(true)
    }

    /// Reads on the client's own threads: a connection and whoever takes its bytes then take turns on one of them, and no
    /// thread waits for another at every packet.
    fn read_there<S: Sink + Send + 'static>(
        &self,
        key: &Key,
        mut into: S,
    ) -> (Result<bool, StoreError>, S) {
        let (store, key) = (self.clone(), key.clone());
        let read = self.runtime.spawn(async move {
            let found = store.read(&key, &mut into).await;
            (found, into)
        });
        match self.runtime.block_on(read) {
            Ok(read) => read,
            // It is never cancelled: a panic goes on here, as the bug that it is.
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }

    fn knows_checksums(&self) -> bool {
        self.checksums.load(Ordering::Relaxed)
    }

    async fn pause(&self, attempt: u32) {
        retries::note();
        tokio::time::sleep(self.patience.pause(attempt)).await;
    }
}

/// What the bytes of an object are given to.
trait Sink {
    /// They come from the start, for the first time or again; perhaps so many.
    fn begin(&mut self, length: Option<usize>) -> std::io::Result<()>;

    /// The next of them; whether more are wanted.
    fn take(&mut self, piece: &[u8]) -> ControlFlow<()>;
}

/// Memory, up to a number of bytes.
struct Buffer {
    bytes: Vec<u8>,
    most: usize,
}

impl Buffer {
    /// One byte more than `limit` shows that there are more.
    fn new(bytes: Vec<u8>, limit: u64) -> Self {
        let most = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
        Self { bytes, most }
    }
}

impl Sink for Buffer {
    fn begin(&mut self, length: Option<usize>) -> std::io::Result<()> {
        self.bytes.clear();
        let reserved = self.bytes.try_reserve(length.unwrap_or(0).min(self.most));
        reserved.map_err(std::io::Error::other)
    }

    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        let room = self.most - self.bytes.len();
        self.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
        if self.bytes.len() == self.most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Sink for Landing {
    fn begin(&mut self, _: Option<usize>) -> std::io::Result<()> {
        Self::begin(self);
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        Self::take(self, piece)
    }
}

/// Where a GET broke off.
enum Broken {
    /// Before the body, after the SDK's own tries.
    Request(StoreError),
    /// Within the body.
    Body(StoreError),
}

impl Fetch for S3Store {
    fn describe(&self) -> String {
        describe(&self.place)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.runtime.block_on(self.list_pages(prefix, each))
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        let buffer = Buffer::new(std::mem::take(into), limit);
        let (read, buffer) = self.read_there(key, buffer);
        *into = buffer.bytes;
        if !matches!(read, Ok(true)) {
            into.clear();
        }
        read
    }

    fn land(&self, key: &Key, landing: Landing) -> Result<Option<Landing>, StoreError> {
        let (read, landing) = self.read_there(key, landing);
        Ok(read?.then_some(landing))
    }

    /// The `Date` of an answer to a short list.
    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let date = ask::Date::default();
        let request = self.client.list_objects_v2().bucket(&self.place.bucket);
        let request = request.prefix(self.name(MANIFESTS)).max_keys(1).customize();
        let sent = self
            .runtime
            .block_on(request.interceptor(date.clone()).send());
        match sent {
            // A server whose clock is far from ours refuses the signature, and that is worth knowing.
            Err(error) if error.code() != Some("RequestTimeTooSkewed") => {
                Err(self.trouble("ask for the time".to_owned()).sdk(error))
            }
            _ => Ok(date.seen()),
        }
    }
}

/// There is no such object. `false` for a missing bucket, where the server tells them apart.
fn is_absent<E: aws_sdk_s3::error::ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// The store in words: `s3://bucket/prefix at https://…`.
fn describe(place: &S3Location) -> String {
    match (&place.endpoint, &place.region) {
        (Some(endpoint), _) => format!("{place} at {endpoint}"),
        (None, Some(region)) => format!("{place} in {region}"),
        (None, None) => place.to_string(),
    }
}

/// The SDK's threads, started at the first use of a store.
fn runtime() -> Result<&'static Runtime, &'static std::io::Error> {
    static RUNTIME: OnceLock<Result<Runtime, std::io::Error>> = OnceLock::new();
    // They hash and write what they read.
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 16));
    let start = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("s3")
            .enable_all()
            .build()
    };
    RUNTIME.get_or_init(start).as_ref()
}
