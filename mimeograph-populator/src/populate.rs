//! One run on the disconnected side: the checks in their order, and only then `oc-mirror`.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::config::{Config, Parallel, Versions};
use mimeograph_manifest::io::console::{Front, OcMirrorRun, Progress};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::oc_mirror::environment;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, disk, release_keys};
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::{Kind, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::named::Named;
use serde::Serialize;

use crate::deliver;
use crate::fetch::Pace;
use crate::ledger::{Fate, Ledger, Turn, keep_inventory};
use crate::load::{Loaded, Loader};
use crate::open::{Opened, accept, open};
use crate::verified::{Previewed, VerifiedBundle, staged};

/// What a run is given.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where progress and facts go.
    pub front: &'a Front,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// What came of a run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Populated {
    /// The bundles that were applied, oldest first.
    pub applied: Vec<Applied>,
    /// A bundle that is still arriving, and why it waits.
    pub waiting: Option<Waiting>,
    /// The highest applied bundle.
    pub mark: Option<u64>,
}

/// A bundle that was applied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Its number.
    pub sequence: u64,
    /// Its kind.
    pub kind: &'static str,
    /// What it holds, by name.
    pub content: Named,
    /// Destinations that answered with the signed digest.
    pub confirmed: usize,
    /// Destinations that v1 made anew.
    pub rebuilt: usize,
    /// Images that it lacks, by its own word.
    pub incomplete: usize,
    /// Where the cluster resources are.
    pub resources: Option<PathBuf>,
    /// What of them is kept apart, because it would mislead a cluster.
    pub kept_apart: Vec<String>,
}

/// A bundle that is waited for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Its number.
    pub sequence: u64,
    /// Why it waits.
    pub because: String,
}

/// Why a run goes no further.
#[derive(Debug, thiserror::Error)]
pub enum PopulateError {
    /// Waited for too long.
    #[error("bundle {sequence} has been incomplete for longer than `trust.waitAtMost`: {because}")]
    Stale {
        /// The bundle.
        sequence: Sequence,
        /// What it lacks.
        because: String,
    },
    /// The rebuilt catalogue's name depends on the version.
    #[error(
        "the bundle was made with `oc-mirror` {theirs}, and here is {ours}: operators need the same major.minor"
    )]
    Versions {
        /// The connected side's.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// The first bundle is not there.
    #[error("this is the first run here, and bundle 1 is not in the store")]
    NoFirst,
}

impl Fault for PopulateError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Stale { .. } => ErrorId::Stale,
            Self::Versions { .. } => ErrorId::VersionMismatch,
            Self::NoFirst => ErrorId::Gap,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Stale { .. } => "ask whoever carries the store what became of it; have the missing objects sent again",
                Self::Versions { .. } => {
                    "install the same `oc-mirror` on both sides, or set `mirror.ocMirror.acceptVersionMismatch: true`"
                }
                Self::NoFirst => "carry the whole stream over, from bundle 1 on",
            }
            .into(),
        )
    }
}

/// Runs once: every bundle whose turn it is, one after the other. The caller holds the lock.
pub fn populate(request: &Request<'_>, store: &dyn Fetch) -> Result<Populated, Failure> {
    let run = Run {
        request,
        store,
        metadata: request.config.artefacts.metadata_dir.to_path_buf(),
        release_keys: release_keys::read(request.config)?,
    };
    run.run()
}

struct Run<'a> {
    request: &'a Request<'a>,
    store: &'a dyn Fetch,
    metadata: PathBuf,
    release_keys: ReleaseKeys,
}

