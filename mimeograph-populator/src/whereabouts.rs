//! Where a bundle's chunks are: whole, damaged, or on a volume that is not here.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Parallel;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::volumes::Volumes;
use mimeograph_manifest::io::workers;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::media::{self, Plan};
use mimeograph_manifest::name::StreamId;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

/// What is not there as it was signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lacking {
    /// How many chunks there should be.
    pub chunks: usize,
    /// Those that are not there, or not whole yet.
    pub missing: Vec<Digest>,
    /// On which volumes of how many those lie, where a plan says so.
    pub volumes: Vec<OnVolume>,
    /// Those that are there, and are something else, with the files that hold them.
    pub damaged: Vec<Damaged>,
}

/// Missing chunks of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OnVolume {
    /// The volume's label.
    pub label: String,
    /// Its number.
    pub volume: usize,
    /// How many there are.
    pub of: usize,
    /// How many of the chunks lie there.
    pub chunks: usize,
}

/// A chunk that is something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Damaged {
    /// Its name.
    pub chunk: Digest,
    /// The files.
    pub files: Vec<String>,
}

impl Lacking {
    pub(crate) fn is_nothing(&self) -> bool {
        self.missing.is_empty() && self.damaged.is_empty()
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 5;
        let Self {
            chunks,
            missing,
            volumes,
            damaged,
        } = self;
        if !missing.is_empty() {
            write!(f, "{} of {chunks} chunks are missing", missing.len())?;
            let told: Vec<_> = volumes
                .iter()
                .map(|one| {
                    format!(
                        "volume {} of {} ({}-{}, {} chunks)",
                        one.volume, one.of, one.label, one.volume, one.chunks
                    )
                })
                .collect();
            if !told.is_empty() {
                write!(f, ": {}", told.join(", "))?;
            }
        }
        if !damaged.is_empty() {
            let and = if missing.is_empty() { "" } else { "; " };
            write!(f, "{and}{} of {chunks} chunks are damaged", damaged.len())?;
            for (number, one) in damaged.iter().take(MOST).enumerate() {
                let before = if number == 0 { ": " } else { ", " };
                let place = match &*one.files {
                    [] => Key::Chunk(one.chunk).to_string(),
                    files => files.join(" and "),
                };
                write!(f, "{before}{place}")?;
            }
            if damaged.len() > MOST {
                write!(f, " and {} more", damaged.len() - MOST)?;
            }
        }
        Ok(())
    }
}

/// On which volume each chunk lies, by the plans that lie beside them. Nobody signs those: they tell what to look for.
#[derive(Debug, Default)]
pub(crate) struct Map(Vec<(Plan, HashMap<Digest, usize>)>);

impl Map {
    /// Reads the plans, as far as the manifests that they name are here and verify.
    pub(crate) fn read(volumes: &Volumes, trusted: &TrustedKeys) -> Result<Self, Failure> {
        let listing = Listing::of(volumes)?;
        let floor = trusted.as_floor();
        let mut map = Vec::new();
        'plans: for plan in volumes.plans() {
            let mut manifests: Vec<Verified<Manifest>> = Vec::new();
            for link in &plan.bundles {
                let signed = listing.open(volumes, link.sequence, &floor)?;
                match signed.map(|signed| signed.verify(&floor)) {
                    Some(Ok(manifest)) if manifest.link() == *link => manifests.push(manifest),
                    _ => continue 'plans,
                }
            }
            let chunks = media::chunks(manifests.iter().map(|one| &**one));
            let places = plan.places(&chunks);
            map.push((plan, places));
        }
        Ok(Self(map))
    }

    /// On which volumes these lie.
    pub(crate) fn volumes(&self, stream: &StreamId, missing: &[Digest]) -> Vec<OnVolume> {
        let ours = self.0.iter().filter(|(plan, _)| plan.stream == *stream);
        let mut told = Vec::new();
        for (plan, places) in ours {
            let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
            for volume in missing.iter().filter_map(|chunk| places.get(chunk)) {
                *counts.entry(*volume).or_default() += 1;
            }
            told.extend(counts.into_iter().map(|(volume, chunks)| OnVolume {
                label: plan.label.clone(),
                volume,
                of: plan.volumes.len(),
                chunks,
            }));
        }
        told
    }
}

/// Reads all chunks of a bundle.
pub(crate) fn look(
    store: &dyn Fetch,
    volumes: Option<&Volumes>,
    map: &Map,
    manifest: &Manifest,
) -> Result<Lacking, Failure> {
    let chunks = media::chunks([manifest]);
    let count = Parallel::Auto.count();
    let found = workers::each_with(&chunks, count, |room: &mut Vec<u8>, chunk: &Chunk| {
        let found = store.get(&Key::Chunk(chunk.stored), chunk.stored_size, room)?;
        Ok::<_, Failure>(state(chunk, found.then_some(&**room)))
    })?;
    let mut lacking = Lacking {
        chunks: chunks.len(),
        ..Lacking::default()
    };
    for (chunk, state) in chunks.iter().zip(found) {
        match state {
            State::Whole => {}
            State::Missing => lacking.missing.push(chunk.stored),
            State::Damaged => lacking.damaged.push(damaged(volumes, chunk.stored)),
        }
    }
    lacking.volumes = map.volumes(&manifest.stream, &lacking.missing);
    Ok(lacking)
}

/// A chunk as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As it was signed.
    Whole,
    /// Not there, or shorter.
    Missing,
    /// Something else.
    Damaged,
}

pub(crate) fn state(chunk: &Chunk, bytes: Option<&[u8]>) -> State {
    match bytes {
        Some(bytes) if (bytes.len() as u64) < chunk.stored_size => State::Missing,
        None => State::Missing,
        Some(bytes) if bytes.len() as u64 == chunk.stored_size => {
            if Digest::of(bytes) == chunk.stored {
                State::Whole
            } else {
                State::Damaged
            }
        }
        Some(_) => State::Damaged,
    }
}

pub(crate) fn damaged(volumes: Option<&Volumes>, chunk: Digest) -> Damaged {
    let files = volumes.map(|volumes| volumes.files(&Key::Chunk(chunk)));
    let files = files.unwrap_or_default();
    Damaged {
        chunk,
        files: files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    }
}
