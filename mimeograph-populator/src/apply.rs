//! A course -> bundles in the cache, and one in the target: steps 8a to 15 for each of them.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::config::{Config, Versions};
use mimeograph_manifest::io::console::{Front, OcMirrorRun, Progress};
use mimeograph_manifest::io::disk;
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::oc_mirror::environment;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::named::Named;
use serde::Serialize;

use crate::cache::Cache;
use crate::course::{Course, Turn};
use crate::deliver;
use crate::fetch::Pace;
use crate::ledger::{Fate, Ledger};
use crate::load::{Loaded, Loader};
use crate::merge::merge;
use crate::placed;
use crate::resources::ResourceChange;
use crate::told;
use crate::verified::{Previewed, Purpose, VerifiedBundle, staged};

/// What is needed to follow a course.
pub(crate) struct Applier<'a> {
    pub config: &'a Config,
    pub front: &'a Front,
    pub store: &'a dyn Fetch,
    /// The same store, where the large files are fetched from.
    pub bulk: &'a dyn Fetch,
    pub metadata: &'a Path,
    pub cache: &'a Cache,
    pub release_keys: &'a ReleaseKeys,
    pub interrupt: &'a Interrupt,
    /// Verified manifests in the store, oldest first.
    pub found: &'a [Verified<Manifest>],
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
    /// Bundles whose blobs went into the cache for it.
    pub merged: Vec<u64>,
    /// Bundles that it makes unnecessary.
    #[serde(skip)]
    pub skipped: Vec<u64>,
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
    /// What they change against those of the bundle that was applied before.
    pub resource_changes: Vec<ResourceChange>,
}

/// A course that went no further, and the bundle that it was about.
#[derive(Debug)]
pub(crate) struct HeldUp {
    pub sequence: Sequence,
    pub failure: Failure,
    pub reached: Reached,
}

/// How far a bundle came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It was fetched and verified: nothing of it has reached `oc-mirror`.
    Verifying,
    /// It was being loaded.
    Loading,
}

/// A load before its turn.
#[derive(Debug, thiserror::Error)]
#[error("a bundle was to be loaded before those that it builds on")]
struct NotMerged;

impl Fault for NotMerged {
    fn id(&self) -> ErrorId {
        ErrorId::Bug
    }
}

/// The rebuilt catalogue's name depends on the version.
#[derive(Debug, thiserror::Error)]
#[error(
    "the bundle was made with `oc-mirror` {theirs}, and here is {ours}: operators need the same major.minor"
)]
struct OtherVersion {
    theirs: String,
    ours: String,
}

impl Fault for OtherVersion {
    fn id(&self) -> ErrorId {
        ErrorId::VersionMismatch
    }

    fn hint(&self) -> Option<String> {
        Some(
            "install the same `oc-mirror` on both sides, or set `mirror.ocMirror.acceptVersionMismatch: true`"
                .into(),
        )
    }
}