impl Run<'_> {
    fn run(&self) -> Result<Populated, Failure> {
        let mut ledger = Ledger::read(&self.metadata)?;
        let mut populated = Populated::default();
        let opened = self.front().stage("open", || self.open(&ledger))?;
        let mut manifests = opened.manifests;
        Self::check_first(&ledger, &manifests)?;
        if let Some((sequence, error)) = opened.arriving.into_iter().next() {
            populated.waiting = Some(self.wait(&mut ledger, sequence, chain(&error))?);
        }
        loop {
            let turn = match ledger.turn(&manifests, &self.metadata) {
                Ok(Some(turn)) => turn,
                Ok(None) => break,
                Err(failure) if failure.id() == ErrorId::Gap => {
                    populated.waiting =
                        Some(self.wait_for_gap(&mut ledger, &manifests, failure)?);
                    break;
                }
                Err(failure) => return Err(failure),
            };
            let sequence = turn.manifest().sequence;
            let manifest = turn.manifest().clone();
            match self.apply(turn) {
                Ok(applied) => {
                    ledger.apply(&manifest);
                    ledger.write(&self.metadata)?;
                    populated.applied.push(applied);
                }
                Err(failure) if failure.id() == ErrorId::Incomplete => {
                    let because = chain(failure.as_error());
                    populated.waiting = Some(self.wait(&mut ledger, sequence, because)?);
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        let mark = ledger.mark();
        manifests.retain(|manifest| {
            manifest.kind == Kind::Heartbeat && manifest.requires.map(|link| link.sequence) <= mark
        });
        for heartbeat in manifests {
            ledger.accept(&heartbeat, Fate::Applied);
        }
        ledger.write(&self.metadata)?;
        populated.mark = mark.map(Sequence::number);
        Ok(populated)
    }

    /// Steps 2 to 6: list, read, verify; stream, audience, time, place in the chain.
    fn open(&self, ledger: &Ledger) -> Result<Opened, Failure> {
        let Request {
            config, trusted, ..
        } = self.request;
        let listing = Listing::of(self.store)?;
        if listing.foreign_count > 0 {
            tracing::info!(
                count = listing.foreign_count,
                first = listing.foreign.join(", "),
                "objects that are not ours: left alone"
            );
        }
        let opened = open(self.store, &listing, trusted, ledger.mark())?;
        ledger.check(config.trust.stream.as_ref(), &opened.manifests)?;
        let enclave = config
            .enclave
            .as_ref()
            .map(mimeograph_manifest::io::config::EnclaveName::as_str);
        accept(
            &opened.manifests,
            enclave,
            &config.trust,
            ledger.latest,
            clock::now(),
        )?;
        self.front().note(|facts| {
            facts.stream = opened.manifests.last().map(|newest| newest.stream.clone());
            facts.sequence = opened
                .manifests
                .last()
                .map(|newest| newest.sequence.number());
            facts.key_ids = opened
                .manifests
                .last()
                .map(|newest| newest.signers().iter().map(ToString::to_string).collect())
                .unwrap_or_default();
        });
        Ok(opened)
    }

    fn check_first(ledger: &Ledger, manifests: &[Verified<Manifest>]) -> Result<(), PopulateError> {
        if !ledger.is_empty() || manifests.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            "FIRST RUN: nothing was ever applied here; the stream is followed from bundle 1 on"
        );
        match manifests.first() {
            Some(first) if first.sequence == Sequence::FIRST => Ok(()),
            _ => Err(PopulateError::NoFirst),
        }
    }

    /// Notes since when something is waited for; too long is an error.
    fn wait(
        &self,
        ledger: &mut Ledger,
        sequence: Sequence,
        because: String,
    ) -> Result<Waiting, Failure> {
        let now = clock::now();
        let since = *ledger.waiting.entry(sequence).or_insert(now);
        ledger.write(&self.metadata)?;
        if now.since(since) > self.request.config.trust.wait_at_most.signed() {
            return Err(PopulateError::Stale { sequence, because }.into());
        }
        tracing::info!(%sequence, "waiting: {because}");
        Ok(Waiting {
            sequence: sequence.number(),
            because,
        })
    }

    /// A gap may close by itself while files are arriving; it is one once that took too long.
    fn wait_for_gap(
        &self,
        ledger: &mut Ledger,
        manifests: &[Verified<Manifest>],
        gap: Failure,
    ) -> Result<Waiting, Failure> {
        let mark = ledger.mark();
        let found = manifests
            .iter()
            .map(|manifest| manifest.sequence)
            .find(|sequence| Some(*sequence) > mark);
        match self.wait(
            ledger,
            found.unwrap_or(Sequence::FIRST),
            chain(gap.as_error()),
        ) {
            Err(failure) if failure.id() == ErrorId::Stale => Err(gap),
            other => other,
        }
    }

    /// Steps 8a to 14 for one bundle.
    fn apply(&self, turn: Turn) -> Result<Applied, Failure> {
        let Request {
            config, interrupt, ..
        } = self.request;
        let bundle_dir = config.artefacts.bundle_dir.to_path_buf();
        let cache = cache(config);
        let signers: Vec<_> = turn
            .manifest()
            .signers()
            .iter()
            .map(ToString::to_string)
            .collect();
        tracing::info!(
            "bundle {} ({}) is signed by {}",
            turn.manifest().sequence,
            turn.manifest().kind.as_str(),
            signers.join(", ")
        );
        let preview = Previewed::of(turn, self.store)?;
        deliver::check_local_dir(preview.manifest(), &config.mirror.local_dir)?;
        environment::check_added(&config.mirror.oc_mirror.env)?;
        let oc_mirror = OcMirror::probe(&config.mirror.oc_mirror.path, &bundle_dir, interrupt)?;
        oc_mirror.require(preview.manifest().producer.generation)?;
        check_versions(config, &preview, &oc_mirror)?;
        disk::create_folder(&cache, 0o755)?;
        preview.check_room(&bundle_dir, &cache)?;
        let bundle = self
            .front()
            .stage("fetch", || self.fetch(preview, &bundle_dir))?;
        let manifest = bundle.manifest();
        let extra_to = config
            .artefacts
            .extra_dir
            .join(manifest.sequence.to_string());
        deliver::deliver(manifest, Role::Extra, &bundle.extra(), &extra_to)?;
        deliver::deliver(
            manifest,
            Role::Local,
            &bundle.local(),
            &config.mirror.local_dir,
        )?;
        let loader = Loader {
            config,
            oc_mirror: &oc_mirror,
            cache,
            release_keys: &self.release_keys,
            interrupt,
        };
        let result = self.front().stage("load", || loader.load(&bundle))?;
        keep_inventory(&self.metadata, manifest.sequence, bundle.inventory_bytes())?;
        self.note(&bundle, &oc_mirror, &result);
        let applied = Applied {
            sequence: manifest.sequence.number(),
            kind: manifest.kind.as_str(),
            content: Named::of(&bundle.inventory().wish),
            confirmed: result.confirmed.len(),
            rebuilt: result.rebuilt,
            incomplete: manifest.incomplete.len(),
            resources: result.resources,
            kept_apart: result.kept_apart,
        };
        for lack in &manifest.incomplete {
            tracing::error!(
                image = lack.reference,
                "PARTIAL BUNDLE: this image is missing from it"
            );
        }
        bundle.discard();
        Ok(applied)
    }

    fn fetch(&self, preview: Previewed, bundle_dir: &Path) -> Result<VerifiedBundle, Failure> {
        let total = staged(preview.manifest()).map(|file| file.size).sum();
        let progress = Progress::begin("fetching", total);
        let pace = Pace {
            parallel: parallel(self.request.config),
            interrupt: self.request.interrupt,
            progress: &|bytes| progress.add(bytes),
        };
        let bundle = preview.fetch(self.store, bundle_dir, pace, &self.release_keys)?;
        progress.finish();
        Ok(bundle)
    }

    fn note(&self, bundle: &VerifiedBundle, oc_mirror: &OcMirror, loaded: &Loaded) {
        self.front().note(|facts| {
            facts.sequence = Some(bundle.manifest().sequence.number());
            facts.oc_mirror = Some(OcMirrorRun {
                version: oc_mirror.version.clone(),
                status: Some(loaded.status),
            });
            *facts.bytes.get_or_insert(0) += bundle.manifest().size();
            *facts.chunks.get_or_insert(0) += bundle.manifest().chunks().count() as u64;
        });
    }

    fn front(&self) -> &Front {
        self.request.front
    }
}

/// Chunks on their way at once.
pub(crate) fn parallel(config: &Config) -> usize {
    match config.transfer.parallel {
        Parallel::Auto => 4,
        Parallel::Fixed(count) => count.get(),
    }
}

/// v2's cache.
pub(crate) fn cache(config: &Config) -> PathBuf {
    match &config.artefacts.cache_dir {
        Some(cache) => cache.to_path_buf(),
        None => config.artefacts.bundle_dir.join("2"),
    }
}

fn check_versions(
    config: &Config,
    preview: &Previewed,
    ours: &OcMirror,
) -> Result<(), PopulateError> {
    let producer = &preview.manifest().producer;
    if !preview.imageset().has_operators()
        || config.mirror.oc_mirror.versions == Versions::MayDiffer
    {
        return Ok(());
    }
    let same = match (producer.minor(), ours.minor) {
        (Some(theirs), Some(ours)) => theirs == ours,
        // One that does not know its version is only known to fit if it is the very same program.
        _ => producer.oc_mirror_sha256 == ours.sha256,
    };
    if same {
        return Ok(());
    }
    Err(PopulateError::Versions {
        theirs: producer.oc_mirror.clone(),
        ours: ours.version.clone(),
    })
}
