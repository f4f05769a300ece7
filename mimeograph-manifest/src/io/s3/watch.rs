//! What the SDK's HTTP client does not see to: a request whose body does not get on is cut off, so that it is tried
//! again; and a server that asks to be left alone for a while (`Retry-After`) is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::{HttpClient as _, SharedHttpClient};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Patience;

/// Of a body, what is handed on at once.
const PIECE: usize = 256 << 10;

/// The longest that a server is left alone at its own wish: as long as the SDK waits by itself at most.
const RESPITE: Duration = Duration::from_secs(20);

/// Watches over the requests of a client.
pub(super) fn over(client: SharedHttpClient, patience: &Patience) -> SharedHttpClient {
    let (stalled, answer) = (patience.stalled, patience.answer);
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Watched {
            connector: client.http_connector(settings, components),
            stalled,
            answer,
        })
    })
}

#[derive(Debug)]
struct Watched {
    connector: SharedHttpConnector,
    stalled: Duration,
    answer: Duration,
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let progress = Progress::new(self.stalled, self.answer);
        let request = in_pieces(request, &progress);
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = tokio::select! {
                answer = answer => answer?,
                () = progress.ends() => {
                    return Err(ConnectorError::timeout("the request does not get on".into()));
                }
            };
            if let Some(respite) = respite(&answer) {
                tracing::debug!(
                    seconds = respite.as_secs(),
                    "the store asks to be left alone"
                );
                tokio::time::sleep(respite).await;
            }
            Ok(answer)
        })
    }
}

/// How long the server wants to be left alone. The SDK's own pause comes after it, so that not all come back at once.
fn respite(answer: &HttpResponse) -> Option<Duration> {
    if !matches!(answer.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds = answer.headers().get("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RESPITE))
}

/// How long a request may still take if nothing more happens to it.
#[derive(Clone, Debug)]
struct Progress {
    until: Arc<Mutex<Instant>>,
    stalled: Duration,
    answer: Duration,
}

impl Progress {
    fn new(stalled: Duration, answer: Duration) -> Self {
        Self {
            until: Arc::new(Mutex::new(Instant::now() + stalled.max(answer))),
            stalled,
            answer,
        }
    }

    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant(&self, time: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }

    /// Returns once nothing has happened for too long.
    async fn ends(&self) {
        while self.until() > Instant::now() {
            tokio::time::sleep_until(self.until()).await;
        }
    }
}

/// The body goes in pieces: one that lies in memory would be taken whole at once, and look as if it was sent.
fn in_pieces(mut request: HttpRequest, progress: &Progress) -> HttpRequest {
    let body = std::mem::replace(request.body_mut(), SdkBody::taken());
    *request.body_mut() = match body.content_length() {
        Some(0) => body,
        _ => SdkBody::from_body_1_x(Pieces {
            body,
            rest: Bytes::new(),
            progress: progress.clone(),
        }),
    };
    request
}

struct Pieces {
    body: SdkBody,
    /// What the body gave and was not handed on.
    rest: Bytes,
    progress: Progress,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(piece);
        self.progress.grant(if self.is_end_stream() {
            self.progress.answer
        } else {
            self.progress.stalled
        });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        let body = self.body.size_hint();
        hint.set_lower(body.lower() + left);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}
