//! `verify`: everything that can be checked of a store without changing anything, here or there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use jiff::SignedDuration;
use mimeograph_manifest::archive::{ArchiveError, Contents, Headers, Place, Survey, survey};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory::{Before, Inventory, check_closure};
use mimeograph_manifest::io::archives::Digests;
use mimeograph_manifest::io::config::{Config, EnclaveName, Parallel, Upkeep};
use mimeograph_manifest::io::console::{Progress, Report};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::volumes::Volumes;
use mimeograph_manifest::io::{clock, disk, release_keys, workers};
use mimeograph_manifest::manifest::{File, Kind, Link, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Signed, Verified};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::fresh;
use crate::ledger::{Ledger, LedgerError, Lost};
use crate::open::{OpenError, check_audience, check_created, check_expiry};
use crate::read::ChunkReader;
use crate::record::{self, Record};
use crate::whereabouts::{self, Lacking, Map};
use crate::wished;

/// What was found out about one bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    sequence: u64,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    signed_by: Vec<String>,
    files: usize,
    bytes: u64,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    /// What is not there as it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacking: Option<Lacking>,
}

/// A bundle did not pass.
#[derive(Debug, thiserror::Error)]
#[error("{}{first}", counted(*failed, *total))]
struct NotPassed {
    failed: usize,
    total: usize,
    first: String,
    id: ErrorId,
    hint: Option<String>,
}

fn counted(failed: usize, total: usize) -> String {
    match failed {
        0 => format!("each of the {total} bundles passed, but not together: "),
        failed => format!("{failed} of {total} bundles did not pass; the first: "),
    }
}

impl Fault for NotPassed {
    fn id(&self) -> ErrorId {
        self.id
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// There is nothing to verify.
#[derive(Debug, thiserror::Error)]
#[error("there is no bundle{which} in {place}")]
struct Nothing {
    which: String,
    place: String,
}

impl Fault for Nothing {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("`mimeograph-populator list` shows what there is".into())
    }
}

/// What the bundles are held against besides their signatures.
#[derive(Debug)]
pub struct Side {
    /// The configuration, where there is one: an officer's laptop has none.
    pub config: Option<Config>,
    /// What was accepted on this side before.
    pub ledger: Ledger,
}

/// How far a manifest may be ahead of our clock where no configuration says so.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

impl Side {
    fn skew(&self) -> SignedDuration {
        self.config
            .as_ref()
            .map_or(SKEW, |config| config.trust.clock_skew.signed())
    }

    pub(crate) fn accept(&self, manifest: &Manifest, is_newest: bool) -> Result<(), OpenError> {
        let now = clock::now();
        if let Some(config) = &self.config {
            check_audience(manifest, config.enclave.as_ref().map(EnclaveName::as_str))?;
        }
        check_created(manifest, self.skew(), now)?;
        if is_newest {
            check_expiry(manifest.sequence, manifest.expires, now)?;
        }
        Ok(())
    }

    fn check(&self, so_far: &SoFar) -> Result<(), Failure> {
        let manifests = &so_far.manifests;
        if let Some((sequence, expires)) = so_far.expires {
            check_expiry(sequence, expires, clock::now())?;
        }
        let config = self.config.as_ref();
        if let Some(config) = config {
            let latest = manifests.last().map(|newest| newest.created);
            let latest = latest.max(self.ledger.latest);
            fresh::check(&config.trust, latest, clock::now())?;
        }
        let pinned = config.and_then(|config| config.trust.stream.as_ref());
        let upkeep = config.map_or(Upkeep::Kept, |config| config.upkeep);
        Ok(self.ledger.check(pinned, upkeep, manifests, None)?)
    }

    /// Whether they are of the stream that is followed, and those that were accepted.
    pub(crate) fn check_places(&self, manifests: &[Verified<Manifest>]) -> Result<(), Failure> {
        let config = self.config.as_ref();
        let pinned = config.and_then(|config| config.trust.stream.as_ref());
        Ok(self.ledger.check_places(pinned, manifests)?)
    }
}

/// The bundles that were looked at so far.
#[derive(Default)]
struct SoFar {
    manifests: Vec<Verified<Manifest>>,
    inventories: BTreeMap<Sequence, Inventory>,
    /// What the newest with content, and all on its chain, brought.
    newest: Option<(Link, Before)>,
    failed: BTreeSet<Sequence>,
    /// When the newest expires whose signatures were verified, whatever became of its content. Anyone can put one there that
    /// nobody has signed.
    expires: Option<(Sequence, Timestamp)>,
}

impl SoFar {
    fn manifest(&self, link: Link) -> Option<&Verified<Manifest>> {
        self.manifests
            .iter()
            .find(|manifest| manifest.sequence == link.sequence && manifest.digest() == link.sha256)
    }

