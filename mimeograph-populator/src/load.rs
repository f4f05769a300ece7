//! Verified bundle -> `oc-mirror`, disk to mirror -> judged -> every destination asked for its digest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::{Reference, TagStyle};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::oc_mirror::attempts::{self, Attempt};
use mimeograph_manifest::io::oc_mirror::auth::Credentials;
use mimeograph_manifest::io::oc_mirror::environment::Surroundings;
use mimeograph_manifest::io::oc_mirror::error_files::{self, Ours};
use mimeograph_manifest::io::oc_mirror::mapping::{self, Mapped};
use mimeograph_manifest::io::oc_mirror::outcome::{Outcome, Partial, judge};
use mimeograph_manifest::io::oc_mirror::port::Port;
use mimeograph_manifest::io::oc_mirror::private::{ForRun, PrivateDir};
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::oc_mirror::residue;
use mimeograph_manifest::io::oc_mirror::summary::LogSummary;
use mimeograph_manifest::io::process::{self, Limits, Spec};
use mimeograph_manifest::manifest::Flag;
use mimeograph_manifest::manifest::{Generation, Missing};
use mimeograph_manifest::release::ReleaseKeys;

use crate::cache::Cache;
use crate::deliver;
use crate::oc_mirror::DiskToMirror;
use crate::registries;
use crate::registry::{ASKED_AT_ONCE, Registry, Wanted};
use crate::resources;
use crate::verified::VerifiedBundle;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(20);
/// What `oc-mirror` extracts from archives, beside them.
const WORKING_DIR: &str = "working-dir";
const CLUSTER_RESOURCES: &str = "working-dir/cluster-resources";

/// What a load needs besides the bundle.
#[derive(Debug)]
pub struct Loader<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The program.
    pub oc_mirror: &'a OcMirror,
    /// v2's cache.
    pub cache: &'a Cache,
    /// The keys that releases must be signed with.
    pub release_keys: &'a ReleaseKeys,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// What came of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The destinations that answered with the signed digest.
    pub confirmed: Vec<Wanted>,
    /// v1: destinations that are there, whose digest v1 makes anew.
    pub rebuilt: usize,
    /// The generated cluster resources.
    pub resources: resources::Published,
    /// `oc-mirror`'s exit status.
    pub status: i32,
}

/// Why a bundle is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target does not hold what was signed.
    #[error(
        "{count} of {total} destinations in the target do not answer with the signed digest: {first}"
    )]
    Target {
        /// How many do not.
        count: usize,
        /// How many there are.
        total: usize,
        /// The first few of them.
        first: String,
    },
    /// `oc-mirror` did not say where things go.
    #[error("`oc-mirror` computed no destinations for this bundle")]
    NoDestinations,
    /// It computed none for images that the signed inventory says were asked for.
    #[error(
        "`oc-mirror` has no destination for {count} of the images that the image set asks for, {first} for one"
    )]
    LeftOut {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// It computed one for an image that was not signed.
    #[error("`oc-mirror` would take `{image}` from its cache, which no signed inventory names")]
    Unsigned {
        /// As its dry run has it.
        image: String,
    },
}

impl Fault for LoadError {
    fn id(&self) -> ErrorId {
        ErrorId::TargetMismatch
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Target { .. } => "look at the log above; the bundle counts as not applied, and is loaded again by the next run",
                Self::NoDestinations | Self::LeftOut { .. } | Self::Unsigned { .. } => {
                    "compare the versions of `oc-mirror` on both sides; the bundle counts as not applied"
                }
            }
            .into(),
        )
    }
}

