//! Getting ready: port, cache, folders, log files, and what a bad environment does.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cache::Cache;
use crate::failure::Failure;
use crate::flags::Flags;
use crate::log::{Log, print};
use crate::release::Release;

/// Words that newer releases refuse anywhere in a destination or source folder.
const FORBIDDEN: [&str; 11] = [
    "cluster-resources",
    "dry-run",
    "graph-preparation",
    "helm",
    "hold-operator",
    "hold-release",
    "delete",
    "logs",
    "operator-catalogs",
    "release-images",
    "signatures",
];

/// What a run stands on.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) port: u16,
    pub(crate) cache: Cache,
    pub(crate) working: PathBuf,
    /// Local time as in file names; the stand-in's local time is UTC.
    pub(crate) stamp: String,
    /// Why every copy fails, if the environment is such.
    pub(crate) copies_fail: Option<String>,
    /// Held as long as the run lasts.
    _bound: Option<TcpListener>,
}

/// `file://DIR`, checked as the release does.
pub(crate) fn folder(url: &str, what: &str, release: Release) -> Result<PathBuf, Failure> {
    let Some(path) = url.strip_prefix("file://").filter(|path| !path.is_empty()) else {
        return Err(Failure::new(
            1,
            format!("{what} must have a file:// protocol prefix"),
        ));
    };
    let word = FORBIDDEN
        .iter()
        .find(|word| release.is_strict() && path.contains(**word));
    match word {
        Some(word) => Err(Failure::new(
            1,
            format!("{what} should not contain the keyword {word}: {path}"),
        )),
        None => Ok(std::path::absolute(path)?),
    }
}

impl Stage {
    /// Everything up to the first line about the workflow. `base` is OUT or the `--from` folder.
    /// `clear` removes what the release removes at this point.
    pub(crate) fn prepare(
        base: &Path,
        flags: &Flags,
        release: Release,
        log: &Log,
        clear: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<Self, Failure> {
        let port = flags.get("port").map_or(Ok(55000), str::parse);
        let port: u16 = port.map_err(|_| Failure::new(1, "invalid port"))?;
        drop(bind(&format!("127.0.0.1:{port}"), port)?);
        let cache = Cache::open(&cache_dir(flags, release)?)?;
        fs::create_dir_all(base)?;
        clear()?;
        let working = base.join("working-dir");
        let stamp = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
        Self::folders(&working, port, &stamp, release, log)?;
        let (address, copies_fail) = match Variables::read(port) {
            Variables::Fine(address) => (address, home_is_missing(release)),
            Variables::OtherPort(address) => (address, Some(no_cache(port))),
            Variables::Bad(why) => return Err(panic(&why)),
        };
        let bound = if address.is_empty() {
            format!("0.0.0.0:{port}")
        } else {
            address
        };
        let bound =
            bind(&bound, port).map_err(|_| panic("listen tcp: bind: address already in use"))?;
        Ok(Self {
            port,
            cache,
            working,
            stamp,
            copies_fail,
            _bound: Some(bound),
        })
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.working.join("logs")
    }

    fn folders(
        working: &Path,
        port: u16,
        stamp: &str,
        release: Release,
        log: &Log,
    ) -> Result<(), Failure> {
        let logs = working.join("logs");
        if release < Release::V5_2 && logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        fs::create_dir_all(&logs)?;
        if !release.is_strict() {
            registry_log(&logs.join("registry.log"), port)?;
            return Ok(());
        }
        registry_log(&logs.join(format!("registry-{stamp}.log")), port)?;
        log.set_up(Some(&logs.join(format!("oc-mirror-{stamp}.log"))))?;
        Ok(())
    }
}

/// Sigstore settings for one registry, and the default beside them.
pub(crate) fn registries_d(working: &Path, host: &str) -> Result<(), Failure> {
    let dir = working.join("containers/registries.d");
    fs::create_dir_all(&dir)?;
    fs::write(
        dir.join("default.yaml"),
        "default-docker:\n  use-sigstore-attachments: true\n",
    )?;
    let text = format!("docker:\n  {host}:\n    use-sigstore-attachments: true\n");
    Ok(fs::write(dir.join(format!("{host}.yaml")), text)?)
}

fn registry_log(path: &Path, port: u16) -> Result<(), Failure> {
    let now = Timestamp::now();
    let line =
        |message: &str| format!("time=\"{now}\" level=info msg=\"{message}\" service=registry\n");
    Ok(fs::write(
        path,
        line("redis not configured") + &line(&format!("listening on [::]:{port}")),
    )?)
}

fn bind(address: &str, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|_| Failure::new(1, format!("{port} is already bound and cannot be used")))
}

fn cache_dir(flags: &Flags, release: Release) -> Result<PathBuf, Failure> {
    let variable = env::var_os("OC_MIRROR_CACHE").map(PathBuf::from);
    match (flags.get("cache-dir"), variable) {
        (Some(_), Some(_)) if release.is_strict() => Err(Failure::new(
            1,
            "either OC_MIRROR_CACHE or --cache-dir can be used but not both",
        )),
        (Some(dir), _) => Ok(PathBuf::from(dir)),
        (None, Some(dir)) => Ok(dir),
        (None, None) => env::var_os("HOME")
            .map(PathBuf::from)
            .ok_or_else(|| Failure::new(1, "$HOME is not defined")),
    }
}

fn no_cache(port: u16) -> String {
    let dialled = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    format!("pinging container registry localhost:{port}: {dialled}")
}

fn home_is_missing(release: Release) -> Option<String> {
    let missing = release == Release::V5_2 && env::var_os("HOME").is_none();
    missing.then(|| "unable to resolve HOME directory".to_owned())
}

/// What `REGISTRY_*` variables do to the cache registry.
#[derive(Debug)]
enum Variables {
    /// The address it listens on, empty for the default.
    Fine(String),
    OtherPort(String),
    Bad(String),
}

impl Variables {
    fn read(port: u16) -> Self {
        let bad = env::vars().map(|(name, _)| name).find(|name| {
            let reconfigures = ["REGISTRY_STORAGE", "REGISTRY_AUTH", "REGISTRY_HTTP_"];
            name != "REGISTRY_HTTP_ADDR" && reconfigures.iter().any(|start| name.starts_with(start))
        });
        if let Some(name) = bad {
            return Self::Bad(format!("error parsing environment variable {name}"));
        }
        let Ok(address) = env::var("REGISTRY_HTTP_ADDR") else {
            return Self::Fine(String::new());
        };
        match address.parse::<SocketAddr>() {
            Ok(found) if found.port() == port => Self::Fine(address),
            Ok(_) => Self::OtherPort(address),
            Err(_) => Self::Bad(format!(
                "listen tcp: address {address}: missing port in address"
            )),
        }
    }
}

/// A Go panic: its trace on stderr, and status 2.
pub(crate) fn panic(why: &str) -> Failure {
    print(
        false,
        &format!(
            "panic: {why}\n\ngoroutine 1 [running]:\nmain.main()\n\t/go/src/main.go:12 +0x1d\n"
        ),
    );
    Failure::new(2, "")
}