impl Applier<'_> {
    /// Does all of it. What went into the cache is recorded at once, what was loaded once it is confirmed.
    pub(crate) fn follow(&self, course: Course, ledger: &mut Ledger) -> Result<Applied, HeldUp> {
        let last = course.load.sequence;
        let mut steps = course.steps();
        let mut merged = Vec::new();
        while let Some(turn) = steps.next_merge() {
            let sequence = turn.manifest().sequence;
            let inventory = self.merge(turn, ledger);
            let held_up = |failure| HeldUp {
                sequence,
                failure,
                reached: Reached::Verifying,
            };
            steps.merged(inventory.map_err(held_up)?);
            merged.push(sequence.number());
        }
        let turn = steps.load().ok_or(NotMerged).map_err(Failure::from);
        let loaded = turn.and_then(|turn| self.load(turn, &mut *ledger));
        let mut applied = loaded.map_err(|failure| HeldUp {
            sequence: last,
            failure,
            reached: match ledger.loading {
                Some(link) if link.sequence == last => Reached::Loading,
                _ => Reached::Verifying,
            },
        })?;
        applied.merged = merged;
        Ok(applied)
    }

    /// Fetches and verifies all of a course, and leaves it staged: what would be merged, and what would be loaded, which is
    /// returned.
    pub(crate) fn stage(&self, course: Course) -> Result<VerifiedBundle, HeldUp> {
        let last = course.load.sequence;
        let mut steps = course.steps();
        let held_up = |sequence| {
            move |failure| HeldUp {
                sequence,
                failure,
                reached: Reached::Verifying,
            }
        };
        let stage = |turn, purpose| self.fetch(self.preview(turn)?, purpose);
        while let Some(turn) = steps.next_merge() {
            let sequence = turn.manifest().sequence;
            let bundle = stage(turn, Purpose::Merge).map_err(held_up(sequence))?;
            steps.merged(bundle.inventory().clone());
        }
        let turn = steps.load().ok_or(NotMerged).map_err(Failure::from);
        turn.and_then(|turn| stage(turn, Purpose::Load))
            .map_err(held_up(last))
    }

    /// Gives the cache the verified blobs of a bundle.
    fn merge(&self, turn: Turn, ledger: &mut Ledger) -> Result<Inventory, Failure> {
        let manifest = turn.manifest().clone();
        let preview = self.preview(turn)?;
        let bundle = self.fetch(preview, Purpose::Merge)?;
        self.deliver(&bundle, Role::Extra)?;
        let taken = self.front.stage("merge", || merge(&bundle, self.cache))?;
        tracing::info!(
            "bundle {}: {} blobs ({} bytes) are in `oc-mirror`'s cache",
            manifest.sequence,
            taken.blobs,
            taken.bytes
        );
        // What was applied stays applied; what it builds on counts from now on, not what stood for that.
        let came = ledger.has(Some(manifest.link()));
        let known = ledger.bundles.get(&manifest.sequence).filter(|_| came);
        let fate = known.map_or(Fate::Merged, |known| known.fate);
        ledger.accept(&manifest, fate);
        ledger.write(self.metadata)?;
        Ledger::keep_inventory(self.metadata, manifest.sequence, bundle.inventory_bytes())?;
        let inventory = bundle.inventory().clone();
        bundle.discard();
        Ok(inventory)
    }

    fn load(&self, turn: Turn, ledger: &mut Ledger) -> Result<Applied, Failure> {
        let verified = turn.manifest().clone();
        let preview = self.preview(turn)?;
        deliver::check_local_dir(preview.manifest(), &self.config.mirror.local_dir)?;
        environment::check_added(&self.config.mirror.oc_mirror.env)?;
        let oc_mirror = OcMirror::probe(
            &self.config.mirror.oc_mirror.path,
            &self.config.artefacts.bundle_dir,
            self.interrupt,
        )?;
        oc_mirror.require(preview.manifest().producer.generation)?;
        check_versions(self.config, &preview, &oc_mirror)?;
        let bundle = self.fetch(preview, Purpose::Load)?;
        self.deliver(&bundle, Role::Extra)?;
        let local_dir = &self.config.mirror.local_dir;
        deliver::remove_unsigned(&verified, bundle.imageset(), local_dir)?;
        self.deliver(&bundle, Role::Local)?;
        let loader = Loader {
            config: self.config,
            oc_mirror: &oc_mirror,
            cache: self.cache,
            release_keys: self.release_keys,
            interrupt: self.interrupt,
        };
        // Whatever ends this load before it is confirmed: what it wrote to the cache is hashed before it is believed.
        ledger.loading = Some(verified.link());
        ledger.builds_on(&verified);
        ledger.write(self.metadata)?;
        Ledger::keep_inventory(self.metadata, verified.sequence, bundle.inventory_bytes())?;
        let result = self.front.stage("load", || loader.load(&bundle))?;
        self.note(&bundle, &oc_mirror, &result);
        // What the second copy will be told is written first: told too much, it only asks the target again.
        let inventory = bundle.inventory_bytes();
        told::remember(self.metadata, &verified, inventory, &result.confirmed)?;
        placed::record(self.metadata, &verified, &result.confirmed)?;
        ledger.apply(&verified);
        // In the same step: once the mark has moved, nobody looks below it again.
        let skipped = ledger.pass_over(self.found);
        ledger.write(self.metadata)?;
        let applied = Applied {
            skipped,
            ..Applied::of(&bundle, &result)
        };
        bundle.discard();
        Ok(applied)
    }

    fn preview(&self, turn: Turn) -> Result<Previewed, Failure> {
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
        disk::create_folder(self.cache.root(), 0o755)?;
        preview.check_room(&self.config.artefacts.bundle_dir, self.cache)?;
        Ok(preview)
    }

    fn fetch(&self, preview: Previewed, purpose: Purpose) -> Result<VerifiedBundle, Failure> {
        let total = staged(preview.manifest()).map(|file| file.size).sum();
        let progress = Progress::begin("fetching", total);
        let transfer = &self.config.transfer;
        let pace = Pace {
            parallel: transfer.parallel.fetches(),
            throttle: &transfer.throttle(),
            interrupt: self.interrupt,
            progress: &|bytes| progress.add(bytes),
        };
        let bundle_dir = &self.config.artefacts.bundle_dir;
        let fetched = self.front.stage("fetch", || {
            preview.fetch(self.bulk, bundle_dir, pace, self.release_keys, purpose)
        })?;
        progress.finish();
        Ok(fetched)
    }

    fn deliver(&self, bundle: &VerifiedBundle, role: Role) -> Result<(), Failure> {
        let manifest = bundle.manifest();
        let artefacts = &self.config.artefacts;
        let (from, to) = match role {
            Role::Local => (bundle.local(), self.config.mirror.local_dir.to_path_buf()),
            _ => (
                bundle.extra(),
                artefacts.extra_dir.join(manifest.sequence.to_string()),
            ),
        };
        deliver::deliver(manifest, role, &from, &to).map(drop)
    }

    fn note(&self, bundle: &VerifiedBundle, oc_mirror: &OcMirror, loaded: &Loaded) {
        self.front.note(|facts| {
            facts.sequence = Some(bundle.manifest().sequence.number());
            facts.oc_mirror = Some(OcMirrorRun {
                version: oc_mirror.version.clone(),
                status: Some(loaded.status),
            });
            *facts.bytes.get_or_insert(0) += bundle.manifest().size();
            *facts.chunks.get_or_insert(0) += bundle.manifest().chunks().count() as u64;
        });
    }
}

impl Applied {
    fn of(bundle: &VerifiedBundle, loaded: &Loaded) -> Self {
        let manifest = bundle.manifest();
        for lack in &manifest.incomplete {
            tracing::error!(
                image = lack.reference,
                "PARTIAL BUNDLE: this image is missing from it"
            );
        }
        Self {
            sequence: manifest.sequence.number(),
            kind: manifest.kind.as_str(),
            content: Named::of(&bundle.inventory().wish),
            merged: Vec::new(),
            skipped: Vec::new(),
            confirmed: loaded.confirmed.len(),
            rebuilt: loaded.rebuilt,
            incomplete: manifest.incomplete.len(),
            resources: loaded.resources.folder.clone(),
            kept_apart: loaded.resources.kept_apart.clone(),
            resource_changes: loaded.resources.changes.clone(),
        }
    }
}

fn check_versions(
    config: &Config,
    preview: &Previewed,
    ours: &OcMirror,
) -> Result<(), OtherVersion> {
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
    Err(OtherVersion {
        theirs: producer.oc_mirror.clone(),
        ours: ours.version.clone(),
    })
}
