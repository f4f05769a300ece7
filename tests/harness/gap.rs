//! Two sides and a gap: a source registry, a bundler, a store, a populator, a target registry.
//!
//! The programs are the real ones; `oc-mirror` is the stand-in, or the real one that
//! `MIMEOGRAPH_OC_MIRROR` names.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use crate::registry::Registry;

/// Where the programs lie.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `mimeograph-bundler`.
    pub bundler: PathBuf,
    /// `mimeograph-populator`.
    pub populator: PathBuf,
    /// The stand-in for `oc-mirror`.
    pub standin: PathBuf,
}

impl Programs {
    /// Builds them as a reader would, in the profile of the program that asks.
    pub fn build() -> std::io::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--bins"]);
        for package in ["bundler", "populator", "tests"] {
            command.arg(format!("--package=mimeograph-{package}"));
        }
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        if !command.status()?.success() {
            return Err(std::io::Error::other("failed to build the programs"));
        }
        let built = std::env::current_exe()?.with_file_name("");
        Ok(Self {
            bundler: built.join("mimeograph-bundler"),
            populator: built.join("mimeograph-populator"),
            standin: built.join("oc-mirror-standin"),
        })
    }
}

/// Both sides, in one folder.
#[derive(Debug)]
pub struct Gap {
    folder: PathBuf,
    programs: Programs,
    /// Where images come from.
    pub source: Arc<Registry>,
    /// Where they go to.
    pub target: Registry,
    /// The host that image sets name: the source's.
    pub source_host: String,
    /// The host that the populator loads: the target's.
    pub target_host: String,
    /// Variables that both programs see.
    pub environment: Vec<(String, String)>,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command, as one would type it.
    pub command: String,
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// The JSON of the last line of standard output.
    ///
    /// # Panics
    /// Where there is none.
    pub fn json(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "$ {}\n{}{}exit status: {}",
            self.command, self.stdout, self.stderr, self.status
        )
    }
}

