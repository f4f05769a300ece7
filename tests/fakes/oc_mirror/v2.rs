//! What both directions of v2 share.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::client::{Client, Tls};
use crate::d2m;
use crate::failure::Failure;
use crate::flags::Flags;
use crate::image_set::{Dialect, ImageSet};
use crate::log::{Log, print};
use crate::m2d;
use crate::plan::Planned;
use crate::release::Release;
use crate::replay;
use crate::settings::{Settings, umask};
use crate::stage::Stage;

const COMPASS: &str = "🕵";

/// One run of v2.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) release: Release,
    pub(crate) log: &'a Log,
    pub(crate) flags: &'a Flags,
    pub(crate) set: ImageSet,
    pub(crate) version: String,
    /// Whether `transient` still makes runs fail.
    failing: bool,
}

/// Run v2 with these flags; gives the exit status.
pub(crate) fn run(settings: &Settings, flags: &Flags) -> u8 {
    let release = settings.release();
    let log = Log::new(release);
    if let (Some(folder), Some(to)) = (settings.get("REPLAY"), flags.arguments.first()) {
        let play = if flags.has("dry-run") {
            replay::dry_run
        } else {
            replay::run
        };
        return match play(Path::new(folder), to) {
            Ok(status) => status,
            Err(error) => {
                log.error(&format!(
                    "the recording in {folder} cannot be played: {error}"
                ));
                1
            }
        };
    }
    if release == Release::V4_17 {
        print(true, "\n");
        log.warn("⚠️  --v2 flag identified, flow redirected to the oc-mirror v2 version. This is Tech Preview, it is still under development and it is not production ready.");
    }
    log.info("👋 Hello, welcome to oc-mirror");
    let version = settings
        .get("GIT_VERSION")
        .unwrap_or_else(|| release.git_version())
        .to_owned();
    if release == Release::V5_2 {
        log.info(&format!("⚙️  environment version: {version}"));
    } else {
        log.info("⚙️  setting up the environment for you...");
    }
    if release.is_strict() && umask() != "0022" {
        log.warn(&format!(
            "umask is {}, but should be 0022: files may not be readable by catalogs",
            umask()
        ));
    }
    let set = read_image_set(flags, release);
    let outcome = set.and_then(|set| {
        let failing = settings.fails_for_now()?;
        dispatch(&Run {
            settings,
            release,
            log: &log,
            flags,
            set,
            version,
            failing,
        })
    });
    outcome.map_or_else(|failure| report(&log, release, &failure), |()| 0)
}

fn read_image_set(flags: &Flags, release: Release) -> Result<ImageSet, Failure> {
    let spaced = |failure: Failure| match release {
        Release::V4_17 => Failure::new(failure.status, format!(" {}", failure.text)),
        _ => failure,
    };
    let path = flags
        .get("config")
        .ok_or_else(|| spaced(Failure::new(1, "use the --config flag it is mandatory")));
    ImageSet::read(Path::new(path?), Dialect::V2, release).map_err(spaced)
}

fn dispatch(run: &Run<'_>) -> Result<(), Failure> {
    let destination = match run.flags.arguments.as_slice() {
        [destination] => destination.as_str(),
        _ => return Err(Failure::new(1, "no destination specified")),
    };
    let (from, workspace) = (run.flags.get("from"), run.flags.get("workspace"));
    match (
        destination.split_once("://").map(|(protocol, _)| protocol),
        from,
        workspace,
    ) {
        (Some("file"), None, None) => m2d::run(run, destination),
        (Some("docker"), Some(from), None) => d2m::run(run, from, destination),
        (Some("docker"), None, Some(_)) => {
            Err(Failure::new(1, "the stand-in does not mirror to mirror"))
        }
        _ => Err(Failure::new(
            1,
            "invalid destination or combination of --from and --workspace",
        )),
    }
}

fn report(log: &Log, release: Release, failure: &Failure) -> u8 {
    match (failure.text.as_str(), release.is_strict()) {
        ("", _) => {}
        (text, true) => log.error(&format!("[Executor] {text} ")),
        (text, false) => log.error(&format!("{text} ")),
    }
    failure.status
}

