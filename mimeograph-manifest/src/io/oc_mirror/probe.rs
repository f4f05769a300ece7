//! What the installed `oc-mirror` can do, found by asking it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::{Digest, Hasher};
use crate::failure::{ErrorId, Fault};
use crate::io::disk::{self, Action, DiskError, id_of};
use crate::io::failpoint;
use crate::io::interrupt::Interrupt;
use crate::io::process::{self, Limits, Pipe, ProcessError, Spec, Status};
use crate::manifest::minor;

use super::Generation;
use super::flags::Flags;

/// Lines of a help text that are looked at.
const HELP_LINES: usize = 2_000;
/// Time for one question. The answer may need an embedded program to be unpacked first.
const PATIENCE: Duration = Duration::from_mins(1);
/// A flag that v2 shows from 4.16 on, the first that can be used, and v1 never.
const MARK_OF_V2: &str = "--workspace";
/// A flag that every v1 shows and v2 never.
const MARK_OF_V1: &str = "--source-use-http";

/// An `oc-mirror` and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcMirror {
    /// Where it lies.
    pub path: PathBuf,
    /// The digest of the program's file.
    pub sha256: Digest,
    /// What it calls itself, `v4.17.0-…` or `v0.0.0-unknown`.
    pub version: String,
    /// Major and minor number; `None` when it does not know itself.
    pub minor: Option<(u32, u32)>,
    v1: V1,
    v2: Option<Flags>,
}

/// A folder for programs that embed another one: they unpack it there, and leave it when they are stopped.
struct Scratch {
    folder: tempfile::TempDir,
    /// Tells others that the folder is in use.
    _lock: File,
}

impl Scratch {
    const PREFIX: &str = ".probe-";

    /// Makes one, and removes those of runs that were killed.
    fn in_folder(folder: &Path) -> io::Result<Self> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let is_one = entry
                .file_name()
                .to_string_lossy()
                .starts_with(Self::PREFIX);
            let is_left = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if is_one && entry.file_type()?.is_dir() && is_left() {
                disk::remove(&entry.path())?;
            }
        }
        failpoint::reach("make", folder)?;
        let folder = tempfile::Builder::new()
            .prefix(Self::PREFIX)
            .tempdir_in(folder)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }
}

impl OcMirror {
    /// Looks for `name` (on our `PATH`, unless it is a path) and asks it. `scratch` is an absolute directory that
    /// may be written to and executed from.
    pub fn probe(name: &Path, scratch: &Path, interrupt: &Interrupt) -> Result<Self, ProbeError> {
        let path = find(name, std::env::var_os("PATH").as_deref())?;
        let sha256 = digest(&path)?;
        let scratch = Scratch::in_folder(scratch)
            .map_err(|source| DiskError::new(Action::Create, scratch, source))?;
        let ask = |args: &[&str]| ask(&path, args, scratch.folder.path(), interrupt);
        let version = version(&path, &ask(&["version", "--output", "json"])?)?;
        let (plain, v1, v2) = (
            ask(&["--help"])?.flags(),
            ask(&["--v1", "--help"])?.flags(),
            ask(&["--v2", "--help"])?.flags(),
        );
        let offered = Self {
            minor: minor(&version),
            v1: V1::of_help(plain.as_ref(), v1.as_ref()),
            v2: v2.filter(|flags| flags.has(MARK_OF_V2)),
            path,
            sha256,
            version,
        };
        if offered.v1 == V1::Absent && offered.v2.is_none() {
            return Err(ProbeError::Strange { path: offered.path });
        }
        Ok(offered)
    }

    /// Whether it can be run as `generation`.
    pub fn offers(&self, generation: Generation) -> bool {
        match generation {
            Generation::V1 => self.v1 != V1::Absent,
            Generation::V2 => self.v2.is_some(),
        }
    }

