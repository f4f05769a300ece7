//! Where a run ended, but for times: what lies in the store, in the target, and in the state of the far side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::key::PublicKey;
use mimeograph_manifest::manifest::{File, Kind, Link, Manifest, Role};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_tests::gap::Gap;
use serde_json::Value;

/// Where both sides are.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    /// The bundles with content, oldest first.
    bundles: Vec<Bundle>,
    /// Every tag, manifest and blob of the target.
    target: BTreeMap<String, String>,
    /// The far side's state.
    state: Value,
    /// What else the far side keeps: the names of its files, with the digests of those that name no host.
    kept: BTreeMap<String, Option<Digest>>,
    /// What no run should leave behind.
    left: Vec<String>,
}

/// A bundle, but for its time, its number (a heartbeat may lie before it), and the bytes of its archives, whose
/// content the inventory has.
#[derive(Debug, PartialEq)]
struct Bundle {
    kind: Kind,
    /// The place of the bundle that it builds on.
    requires: Option<usize>,
    files: BTreeMap<String, Option<Digest>>,
}

impl End {
    /// With everything in the store read and held against what is signed.
    pub(crate) fn of(gap: &Gap, store: &dyn Fetch) -> Result<Self, String> {
        let mut target = gap.target.snapshot();
        target.retain(|name, _| !name.contains("mimeograph-state"));
        Ok(Self {
            bundles: bundles(gap, store)?,
            target,
            state: state(gap),
            kept: kept(gap)?,
            left: left(gap),
        })
    }

    /// The highest bundle that was loaded.
    pub(crate) fn mark(&self) -> Option<u64> {
        mark_of(&self.state)
    }

    /// How many bundles have content.
    pub(crate) fn len(&self) -> usize {
        self.bundles.len()
    }

    /// A folder of a run that could not be removed goes with the next run that needs one.
    pub(crate) fn forgive_a_private_folder(&mut self) {
        self.left.retain(|name| !name.ends_with("/bundle/3"));
    }

    /// What differs from `other`, in short.
    pub(crate) fn differs_from(&self, other: &Self) -> Result<(), String> {
        if self == other {
            return Ok(());
        }
        let mut parts = Vec::new();
        let mut part = |name: &str, ours: String, theirs: String| {
            if ours != theirs {
                parts.push(format!("{name}: {ours}\ninstead of: {theirs}"));
            }
        };
        let show = |part: &dyn std::fmt::Debug| format!("{part:?}");
        part("bundles", show(&self.bundles), show(&other.bundles));
        part("target", show(&self.target), show(&other.target));
        part("state", self.state.to_string(), other.state.to_string());
        part("kept", show(&self.kept), show(&other.kept));
        part("left", show(&self.left), show(&other.left));
        Err(parts.join("\n"))
    }
}

/// Every manifest, verified, oldest first.
pub(crate) fn manifests(gap: &Gap, store: &dyn Fetch) -> Result<Vec<Verified<Manifest>>, String> {
    let pem = fs::read_to_string(gap.path("keys/signing.pub.pem")).map_err(text)?;
    let key = PublicKey::from_pem(&pem).map_err(text)?;
    let trusted = TrustedKeys::new([key], NonZeroUsize::MIN);
    let listing = Listing::of(store).map_err(text)?;
    let mut found = Vec::new();
    for sequence in listing.sequences() {
        let signed = listing.open(store, sequence, &trusted).map_err(text)?;
        let signed = signed.ok_or("a manifest is gone")?;
        found.push(signed.verify(&trusted).map_err(text)?);
    }
    Ok(found)
}

fn bundles(gap: &Gap, store: &dyn Fetch) -> Result<Vec<Bundle>, String> {
    let manifests = manifests(gap, store)?;
    let (mut bundles, mut links) = (Vec::new(), Vec::<(Link, usize)>::new());
    for (place, manifest) in manifests.iter().enumerate() {
        // Those before may have been pruned.
        let before = place.checked_sub(1).map(|before| manifests[before].link());
        let follows = manifest.previous.map(|link| link.sequence);
        if before.is_some_and(|link| follows == Some(link.sequence)) && manifest.previous != before
        {
            return Err(format!("bundle {} does not follow", manifest.sequence));
        }
        let place_of = |link| {
            links
                .iter()
                .find(|(known, _)| *known == link)
                .map(|(_, place)| *place)
        };
        let requires = manifest.requires.map(place_of);
        if requires == Some(None) {
            return Err(format!("bundle {} requires nothing", manifest.sequence));
        }
        let requires = requires.flatten();
        if manifest.kind == Kind::Heartbeat {
            if requires != links.last().map(|(_, place)| *place) {
                return Err(format!("heartbeat {} is of another", manifest.sequence));
            }
            continue;
        }
        let mut files = BTreeMap::new();
        for file in &manifest.files {
            let name = format!("{:?} {}", file.role, file.name);
            files.insert(name, content(store, file)?);
        }
        let bundle = Bundle {
            kind: manifest.kind,
            requires,
            files,
        };
        // What was asked for in so many words is done twice where the first run was killed after it had mirrored.
        match bundles.last() {
            Some(last) if *last == bundle => links.push((manifest.link(), bundles.len() - 1)),
            _ => {
                links.push((manifest.link(), bundles.len()));
                bundles.push(bundle);
            }
        }
    }
    Ok(bundles)
}

