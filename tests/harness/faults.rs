//! A proxy before an S3 server that does to a request what a wire, a gateway or a server that is unwell may do to it.
//!
//! Where nothing is to go wrong it relays both sides byte for byte. There is one connection for each request, so
//! that a broken one breaks nothing else.

#![expect(
    clippy::expect_used,
    reason = "a test ends where its proxy cannot be set up"
)]

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What a slow body comes in.
const PARTS: u32 = 24;

/// A request that came to the proxy.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many came before it.
    pub number: usize,
    /// `PUT`, `GET`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// When it came.
    pub at: Instant,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header's value; the name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A list is asked for.
    pub fn is_list(&self) -> bool {
        self.target.contains("list-type=2")
    }

    /// A chunk is read or written.
    pub fn is_chunk(&self) -> bool {
        self.target.contains("/chunks/")
    }

    /// The probe, which is put to see whether the server writes over objects.
    pub fn is_probe(&self) -> bool {
        self.target.contains("/probe?") || self.target.ends_with("/probe")
    }
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The proxy answers in the server's stead: status, further header lines, body.
    Answer(u16, String, String),
    /// The connection is reset when half of the request's body is there.
    ResetRequest,
    /// Nothing more is read when half of the request's body is there.
    StallRequest,
    /// The request's body is read in so much time, evenly.
    Slow(Duration),
    /// The server does what it was asked to, and the connection is reset before it says so.
    LoseAnswer,
    /// The server does what it was asked to, and nothing comes back.
    StallAnswer,
    /// The connection is reset after half of the answer's body.
    ResetBody,
    /// The connection is closed after half of the answer's body, whose `Content-Length` is that of the whole.
    TruncateBody,
    /// There is half of the answer's body, and its `Content-Length` says so.
    ShortenBody,
    /// Nothing more comes after half of the answer's body.
    StallBody,
    /// A list is answered as it was when it was last asked for with the same words and without this fault.
    StaleList,
}

impl Fault {
    /// An error as S3 servers tell it.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>"
        );
        Self::Answer(status, "content-type: application/xml\r\n".to_owned(), body)
    }

    /// Credentials as containers get them, good for an hour.
    pub fn credentials(id: &str, secret: &str, token: &str) -> Self {
        let expiration = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let body = serde_json::json!({
            "AccessKeyId": id,
            "SecretAccessKey": secret,
            "Token": token,
            "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        Self::Answer(
            200,
            "content-type: application/json\r\n".to_owned(),
            body.to_string(),
        )
    }

    /// `503 SlowDown` that asks for so many seconds.
    pub fn slow_down(seconds: u32) -> Self {
        match Self::error(503, "SlowDown") {
            Self::Answer(status, headers, body) => {
                Self::Answer(status, format!("{headers}retry-after: {seconds}\r\n"), body)
            }
            other => other,
        }
    }
}

type Plan = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

/// The proxy, gone when dropped.
pub struct Faults {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    shared: Arc<Shared>,
    // Dropping it ends the proxy.
    _runtime: Runtime,
}

struct Shared {
    server: String,
    plan: Mutex<Plan>,
    asked: Mutex<Vec<Asked>>,
    lists: Mutex<HashMap<String, Vec<u8>>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.endpoint).finish()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Starts a proxy before the server at `endpoint` (`http://HOST:PORT`), without a fault.
    pub fn before(endpoint: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server: endpoint.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(|_| None)),
            asked: Mutex::default(),
            lists: Mutex::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            endpoint: format!("http://{address}"),
            shared,
            _runtime: runtime,
        }
    }

    /// From now on `plan` says what goes wrong with which request.
    pub fn strike(&self, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }

    /// The next requests that `which` picks meet with one of `faults` each, then all is well again.
    pub fn strike_next(
        &self,
        faults: impl IntoIterator<Item = Fault>,
        which: impl Fn(&Asked) -> bool + Send + 'static,
    ) {
        let mut faults = faults.into_iter().collect::<Vec<_>>().into_iter();
        self.strike(move |asked| which(asked).then(|| faults.next()).flatten());
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.strike(|_| None);
    }

    /// The requests since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut number = 0;
    while let Ok((socket, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Either side may go at any time.
            let _ = serve(socket, number, &shared).await;
        });
        number += 1;
    }
}