/// The `oc-mirror` that tests use instead of the stand-in.
pub fn real_oc_mirror() -> Option<PathBuf> {
    std::env::var_os("MIMEOGRAPH_OC_MIRROR")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

impl Gap {
    /// A folder that does not exist yet, two empty registries, keys, and both configurations over a
    /// directory store.
    pub fn new(folder: &Path, programs: Programs) -> std::io::Result<Self> {
        let (source, target) = (Arc::new(Registry::start()), Registry::start());
        let gap = Self {
            folder: folder.to_owned(),
            programs,
            source_host: source.host(),
            target_host: target.host(),
            source,
            target,
            environment: Vec::new(),
        };
        for part in ["bin", "home", "store", "connected", "disconnected", "local"] {
            fs::create_dir_all(gap.path(part))?;
        }
        fs::copy(&gap.programs.standin, gap.path("bin/oc-mirror"))?;
        match real_oc_mirror() {
            Some(real) => gap.play(&format!("REAL={}\n", real.display()))?,
            None => gap.play("VERSION=5.2\n")?,
        }
        fs::write(gap.path("bin/oc-mirror.calls"), "")?;
        gap.configure(&format!(
            "store:\n  directory: {}\n",
            gap.path("store").display()
        ))?;
        Ok(gap)
    }

    /// Both sides as they are now once more, in a folder that does not exist yet; the source is the same one.
    pub fn again(&self, folder: &Path) -> std::io::Result<Self> {
        copy_folder(&self.folder, folder)?;
        let held = folder.join("target");
        self.target.copy_to(&held)?;
        let target = Registry::start_at(&held);
        let gap = Self {
            folder: folder.to_owned(),
            programs: self.programs.clone(),
            source: Arc::clone(&self.source),
            source_host: self.source_host.clone(),
            target_host: target.host(),
            target,
            environment: self.environment.clone(),
        };
        let (old, new) = (
            self.path("").display().to_string(),
            gap.path("").display().to_string(),
        );
        for side in ["connected.yaml", "disconnected.yaml"] {
            let text = fs::read_to_string(gap.path(side))?;
            let text = text.replace(&old, &new);
            let text = text.replace(&self.target_host, &gap.target_host);
            fs::write(gap.path(side), text)?;
        }
        Ok(gap)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Tells the stand-in what to play (see its documentation); it then plays also where a real `oc-mirror` is
    /// named, for that one would not listen.
    pub fn play(&self, settings: &str) -> std::io::Result<()> {
        fs::write(self.path("bin/oc-mirror.settings"), settings)
    }

    /// How often `oc-mirror` was started to mirror; questions for its version and help do not count.
    pub fn oc_mirror_calls(&self) -> usize {
        let calls = fs::read_to_string(self.path("bin/oc-mirror.calls")).unwrap_or_default();
        calls
            .lines()
            .filter(|line| line.contains("file://") || line.contains("docker://"))
            .count()
    }

    /// Writes both configurations around a store, `store:` or `s3:` with what belongs to it.
    pub fn configure(&self, store: &str) -> std::io::Result<()> {
        self.configure_with(store, "", "")
    }

    /// The same with more lines for `mirror.ocMirror` (indented by four) and at the end.
    pub fn configure_with(&self, store: &str, oc_mirror: &str, more: &str) -> std::io::Result<()> {
        let at = |name: &str| self.path(name).display().to_string();
        for (side, operation) in [("connected", "bundle"), ("disconnected", "populate")] {
            let text = format!(
                "apiVersion: mimeograph.io/v1alpha1\n\
                 kind: MimeographConfiguration\n\
                 operation: {operation}\n\
                 mirror:\n  \
                   imagesetConfig: {imageset}\n  \
                   targetRegistryURI: {target}/mirror\n  \
                   localDir: {local}\n  \
                   ocMirror:\n    \
                     path: {program}\n    \
                     retries: 0\n    \
                     sourceTLSVerify: false\n    \
                     targetTLSVerify: false\n\
                 {oc_mirror}\
                 {store}\
                 artefacts:\n  \
                   bundleDir: {bundle}\n  \
                   metadataDir: {metadata}\n\
                 signing:\n  \
                   keyFile: {keys}/signing.pem\n\
                 trust:\n  \
                   keys: [{keys}/signing.pub.pem]\n\
                 {more}",
                imageset = at("imageset.yaml"),
                target = self.target_host,
                local = at("local"),
                program = at("bin/oc-mirror"),
                bundle = at(&format!("{side}/bundle")),
                metadata = at(&format!("{side}/metadata")),
                keys = at("keys"),
            );
            fs::write(self.path(&format!("{side}.yaml")), text)?;
        }
        Ok(())
    }

    /// Writes an image set of these additional images, `repository:tag` in the source registry.
    pub fn ask_for(&self, images: &[&str]) -> std::io::Result<()> {
        let mut text = String::from(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n",
        );
        for image in images {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "  - name: {}/{image}", self.source_host);
        }
        fs::write(self.path("imageset.yaml"), text)
    }

    /// Runs `mimeograph-bundler` with the connected side's configuration.
    pub fn bundler(&self, arguments: &[&str]) -> Ran {
        self.run(
            &self.programs.bundler,
            "mimeograph-bundler",
            "connected",
            arguments,
        )
    }

    /// Runs `mimeograph-populator` with the disconnected side's configuration.
    pub fn populator(&self, arguments: &[&str]) -> Ran {
        self.run(
            &self.programs.populator,
            "mimeograph-populator",
            "disconnected",
            arguments,
        )
    }

    /// A command for one of the programs, in a scrubbed environment.
    pub fn command(&self, program: &Path, side: &str, arguments: &[&str]) -> Command {
        let mut command = self.bare(program);
        command
            .arg("--config")
            .arg(self.path(&format!("{side}.yaml")))
            .args(arguments);
        command
    }

    /// The same without any arguments, not even the configuration's.
    pub fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder);
        command
    }

    /// The programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    fn run(&self, program: &Path, name: &str, side: &str, arguments: &[&str]) -> Ran {
        let shown = format!(
            "{name} --config {} {}",
            self.path(&format!("{side}.yaml")).display(),
            arguments.join(" ")
        );
        let output = self.command(program, side, arguments).output();
        match output {
            Ok(Output {
                status,
                stdout,
                stderr,
            }) => Ran {
                command: shown,
                status: status.code().unwrap_or(-1),
                stdout: String::from_utf8_lossy(&stdout).into_owned(),
                stderr: String::from_utf8_lossy(&stderr).into_owned(),
            },
            Err(error) => Ran {
                command: shown,
                status: -1,
                stdout: String::new(),
                stderr: error.to_string(),
            },
        }
    }

    /// The files of the directory store, by name.
    pub fn store_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path("store")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

/// Copies a folder with all in it; `oc-mirror` is no more than linked.
pub fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
        } else if !from.ends_with("bin/oc-mirror") || fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to)?;
            // Retention goes by it.
            let modified = entry.metadata()?.modified()?;
            fs::File::open(&to)?.set_modified(modified)?;
        }
    }
    Ok(())
}