    /// What came with `requires` and all on its chain, where all of them are here.
    fn before(&mut self, requires: Option<Link>) -> Option<Before> {
        if let Some((_, before)) = self.newest.take_if(|(link, _)| Some(*link) == requires) {
            return Some(before);
        }
        let (mut before, mut next) = (Before::default(), requires);
        while let Some(link) = next {
            before.add_older(self.inventories.get(&link.sequence)?.clone());
            next = self.manifest(link)?.requires;
        }
        Some(before)
    }
}

/// What is verified.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a store")]
pub struct Request<'a> {
    /// Where the bundles lie.
    pub store: &'a dyn Fetch,
    /// The same, where it is media.
    pub volumes: Option<&'a Volumes>,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
    /// One bundle alone.
    pub only: Option<Sequence>,
    /// What they are held against.
    pub side: &'a Side,
    /// Where a record of it is written.
    pub record: Option<&'a Path>,
}

/// Verifies every bundle of a store, or one of them.
pub fn verify(request: &Request<'_>) -> Result<Report, Failure> {
    let Request {
        store,
        volumes,
        trusted,
        only,
        side,
        record,
    } = *request;
    let listing = Listing::of_everything(store, |_, _| ())?;
    let sequences: Vec<_> = listing
        .sequences()
        .filter(|sequence| only.is_none_or(|only| only == *sequence))
        .collect();
    if sequences.is_empty() {
        let which = only.map(|only| format!(" {only}")).unwrap_or_default();
        return Err(Nothing {
            which,
            place: store.describe(),
        }
        .into());
    }
    let look = Look {
        store,
        volumes,
        map: match volumes {
            Some(volumes) => Map::read(volumes, trusted)?,
            None => Map::default(),
        },
        listing: &listing,
        trusted,
        side,
    };
    let (mut rows, mut text, mut first) = (Vec::new(), String::new(), None);
    let mut so_far = SoFar::default();
    for sequence in sequences {
        let row = match look.one(sequence, &mut so_far) {
            Ok(row) => row,
            Err(failure) => {
                so_far.failed.insert(sequence);
                look.failed(sequence, &failure, &mut first)?
            }
        };
        let mark = if row.verified { "ok  " } else { "FAIL" };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{mark}  bundle {}: {}", row.sequence, row.says);
        rows.push(row);
    }
    // One bundle by number may well be an old one, but none of another stream.
    let checked = match only {
        None => side.check(&so_far),
        Some(_) => side.check_places(&so_far.manifests),
    };
    if let Err(failure) = checked {
        let says = chain(failure.as_error());
        let _ = writeln!(text, "FAIL  stream: {says}");
        worst(&mut first, &says, &failure);
    }
    if listing.foreign_count > 0 {
        let _ = writeln!(
            text,
            "note  {} objects are not ours and were not looked at: {}",
            listing.foreign_count,
            listing.foreign.join(", ")
        );
    }
    let ids: Vec<_> = trusted.ids().iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "note  trusted keys: {} ({})",
        ids.join(", "),
        trusted.policy()
    );
    if let Some(path) = record {
        let says = first.as_ref().map(|(says, _, _)| says.as_str());
        let record = recorded(request, &rows, says);
        disk::write_durably(path, record.as_bytes(), 0o644)?;
        let _ = writeln!(text, "note  the record is in {}", path.display());
    }
    let failed = rows.iter().filter(|row| !row.verified).count();
    let total = rows.len();
    let report = |outcome| Report::new(outcome, &text).with(&rows);
    match first {
        None => Ok(report("verified")?),
        Some((first, id, hint)) => Ok(report("not verified")?.but(NotPassed {
            failed,
            total,
            first,
            id,
            hint,
        })),
    }
}

fn shortened(ids: &[String]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| id.get(..16).unwrap_or(id)).collect();
    ids.join(", ")
}