/// One request.
async fn serve(mut client: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let Some((head, mut body)) = read_head(&mut client).await? else {
        return Ok(());
    };
    let asked = parse(&head, number);
    let length = asked.header("content-length");
    let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let fault = (lock(&shared.plan))(&asked);
    lock(&shared.asked).push(asked.clone());

    let half = length / 2;
    match fault {
        Some(Fault::ResetRequest) => {
            read_until(&mut client, &mut body, half).await?;
            return client.set_zero_linger();
        }
        Some(Fault::StallRequest) => {
            read_until(&mut client, &mut body, half).await?;
            return hold(client).await;
        }
        Some(Fault::Slow(time)) => {
            for part in 1..=PARTS {
                tokio::time::sleep(time / PARTS).await;
                read_until(
                    &mut client,
                    &mut body,
                    length * part as usize / PARTS as usize,
                )
                .await?;
            }
        }
        _ => read_until(&mut client, &mut body, length).await?,
    }
    if let Some(Fault::Answer(status, headers, text)) = fault {
        let length = text.len();
        let body = if asked.method == "HEAD" { "" } else { &text };
        let answer = format!(
            "HTTP/1.1 {status} By the proxy\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        return client.write_all(answer.as_bytes()).await;
    }
    if let (Some(Fault::StaleList), Some(answer)) = (&fault, remembered(shared, &asked)) {
        return client.write_all(&answer).await;
    }

    let answer = relay(&head, &body, shared).await?;
    if asked.is_list() {
        lock(&shared.lists).insert(asked.target, answer.clone());
    }
    let start = end_of_head(&answer).unwrap_or(answer.len());
    let half = start + (answer.len() - start) / 2;
    match fault {
        Some(Fault::LoseAnswer) => client.set_zero_linger(),
        Some(Fault::StallAnswer) => hold(client).await,
        Some(Fault::ResetBody) => {
            client.write_all(&answer[..half]).await?;
            // What is on its way must not be overtaken by the reset.
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.set_zero_linger()
        }
        Some(Fault::TruncateBody) => client.write_all(&answer[..half]).await,
        Some(Fault::ShortenBody) => {
            let head = String::from_utf8_lossy(&answer[..start]);
            let (whole, said) = (answer.len() - start, half - start);
            let head = head.replace(
                &format!("content-length: {whole}\r\n"),
                &format!("content-length: {said}\r\n"),
            );
            client.write_all(head.as_bytes()).await?;
            client.write_all(&answer[start..half]).await
        }
        Some(Fault::StallBody) => {
            client.write_all(&answer[..half]).await?;
            hold(client).await
        }
        _ => client.write_all(&answer).await,
    }
}

fn remembered(shared: &Shared, asked: &Asked) -> Option<Vec<u8>> {
    let lists = lock(&shared.lists);
    asked.is_list().then(|| lists.get(&asked.target).cloned())?
}

/// Neither reads nor writes, and keeps the connection.
async fn hold(client: TcpStream) -> io::Result<()> {
    tokio::time::sleep(Duration::from_hours(1)).await;
    drop(client);
    Ok(())
}

/// The server's answer, whole.
async fn relay(head: &[u8], body: &[u8], shared: &Shared) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(&shared.server).await?;
    let (lines, end) = head.split_at(head.len() - 2);
    server
        .write_all(&[lines, b"connection: close\r\n", end].concat())
        .await?;
    server.write_all(body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A request's head, with its empty line, and what came of its body. `None`: there is none.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = end_of_head(&head) {
            let body = head.split_off(end);
            return Ok(Some((head, body)));
        }
        if client.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_until(client: &mut TcpStream, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let missing = length.saturating_sub(body.len());
    client.take(missing as u64).read_to_end(body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let found = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    found.map(|at| at + 4)
}

fn parse(head: &[u8], number: usize) -> Asked {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut next = || first.next().unwrap_or_default().to_owned();
    let (method, target) = (next(), next());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Asked {
        number,
        method,
        target,
        at: Instant::now(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    }
}
