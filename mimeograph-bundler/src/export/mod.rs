//! `export`: bundles from the store onto media, one volume at a time, and what a far side asks to have once more.
//!
//! What lies on which volume is fixed before the first byte is written, and kept (`metadataDir/export.json`) until another
//! export begins. All that a volume will hold is known before it is written, to the byte.

mod cover;
mod volume;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::{Inventory, Structure};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, disk};
use mimeograph_manifest::layout::{Key, PRUNED};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::media::repair::{self, RepairError, RepairRequest};
use mimeograph_manifest::media::{self, PLAN, PLAN_SIZE, Plan, PlanError, VolumeSize};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::Wish;
use mimeograph_manifest::wish::named::{Change, diff, diff_files};

use self::cover::Cover;
use self::volume::{ReadBack, Volume};
use crate::diff::inventory;
use crate::head::Published;

/// What is exported, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The keys that our stream is signed with.
    pub ours: &'a TrustedKeys,
    /// The folder that becomes a volume.
    pub to: &'a Path,
    /// Which bundles.
    pub which: Which,
    /// How much goes onto a volume.
    pub size: Option<VolumeSize>,
    /// What the volumes are labelled with.
    pub label: Option<&'a str>,
    /// Which volume is written now, counted from 1.
    pub volume: Option<usize>,
    /// Whether what was written is read back.
    pub read_back: bool,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// Which bundles are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest full one and all after it.
    FromFull,
    /// Those after this one.
    Since(Sequence),
    /// From the first to the second.
    Range(Sequence, Sequence),
}

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// There is nothing to export.
    #[error("there is no bundle to export: {0}")]
    Nothing(&'static str),
    /// One of them is gone, or was never there.
    #[error("bundle {0} is not in the store")]
    Missing(Sequence),
    /// More than one is needed.
    #[error("this takes {} volumes: {volumes}", .count)]
    Several { count: usize, volumes: String },
    /// There are not so many.
    #[error("there is no volume {volume}: the export has {count}")]
    NoVolume { volume: usize, count: usize },
    /// The first has not been written.
    #[error("no export was begun whose volume {0} could be written")]
    NotBegun(usize),
    /// Something else was begun.
    #[error("the export that was begun is of other bundles, or of volumes of another size")]
    Other,
    /// The volume cannot be planned.
    #[error("the volumes cannot be planned")]
    Plan(#[from] PlanError),
    /// The request cannot be answered.
    #[error("`{}` cannot be answered", path.display())]
    Repair { path: PathBuf, source: RepairError },
    /// The request is another stream's.
    #[error("`{}` is of another stream than this store", .0.display())]
    OtherStream(PathBuf),
    /// It asks for what is not there.
    #[error("no bundle in the store has a chunk whose name begins with {0}")]
    NoChunk(String),
}

impl Fault for ExportError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Nothing(_) | Self::Missing(_) | Self::NoChunk(_) => ErrorId::InputMissing,
            Self::OtherStream(_) => ErrorId::WrongStream,
            Self::Several { .. }
            | Self::NoVolume { .. }
            | Self::NotBegun(_)
            | Self::Other
            | Self::Plan(_)
            | Self::Repair { .. } => ErrorId::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Nothing(_) | Self::Missing(_) => "`mimeograph-bundler list` shows what there is",
                Self::Several { .. } => {
                    "put the first medium in and run it again with `--volume 1`, then the others, each with its number"
                }
                Self::NoVolume { .. } | Self::NotBegun(_) => "begin with `--volume 1`",
                Self::Other => "leave the other options out from the second volume on, or begin anew with `--volume 1`",
                Self::Plan(PlanError::TooSmall { .. }) => "take larger media: no chunk is ever split",
                Self::Plan(PlanError::TooMany) => "take larger media, or fewer bundles at once",
                Self::Repair { .. } => "correct it, or have the far side's `import` write it again",
                Self::OtherStream(_) => "name the configuration of that stream",
                Self::NoChunk(_) => "compare the digits with those on the far side; what was pruned is in a newer bundle",
            }
            .into(),
        )
    }
}

