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
            .find(|manifest| manifest.link() == link)
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

/// What came of it.
struct Verdict {
    rows: Vec<Row>,
    text: String,
    /// What is told of all that is wrong.
    first: Option<Told>,
}

/// Verifies every bundle of a store, or one of them.
pub fn verify(request: &Request<'_>) -> Result<Report, Failure> {
    let verdict = judge(request)?;
    let report = |outcome| Report::new(outcome, &verdict.text).with(&verdict.rows);
    match verdict.not_passed() {
        None => Ok(report("verified")?),
        Some(not_passed) => Ok(report("not verified")?.but(not_passed)),
    }
}

impl Verdict {
    fn not_passed(&self) -> Option<NotPassed> {
        let (first, id, hint) = self.first.clone()?;
        Some(NotPassed {
            failed: self.rows.iter().filter(|row| !row.verified).count(),
            total: self.rows.len(),
            first,
            id,
            hint,
        })
    }
}

fn judge(request: &Request<'_>) -> Result<Verdict, Failure> {
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
    Ok(Verdict { rows, text, first })
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

#[cfg(test)]
mod tests {
    use mimeograph_manifest::io::fetched::FetchError;
    use mimeograph_manifest::io::paper::fingerprint;
    use mimeograph_manifest::layout::Key;
    use mimeograph_manifest::manifest::{Incomplete, Missing};
    use mimeograph_manifest::name::StreamId;

    use super::*;
    use crate::sample::{Memory, Sample, heartbeat, key, noise, sign, trusted};

    fn side(ledger: Ledger) -> Side {
        Side {
            config: None,
            ledger,
        }
    }

    fn request<'a>(store: &'a Memory, trusted: &'a TrustedKeys, side: &'a Side) -> Request<'a> {
        Request {
            store,
            volumes: None,
            trusted,
            only: None,
            side,
            record: None,
        }
    }

    fn judged(store: &Memory, side: &Side) -> Verdict {
        judge(&request(store, &trusted(), side)).unwrap()
    }

    /// Which bundles passed, and what was wrong with the others.
    fn rows(store: &Memory, side: &Side) -> Vec<(u64, Option<ErrorId>)> {
        let rows = judged(store, side).rows.into_iter();
        rows.map(|row| {
            assert_eq!(row.verified, row.error_id.is_none());
            (row.sequence, row.error_id)
        })
        .collect()
    }

    fn alone(store: &Memory) -> Vec<(u64, Option<ErrorId>)> {
        rows(store, &side(Ledger::default()))
    }

    fn forget(store: &mut Memory, manifest: &Manifest) {
        let name = Key::Manifest(manifest.sequence).to_string();
        store.objects.remove(&name).unwrap();
    }

    /// A full bundle with one layer, and a delta with an image of it.
    fn two(store: &mut Memory) -> [Verified<Manifest>; 2] {
        let layer = noise(1, 1000);
        let first = Sample::first().blob(&layer).put(store);
        let image = Sample::after(&first).image("a", &[Digest::of(&layer)]);
        let second = image.put(store);
        [first, second]
    }

    #[test]
    fn a_bundle_that_passes_says_what_it_holds_and_who_signed_it() {
        let mut store = Memory::default();
        let [first, second] = two(&mut store);
        store.put(&sign(&heartbeat(&second, second.link())));
        let verdict = judged(&store, &side(Ledger::default()));
        assert!(verdict.not_passed().is_none());
        let signer = key().public().id();
        let whole = |kind, manifest: &Manifest, images| {
            let (files, bytes) = (manifest.files.len(), manifest.size());
            format!(
                "{kind}, whole: {files} files, {bytes} bytes, archives read to their end, {images} tags, every image whole; \
                 signed by {signer}"
            )
        };
        let says = [
            whole("full", &first, 0),
            whole("delta", &second, 1),
            format!("heartbeat, nothing changed; signed by {signer}"),
        ];
        assert_eq!(
            verdict.rows.iter().map(|row| &row.says).collect::<Vec<_>>(),
            says.iter().collect::<Vec<_>>()
        );
        let row = &verdict.rows[0];
        assert_eq!((row.files, row.bytes), (first.files.len(), first.size()));
        assert_eq!((row.kind, row.sha256), (Some("full"), Some(first.digest())));
        let lines: Vec<_> = verdict.text.lines().collect();
        assert_eq!(lines[0], format!("ok    bundle 1: {}", says[0]));
        assert_eq!(
            lines[3],
            format!("note  trusted keys: {signer} ({})", trusted().policy())
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn whom_it_is_for_and_what_it_lacks_is_said() {
        let mut store = Memory::default();
        let partial = Sample::first().with(|manifest| {
            manifest.audience = vec!["lab".to_owned(), "east".to_owned()];
            manifest.incomplete.push(Incomplete {
                reference: "lab.example/b:v1".to_owned(),
                reason: Missing::Image,
            });
        });
        partial.put(&mut store);
        let row = &judged(&store, &side(Ledger::default())).rows[0];
        let ends = "; for lab, east; PARTIAL: lab.example/b:v1 is missing from it";
        assert!(row.says.ends_with(ends), "{}", row.says);
    }

    #[test]
    fn every_chunk_of_every_file_is_looked_at() {
        let mut store = Memory::default();
        // One layer is a chunk, two are more than one, and one shares a chunk with what lies beside it.
        let sizes = [(1, 1 << 20), (2, 1_100_000), (3, 70_000), (4, 1_200_000)];
        let layers = sizes.map(|(seed, size)| noise(seed, size));
        let manifest = Sample::first()
            .cut_at(1 << 20)
            .blob(&layers[0])
            .blob(&layers[1])
            .blob(&layers[2])
            .next_archive()
            .blob(&layers[3])
            .image("a", &layers.map(|layer| Digest::of(&layer)))
            .file(Role::Local, "local", b"local")
            .file(Role::Extra, "extra", b"extra")
            .file(Role::History, "history.json", b"history")
            .put(&mut store);
        assert_eq!(alone(&store), [(1, None)]);
        let chunks: BTreeMap<_, _> = manifest.chunks().map(|one| (one.stored, *one)).collect();
        assert!(chunks.len() > 12);
        assert_eq!(
            store.read().into_iter().collect::<BTreeSet<_>>(),
            chunks.keys().copied().collect()
        );
        for chunk in chunks.values() {
            store.chunk(chunk)[0] ^= 1;
            assert_eq!(alone(&store), [(1, Some(ErrorId::ChunkDamaged))]);
            store.chunk(chunk)[0] ^= 1;
        }
        assert_eq!(alone(&store), [(1, None)]);
    }

    #[test]
    fn all_that_is_missing_or_damaged_of_a_bundle_is_named() {
        let mut store = Memory::default();
        let manifest = Sample::first()
            .blob(&noise(1, 1000))
            .file(Role::Extra, "x", b"x")
            .put(&mut store);
        let of = |role| manifest.files(role).next().unwrap().chunks[0];
        let (archive, extra) = (of(Role::Archive), of(Role::Extra));
        store.chunk(&archive)[0] ^= 1;
        store.without(&extra);
        let verdict = judged(&store, &side(Ledger::default()));
        let row = &verdict.rows[0];
        let lacking = row.lacking.as_ref().unwrap();
        assert_eq!(lacking.missing, [extra.stored]);
        let damaged: Vec<_> = lacking.damaged.iter().map(|one| one.chunk).collect();
        assert_eq!(damaged, [archive.stored]);
        assert!(row.says.starts_with(&lacking.to_string()), "{}", row.says);
        assert_eq!(
            (row.kind, row.files, row.bytes),
            (Some("full"), 4, manifest.size())
        );
        assert_eq!(row.signed_by, [key().public().id().to_string()]);
        let said = verdict.not_passed().unwrap();
        let text = format!("1 of 1 bundles did not pass; the first: {}", row.says);
        assert_eq!((said.to_string(), said.id()), (text, ErrorId::ChunkDamaged));
        // Where no chunk is to blame, none is named.
        let stranger = TrustedKeys::new([], std::num::NonZeroUsize::MIN);
        let verdict = judge(&request(&store, &stranger, &side(Ledger::default()))).unwrap();
        let row = &verdict.rows[0];
        assert_eq!((row.error_id, row.kind), (Some(ErrorId::Untrusted), None));
        assert!(row.lacking.is_none());
    }

    #[test]
    fn images_are_whole_over_what_they_build_on_and_nothing_else() {
        let mut store = Memory::default();
        let [first, second] = two(&mut store);
        let later = |layer: u64, before: &Verified<Manifest>, store: &mut Memory| {
            let layer = Digest::of(&noise(layer, 1000));
            let image = Sample::after(before).image("b", &[layer]);
            image
                .with(|manifest| manifest.requires = Some(first.link()))
                .put(store)
        };
        // It builds on the first, past the second.
        let third = later(1, &second, &mut store);
        let verdict = judged(&store, &side(Ledger::default()));
        assert_eq!(verdict.rows[2].error_id, None);
        assert!(verdict.rows[2].says.contains(", 1 tags, every image whole"));
        // The layer came with what it does not build on.
        let more = Sample::after(&second).blob(&noise(2, 1000)).put(&mut store);
        assert_eq!(more.sequence, third.sequence);
        later(2, &more, &mut store);
        let not_closed = Some(ErrorId::NotClosed);
        assert_eq!(
            alone(&store),
            [(1, None), (2, None), (3, None), (4, not_closed)]
        );
    }

    #[test]
    fn what_the_oldest_bundle_builds_on_is_taken_as_given_and_that_is_said() {
        let mut store = Memory::default();
        let [first, second] = two(&mut store);
        Sample::after(&second).put(&mut store);
        forget(&mut store, &first);
        let rows = judged(&store, &side(Ledger::default())).rows;
        assert!(rows.iter().all(|row| row.verified));
        for (row, needed) in rows.iter().zip([1, 2]) {
            let says = format!(", needs bundle {needed} (closure not checked below it)");
            assert!(row.says.contains(&says), "{}", row.says);
        }
    }

    #[test]
    fn a_hole_in_the_chain_is_a_gap_unless_what_is_missing_came_here() {
        let mut store = Memory::default();
        let [first, second] = two(&mut store);
        Sample::after(&second).put(&mut store);
        let gap = Some(ErrorId::Gap);
        let mut had = Ledger::default();
        had.apply(&second);
        // One that did not pass is no hole.
        let chunk = second.files(Role::Archive).next().unwrap().chunks[0];
        store.without(&chunk);
        assert_eq!(
            alone(&store),
            [(1, None), (2, Some(ErrorId::Incomplete)), (3, None)]
        );
        forget(&mut store, &second);
        assert_eq!(alone(&store), [(1, None), (3, gap)]);
        assert_eq!(rows(&store, &side(had.clone())), [(1, None), (3, None)]);
        // Another one with its number came here.
        let other = Sample::after(&first).blob(b"other").put(&mut store);
        let mut had_other = Ledger::default();
        had_other.apply(&other);
        forget(&mut store, &second);
        assert_eq!(rows(&store, &side(had_other)), [(1, None), (3, gap)]);
        // And lies there.
        store.put(&other);
        assert_eq!(
            alone(&store),
            [(1, None), (2, None), (3, Some(ErrorId::Fork))]
        );
    }

    #[test]
    fn what_a_heartbeat_repeats_may_have_been_passed_over() {
        let mut store = Memory::default();
        let [_, second] = two(&mut store);
        let third = sign(&heartbeat(&second, second.link()));
        let later = Sample::after(&third).with(|manifest| {
            (manifest.kind, manifest.requires) = (Kind::Full, None);
        });
        let later = later.put(&mut store);
        let after = Sample::after(&later).with(|manifest| manifest.requires = Some(second.link()));
        let after = after.put(&mut store);
        store.put(&third);
        for gone in [&second, &later, &after] {
            forget(&mut store, gone);
        }
        let gap = Some(ErrorId::Gap);
        let mut applied = Ledger::default();
        assert_eq!(rows(&store, &side(applied.clone())), [(1, None), (3, gap)]);
        applied.apply(&later);
        assert_eq!(rows(&store, &side(applied.clone())), [(1, None), (3, None)]);
        // What brings content builds on what is here.
        store.put(&after);
        assert_eq!(
            rows(&store, &side(applied)),
            [(1, None), (3, None), (5, gap)]
        );
    }

    #[test]
    fn one_stream_lies_in_a_store() {
        let mut store = Memory::default();
        let [first, _] = two(&mut store);
        let other =
            Sample::after(&first).with(|manifest| manifest.stream = StreamId::from_bytes([8; 16]));
        let other = other.put(&mut store);
        let wrong = Some(ErrorId::WrongStream);
        assert_eq!(alone(&store), [(1, None), (2, wrong)]);
        // It alone is looked at, and another one is followed here.
        let followed = Ledger {
            stream: Some(first.stream.clone()),
            ..Ledger::default()
        };
        let side = side(followed);
        let one = |sequence| {
            let trusted = trusted();
            let mut request = request(&store, &trusted, &side);
            request.only = Some(sequence);
            judge(&request).map(|verdict| verdict.not_passed().map(|one| one.id()))
        };
        assert_eq!(one(first.sequence).unwrap(), None);
        assert_eq!(one(other.sequence).unwrap(), wrong);
        let nothing = one(other.sequence.next()).err().unwrap();
        assert_eq!(nothing.id(), ErrorId::InputMissing);
        assert_eq!(
            nothing.as_error().to_string(),
            "there is no bundle 3 in memory"
        );
    }

    #[test]
    fn a_store_older_than_what_was_accepted_does_not_pass_although_each_bundle_does() {
        let mut store = Memory::default();
        let [_, second] = two(&mut store);
        let mut ledger = Ledger::default();
        ledger.apply(&second);
        forget(&mut store, &second);
        let verdict = judged(&store, &side(ledger));
        assert!(verdict.rows[0].verified);
        let said = verdict.not_passed().unwrap();
        assert_eq!(said.id(), ErrorId::Rollback);
        let begins =
            "each of the 1 bundles passed, but not together: the store's newest bundle is 1";
        assert!(said.to_string().starts_with(begins), "{said}");
        assert!(
            verdict
                .text
                .contains("\nFAIL  stream: the store's newest bundle is 1")
        );
    }

    #[test]
    fn the_newest_must_not_have_expired_and_none_be_from_the_future() {
        let past = Timestamp::from_unix(2000);
        let future = Timestamp::from_unix(150_000_000_000);
        let mut store = Memory::default();
        let first = Sample::first()
            .with(|manifest| manifest.expires = past)
            .put(&mut store);
        let expired = Some(ErrorId::Expired);
        assert_eq!(alone(&store), [(1, expired)]);
        Sample::after(&first)
            .with(|manifest| manifest.created = future)
            .put(&mut store);
        assert_eq!(alone(&store), [(1, None), (2, Some(ErrorId::Clock))]);
        let second = Sample::after(&first).put(&mut store);
        assert_eq!(alone(&store), [(1, None), (2, None)]);
        // What nobody signed, above it, does not make an old one new.
        let last = Sample::after(&second)
            .with(|manifest| manifest.expires = past)
            .put(&mut store);
        let junk = Sample::after(&last).put(&mut store);
        let signature = Key::signature(junk.sequence, &junk.digest(), &key().public().id());
        store.objects.remove(&signature.to_string()).unwrap();
        let verdict = judged(&store, &side(Ledger::default()));
        assert_eq!(verdict.rows[2].error_id, None);
        assert_eq!(verdict.not_passed().unwrap().id(), ErrorId::Expired);
        assert_eq!(side(Ledger::default()).skew(), SignedDuration::from_mins(5));
    }

    #[test]
    fn what_is_not_ours_is_told() {
        let mut store = Memory::default();
        two(&mut store);
        let told = |store: &Memory| judged(store, &side(Ledger::default())).text;
        assert!(!told(&store).contains("not ours"));
        store.objects.insert("notes.txt".to_owned(), vec![]);
        let says = "note  1 objects are not ours and were not looked at: notes.txt\n";
        assert!(told(&store).contains(says));
    }

    #[test]
    fn a_record_has_the_place_the_keys_and_every_bundle() {
        let mut store = Memory::default();
        let manifests = two(&mut store);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.html");
        let (trusted, side) = (trusted(), side(Ledger::default()));
        let mut request = request(&store, &trusted, &side);
        request.record = Some(&path);
        let verdict = judge(&request).unwrap();
        assert!(verdict.text.contains(&path.display().to_string()));
        let record = std::fs::read_to_string(&path).unwrap();
        let signer = key().public().id();
        assert!(record.contains("memory") && record.contains(&fingerprint(&signer)));
        for manifest in &manifests {
            let (kind, files) = (manifest.kind.as_str(), manifest.files.len());
            let row = format!("{kind}, {files} files; signed by {}<", signer.short());
            assert!(record.contains(&row), "{record}");
            assert!(record.contains(&fingerprint(&manifest.digest())));
        }
    }

    #[test]
    fn what_goes_away_by_itself_stands_back_for_what_does_not() {
        let waits = || {
            Failure::from(FetchError::Incomplete {
                key: Key::Probe,
                file: String::new(),
                state: String::new(),
            })
        };
        let stays = || Failure::from(LedgerError::Fork(Sequence::FIRST));
        let of = |failures: &[(&str, Failure)]| {
            let mut told = None;
            for (says, failure) in failures {
                worst(&mut told, says, failure);
            }
            let (text, id, hint) = told.unwrap();
            assert!(hint.is_some());
            (text, id)
        };
        let passes = ErrorId::Incomplete;
        assert_eq!(
            of(&[("a", waits()), ("b", waits())]),
            ("a".to_owned(), passes)
        );
        assert_eq!(
            of(&[("a", stays()), ("b", stays())]),
            ("a".to_owned(), ErrorId::Fork)
        );
        assert_eq!(
            of(&[("a", waits()), ("b", stays())]),
            ("b".to_owned(), ErrorId::Fork)
        );
        assert_eq!(
            of(&[("a", stays()), ("b", waits())]),
            ("a".to_owned(), ErrorId::Fork)
        );
    }
}