impl Run<'_> {
    /// The first line of the workflow.
    pub(crate) fn begin(&self, mode: &str) {
        self.log.info(&format!("🔀 workflow mode: {mode} "));
    }

    pub(crate) fn discover(&self) {
        let joint = if self.release.is_strict() {
            "  "
        } else {
            "\u{fe0f}  "
        };
        self.log.info(&format!(
            "{COMPASS}{joint}going to discover the necessary images..."
        ));
        if self.release < Release::V5_2 {
            self.log.info("🔍 collecting release images...");
            self.log.info("🔍 collecting operator images...");
        }
        if self.release < Release::V5_2 || !self.set.images.is_empty() {
            self.log.info("🔍 collecting additional images...");
        }
        if self.release == Release::V4_20 {
            self.log.info("🔍 collecting helm images...");
        }
    }

    /// How many images there are; none at all is an error in newer releases.
    pub(crate) fn announce(&self, planned: &[Planned]) -> Result<(), Failure> {
        if planned.is_empty() && self.release.is_strict() {
            self.log.info("❗ No images to mirror...");
            self.log.closing_lines();
            return Err(Failure::new(1, "no images to copy"));
        }
        self.log.info("🚀 Start copying the images...");
        let pin = if self.release.is_strict() {
            "📌 "
        } else {
            ""
        };
        self.log
            .info(&format!("{pin}images to copy {} ", planned.len()));
        Ok(())
    }

    /// Whether failed images end the run with a bitmask.
    pub(crate) fn fails_hard(&self) -> bool {
        let asked = self.settings.does("bitmask") || self.failing;
        asked || self.release.is_strict() && !self.settings.does("partial-exit-0")
    }

    /// Whether one image is to fail.
    pub(crate) fn struck_images(&self) -> bool {
        self.failing || self.settings.does("partial-exit-0") || self.settings.does("bitmask")
    }

    /// What a registry answers that may do better next time, and one that will not.
    pub(crate) fn why_struck(&self) -> &'static str {
        if self.failing {
            "received unexpected HTTP status: 503 Service Unavailable"
        } else {
            "manifest unknown"
        }
    }

    pub(crate) fn client(&self, tls: Tls, side: &str) -> Client {
        let own = self.flags.get(&format!("{side}-authfile"));
        let authfile = own
            .or_else(|| self.flags.get("authfile"))
            .map(PathBuf::from);
        let credentials = self.flags.get(&format!("{side}-creds")).map(str::to_owned);
        Client::new(tls, authfile, credentials, self.settings.get("RESOLVE"))
    }

    /// Compare with the version that travelled.
    pub(crate) fn compare_version(&self, stage: &Stage) {
        let found = fs::read_to_string(stage.working.join("internal/oc-mirror-version.json"))
            .unwrap_or_default();
        if found != self.version_document() {
            self.log.warn("the oc-mirror version of the mirror to disk workflow is absent or differs from this one");
        }
    }

    /// Leave the version beside the archive.
    pub(crate) fn write_version(&self, stage: &Stage) -> Result<(), Failure> {
        let dir = stage.working.join("internal");
        fs::create_dir_all(&dir)?;
        Ok(fs::write(
            dir.join("oc-mirror-version.json"),
            self.version_document(),
        )?)
    }

    fn version_document(&self) -> String {
        let version = json!(self.version);
        format!("{{\n  \"gitVersion\": {version},\n  \"gitCommit\": \"\"\n}}")
    }
}

/// Write the mapping of a dry run, and say where it is.
pub(crate) fn mapping(run: &Run<'_>, stage: &Stage, lines: String) -> Result<(), Failure> {
    let dir = stage.working.join("dry-run");
    fs::create_dir_all(&dir)?;
    let path = dir.join("mapping.txt");
    fs::write(&path, lines)?;
    run.log.info(&format!(
        "📄 list of all images for mirroring in : {}",
        path.display()
    ));
    Ok(())
}
