//! Configuration -> `oc-mirror`, mirror to disk -> archives that hold what they should.
//!
//! A transaction: before each attempt `oc-mirror`'s history is made to be exactly that of the bundle
//! that the next one builds on; a run that fails in any way leaves it so. Only archives that were
//! read to their end come out of here. Blobs are held against their names here where another process publishes; else `ship`
//! hashes those of 1 MiB and more.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimeograph_manifest::archive::{Contents, Unread};
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::{ImageSet, TagStyle};
use mimeograph_manifest::io::config::{Config, RemoveSignatures};
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::oc_mirror::attempts::{self, Attempt};
use mimeograph_manifest::io::oc_mirror::auth::Credentials;
use mimeograph_manifest::io::oc_mirror::environment::Surroundings;
use mimeograph_manifest::io::oc_mirror::error_files::{self, Ours};
use mimeograph_manifest::io::oc_mirror::history::History;
use mimeograph_manifest::io::oc_mirror::outcome::{Failed, Outcome, Partial, judge};
use mimeograph_manifest::io::oc_mirror::outcome_error::OutcomeError;
use mimeograph_manifest::io::oc_mirror::port::{Port, Tagged, Within};
use mimeograph_manifest::io::oc_mirror::private::{ForRun, PrivateDir};
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::oc_mirror::summary::LogSummary;
use mimeograph_manifest::io::oc_mirror::{history, residue};
use mimeograph_manifest::io::process::{self, Limits, Spec};
use mimeograph_manifest::manifest::{Generation, Incomplete, Missing};
use mimeograph_manifest::release::ReleaseKeys;

use crate::blame;
use crate::oc_mirror::MirrorToDisk;
use crate::outbox::{self, Blobs};
use crate::v1::Metadata;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(20);
/// With less than this free, in bytes, no image can be copied.
const TOO_LITTLE: u64 = 16 << 20;

/// The folders of the connected side, in `bundleDir`. Their names are digits: `oc-mirror` refuses
/// many words in the paths that it is given (contract §1.1).
#[derive(Clone, Debug)]
pub struct Places {
    /// Where `oc-mirror` is started.
    pub bundle_dir: PathBuf,
    /// Its output.
    pub output: PathBuf,
    /// v2's cache.
    pub cache: PathBuf,
    /// What one run needs for itself.
    pub private: PathBuf,
    /// Logs of earlier runs, out of the archives' way.
    pub logs: PathBuf,
}

impl Places {
    /// As the configuration has them; they are created.
    pub fn of(config: &Config) -> Result<Self, Failure> {
        let bundle_dir = config.artefacts.bundle_dir.to_path_buf();
        let cache = match &config.artefacts.cache_dir {
            Some(cache) => cache.to_path_buf(),
            None => bundle_dir.join("2"),
        };
        Self::new(bundle_dir, cache)
    }

    /// Those of a dry run, all in one folder.
    pub fn at(folder: &Path) -> Result<Self, Failure> {
        Self::new(folder.to_owned(), folder.join("2"))
    }

    fn new(bundle_dir: PathBuf, cache: PathBuf) -> Result<Self, Failure> {
        let places = Self {
            output: bundle_dir.join("1"),
            private: bundle_dir.join("3"),
            logs: bundle_dir.join("5"),
            cache,
            bundle_dir,
        };
        for folder in [&places.output, &places.cache] {
            disk::create_folder(folder, 0o755)?;
        }
        Ok(places)
    }
}

/// What a run starts from.
#[derive(Debug)]
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The folders.
    pub places: &'a Places,
    /// The program.
    pub oc_mirror: &'a OcMirror,
    /// The image set's exact bytes.
    pub bytes: &'a [u8],
    /// What they say.
    pub imageset: &'a ImageSet,
    /// What was shipped before; none: the archive is to hold everything.
    pub base: Base,
    /// The keys that releases must be signed with.
    pub release_keys: &'a ReleaseKeys,
    /// Whether an attempt failed for want of a cosign signature, and the next ones go without any.
    pub without_signatures: Cell<bool>,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
    /// Whether a partial run may go on.
    pub partial: PartialRuns,
    /// Which blobs of its archives are hashed here.
    pub blobs: Blobs,
}

/// What becomes of a run in which single images failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialRuns {
    /// It is refused and rolled back.
    Refuse,
    /// It goes on, and the manifest says what is missing.
    Allow,
}

