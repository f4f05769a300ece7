//! What a run would mirror, by `oc-mirror`'s own dry run in an empty private folder; nothing else is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure};
use mimeograph_manifest::imageset::{Findings, ImageSetError};
use mimeograph_manifest::inventory::{Before, ImageManifest, Inventory, Structure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::io::imageset::{self, ImageSetFile};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::oc_mirror::mapping::{self, Mapped};
use mimeograph_manifest::io::oc_mirror::outcome_error::OutcomeError;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::release_keys;
use mimeograph_manifest::io::working_dir::WorkingDir;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Generation, Role};
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::wish::Question;
use mimeograph_manifest::wish::plan::{Plan, plan};
use serde::Serialize;

use crate::bundle::Run;
use crate::head::Published;
use crate::mirror::{Base, PartialRuns, Places, Start};
use crate::outbox::Blobs;
use crate::{charts, describe, inspect, travelling, update_service};

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    #[serde(flatten)]
    plan: Plan,
    /// The images that would be mirrored.
    images: usize,
    /// Those of them that the stream does not have yet, by repository and tag (and digest, where one is named).
    new_images: usize,
    /// The size of the others together. That of new ones is known once they are mirrored.
    known_bytes: u64,
}

/// A folder of digits in `bundleDir`, removed when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = disk::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "failed to remove a private folder");
        }
    }
}

/// Plans.
pub fn report(config: &Config, interrupt: &Interrupt) -> Result<Report, Failure> {
    let file = imageset::read(config)?;
    let imageset = &file.imageset;
    travelling::local_files(imageset, &config.mirror.local_dir)?;
    let bundle_dir = config.artefacts.bundle_dir.to_path_buf();
    disk::create_folder(&bundle_dir, 0o755)?;
    let oc_mirror = OcMirror::probe(&config.mirror.oc_mirror.path, &bundle_dir, interrupt)?;
    oc_mirror.require(imageset.generation)?;
    inspect::refuse_traps(config, imageset, &oc_mirror).map_err(|error| file.wrong(error))?;
    if imageset.generation == Generation::V1 {
        let text = "nothing is known to be wrong; v1 cannot say before what it will mirror";
        return Ok(Report::new("planned", text));
    }
    let ahead = Ahead {
        config,
        file: &file,
        oc_mirror: &oc_mirror,
        release_keys: &release_keys::read(config)?,
        interrupt,
    };
    let rehearsed = ahead.rehearse()?;
    let known = Known::read(&config.artefacts.metadata_dir)?;
    let planned = Planned::of(rehearsed.plan, &rehearsed.mapped, &known);
    let text = planned.text();
    let report = Report::new("planned", text).with(&planned)?;
    let findings = Findings::new(planned.plan.findings);
    if !findings.is_empty() {
        return Ok(report.but(file.wrong(ImageSetError::Unsatisfied(findings))));
    }
    // It may know of something that is not judged here.
    Ok(match rehearsed.error {
        Some(error) => report.but(error),
        None => report,
    })
}

/// What a dry run is made of.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a> {
    pub config: &'a Config,
    pub file: &'a ImageSetFile,
    pub oc_mirror: &'a OcMirror,
    pub release_keys: &'a ReleaseKeys,
    pub interrupt: &'a Interrupt,
}

/// What a dry run came to.
pub(crate) struct Rehearsed {
    pub plan: Plan,
    pub mapped: Vec<Mapped>,
    /// What `oc-mirror` itself says that is wrong.
    pub error: Option<OutcomeError>,
}

impl Ahead<'_> {
    /// Makes the dry run, in a private folder that is removed afterwards.
    pub(crate) fn rehearse(self) -> Result<Rehearsed, Failure> {
        let Self {
            config,
            file,
            oc_mirror,
            release_keys,
            interrupt,
        } = self;
        let imageset = &file.imageset;
        let bundle_dir = config.artefacts.bundle_dir.to_path_buf();
        let folder = Folder(bundle_dir.join(format!("9{:010}", std::process::id())));
        disk::create_folder(&folder.0, 0o700)?;
        let places = Places::at(&folder.0)?;
        let start = Start {
            config,
            places: &places,
            oc_mirror,
            bytes: &file.bytes,
            imageset,
            base: Base::Nothing,
            release_keys,
            without_signatures: false.into(),
            interrupt,
            partial: PartialRuns::Refuse,
            blobs: Blobs::All,
        };
        let platform = imageset.mirror.platform.as_ref();
        let unknown = platform.map_or_else(Vec::new, |platform| {
            update_service::unknown_channels(config, platform)
        });
        let error = match start.rehearse() {
            Ok(error) => error,
            // Without the channel there may be nothing left to mirror.
            Err(failure) if unknown.is_empty() || failure.id() == ErrorId::Interrupted => {
                return Err(failure);
            }
            Err(_) => None,
        };
        let producer = describe::producer(config, oc_mirror, imageset.generation, false);
        let mapped = mapping::read(&places.output)?;
        let copied: Vec<_> = mapped.iter().map(|image| image.from.clone()).collect();
        let question = Question {
            imageset,
            structure: &Structure::default(),
            producer: &producer,
            incomplete: &[],
            before: &Before::default(),
            copied: &copied,
            release_keys,
        };
        let mut plan = plan(&question, &mut WorkingDir::below(&places.output))?;
        plan.findings
            .retain(|finding| unknown.iter().all(|one| one.at != finding.at));
        plan.findings.extend(unknown);
        plan.hints
            .extend(charts::hints(imageset, &config.mirror.local_dir, &copied)?);
        Ok(Rehearsed {
            plan,
            mapped,
            error,
        })
    }
}