    /// The flag that selects `generation`, where one may be given.
    pub fn selector(&self, generation: Generation) -> Option<&'static str> {
        match generation {
            Generation::V1 => (self.v1 == V1::Flag).then_some("--v1"),
            Generation::V2 => Some("--v2"),
        }
    }

    /// Whether v2 shows `flag` in its help.
    pub fn has(&self, flag: &str) -> bool {
        self.v2.as_ref().is_some_and(|flags| flags.has(flag))
    }

    /// The name of v2's flag for the log level: renamed in 4.18.
    pub fn log_level_flag(&self) -> &'static str {
        if self.has("--log-level") {
            "--log-level"
        } else {
            "--loglevel"
        }
    }

    /// v2's flags for a further attempt, from 0: half as much at once with each, and twice the time for an image.
    /// Its defaults are 4 images, 5 layers, 80 downloads and 10 minutes an image.
    pub fn gentler(&self, attempt: u32) -> Vec<std::ffi::OsString> {
        let mut flags = Vec::new();
        if attempt == 0 {
            return flags;
        }
        for (flag, usual) in [
            ("--parallel-images", 4_u32),
            ("--parallel-layers", 5),
            ("--max-parallel-downloads", 80),
        ] {
            if self.has(flag) {
                flags.push(format!("{flag}={}", (usual >> attempt.min(31)).max(1)).into());
            }
        }
        if self.has("--image-timeout") {
            flags.push(format!("--image-timeout={}m", 10_u32 << attempt.min(6)).into());
        }
        flags
    }

    /// Refuses a generation that it does not offer.
    pub fn require(&self, generation: Generation) -> Result<(), ProbeError> {
        self.offers(generation)
            .then_some(())
            .ok_or_else(|| ProbeError::NotOffered {
                path: self.path.clone(),
                version: self.version.clone(),
                generation,
            })
    }
}

/// How v1 is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum V1 {
    /// Not at all.
    Absent,
    /// Without a flag: up to 4.15, which does not know `--v1`.
    Plain,
    /// With `--v1`: it may be given from 4.16 on, and must be from 4.21 on.
    Flag,
}

impl V1 {
    fn of_help(plain: Option<&Flags>, with_flag: Option<&Flags>) -> Self {
        let is_v1 = |flags: &Flags| flags.has(MARK_OF_V1);
        if with_flag.is_some_and(is_v1) {
            Self::Flag
        } else if plain.is_some_and(is_v1) {
            Self::Plain
        } else {
            Self::Absent
        }
    }
}

fn find(name: &Path, search: Option<&OsStr>) -> Result<PathBuf, ProbeError> {
    let missing = || ProbeError::Missing { name: name.into() };
    let candidates: Vec<PathBuf> = if name.components().count() > 1 || name.is_absolute() {
        vec![std::path::absolute(name).map_err(|_| missing())?]
    } else {
        std::env::split_paths(search.unwrap_or_default())
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .collect()
    };
    let mut found = candidates.into_iter().filter(|path| path.is_file());
    let first = found.next().ok_or_else(missing)?;
    std::iter::once(first.clone())
        .chain(found)
        .find(|path| is_executable(path))
        .ok_or(ProbeError::NotExecutable { path: first })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

fn digest(path: &Path) -> Result<Digest, ProbeError> {
    let mut hasher = Hasher::default();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut hasher))
        .map_err(|source| ProbeError::Unreadable {
            path: path.into(),
            source,
        })?;
    Ok(hasher.finish())
}

struct Answer {
    status: Status,
    stdout: String,
    stderr: String,
}

impl Answer {
    /// The flags of a help text that was given willingly. 4.17 writes nothing else there, later ones may mix
    /// log lines in, on either pipe.
    fn flags(&self) -> Option<Flags> {
        (self.status == Status::Exited(0))
            .then(|| Flags::of_help(&format!("{}\n{}", self.stdout, self.stderr)))
    }
}