/// The digest of a file's bytes, of a history's lines without its time; all its chunks are read in any case.
fn content(store: &dyn Fetch, file: &File) -> Result<Option<Digest>, String> {
    let bytes = fetched::small_file(store, file).map_err(text)?;
    Ok(match file.role {
        Role::Archive => None,
        Role::History => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: BTreeSet<&str> = text.lines().skip(1).collect();
            Some(Digest::of(format!("{lines:?}").as_bytes()))
        }
        _ => Some(Digest::of(&bytes)),
    })
}

/// The highest bundle that was loaded, as the state has it now.
pub(crate) fn mark(gap: &Gap) -> Option<u64> {
    mark_of(&state(gap))
}

fn mark_of(state: &Value) -> Option<u64> {
    let bundles = state["bundles"].as_object()?.iter();
    let loaded = bundles.filter(|(_, one)| one["fate"] == "applied" && one["kind"] != "heartbeat");
    loaded.filter_map(|(number, _)| number.parse().ok()).max()
}

fn state(gap: &Gap) -> Value {
    let bytes = fs::read(gap.path("disconnected/metadata/state.json")).unwrap_or_default();
    let mut state = serde_json::from_slice(&bytes).unwrap_or_default();
    without_times(&mut state);
    state
}

fn without_times(value: &mut Value) {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "TIME".clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(without_times),
        Value::Object(members) => members.values_mut().for_each(without_times),
        _ => {}
    }
}

fn kept(gap: &Gap) -> Result<BTreeMap<String, Option<Digest>>, String> {
    let side = gap.path("disconnected");
    let mut kept = BTreeMap::new();
    let mut paths = files(&side.join("metadata"));
    paths.extend(files(&side.join("bundle/extra")));
    for path in paths {
        let name = path.strip_prefix(&side).unwrap_or(&path);
        let name = name.strip_prefix("metadata").unwrap_or(name);
        let of_its_own = ["lock", "state.json", "state-copy"].map(Path::new);
        let is_compared = !name.starts_with("resources") && !of_its_own.contains(&name);
        let bytes = is_compared.then(|| fs::read(&path)).transpose();
        let digest = bytes.map_err(text)?.map(|bytes| Digest::of(&bytes));
        kept.insert(name.display().to_string(), digest);
    }
    Ok(kept)
}

/// Temporary files, and what lies in the large folders beside what is meant to stay.
fn left(gap: &Gap) -> Vec<String> {
    let mut left = Vec::new();
    for folder in ["connected/metadata", "disconnected/metadata"] {
        let names = files(&gap.path(folder));
        let names = names.iter().map(|path| path.display().to_string());
        left.extend(names.filter(|name| name.strip_suffix(".tmp").is_some()));
    }
    for folder in ["connected/bundle", "disconnected/bundle"] {
        for entry in fs::read_dir(gap.path(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            left.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    left.sort();
    left
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Every chunk of the store is one of a bundle there: nothing is left of those that were dropped.
pub(crate) fn all_is_named(gap: &Gap, store: &dyn Fetch) -> Result<(), String> {
    let manifests = manifests(gap, store)?;
    let chunks = manifests.iter().flat_map(|manifest| manifest.chunks());
    let named: BTreeSet<Digest> = chunks.map(|chunk| chunk.stored).collect();
    let lying: BTreeSet<Digest> = listing::chunks(store).map_err(text)?.into_keys().collect();
    if lying.is_subset(&named) {
        return Ok(());
    }
    Err(format!(
        "{} chunks are left",
        lying.difference(&named).count()
    ))
}

/// What is there has the name that belongs to it: no half of a file bears one that counts.
pub(crate) fn nothing_half_written(gap: &Gap, store: &dyn Fetch) -> Result<(), String> {
    manifests(gap, store)?;
    let mut bytes = Vec::new();
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    store
        .list("", &mut |object| names.push(object.name))
        .map_err(text)?;
    for key in names
        .iter()
        .filter_map(|name| mimeograph_manifest::layout::Key::parse(name))
    {
        if let mimeograph_manifest::layout::Key::Chunk(digest) = &key {
            store.get(&key, u64::MAX >> 1, &mut bytes).map_err(text)?;
            if Digest::of(&bytes) != *digest {
                wrong.push(key.to_string());
            }
        }
    }
    for file in files(&gap.path("connected/metadata"))
        .into_iter()
        .chain(files(&gap.path("disconnected/metadata")))
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
    {
        let bytes = fs::read(&file).map_err(text)?;
        if serde_json::from_slice::<Value>(&bytes).is_err() {
            wrong.push(file.display().to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("half-written: {}", wrong.join(", ")))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