impl Loader<'_> {
    /// Loads a bundle, again where that may help, and confirms it. Nothing but a [`VerifiedBundle`] gets here.
    pub fn load(&self, bundle: &VerifiedBundle) -> Result<Loaded, Failure> {
        let settings = &self.config.mirror.oc_mirror;
        let resources_to = self
            .config
            .artefacts
            .resources_dir
            .join(bundle.manifest().sequence.padded());
        let status = attempts::run(settings, self.interrupt, |attempt, timeout| {
            // What an earlier attempt extracted is made anew by each load.
            remove(&bundle.archives().join(WORKING_DIR))?;
            residue::purge_uploads(self.cache.root())?;
            let run = self.run(bundle, attempt, timeout, Purpose::Load)?;
            self.judge(bundle, &run)
        })?;
        let generated = bundle.archives().join(CLUSTER_RESOURCES);
        // The dry run writes them again as if everything had been copied, so they are taken away before it.
        let aside = bundle.resources();
        remove(&aside)?;
        deliver::keep_resources(&generated, &aside)?;
        let (confirmed, rebuilt) = match bundle.generation() {
            Generation::V2 => (self.confirm(bundle)?, 0),
            Generation::V1 => self.confirm_v1(bundle)?,
        };
        let wish = &bundle.inventory().wish;
        let resources = resources::publish(&aside, &resources_to, wish, bundle.manifest())?;
        Ok(Loaded {
            confirmed,
            rebuilt,
            resources,
            status,
        })
    }

    fn judge(&self, bundle: &VerifiedBundle, run: &Run) -> Result<i32, Attempt> {
        let errors = match (bundle.generation(), &run.summary.begun) {
            // Those of the connected side arrive in the archives; ours have the stamp of our log or later.
            (Generation::V2, Some(begun)) => error_files::read(&run.from, Ours::Since(begun))?,
            _ => Vec::new(),
        };
        let outcome = judge(
            bundle.generation(),
            self.oc_mirror.minor,
            &run.ended,
            &run.summary,
            &errors,
        );
        match &outcome {
            Outcome::Clean | Outcome::NothingToDo => Ok(0),
            Outcome::Partial(partial) if is_signed_so(bundle, partial) => Ok(partial.status),
            _ => match outcome.error() {
                Some(error) => Err(Attempt {
                    failure: error.into(),
                    may_pass: outcome.is_retryable(),
                }),
                None => Ok(0),
            },
        }
    }

    /// Asks `oc-mirror` itself where everything goes, and the target whether it is there.
    ///
    /// The dry run gets an archive without entries, beside what the load extracted: the real archives would be extracted
    /// once more.
    fn confirm(&self, bundle: &VerifiedBundle) -> Result<Vec<Wanted>, Failure> {
        const END_OF_TAR: [u8; 1024] = [0; 1024];
        let rehearsal = bundle.rehearsal();
        remove(&rehearsal)?;
        disk::create_folder(&rehearsal, 0o700)?;
        let extracted = rehearsal.join(WORKING_DIR);
        disk::rename(&bundle.archives().join(WORKING_DIR), &extracted)
            .map_err(|source| DiskError::new(Action::Write, &extracted, source))?;
        disk::write_durably(&rehearsal.join("mirror_000001.tar"), &END_OF_TAR, 0o600)?;
        let run = attempts::run(
            &self.config.mirror.oc_mirror,
            self.interrupt,
            |attempt, timeout| {
                let run = self.run(bundle, attempt, timeout, Purpose::DryRun)?;
                self.judge(bundle, &run)?;
                Ok(run)
            },
        )?;
        let mapped = mapping::read(&run.from)?;
        self.ask(&Self::wanted(bundle, mapped, run.port)?)
    }

    fn wanted(
        bundle: &VerifiedBundle,
        mapped: Vec<Mapped>,
        port: u16,
    ) -> Result<Vec<Wanted>, Failure> {
        let lacks = lacking(bundle);
        let structure = &bundle.inventory().structure;
        let mut wanted = Vec::new();
        for image in mapped {
            let signed = image
                .in_cache(port)
                .and_then(|(repository, tag)| structure.resolve(repository, tag));
            match signed {
                Some(digest) => wanted.push(Wanted {
                    repository: image.repository,
                    tag: image.tag,
                    digest,
                }),
                None if is_lacking(bundle, &lacks, image.in_cache(port)) => {}
                None => return Err(LoadError::Unsigned { image: image.from }.into()),
            }
        }
        if wanted.is_empty() && lacks.is_empty() {
            return Err(LoadError::NoDestinations.into());
        }
        // What it leaves out without a word has no destination.
        let going: BTreeSet<_> = wanted
            .iter()
            .map(|destination| destination.digest)
            .collect();
        let asked_for = bundle.inventory().wish.digests();
        let left_out: Vec<_> = asked_for.difference(&going).collect();
        if let Some(first) = left_out.first() {
            let (count, first) = (left_out.len(), first.to_oci());
            return Err(LoadError::LeftOut { count, first }.into());
        }
        Ok(wanted)
    }

    /// v1 puts every tag of the archive under the target's namespace; catalogues it builds anew.
    fn confirm_v1(&self, bundle: &VerifiedBundle) -> Result<(Vec<Wanted>, usize), Failure> {
        let namespace = self.config.target()?.namespace().to_owned();
        let join = |repository: &str| match namespace.as_str() {
            "" => repository.to_owned(),
            namespace => format!("{namespace}/{repository}"),
        };
        let structure = &bundle.inventory().structure;
        let wanted: Vec<_> = structure
            .repositories
            .iter()
            .flat_map(|(name, repository)| {
                repository
                    .tags
                    .iter()
                    .map(move |(tag, digest)| (name, tag, digest))
            })
            .map(|(name, tag, digest)| Wanted {
                repository: join(name),
                tag: tag.clone(),
                digest: *digest,
            })
            .collect();
        if !bundle.imageset().has_operators() {
            return Ok((self.ask(&wanted)?, 0));
        }
        let registry = Registry::of(self.config)?;
        let mut rebuilt = 0;
        for destination in &wanted {
            if registry
                .digest(&destination.repository, &destination.tag)?
                .is_none()
            {
                let first = format!("{}:{}", destination.repository, destination.tag);
                return Err(LoadError::Target {
                    count: 1,
                    total: wanted.len(),
                    first,
                }
                .into());
            }
            rebuilt += 1;
        }
        Ok((Vec::new(), rebuilt))
    }

    fn ask(&self, wanted: &[Wanted]) -> Result<Vec<Wanted>, Failure> {
        let confirmed =
            Registry::of(self.config)?.confirm(wanted.iter().cloned(), ASKED_AT_ONCE)?;
        if confirmed.mismatches.is_empty() {
            return Ok(confirmed.there);
        }
        let first: Vec<_> = confirmed
            .mismatches
            .iter()
            .take(5)
            .map(ToString::to_string)
            .collect();
        let (count, total) = (confirmed.mismatches.len(), wanted.len());
        Err(LoadError::Target {
            count,
            total,
            first: first.join("; "),
        }
        .into())
    }

    fn run(
        &self,
        bundle: &VerifiedBundle,
        attempt: u32,
        timeout: Duration,
        purpose: Purpose,
    ) -> Result<Run, Failure> {
        let settings = &self.config.mirror.oc_mirror;
        let bundle_dir = self.config.artefacts.bundle_dir.to_path_buf();
        let v2 = bundle.generation() == Generation::V2;
        let around = Surroundings::of_this_process();
        let credentials = Credentials::find(self.config.auth_file()?.map(|file| &**file), &around)?;
        let mut private = PrivateDir::fresh(&bundle_dir.join("3"), &credentials, &around)?;
        if !self.config.mirror.release_keys.is_empty() {
            private.set_release_keys(&self.release_keys.to_armoured()?)?;
        }
        let port = Port::choose(&[])?;
        if v2 {
            // It must not reach the source: what it would ask there is answered by its own cache.
            let text =
                registries::for_load(&bundle.imageset().source_hosts(), &around, port.number)?;
            private.set_registries(&text)?;
        }
        let imageset = private.work().join("imageset.yaml");
        disk::write_durably(&imageset, bundle.imageset_bytes(), 0o600)?;
        let from = purpose.folder(bundle);
        // Digits alone: v2 refuses many words in paths.
        let told = if v2 {
            from.strip_prefix(&bundle_dir).unwrap_or(&from)
        } else {
            &from
        };
        let command = DiskToMirror {
            generation: bundle.generation(),
            kind: bundle.manifest().kind,
            imageset: &imageset,
            from: &told.display().to_string(),
            target: self.config.target()?,
            cache: self.cache.root(),
            port: &port,
            auth_file: &private.auth_file(),
            target_tls_verify: settings.target_tls_verify,
            attempt,
            remove_signatures: bundle.manifest().producer.has(Flag::RemoveSignatures),
            dry_run: purpose == Purpose::DryRun,
            extra: &settings.extra_args,
        };
        let cache_by_variable = v2 && !self.oc_mirror.has("--cache-dir");
        let for_run = ForRun {
            port: v2.then_some(&port),
            cache: cache_by_variable.then_some(self.cache.root()),
            added: Some(&settings.env),
        };
        let spec = Spec {
            program: self.oc_mirror.path.clone(),
            args: command.arguments(self.oc_mirror),
            env: private.environment(&around, &for_run),
            dir: if v2 { bundle_dir } else { private.work() },
        };
        tracing::info!(
            version = self.oc_mirror.version,
            attempt = attempt + 1,
            "oc-mirror: {}",
            purpose.as_str()
        );
        let limits = Limits {
            timeout,
            grace: GRACE,
            interrupt: self.interrupt.clone(),
        };
        let mut summary = LogSummary::default();
        let mut on_line = |line: process::Line| summary.take(&line.text);
        let ended = process::run(&spec, &mut on_line, &limits)?;
        if !v2 && purpose == Purpose::Load {
            keep_v1_results(&private.work(), &from)?;
        }
        Ok(Run {
            from,
            ended,
            summary,
            port: port.number,
        })
    }
}