/// `oc-mirror`'s record of what was shipped, as kept for the bundle that the next one builds on.
#[derive(Clone, Debug)]
pub enum Base {
    /// Nothing: the archive holds everything.
    Nothing,
    /// v2's history file.
    History(History),
    /// v1's metadata.
    Metadata(Metadata),
}

/// Archives that may be shipped.
#[derive(Debug, Default)]
pub struct MirroredRun {
    /// Where they lie.
    pub archives: Vec<PathBuf>,
    /// What they hold.
    pub contents: Contents,
    /// The blobs that are yet to be hashed.
    pub unread: Vec<Unread>,
    /// What they lack.
    pub incomplete: Vec<Incomplete>,
    /// The images that were copied, where the image set names charts.
    pub copied: Vec<String>,
    /// What was left out by its own word: the run is good for nothing but to be judged.
    pub left_out: Option<OutcomeError>,
    /// `oc-mirror`'s exit status.
    pub status: i32,
}

/// What `oc-mirror` is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Mirror,
    DryRun,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror to disk",
            Self::DryRun => "what it would mirror (dry run)",
        }
    }
}

/// Why there are no archives.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// It ended well, and nothing is there.
    #[error("`oc-mirror` ended well but wrote no archive")]
    NoArchive,
    /// It failed, and its cache's disk is full.
    #[error("only {free} bytes are free in `{}`", folder.display())]
    NoRoom {
        /// The cache.
        folder: PathBuf,
        /// What is free.
        free: u64,
        /// What it said.
        source: OutcomeError,
    },
    /// Partial, and no archive to go on with.
    #[error("`oc-mirror` wrote no archive because these failed: {0}")]
    PartialWithoutArchive(String),
}

impl Fault for MirrorError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoArchive => ErrorId::OcMirrorFailed,
            Self::NoRoom { .. } => ErrorId::NoSpace,
            Self::PartialWithoutArchive(_) => ErrorId::Partial,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NoArchive => "look at the log above; nothing was published and nothing recorded as shipped",
                Self::NoRoom { .. } => "free space where `artefacts.bundleDir` and `artefacts.cacheDir` lie",
                Self::PartialWithoutArchive(_) => {
                    "correct these references, or take them out of the image set; this `oc-mirror` writes no archive while \
                     an image fails, so `--allow-partial` cannot help"
                }
            }
            .into(),
        )
    }
}