fn ask(
    path: &Path,
    args: &[&str],
    scratch: &Path,
    interrupt: &Interrupt,
) -> Result<Answer, ProbeError> {
    let spec = Spec {
        program: path.into(),
        args: args.iter().map(OsString::from).collect(),
        env: surroundings(scratch),
        dir: scratch.into(),
    };
    let limits = Limits {
        timeout: PATIENCE,
        grace: Duration::from_secs(2),
        interrupt: interrupt.clone(),
    };
    let (mut stdout, mut stderr, mut lines) = (String::new(), String::new(), 0);
    let ended = process::run(
        &spec,
        &mut |line| {
            lines += 1;
            let text = match line.pipe {
                Pipe::Stdout => &mut stdout,
                Pipe::Stderr => &mut stderr,
            };
            if lines <= HELP_LINES {
                text.push_str(&line.text);
                text.push('\n');
            }
        },
        &limits,
    )?;
    if ended.interrupted {
        return Err(ProbeError::Interrupted);
    }
    Ok(Answer {
        status: ended.status,
        stdout,
        stderr,
    })
}

fn surroundings(scratch: &Path) -> BTreeMap<OsString, OsString> {
    let mut env = BTreeMap::from([(
        "PATH".into(),
        OsString::from(super::environment::PLAIN_PATH),
    )]);
    for name in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"] {
        env.insert(name.into(), scratch.into());
    }
    env
}

fn version(path: &Path, answer: &Answer) -> Result<String, ProbeError> {
    let strange = || ProbeError::Strange { path: path.into() };
    let json: serde_json::Value = answer
        .stdout
        .find('{')
        .and_then(|begin| serde_json::from_str(&answer.stdout[begin..]).ok())
        .ok_or_else(strange)?;
    json.pointer("/clientVersion/gitVersion")
        .and_then(serde_json::Value::as_str)
        .filter(|version| !version.is_empty() && version.len() <= 256)
        .filter(|version| version.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or_else(strange)
}

/// What goes wrong before the first run.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It is not there.
    #[error("there is no `{}`", name.display())]
    Missing {
        /// What was looked for.
        name: PathBuf,
    },
    /// Its file cannot be executed.
    #[error("`{}` is not executable", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// Its file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not answer as `oc-mirror` does.
    #[error("`{}` does not answer as `oc-mirror` does", path.display())]
    Strange {
        /// The program.
        path: PathBuf,
    },
    /// It does not have the generation that the image set needs.
    #[error("`{}` ({version}) does not offer {generation}", path.display())]
    NotOffered {
        /// The program.
        path: PathBuf,
        /// What it calls itself.
        version: String,
        /// What is needed.
        generation: Generation,
    },
    /// We were told to stop.
    #[error("interrupted while asking `oc-mirror` for its version")]
    Interrupted,
    /// There is no folder to run it in.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Fault for ProbeError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Missing { .. } | Self::NotExecutable { .. } | Self::Strange { .. } => {
                ErrorId::OcMirrorMissing
            }
            Self::Unreadable { source, .. } => id_of(Action::Read, source),
            Self::NotOffered { .. } => ErrorId::VersionMismatch,
            Self::Interrupted => ErrorId::Interrupted,
            Self::Disk(error) => error.id(),
            Self::Process(error) => error.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some(
                "install it (https://mirror.openshift.com/pub/openshift-v4/clients/ocp/), or name it in \
                 `mirror.ocMirror.path` or `MIMEOGRAPH_OC_MIRROR`"
                    .into(),
            ),
            Self::NotExecutable { path } => Some(format!("chmod a+x {}", path.display())),
            Self::Strange { path } => Some(format!(
                "run `{} version --output json` and `{} --v2 --help` by hand: both must end with status 0",
                path.display(),
                path.display()
            )),
            Self::NotOffered { generation: Generation::V2, .. } => {
                Some("install oc-mirror 4.16 or later, or use an image set of v1alpha2".into())
            }
            Self::NotOffered { generation: Generation::V1, .. } => {
                Some("install an oc-mirror that still has v1, or use an image set of v2alpha1".into())
            }
            Self::Disk(error) => error.hint(),
            Self::Process(error) => error.hint(),
            Self::Unreadable { .. } | Self::Interrupted => None,
        }
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