/// Writes one volume.
pub fn export(request: &Request<'_>, store: &dyn Fetch) -> Result<Report, Failure> {
    let published = Published::read(store, request.ours)?;
    let (plan, bundles) = plan(request, store, &published)?;
    let count = plan.volumes.len();
    let volume = match request.volume {
        Some(volume) if !(1..=count).contains(&volume) => {
            return Err(ExportError::NoVolume { volume, count }.into());
        }
        Some(volume) => volume,
        None if count > 1 => {
            let volumes = in_words(&plan);
            return Err(ExportError::Several { count, volumes }.into());
        }
        None => 1,
    };
    let manifests = bundles.iter().map(|bundle| &***bundle);
    let chunks = media::chunks(manifests.clone());
    let here = plan.on(volume, &chunks);
    let (before, changes) = changes(store, &published, &bundles)?;
    let holds = |manifest: &&Manifest| {
        let named: BTreeSet<_> = manifest.chunks().map(|chunk| chunk.stored).collect();
        here.iter().any(|chunk| named.contains(&chunk.stored))
    };
    let with_chunks: Vec<_> = manifests
        .filter(holds)
        .map(|manifest| manifest.sequence.number())
        .collect();
    let cover = Cover {
        plan: &plan,
        volume,
        bundles: &bundles,
        changes: &changes,
        before,
        here: &with_chunks,
    };
    let papers = vec![
        ("VERIFY.txt", cover.verify().into_bytes()),
        ("TRANSFER.txt", cover.text().into_bytes()),
        ("TRANSFER.html", cover.html().into_bytes()),
        (PLAN, form(&plan)),
    ];
    let documents = documents(store, &bundles)?;
    let volume_size = request.size.as_ref();
    let written = Volume::new(request.to, here, documents, papers).write(
        store,
        request.interrupt,
        ReadBack::from(request.read_back),
        volume_size,
    )?;
    keep(request, &plan)?;
    let left: Vec<_> = (1..=count).filter(|other| *other > volume).collect();
    let next = match left.first() {
        Some(next) => format!("\nnext: put volume {next} in and run it with `--volume {next}`"),
        None => String::new(),
    };
    let text = format!(
        "volume {volume} of {count} is in {}: {} chunks, {} bytes in all, {} of them new{}{next}",
        request.to.display(),
        here.len(),
        written.bytes,
        written.new_bytes,
        if request.read_back {
            ", read back"
        } else {
            ", not read back"
        },
    );
    let numbers: Vec<_> = plan.bundles.iter().map(|link| link.sequence).collect();
    Ok(Report::new("exported", text).with(&serde_json::json!({
        "export": plan.id(),
        "volume": volume,
        "volumes": count,
        "bundles": numbers,
        "chunks": here.len(),
        "bytes": written.bytes,
        "newBytes": written.new_bytes,
    }))?)
}

/// Answers a far side's request: those chunks and no others, with what says whose they are.
pub fn repair(request: &Request<'_>, store: &dyn Fetch, file: &Path) -> Result<Report, Failure> {
    let bytes = disk::read_bounded(file, repair::SIZE)?;
    let asked = RepairRequest::parse(&bytes).map_err(|source| ExportError::Repair {
        path: file.to_owned(),
        source,
    })?;
    let published = Published::read(store, request.ours)?;
    let head = published
        .head()
        .ok_or(ExportError::Nothing("the store is empty"))?;
    if head.stream != asked.stream {
        return Err(ExportError::OtherStream(file.to_owned()).into());
    }
    let asked_of = |bundle: &&Verified<Manifest>| bundle.chunks().any(|one| asked.asks_for(one));
    let bundles: Vec<_> = published.bundles.iter().filter(asked_of).collect();
    let chunks = media::chunks(bundles.iter().map(|bundle| &***bundle));
    let chunks: Vec<Chunk> = chunks
        .into_iter()
        .filter(|chunk| asked.asks_for(chunk))
        .collect();
    let is_there = |name: &&String| chunks.iter().any(|chunk| chunk.stored.short() == **name);
    if let Some(name) = asked.chunks.iter().find(|name| !is_there(name)) {
        return Err(ExportError::NoChunk(name.clone()).into());
    }
    let documents = documents(store, &bundles)?;
    let written = Volume::new(request.to, &chunks, documents, Vec::new()).write(
        store,
        request.interrupt,
        ReadBack::from(request.read_back),
        None,
    )?;
    let text = format!(
        "{} chunks that were asked for are in {}, {} bytes in all",
        chunks.len(),
        request.to.display(),
        written.bytes
    );
    Ok(Report::new("exported", text).with(&serde_json::json!({
        "chunks": chunks.len(),
        "bytes": written.bytes,
    }))?)
}