fn recorded(request: &Request<'_>, rows: &[Row], failed: Option<&str>) -> String {
    let bundles: Vec<_> = rows
        .iter()
        .map(|row| record::Bundle {
            sequence: row.sequence,
            verified: row.verified,
            sha256: row.sha256,
            kind: row.kind.unwrap_or_default(),
            files: row.files,
            bytes: row.bytes,
            signed_by: shortened(&row.signed_by),
            says: &row.says,
        })
        .collect();
    let record = Record {
        at: clock::now(),
        place: &request.store.describe(),
        keys: &request.trusted.ids(),
        policy: request.trusted.policy().to_string(),
        failed,
        bundles: &bundles,
    };
    record.html()
}

/// What is told of several failures: the first, but one that goes away by itself stands back for one that does not.
fn worst(told: &mut Option<Told>, says: &str, failure: &Failure) {
    let passes = |id: ErrorId| id.exit().is_worth_retrying();
    let is_told = |(_, id, _): &Told| !passes(*id) || passes(failure.id());
    if !told.as_ref().is_some_and(is_told) {
        *told = Some((says.to_owned(), failure.id(), failure.hint()));
    }
}

/// What a failure says, its id, and its hint.
type Told = (String, ErrorId, Option<String>);

/// What is looked at, and by which keys.
struct Look<'a> {
    store: &'a dyn Fetch,
    volumes: Option<&'a Volumes>,
    map: Map,
    listing: &'a Listing,
    trusted: &'a TrustedKeys,
    side: &'a Side,
}

impl Look<'_> {
    /// What is told of a bundle that did not pass: where chunks are missing or damaged, which, and where they are.
    fn failed(
        &self,
        sequence: Sequence,
        failure: &Failure,
        first: &mut Option<Told>,
    ) -> Result<Row, Failure> {
        let mut row = Row {
            sequence: sequence.number(),
            verified: false,
            kind: None,
            signed_by: Vec::new(),
            files: 0,
            bytes: 0,
            says: chain(failure.as_error()),
            sha256: None,
            error_id: Some(failure.id()),
            lacking: None,
        };
        let signed = self.listing.open(self.store, sequence, self.trusted)?;
        row.sha256 = signed.as_ref().map(Signed::digest);
        let manifest = signed.and_then(|signed| signed.verify(self.trusted).ok());
        if let Some(manifest) = manifest {
            row.kind = Some(manifest.kind.as_str());
            row.files = manifest.files.len();
            row.bytes = manifest.size();
            row.signed_by = manifest.signers().iter().map(ToString::to_string).collect();
            let of_chunks = [ErrorId::Incomplete, ErrorId::ChunkDamaged];
            if of_chunks.contains(&failure.id()) {
                let lacking = whereabouts::look(self.store, self.volumes, &self.map, &manifest)?;
                // It may have arrived meanwhile.
                if !lacking.is_nothing() {
                    row.says = format!("{lacking}; the first: {}", row.says);
                    row.lacking = Some(lacking);
                }
            }
        }
        worst(first, &row.says, failure);
        Ok(row)
    }

    fn one(&self, sequence: Sequence, so_far: &mut SoFar) -> Result<Row, Failure> {
        let Some(signed) = self.listing.open(self.store, sequence, self.trusted)? else {
            return Err(Nothing {
                which: format!(" {sequence}"),
                place: self.store.describe(),
            }
            .into());
        };
        let manifest = signed.verify(self.trusted)?;
        so_far.expires = Some((sequence, manifest.expires));
        self.side
            .accept(&manifest, self.listing.newest() == Some(sequence))?;
        self.check_chain(&manifest, so_far)?;
        let mut says = if manifest.kind == Kind::Heartbeat {
            "heartbeat, nothing changed".to_owned()
        } else {
            contents(self.store, &manifest, self.side, so_far)?
        };
        let signed_by: Vec<_> = manifest.signers().iter().map(ToString::to_string).collect();
        let _ = write!(says, "; signed by {}", signed_by.join(", "));
        if !manifest.audience.is_empty() {
            let _ = write!(says, "; for {}", manifest.audience.join(", "));
        }
        for lack in &manifest.incomplete {
            let _ = write!(says, "; PARTIAL: {} is missing from it", lack.reference);
        }
        let row = Row {
            sequence: sequence.number(),
            verified: true,
            kind: Some(manifest.kind.as_str()),
            signed_by,
            files: manifest.files.len(),
            bytes: manifest.size(),
            says,
            sha256: Some(manifest.digest()),
            error_id: None,
            lacking: None,
        };
        so_far.manifests.push(manifest);
        Ok(row)
    }

    /// What the oldest bundle here requires is taken as given, as is what was applied on this side.
    fn check_chain(&self, manifest: &Manifest, so_far: &SoFar) -> Result<(), LedgerError> {
        let first = so_far.manifests.first();
        if let Some(first) = first.filter(|first| first.stream != manifest.stream) {
            return Err(LedgerError::OtherStream {
                sequence: manifest.sequence,
                found: manifest.stream.clone(),
                followed: first.stream.clone(),
            });
        }
        let Some(link) = manifest.requires else {
            return Ok(());
        };
        let mut known = so_far.manifests.iter();
        match known.find(|known| known.sequence == link.sequence) {
            Some(known) if known.digest() == link.sha256 => Ok(()),
            Some(_) => Err(LedgerError::Fork(link.sequence)),
            None if so_far.manifests.is_empty()
                || so_far.failed.contains(&link.sequence)
                || self.side.ledger.has(manifest.requires)
                // What was passed over on this side is repeated, too.
                || manifest.kind == Kind::Heartbeat
                    && Some(link.sequence) <= self.side.ledger.mark() =>
            {
                Ok(())
            }
            None => Err(LedgerError::Gap {
                found: manifest.sequence,
                needed: link.sequence,
                cache: Lost::Never,
                holds: None,
            }),
        }
    }
}