impl Start<'_> {
    /// Runs `oc-mirror`, again where that may help. `None`: v1 found nothing new.
    pub fn mirror(&self) -> Result<Option<MirroredRun>, Failure> {
        attempts::run(
            &self.config.mirror.oc_mirror,
            self.interrupt,
            |attempt, timeout| {
                // Whatever goes wrong, what it recorded as shipped was not.
                self.attempt(attempt, timeout).or_else(|failed| {
                    self.set_back()?;
                    Err(failed)
                })
            },
        )
    }

    /// Makes the output hold exactly what the next archive builds on.
    pub fn set_back(&self) -> Result<(), Failure> {
        match (&self.base, self.imageset.generation) {
            (Base::History(history), Generation::V2) => {
                history::hold_exactly(&self.places.output, Some(history))?;
            }
            (_, Generation::V2) => history::hold_exactly(&self.places.output, None)?,
            (base, Generation::V1) => {
                let metadata = if let Base::Metadata(metadata) = base {
                    Some(metadata)
                } else {
                    None
                };
                Metadata::hold_exactly(&self.config.artefacts.metadata_dir, metadata)?;
            }
        }
        Ok(())
    }

    /// Has it say what it would do, in folders that hold nothing else, and returns what it says that is wrong.
    pub fn rehearse(&self) -> Result<Option<OutcomeError>, Failure> {
        attempts::run(
            &self.config.mirror.oc_mirror,
            self.interrupt,
            |attempt, timeout| {
                let (ended, summary) = self.run(attempt, timeout, Purpose::DryRun)?;
                let (generation, minor) = (self.imageset.generation, self.oc_mirror.minor);
                let outcome = judge(generation, minor, &ended, &summary, &[]);
                match outcome.error() {
                    Some(error) if outcome.is_retryable() => Err(Attempt {
                        failure: error.into(),
                        may_pass: true,
                    }),
                    error => Ok(error),
                }
            },
        )
    }

    fn attempt(&self, attempt: u32, timeout: Duration) -> Result<Option<MirroredRun>, Attempt> {
        self.set_back()?;
        residue::purge_uploads(&self.places.cache)?;
        residue::clear_releases(&self.places.output)?;
        residue::clear_signatures(&self.places.output, self.release_keys)?;
        residue::set_logs_aside(&self.places.output, &self.places.logs)?;
        for archive in outbox::archives(&self.places.output, self.imageset.generation)? {
            // Nothing of value lies here: what was mirrored well was moved to the outbox at once.
            disk::remove(&archive)
                .map_err(|source| DiskError::new(Action::Remove, &archive, source))?;
        }
        let known = error_files::names(&self.places.output)?;
        let (ended, summary) = self.run(attempt, timeout, Purpose::Mirror)?;
        let errors = match self.imageset.generation {
            Generation::V1 => Vec::new(),
            Generation::V2 => error_files::read(&self.places.output, Ours::NotAmong(&known))?,
        };
        let generation = self.imageset.generation;
        let outcome = judge(generation, self.oc_mirror.minor, &ended, &summary, &errors);
        let partial = match &outcome {
            Outcome::Clean => None,
            Outcome::NothingToDo => return Ok(None),
            Outcome::Partial(partial) if self.may_go_on(partial) => Some(partial),
            // It says what it left out, but not where the image set asks for it: the archives tell that.
            Outcome::Partial(partial)
                if partial.status == 0 && partial.failed.is_empty() && !partial.retryable =>
            {
                let judged = self.archives(None, Vec::new());
                return match (judged, outcome.error()) {
                    (Ok(run), Some(error)) => Ok(Some(MirroredRun {
                        left_out: Some(error),
                        ..run
                    })),
                    _ => Err(self.failed(&outcome)),
                };
            }
            Outcome::Failed(failed) if self.may_go_without_signatures(failed) => {
                tracing::warn!(
                    "a component of a release has no cosign signature: mirroring again without any (`removeSignatures: ifMissing`)"
                );
                self.without_signatures.set(true);
                return self.attempt(attempt, timeout);
            }
            _ => return Err(self.failed(&outcome)),
        };
        let copied = if self.imageset.has_charts() {
            summary.copied
        } else {
            Vec::new()
        };
        self.archives(partial, copied).map(Some)
    }

    /// Its cache answers 500 where the disk is full (contract §2.1), which does not pass by itself.
    fn failed(&self, outcome: &Outcome) -> Attempt {
        let Some(error) = outcome.error() else {
            return MirrorError::NoArchive.into();
        };
        blame::tell(self.imageset, outcome.failed_images());
        let free = disk::free_space(&self.places.cache).unwrap_or(u64::MAX);
        if !matches!(outcome, Outcome::Interrupted) && free < TOO_LITTLE {
            return MirrorError::NoRoom {
                folder: self.places.cache.clone(),
                free,
                source: error,
            }
            .into();
        }
        Attempt {
            failure: error.into(),
            may_pass: outcome.is_retryable(),
        }
    }

    fn may_go_without_signatures(&self, failed: &Failed) -> bool {
        let wanted = self.config.mirror.oc_mirror.remove_signatures == RemoveSignatures::IfMissing;
        wanted && failed.lacks_a_signature() && !self.without_signatures.get()
    }

    /// Whether cosign signatures were left behind, by our own word.
    pub fn removes_signatures(&self) -> bool {
        let settings = &self.config.mirror.oc_mirror;
        self.without_signatures.get() || settings.remove_signatures == RemoveSignatures::Always
    }

    fn may_go_on(&self, partial: &Partial) -> bool {
        self.partial == PartialRuns::Allow && partial.is_of_single_images()
    }

    fn archives(
        &self,
        partial: Option<&Partial>,
        copied: Vec<String>,
    ) -> Result<MirroredRun, Attempt> {
        let generation = self.imageset.generation;
        let failed: Vec<_> = partial
            .into_iter()
            .flat_map(|partial| &partial.failed)
            .collect();
        let archives = outbox::archives(&self.places.output, generation)?;
        if archives.is_empty() || partial.is_some_and(|partial| partial.status != 0) {
            return Err(if failed.is_empty() {
                MirrorError::NoArchive
            } else {
                let names: Vec<_> = failed
                    .iter()
                    .map(|image| image.reference.as_str())
                    .collect();
                MirrorError::PartialWithoutArchive(names.join(", "))
            }
            .into());
        }
        let read = outbox::read(&archives, generation, &self.config.transfer, self.blobs);
        let (contents, unread) = read.map_err(|error| Attempt {
            // A race while packing and a full disk may both be over at the next try (contract §3.2).
            may_pass: true,
            failure: error.into(),
        })?;
        let incomplete = failed
            .into_iter()
            .map(|image| Incomplete {
                reference: image.reference.clone(),
                reason: Missing::Image,
            })
            .collect();
        Ok(MirroredRun {
            archives,
            contents,
            unread,
            incomplete,
            copied,
            left_out: None,
            status: 0,
        })
    }

    fn run(
        &self,
        attempt: u32,
        timeout: Duration,
        purpose: Purpose,
    ) -> Result<(process::Ended, LogSummary), Attempt> {
        let settings = &self.config.mirror.oc_mirror;
        let around = Surroundings::of_this_process();
        let credentials = Credentials::find(self.config.auth_file()?.map(|file| &**file), &around)?;
        let mut private = PrivateDir::fresh(&self.places.private, &credentials, &around)?;
        if !self.config.mirror.release_keys.is_empty() {
            private.set_release_keys(&self.release_keys.to_armoured()?)?;
        }
        let port = Port::choose(&self.tagged())?;
        // What occurs elsewhere no port mends: it was told with its line.
        for trap in port.traps.iter().filter(|trap| trap.within == Within::Port) {
            tracing::warn!("{trap}");
        }
        let imageset = self.write_imageset(&private)?;
        let v2 = self.imageset.generation == Generation::V2;
        let output = if v2 {
            "1".to_owned()
        } else {
            self.places.output.display().to_string()
        };
        let command = MirrorToDisk {
            generation: self.imageset.generation,
            imageset: &imageset,
            output: &output,
            cache: &self.places.cache,
            port: &port,
            auth_file: &private.auth_file(),
            source_tls_verify: settings.source_tls_verify,
            remove_signatures: match settings.remove_signatures {
                _ if self.without_signatures.get() => Some(true),
                RemoveSignatures::Auto => None,
                RemoveSignatures::Always => Some(true),
                RemoveSignatures::Never | RemoveSignatures::IfMissing => Some(false),
            },
            dry_run: purpose == Purpose::DryRun,
            attempt,
            extra: &settings.extra_args,
        };
        let cache_by_variable = v2 && !self.oc_mirror.has("--cache-dir");
        let for_run = ForRun {
            port: v2.then_some(&port),
            cache: cache_by_variable.then_some(self.places.cache.as_path()),
            added: Some(&settings.env),
        };
        let spec = Spec {
            program: self.oc_mirror.path.clone(),
            args: command.arguments(self.oc_mirror),
            env: private.environment(&around, &for_run),
            dir: if v2 {
                self.places.bundle_dir.clone()
            } else {
                private.work()
            },
        };
        let limits = Limits {
            timeout,
            grace: GRACE,
            interrupt: self.interrupt.clone(),
        };
        tracing::info!(
            version = self.oc_mirror.version,
            attempt = attempt + 1,
            "oc-mirror: {}",
            purpose.as_str()
        );
        let mut summary = LogSummary::default();
        let mut on_line = |line: process::Line| summary.take(&line.text);
        let ended = process::run(&spec, &mut on_line, &limits)?;
        Ok((ended, summary))
    }

    fn write_imageset(&self, private: &PrivateDir) -> Result<PathBuf, Failure> {
        let path = private.work().join("imageset.yaml");
        let bytes = match self.imageset.generation {
            Generation::V2 => self.bytes.to_vec(),
            Generation::V1 => Metadata::inject(self.bytes, &self.config.artefacts.metadata_dir)?,
        };
        disk::write_durably(&path, &bytes, 0o600)?;
        Ok(path)
    }

    fn tagged(&self) -> Vec<Tagged> {
        self.imageset
            .tags(TagStyle::of(self.imageset.generation, self.oc_mirror.minor))
            .into_iter()
            .map(|(repository, tag)| Tagged { repository, tag })
            .collect()
    }
}