/// The plan, new or as it was begun, and its bundles.
fn plan<'a>(
    request: &Request<'_>,
    store: &dyn Fetch,
    published: &'a Published,
) -> Result<(Plan, Vec<&'a Verified<Manifest>>), Failure> {
    let path = request.config.artefacts.metadata_dir.join(PLAN);
    let kept = disk::read_if_there(&path, PLAN_SIZE)?;
    let kept = kept.and_then(|bytes| Plan::parse(&bytes));
    if let Some(volume) = request.volume.filter(|volume| *volume > 1) {
        let plan = kept.ok_or(ExportError::NotBegun(volume))?;
        let bundles = of(published, &plan)?;
        let links = |bundles: Vec<&Verified<Manifest>>| -> Vec<Link> {
            bundles.into_iter().map(Verified::link).collect()
        };
        let is_other = || -> Result<bool, ExportError> {
            Ok(links(selected(request.which, published)?) != plan.bundles)
        };
        if request.which != Which::FromFull && is_other()? {
            return Err(ExportError::Other.into());
        }
        if request.size.is_some() && dealt(request, store, &bundles)? != plan.volumes {
            return Err(ExportError::Other.into());
        }
        return Ok((plan, bundles));
    }
    let bundles = selected(request.which, published)?;
    let newest = bundles
        .last()
        .ok_or(ExportError::Nothing("none is of that number"))?;
    let label = request
        .label
        .map_or_else(|| label(&newest.name), str::to_owned);
    let plan = Plan {
        r#type: media::TYPE.to_owned(),
        stream: newest.stream.clone(),
        name: newest.name.clone(),
        label,
        created: clock::now(),
        bundles: bundles.iter().map(|bundle| bundle.link()).collect(),
        volumes: dealt(request, store, &bundles)?,
    };
    // The same again is gone on with: its first volume was not finished, or is written once more.
    let again = kept.filter(|kept| {
        let created = kept.created;
        let plan = plan.clone();
        *kept == Plan { created, ..plan }
    });
    Ok((again.unwrap_or(plan), bundles))
}

fn dealt(
    request: &Request<'_>,
    store: &dyn Fetch,
    bundles: &[&Verified<Manifest>],
) -> Result<Vec<media::Volume>, Failure> {
    let chunks = media::chunks(bundles.iter().map(|bundle| &***bundle));
    let documents = documents(store, bundles)?;
    let takes = |size| request.size.map_or(size, |volume| volume.takes(size));
    let documents = documents.iter().map(|(_, bytes)| takes(bytes.len() as u64));
    let beside = documents.sum::<u64>() + volume::papers_size(chunks.len());
    Ok(media::deal(&chunks, request.size, beside).map_err(ExportError::Plan)?)
}