/// Reads every chunk, every archive to its end, and compares with what was signed.
fn contents(
    store: &dyn Fetch,
    manifest: &Verified<Manifest>,
    side: &Side,
    so_far: &mut SoFar,
) -> Result<String, Failure> {
    let progress = Progress::begin(
        format!("verifying bundle {}", manifest.sequence),
        manifest.size(),
    );
    let add = |bytes| progress.add(bytes);
    let small = |role: Role| -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for file in manifest.files(role) {
            bytes = fetched::small_file(store, file)?;
            progress.add(file.size);
        }
        Ok(bytes)
    };
    let imageset = ImageSet::parse(&small(Role::Imageset)?)?;
    let inventory = Inventory::from_bytes(&small(Role::Inventory)?)?;
    let (contents, readers) = archives(store, manifest, &inventory, &add)?;
    for file in &manifest.files {
        if !matches!(file.role, Role::Archive | Role::Imageset | Role::Inventory) {
            ChunkReader::new(store, file, &add).finish()?;
        }
    }
    let before = so_far.before(manifest.requires);
    // An officer's laptop does not know which keys releases are signed with.
    let release_keys = side.config.as_ref().map(release_keys::read).transpose()?;
    if let (Some(before), Some(release_keys)) = (&before, &release_keys) {
        let signed = wished::Signed {
            manifest,
            imageset: &imageset,
            inventory: &inventory,
            before,
            release_keys,
        };
        wished::check(signed, &contents, readers)?;
    }
    progress.finish();
    let closure = closure(manifest, inventory, &imageset, before, so_far)?;
    Ok(format!(
        "{}, whole: {} files, {} bytes, archives read to their end{closure}",
        manifest.kind.as_str(),
        manifest.files.len(),
        manifest.size(),
    ))
}