impl Run<'_> {
    /// What cannot be met is said before hours are spent on mirroring.
    ///
    /// A dry run fetches catalogues and release images once more, so it is made only where the image set is another than
    /// that of the last bundle. Where it fails otherwise, the run itself will tell: its archives are judged in any case.
    pub(crate) fn look_ahead(
        &self,
        file: &ImageSetFile,
        oc_mirror: &OcMirror,
        published: &Published,
    ) -> Result<(), Failure> {
        let imageset = &file.imageset;
        let tells = imageset.mirror.platform.is_some() || imageset.has_operators();
        let last = published.newest_content();
        let last = last.and_then(|link| published.bundle(link.sequence));
        let is_known = last.is_some_and(|bundle| {
            let mut imagesets = bundle.files(Role::Imageset);
            imagesets.any(|imageset| imageset.is(&file.bytes))
        });
        if imageset.generation == Generation::V1 || !tells || is_known {
            return Ok(());
        }
        // The run itself is tried again where that may help.
        let mut config = self.request.config.clone();
        config.mirror.oc_mirror.retries = 0;
        let ahead = Ahead {
            config: &config,
            file,
            oc_mirror,
            release_keys: &self.release_keys,
            interrupt: self.request.interrupt,
        };
        match self.front().stage("plan", || ahead.rehearse()) {
            Ok(rehearsed) => {
                let findings = Findings::new(rehearsed.plan.findings);
                let refused = imageset::refuse_any(findings, ImageSetError::Unsatisfied);
                refused.map_err(|error| file.wrong(error).into())
            }
            Err(failure) if failure.id() == ErrorId::Interrupted => Err(failure),
            Err(failure) => {
                tracing::info!("what cannot be met could not be told by a dry run: {failure}");
                Ok(())
            }
        }
    }
}

/// What the stream holds, by the inventories that are kept here.
#[derive(Debug, Default)]
struct Known {
    /// The newest bundle's.
    links: Structure,
    manifests: BTreeMap<Digest, ImageManifest>,
    /// Of blobs, in bytes.
    sizes: BTreeMap<Digest, u64>,
}

impl Known {
    fn read(metadata: &Path) -> Result<Self, Failure> {
        let mut known = Self::default();
        let Ok(entries) = fs::read_dir(metadata.join("inventories")) else {
            return Ok(known);
        };
        let files: BTreeSet<_> = entries.flatten().map(|entry| entry.path()).collect();
        for file in files {
            let bytes = disk::read_bounded(&file, limits::INVENTORY_SIZE)?;
            let mut structure = Inventory::from_bytes(&bytes)?.structure;
            known.sizes.append(&mut structure.blobs);
            known.manifests.append(&mut structure.manifests);
            known.links = structure;
        }
        Ok(known)
    }

    fn digest(&self, image: &Mapped) -> Option<Digest> {
        let there = self.links.resolve(&image.repository, &image.tag)?;
        image
            .digest()
            .is_none_or(|digest| digest == there)
            .then_some(there)
    }

    /// The size of these images together, each blob counted once.
    fn bytes(&self, images: impl Iterator<Item = Digest>) -> u64 {
        let mut open: Vec<Digest> = images.collect();
        let mut seen = BTreeSet::new();
        while let Some(digest) = open.pop() {
            if !seen.insert(digest) {
                continue;
            }
            if let Some(manifest) = self.manifests.get(&digest) {
                open.extend(manifest.manifests.iter().chain(&manifest.blobs));
            }
        }
        seen.iter().filter_map(|blob| self.sizes.get(blob)).sum()
    }
}

impl Planned {
    fn of(plan: Plan, mapped: &[Mapped], known: &Known) -> Self {
        let there = || mapped.iter().filter_map(|image| known.digest(image));
        Self {
            plan,
            images: mapped.len(),
            new_images: mapped.len() - there().count(),
            known_bytes: known.bytes(there()),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let plan = &self.plan;
        // Writing to a text cannot fail.
        for release in &plan.releases {
            let _ = writeln!(
                text,
                "release  {} {}  {}",
                release.version,
                release.architecture,
                release.digest.to_oci()
            );
        }
        for catalog in &plan.operators {
            let _ = writeln!(
                text,
                "catalogue  {}  {}",
                catalog.reference,
                catalog.source.to_oci()
            );
            for (name, package) in &catalog.packages {
                for (channel, bundles) in &package.channels {
                    let mark = if *channel == package.default_channel {
                        " (default)"
                    } else {
                        ""
                    };
                    let bundles: Vec<_> = bundles.keys().map(String::as_str).collect();
                    let _ = writeln!(text, "  {name}  {channel}{mark}  {}", bundles.join(" "));
                }
            }
            if catalog.dead_packages > 0 {
                let _ = writeln!(
                    text,
                    "  and {} packages whose images do not travel",
                    catalog.dead_packages
                );
            }
        }
        for chart in &plan.charts {
            let _ = writeln!(
                text,
                "chart  {} {}  {}",
                chart.name, chart.version, chart.from
            );
        }
        let _ = writeln!(
            text,
            "images  {}, of which {} are new to the stream; the others are {} bytes together",
            self.images, self.new_images, self.known_bytes
        );
        for hint in &plan.hints {
            let _ = writeln!(text, "note  {hint}");
        }
        for finding in &plan.findings {
            let _ = writeln!(text, "MISSING  {finding}");
        }
        text
    }
}