fn selected(which: Which, published: &Published) -> Result<Vec<&Verified<Manifest>>, ExportError> {
    let all = &published.bundles;
    let is_wanted = |sequence: Sequence| match which {
        Which::FromFull => {
            let mut fulls = all.iter().rev();
            let full = fulls.find(|bundle| bundle.kind == Kind::Full);
            full.is_some_and(|full| sequence >= full.sequence)
        }
        Which::Since(since) => sequence > since,
        Which::Range(first, last) => (first..=last).contains(&sequence),
    };
    if let Which::Range(first, last) = which {
        let missing = [first, last]
            .into_iter()
            .find(|end| published.bundle(*end).is_none());
        if let Some(missing) = missing {
            return Err(ExportError::Missing(missing));
        }
    }
    let found: Vec<_> = all
        .iter()
        .filter(|bundle| is_wanted(bundle.sequence))
        .collect();
    if found.is_empty() {
        return Err(ExportError::Nothing("nothing newer is in the store"));
    }
    Ok(found)
}

fn of<'a>(
    published: &'a Published,
    plan: &Plan,
) -> Result<Vec<&'a Verified<Manifest>>, ExportError> {
    let one = |link: &Link| {
        let bundle = published.bundle(link.sequence);
        bundle
            .filter(|bundle| bundle.link() == *link)
            .ok_or(ExportError::Missing(link.sequence))
    };
    plan.bundles.iter().map(one).collect()
}

/// What lies on every volume: manifests and lists of what is dropped, with all signatures.
fn documents(
    store: &dyn Fetch,
    bundles: &[&Verified<Manifest>],
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let listing = Listing::of(store)?;
    let mut documents = Vec::new();
    for bundle in bundles {
        for key in listing.signatures(bundle.sequence) {
            store.get_each(&key, limits::SIGNATURE_SIZE, &mut |bytes| {
                documents.push((key.to_string(), bytes));
            })?;
        }
        let key = Key::Manifest(bundle.sequence);
        documents.push((key.to_string(), bundle.payload().to_vec()));
    }
    let mut keys = Vec::new();
    store.list(PRUNED, &mut |object| keys.extend(Key::parse(&object.name)))?;
    for key in keys {
        let mut bytes = Vec::new();
        if store.get(&key, limits::PRUNED_SIZE, &mut bytes)? {
            documents.push((key.to_string(), bytes));
        }
    }
    Ok(documents)
}

/// What the last bundle with content changes against the last before the first of them.
fn changes(
    store: &dyn Fetch,
    published: &Published,
    bundles: &[&Verified<Manifest>],
) -> Result<(Option<u64>, Vec<Change>), Failure> {
    let has_content = |bundle: &&Verified<Manifest>| bundle.kind != Kind::Heartbeat;
    let Some(after) = bundles.iter().copied().rfind(has_content) else {
        return Ok((None, Vec::new()));
    };
    let first = bundles.first().map(|first| first.sequence);
    let earlier = published.bundles.iter().rev();
    let before = earlier
        .filter(has_content)
        .find(|bundle| Some(bundle.sequence) < first);
    let mut changes = diff_files(before.map(|before| &**before), after);
    let held = before.map(|before| inventory(store, before)).transpose()?;
    let held = held.unwrap_or_else(|| Inventory::new(Structure::default(), Wish::default()));
    changes.extend(diff(&held, &inventory(store, after)?));
    Ok((before.map(|before| before.sequence.number()), changes))
}

/// A volume's label: up to 11 letters and digits, what FAT has room for (8 of the name, a dash, the number).
fn label(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let label: String = letters.take(8).collect::<String>().to_uppercase();
    if label.is_empty() {
        "BUNDLES".to_owned()
    } else {
        label
    }
}

fn in_words(plan: &Plan) -> String {
    let mut text = String::new();
    for (number, volume) in plan.volumes.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma}{} with {} bytes", number + 1, volume.bytes);
    }
    text
}

fn form(plan: &Plan) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(plan).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn keep(request: &Request<'_>, plan: &Plan) -> Result<(), Failure> {
    let metadata = &request.config.artefacts.metadata_dir;
    disk::create_folder(metadata, 0o755)?;
    Ok(disk::write_durably(
        &metadata.join(PLAN),
        &form(plan),
        0o644,
    )?)
}
