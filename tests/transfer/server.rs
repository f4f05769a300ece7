//! Servers in processes of their own, so that what they take is told apart from what their clients do.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin, stdout};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mimeograph_tests::s3::S3Server;
use mimeograph_tests::servers::{Weed, cpu_of};
use serde::{Deserialize, Serialize};

/// Where a server is, and how it is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub endpoint: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

/// A server that is measured.
pub(crate) enum Server {
    /// `s3s-fs`, in a process of this program.
    S3sFs {
        child: Own,
        place: Place,
        objects: PathBuf,
    },
    /// SeaweedFS.
    Weed { weed: Weed, place: Place },
}

/// This program as a server.
pub(crate) struct Own {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Own {
    fn start(arguments: &[&str], folder: &Path) -> Result<(Self, String)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let mut own = Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(stdout),
            child,
        };
        let line = own.line()?;
        Ok((own, line))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

impl Server {
    pub(crate) fn s3s_fs(folder: &Path) -> Result<Self> {
        let (child, line) = Own::start(&["serve"], folder)?;
        let (place, objects) = serde_json::from_str(&line).context("an s3s-fs server")?;
        Ok(Self::S3sFs {
            child,
            place,
            objects,
        })
    }

    pub(crate) fn weed() -> Self {
        let weed = Weed::with_volumes(200, 1024);
        let [(_, access_key), (_, secret_key), _] = Weed::environment();
        let place = Place {
            endpoint: weed.endpoint.clone(),
            bucket: Weed::BUCKET.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        };
        Self::Weed { weed, place }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::S3sFs { .. } => "s3s-fs",
            Self::Weed { .. } => "SeaweedFS",
        }
    }

    pub(crate) fn place(&self) -> &Place {
        match self {
            Self::S3sFs { place, .. } | Self::Weed { place, .. } => place,
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        match self {
            Self::S3sFs { child, .. } => cpu_of(child.child.id()).unwrap_or_default(),
            Self::Weed { weed, .. } => weed.cpu(),
        }
    }

    /// How many requests it has seen, where it counts them.
    pub(crate) fn requests(&mut self) -> Result<Option<u64>> {
        let Self::S3sFs { child, .. } = self else {
            return Ok(None);
        };
        let stdin = child.stdin.as_mut().context("its input")?;
        stdin.write_all(b"\n")?;
        Ok(Some(child.line()?.parse()?))
    }

    /// Removes everything below a prefix.
    pub(crate) fn forget(&self, prefix: &str) -> Result<()> {
        match self {
            Self::S3sFs { objects, .. } => {
                let folder = objects.join(prefix);
                if folder.exists() {
                    std::fs::remove_dir_all(folder)?;
                }
                Ok(())
            }
            Self::Weed { place, .. } => {
                let mut remove = place.s5cmd();
                remove.args(["rm", &format!("s3://{}/{prefix}/*", place.bucket)]);
                crate::measure::measure(remove).map(drop)
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn tell(text: &str) -> Result<()> {
    println!("{text}");
    Ok(stdout().flush()?)
}

pub(crate) fn serve() -> Result<()> {
    let server = S3Server::start_plain();
    let place = Place {
        endpoint: server.endpoint.clone(),
        bucket: server.bucket.clone(),
        access_key: server.access_key.clone(),
        secret_key: server.secret_key.clone(),
    };
    tell(&serde_json::to_string(&(place, server.objects()))?)?;
    for _ in stdin().lines() {
        tell(&server.seen().len().to_string())?;
    }
    Ok(())
}

/// A proxy in a process of its own, that is slow to answer.
pub(crate) struct Far {
    _own: Own,
    pub place: Place,
}

impl Far {
    pub(crate) fn from(place: &Place, milliseconds: u64, folder: &Path) -> Result<Self> {
        let port = place.endpoint.rsplit(':').next().context("a port")?;
        let (own, line) = Own::start(&["delay", port, &milliseconds.to_string()], folder)?;
        let endpoint = format!("http://127.0.0.1:{line}");
        Ok(Self {
            _own: own,
            place: Place {
                endpoint,
                ..place.clone()
            },
        })
    }
}

/// Bytes on their way.
#[derive(Default)]
struct Wire {
    /// Each piece with the moment at which it arrives; an empty one is the end.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// The other end is gone.
    is_cut: bool,
}

/// What is on its way at once, in bytes: no link holds more.
const WINDOW: usize = 4 << 20;
/// One piece in so many is lost, and comes again after as long as two ways take.
const LOST: u64 = 100;

pub(crate) fn delay(port: u16, milliseconds: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(&listener.local_addr()?.port().to_string())?;
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            let one_way = Duration::from_millis(milliseconds);
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                    return;
                };
                let _ = to.set_nodelay(true);
                std::thread::spawn(move || carry(from, to, one_way));
            }
        }
    });
    // Until the input ends.
    std::io::copy(&mut stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Carries all that comes, in order. What is lost holds up what follows, as in TCP.
fn carry(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let (wire, changed) = (Mutex::new(Wire::default()), Condvar::new());
    let lock = || wire.lock().unwrap_or_else(PoisonError::into_inner);
    let until = |wire, waits: fn(&mut Wire) -> bool| {
        let waited = changed.wait_while(wire, waits);
        waited.unwrap_or_else(PoisonError::into_inner)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut piece = vec![0; 16 << 10];
            let (mut count, mut arrives) = (0, Instant::now());
            loop {
                let read = from.read(&mut piece).unwrap_or(0);
                count += 1;
                let ways = if count % LOST == 0 { 3 } else { 1 };
                arrives = arrives.max(Instant::now() + one_way * ways);
                let mut wire = until(lock(), |wire| wire.bytes > WINDOW && !wire.is_cut);
                wire.bytes += read;
                wire.pieces.push_back((arrives, piece[..read].to_vec()));
                changed.notify_all();
                if read == 0 || wire.is_cut {
                    return;
                }
            }
        });
        loop {
            let mut wire = until(lock(), |wire| wire.pieces.is_empty());
            let Some((arrives, piece)) = wire.pieces.pop_front() else {
                continue;
            };
            wire.bytes -= piece.len();
            changed.notify_all();
            drop(wire);
            std::thread::sleep(arrives.saturating_duration_since(Instant::now()));
            if piece.is_empty() {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            if to.write_all(&piece).is_err() {
                lock().is_cut = true;
                changed.notify_all();
                return;
            }
        }
    });
}