/// Reads the archives to their end and compares them with the signed inventory; they can be looked into again.
fn archives<'a>(
    store: &'a dyn Fetch,
    manifest: &'a Manifest,
    inventory: &Inventory,
    add: &'a (dyn Fn(u64) + Sync),
) -> Result<(Contents, Vec<ChunkReader<'a>>), Failure> {
    let files: Vec<&File> = manifest.files(Role::Archive).collect();
    let mut readers: Vec<_> = files
        .iter()
        .map(|file| ChunkReader::new(store, file, add))
        .collect();
    let generation = manifest.producer.generation;
    let headers = files
        .iter()
        .zip(&mut readers)
        .map(|(file, reader)| Headers::new(file.name.as_str(), generation, reader));
    let survey = match survey(headers, &mut |_| ()) {
        Ok(survey) => survey,
        Err(error @ ArchiveError::Read { .. }) => {
            // The chunk's own error says more than that reading failed.
            return Err(match readers.iter_mut().find_map(ChunkReader::failure) {
                Some(failure) => failure.into(),
                None => error.into(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    readers.iter_mut().for_each(ChunkReader::rest);
    let found = Unseen::of(&survey, manifest, &files, &readers).look(store, add)?;
    let contents = survey.confirm(&found)?;
    inventory.matches(&contents.structure)?;
    Ok((contents, readers))
}

/// What of archives is not verified yet.
struct Unseen<'a> {
    files: &'a [&'a File],
    pieces: Vec<Piece>,
    /// The digest of each large blob, where it is one chunk.
    known: Vec<Option<Digest>>,
}

#[derive(Clone, Debug)]
enum Piece {
    /// A blob that is not one chunk, by its number among them.
    Blob(usize, Place),
    /// A chunk that holds none of these, by archive and number.
    Chunk(usize, usize),
}

/// What a worker takes from chunk to chunk.
#[derive(Default)]
struct Room {
    stored: Vec<u8>,
    raw: Vec<u8>,
}

impl<'a> Unseen<'a> {
    fn of(
        survey: &Survey,
        manifest: &Manifest,
        files: &'a [&'a File],
        readers: &[ChunkReader<'_>],
    ) -> Self {
        let digests = Digests::of_chunks(manifest);
        let mut chunks: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (archive, reader) in readers.iter().enumerate() {
            chunks.extend(reader.unseen().into_iter().map(|chunk| (archive, chunk)));
        }
        let (mut known, mut pieces) = (Vec::new(), Vec::new());
        for (number, unread) in survey.unread().iter().enumerate() {
            let Place { archive, data } = &unread.place;
            let digest = digests.get(*archive, data);
            if digest.is_none() {
                for chunk in readers[*archive].holding(data) {
                    chunks.remove(&(*archive, chunk));
                }
                pieces.push(Piece::Blob(number, unread.place.clone()));
            }
            known.push(digest);
        }
        pieces.extend(
            chunks
                .into_iter()
                .map(|(archive, chunk)| Piece::Chunk(archive, chunk)),
        );
        Self {
            files,
            pieces,
            known,
        }
    }

    /// Verifies every chunk of it, and gives the digest of each large blob.
    fn look(self, store: &dyn Fetch, add: &(dyn Fn(u64) + Sync)) -> Result<Vec<Digest>, Failure> {
        let looked = workers::each_with(
            &self.pieces,
            Parallel::Auto.count(),
            |room: &mut Room, piece| match piece {
                Piece::Blob(number, place) => {
                    let mut reader = ChunkReader::new(store, self.files[place.archive], add);
                    reader
                        .digest(&place.data)
                        .map(|digest| Some((*number, digest)))
                }
                Piece::Chunk(archive, chunk) => {
                    let file = self.files[*archive];
                    let chunk = &file.chunks[*chunk];
                    fetched::chunk(store, file, chunk, &mut room.stored, &mut room.raw)?;
                    add(chunk.raw_size);
                    Ok(None)
                }
            },
        )?;
        let mut found = self.known;
        for (number, digest) in looked.into_iter().flatten() {
            found[number] = Some(digest);
        }
        // Every blob that is no chunk was hashed just now.
        Ok(found.into_iter().flatten().collect())
    }
}

/// Where the chain is here from a full one on, images must be whole over it; else that is said.
fn closure(
    manifest: &Verified<Manifest>,
    inventory: Inventory,
    imageset: &ImageSet,
    before: Option<Before>,
    so_far: &mut SoFar,
) -> Result<String, Failure> {
    so_far
        .inventories
        .insert(manifest.sequence, inventory.clone());
    let Some(mut before) = before else {
        let needed = manifest
            .requires
            .map(|link| link.sequence.to_string())
            .unwrap_or_default();
        return Ok(format!(
            ", needs bundle {needed} (closure not checked below it)"
        ));
    };
    check_closure(
        &inventory.structure,
        &before,
        inventory.wish.digests(),
        &inventory.wish.index_members(imageset),
    )?;
    let tags = inventory.structure.tags();
    before.add_newer(inventory);
    so_far.newest = Some((manifest.link(), before));
    Ok(format!(", {tags} tags, every image whole"))
}