/// What `oc-mirror` is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Load,
    DryRun,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Load => "disk to mirror",
            Self::DryRun => "where everything went (dry run)",
        }
    }

    /// What it is run on.
    fn folder(self, bundle: &VerifiedBundle) -> PathBuf {
        match self {
            Self::Load => bundle.archives(),
            Self::DryRun => bundle.rehearsal(),
        }
    }
}

/// A run that is over.
struct Run {
    /// The folder that it was run on.
    from: PathBuf,
    ended: process::Ended,
    summary: LogSummary,
    port: u16,
}

/// The images that the manifest itself says are missing.
fn lacking(bundle: &VerifiedBundle) -> Vec<&str> {
    let lacks = bundle
        .manifest()
        .incomplete
        .iter()
        .filter(|lack| lack.reason == Missing::Image);
    lacks.map(|lack| lack.reference.as_str()).collect()
}

/// Whether what lies at a place in the cache is what the signed manifest lists as missing.
fn is_lacking(bundle: &VerifiedBundle, lacks: &[&str], place: Option<(&str, &str)>) -> bool {
    let imageset = bundle.imageset();
    let style = TagStyle::of(bundle.generation(), bundle.manifest().producer.minor());
    let images = &imageset.mirror.additional_images;
    lacks.iter().any(|name| {
        let asked = images.iter().find(|image| &*image.name == *name);
        let reference = match asked {
            Some(image) => Reference::of_image(image, style),
            None => Reference::parse(name, None, None, style),
        };
        reference.is_some_and(|one| Some((&*one.repository, &*one.tag)) == place)
    })
}

/// A failure is accepted only for what the signed manifest lists as missing.
fn is_signed_so(bundle: &VerifiedBundle, partial: &Partial) -> bool {
    let lacks = lacking(bundle);
    partial.is_of_single_images()
        && partial
            .failed
            .iter()
            .all(|image| lacks.contains(&image.reference.as_str()))
}

fn remove(path: &Path) -> Result<(), Failure> {
    Ok(disk::remove(path).map_err(|source| DiskError::new(Action::Remove, path, source))?)
}

/// v1 writes its cluster resources below its working directory: they go to where v2's are looked for.
fn keep_v1_results(work: &Path, archives: &Path) -> Result<(), Failure> {
    let to = archives.join(CLUSTER_RESOURCES);
    let Ok(entries) = fs::read_dir(work.join("oc-mirror-workspace")) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("results-") {
            deliver::keep_resources(&entry.path(), &to)?;
        }
    }
    Ok(())
}
