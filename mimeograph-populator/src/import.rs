//! `import`: from media or a drop folder into this side's store. What was verified is moved, chunk by chunk; a bundle shows
//! there once all of it does. What is not whole yet is waited for, and holds up nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::config::{Config, Period};
use mimeograph_manifest::io::console::{Progress, Report};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::{self, Listing, Lists};
use mimeograph_manifest::io::store::{Fetch, Shelve, StoreError};
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::volumes::Volumes;
use mimeograph_manifest::io::{clock, disk, workers};
use mimeograph_manifest::layout::{Key, PRUNED};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::media;
use mimeograph_manifest::media::repair::{self, RepairRequest};
use mimeograph_manifest::name::StreamId;
use mimeograph_manifest::pruned::{Dropped, Pruned};
use mimeograph_manifest::signed::{Signed, Verified, VerifyError};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::ledger::{Ledger, LedgerError};
use crate::whereabouts::{Lacking, Map, State, damaged, state};

/// What is imported, and how.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a store")]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where it comes from.
    pub from: &'a Volumes,
    /// Where it goes.
    pub store: &'a dyn Shelve,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
    /// Whether what the store has already is read, and replaced where it is damaged.
    pub recheck: bool,
    /// Where what is damaged is asked for.
    pub request: &'a Path,
    /// For how long something may be missing.
    pub overdue: Period,
    /// Bytes a second.
    pub throttle: &'a Throttle,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// What was seen to change so lately is left alone: it is still being written.
const SETTLED: Duration = Duration::from_mins(1);
/// Since when something is missing, by manifest.
const STATE: &str = "import.json";
const STATE_SIZE: u64 = 16 << 20;

/// What became of one bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    sequence: u64,
    sha256: Digest,
    outcome: Outcome,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacking: Option<Lacking>,
    new_chunks: usize,
    new_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// It shows in the store since now.
    Imported,
    /// It did before.
    There,
    /// Something of it is not there yet.
    Waiting,
    /// It is of another stream, or retention has dropped it.
    LeftAlone,
    /// It does not count, or something of it is damaged.
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::There => "there already",
            Self::Waiting => "waiting",
            Self::LeftAlone => "left alone",
            Self::Refused => "refused",
        }
    }
}

/// Why an import is not all that it could be.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    /// Chunks are damaged.
    #[error("{count} chunks are damaged: `{}` asks for them", request.display())]
    Damaged { count: usize, request: PathBuf },
    /// Bundles do not count.
    #[error("bundle {sequence} is refused: {why}")]
    Refused {
        sequence: u64,
        why: String,
        id: ErrorId,
    },
    /// Missing for too long.
    #[error("bundle {sequence} has been incomplete since {since}, longer than {most}: {why}")]
    Overdue {
        sequence: u64,
        since: Timestamp,
        most: Period,
        why: String,
    },
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while importing")]
    Interrupted,
}

impl Fault for ImportError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Damaged { .. } => ErrorId::ChunkDamaged,
            Self::Refused { id, .. } => *id,
            Self::Overdue { .. } => ErrorId::Stale,
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Damaged { .. } => {
                    "carry it to the connected side: `mimeograph-bundler export --repair FILE --to DIR` answers with those chunks alone, \
                     and `import --from DIR` takes them"
                }
                Self::Refused { .. } => {
                    "`mimeograph-populator verify --from DIR` says more; compare key ids over another channel"
                }
                Self::Overdue { .. } => "ask whoever carries it what became of the volumes or files that are named",
                Self::Interrupted => "run it again: what is in the store is not moved twice",
            }
            .into(),
        )
    }
}

/// Moves what is whole.
pub fn import(request: &Request<'_>) -> Result<Report, Failure> {
    let here = Lists::read(request.store, request.trusted)?;
    let import = Import {
        request,
        held: listing::chunks(request.store)?,
        map: Map::read(request.from, request.trusted)?,
        stream: followed(request)?,
        lists: [Lists::read(request.from, request.trusted)?, here]
            .into_iter()
            .flat_map(|lists| lists.verified)
            .collect(),
    };
    import.run()
}

/// The stream that this side follows: as it is pinned, as it was applied, or as the store has it.
fn followed(request: &Request<'_>) -> Result<Option<StreamId>, Failure> {
    if let Some(pinned) = &request.config.trust.stream {
        return Ok(Some(pinned.clone()));
    }
    let ledger = Ledger::read(&request.config.artefacts.metadata_dir)?;
    if let Some(stream) = ledger.stream {
        return Ok(Some(stream));
    }
    let listing = Listing::of(request.store)?;
    let floor = request.trusted.as_floor();
    for sequence in listing.sequences().rev() {
        if let Some(signed) = listing.open(request.store, sequence, &floor)?
            && let Ok(manifest) = signed.verify(&floor)
        {
            return Ok(Some(manifest.stream.clone()));
        }
    }
    Ok(None)
}

struct Import<'a> {
    request: &'a Request<'a>,
    /// The chunks in the store, with their sizes.
    held: BTreeMap<Digest, u64>,
    map: Map,
    stream: Option<StreamId>,
    /// What the other side has dropped, by the lists that lie here and there.
    lists: Vec<Verified<Pruned>>,
}

/// What a chunk came to.
#[derive(Clone, Copy, Debug)]
enum Moved {
    /// The store had it.
    Held,
    /// The store has it now.
    New,
    /// It is not whole where it comes from.
    Not(State),
    /// It is as it was signed, and yet cannot be what was signed: carrying it once more does not help.
    Unusable,
}

impl Import<'_> {
    fn run(mut self) -> Result<Report, Failure> {
        let (mut rows, mut asked): (Vec<Row>, Vec<Chunk>) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for view in self.request.from.views() {
            let listing = Listing::of(&view)?;
            for sequence in listing.sequences() {
                let signed = listing.open(&view, sequence, self.request.trusted)?;
                let Some(signed) = signed.filter(|one| seen.insert((sequence, one.digest())))
                else {
                    continue;
                };
                let sha256 = signed.digest();
                let row = match self.accept(signed) {
                    Ok(manifest) => self.one(&manifest, &view, &mut asked)?,
                    Err(Refusal { outcome, id, says }) => Row {
                        sequence: sequence.number(),
                        sha256,
                        outcome,
                        says,
                        error_id: id,
                        lacking: None,
                        new_chunks: 0,
                        new_bytes: 0,
                    },
                };
                rows.push(row);
            }
        }
        self.lists()?;
        self.ask(&asked)?;
        let failure = self.judge(&rows, asked.len())?;
        let outcome = if rows.iter().any(|row| row.outcome == Outcome::Waiting) {
            "waiting"
        } else if rows.iter().any(|row| row.outcome == Outcome::Imported) {
            "imported"
        } else {
            "nothing to do"
        };
        let report =
            Report::new(outcome, text(&rows, &self.request.from.describe())).with(&rows)?;
        Ok(match failure {
            Some(failure) => report.but(failure),
            None => report,
        })
    }

    /// Whether it is one that this side may see: signed by someone who counts, of our stream, in a place that is free.
    fn accept(&mut self, signed: Signed<Manifest>) -> Result<Verified<Manifest>, Refusal> {
        let verified = match signed.clone().verify(self.request.trusted) {
            // It may be approved here, once it is here.
            Err(VerifyError::Pending { .. }) => {
                signed.verify(&self.request.trusted.to_be_approved())
            }
            verified => verified,
        };
        let manifest = verified.map_err(|error| Refusal {
            outcome: match error {
                VerifyError::Unsigned(_) | VerifyError::Pending { .. } => Outcome::Waiting,
                _ => Outcome::Refused,
            },
            id: Some(error.id()),
            says: chain(&error),
        })?;
        let stream = self.stream.get_or_insert_with(|| manifest.stream.clone());
        if manifest.stream != *stream {
            return Err(Refusal {
                outcome: Outcome::LeftAlone,
                id: None,
                says: format!("it is of stream {}, not of {stream}", manifest.stream),
            });
        }
        if Dropped::of(&self.lists, stream).has_bundle(&manifest) {
            return Err(Refusal {
                outcome: Outcome::LeftAlone,
                id: None,
                says: "the connected side has dropped it since".into(),
            });
        }
        Ok(manifest)
    }

    fn one(
        &mut self,
        manifest: &Verified<Manifest>,
        view: &dyn Fetch,
        asked: &mut Vec<Chunk>,
    ) -> Result<Row, Failure> {
        let (sequence, sha256) = (manifest.sequence, manifest.digest());
        let key = Key::Manifest(sequence);
        let mut there = Vec::new();
        let is_there = self
            .request
            .store
            .get(&key, limits::MANIFEST_SIZE, &mut there)?;
        let row = |outcome, says| Row {
            sequence: sequence.number(),
            sha256,
            outcome,
            says,
            error_id: None,
            lacking: None,
            new_chunks: 0,
            new_bytes: 0,
        };
        if is_there && Digest::of(&there) != sha256 {
            return Ok(Row {
                error_id: Some(ErrorId::Fork),
                ..row(Outcome::Refused, chain(&LedgerError::Fork(sequence)))
            });
        }
        let chunks = media::chunks([&**manifest]);
        let moved = self.chunks(&chunks, manifest)?;
        let mut lacking = Lacking {
            chunks: chunks.len(),
            ..Lacking::default()
        };
        let (mut new_chunks, mut new_bytes) = (0, 0);
        for (chunk, moved) in chunks.iter().zip(moved) {
            match moved {
                Moved::Held => {}
                Moved::New => {
                    new_chunks += 1;
                    new_bytes += chunk.stored_size;
                    self.held.insert(chunk.stored, chunk.stored_size);
                }
                Moved::Not(State::Damaged) => {
                    asked.push(*chunk);
                    let from = Some(self.request.from);
                    lacking.damaged.push(damaged(from, chunk.stored));
                }
                Moved::Not(_) => lacking.missing.push(chunk.stored),
                Moved::Unusable => {
                    let key = Key::Chunk(chunk.stored);
                    return Ok(Row {
                        error_id: Some(ErrorId::ChunkDamaged),
                        ..row(
                            Outcome::Refused,
                            format!(
                                "`{key}` is as it was signed, but does not decompress to what was signed"
                            ),
                        )
                    });
                }
            }
        }
        lacking.volumes = self.map.volumes(&manifest.stream, &lacking.missing);
        let counted = |row: Row| Row {
            new_chunks,
            new_bytes,
            ..row
        };
        if !lacking.is_nothing() {
            let (outcome, id) = if lacking.damaged.is_empty() {
                (Outcome::Waiting, ErrorId::Incomplete)
            } else {
                (Outcome::Refused, ErrorId::ChunkDamaged)
            };
            return Ok(counted(Row {
                error_id: Some(id),
                lacking: Some(lacking.clone()),
                ..row(outcome, lacking.to_string())
            }));
        }
        // Whoever sees the manifest sees all of it: signatures first, it comes last.
        for signature in Listing::of(view)?.signatures(sequence) {
            self.signature(view, &signature, sha256)?;
        }
        let payload = Bytes::copy_from_slice(manifest.payload());
        self.request.store.put(&key, payload, &sha256)?;
        let signers: Vec<_> = manifest.signers().iter().map(ToString::to_string).collect();
        let outcome = if is_there {
            Outcome::There
        } else {
            Outcome::Imported
        };
        let says = format!(
            "{}, whole: {} chunks, {} bytes; signed by {}",
            manifest.kind.as_str(),
            chunks.len(),
            manifest.size(),
            signers.join(", ")
        );
        Ok(counted(row(outcome, says)))
    }

    fn signature(&self, view: &dyn Fetch, key: &Key, manifest: Digest) -> Result<(), Failure> {
        let is_of_it =
            matches!(key, Key::Signature { manifest: of, .. } if *of == manifest.short());
        let mut found = Vec::new();
        if is_of_it {
            view.get_each(key, limits::SIGNATURE_SIZE, &mut |bytes| found.push(bytes))?;
        }
        found.retain(|bytes| bytes.len() as u64 == limits::SIGNATURE_SIZE);
        for bytes in found {
            let digest = Digest::of(&bytes);
            match self.request.store.put(key, bytes.into(), &digest) {
                // The store's own counts or does not; no run believes it unchecked.
                Ok(_) | Err(StoreError::Occupied { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn chunks(&self, chunks: &[Chunk], manifest: &Manifest) -> Result<Vec<Moved>, Failure> {
        let total = chunks.iter().map(|chunk| chunk.stored_size).sum();
        let progress = Progress::begin(format!("importing bundle {}", manifest.sequence), total);
        let count = self.request.config.transfer.parallel.count();
        let moved = workers::each_with(chunks, count, |room: &mut Vec<u8>, chunk| {
            let moved = self.chunk(chunk, room)?;
            progress.add(chunk.stored_size);
            Ok::<_, Failure>(moved)
        })?;
        progress.finish();
        Ok(moved)
    }

    fn chunk(&self, chunk: &Chunk, room: &mut Vec<u8>) -> Result<Moved, Failure> {
        let Request {
            from,
            store,
            recheck,
            throttle,
            interrupt,
            ..
        } = *self.request;
        if interrupt.is_raised() {
            return Err(ImportError::Interrupted.into());
        }
        let (key, size) = (Key::Chunk(chunk.stored), chunk.stored_size);
        if self.held.get(&chunk.stored) == Some(&size) {
            if !recheck {
                return Ok(Moved::Held);
            }
            let found = store.get(&key, size, room)?;
            if state(chunk, found.then_some(&**room)) == State::Whole {
                return Ok(Moved::Held);
            }
        }
        let found = from.chunk(chunk.stored, size, room)?;
        match state(chunk, found.then_some(&**room)) {
            State::Whole => {}
            State::Damaged if from.files(&key).iter().any(|path| is_unsettled(path)) => {
                return Ok(Moved::Not(State::Missing));
            }
            other => return Ok(Moved::Not(other)),
        }
        if chunk.encoding == Encoding::Zstd && chunk.open(room, &mut Vec::new()).is_err() {
            return Ok(Moved::Unusable);
        }
        throttle.wait_for(size);
        let body = Bytes::copy_from_slice(room);
        match store.put(&key, body.clone(), &chunk.stored) {
            Ok(_) => {}
            // What lies there is not what its name says.
            Err(StoreError::Occupied { .. }) => store.replace(&key, body, &chunk.stored)?,
            Err(error) => return Err(error.into()),
        }
        Ok(Moved::New)
    }

    /// What retention drops on the other side may go here, too: the lists of it that count.
    fn lists(&self) -> Result<(), Failure> {
        let Request {
            from,
            store,
            trusted,
            ..
        } = *self.request;
        let lists = Lists::read(from, trusted)?;
        let ours = |stream: &StreamId| Some(stream) == self.stream.as_ref();
        let numbers: HashMap<_, _> = lists
            .verified
            .iter()
            .filter(|list| ours(&list.stream))
            .map(|list| (list.number, list))
            .collect();
        let mut signatures = Vec::new();
        from.list(PRUNED, &mut |object| {
            signatures.extend(Key::parse(&object.name));
        })?;
        for key in signatures {
            let Key::PrunedSignature { number, list, .. } = &key else {
                continue;
            };
            let of = numbers.get(number);
            if of.is_some_and(|of| of.digest().short() == *list) {
                let mut found = Vec::new();
                from.get(&key, limits::SIGNATURE_SIZE, &mut found)?;
                let digest = Digest::of(&found);
                occupied_is_fine(store.put(&key, found.into(), &digest).map(drop))?;
            }
        }
        for (number, list) in numbers {
            let payload = Bytes::copy_from_slice(list.payload());
            let put = store.put(&Key::Pruned(number), payload, &list.digest());
            occupied_is_fine(put.map(drop))?;
        }
        Ok(())
    }

    /// Writes what is to be carried over once more; takes an old request away.
    fn ask(&self, asked: &[Chunk]) -> Result<(), Failure> {
        let path = self.request.request;
        match &self.stream {
            Some(stream) if !asked.is_empty() => {
                let asked = RepairRequest::new(stream.clone(), asked).to_bytes();
                Ok(disk::write_durably(path, &asked, 0o644)?)
            }
            _ => {
                let is_ours = disk::read_if_there(path, repair::SIZE)?
                    .is_some_and(|bytes| RepairRequest::parse(&bytes).is_ok());
                if is_ours {
                    disk::remove(path).map_err(|source| {
                        disk::DiskError::new(disk::Action::Remove, path, source)
                    })?;
                }
                Ok(())
            }
        }
    }

    /// The failure that is worst, if there is any; remembers since when something is missing.
    fn judge(&self, rows: &[Row], asked: usize) -> Result<Option<ImportError>, Failure> {
        let metadata = &self.request.config.artefacts.metadata_dir;
        let path = metadata.join(STATE);
        let before = disk::read_if_there(&path, STATE_SIZE)?;
        let before: BTreeMap<String, Timestamp> = before
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let now = clock::now();
        let waiting = rows.iter().filter(|row| row.outcome == Outcome::Waiting);
        let since: BTreeMap<String, Timestamp> = waiting
            .clone()
            .map(|row| {
                let key = row.sha256.to_string();
                let since = before.get(&key).copied().unwrap_or(now);
                (key, since)
            })
            .collect();
        if since != before {
            disk::create_folder(metadata, 0o755)?;
            let bytes = serde_json::to_vec(&since).unwrap_or_default();
            disk::write_durably(&path, &bytes, 0o644)?;
        }
        let refused = rows
            .iter()
            .find(|row| row.outcome == Outcome::Refused && row.lacking.is_none());
        if let Some(row) = refused {
            return Ok(Some(ImportError::Refused {
                sequence: row.sequence,
                why: row.says.clone(),
                id: row.error_id.unwrap_or(ErrorId::Untrusted),
            }));
        }
        if asked > 0 {
            let request = self.request.request.to_owned();
            let count = asked;
            return Ok(Some(ImportError::Damaged { count, request }));
        }
        let most = self.request.overdue;
        let overdue = waiting.into_iter().find_map(|row| {
            let since = *since.get(&row.sha256.to_string())?;
            (now.since(since) >= most.signed()).then(|| ImportError::Overdue {
                sequence: row.sequence,
                since,
                most,
                why: row.says.clone(),
            })
        });
        Ok(overdue)
    }
}

struct Refusal {
    outcome: Outcome,
    id: Option<ErrorId>,
    says: String,
}

fn occupied_is_fine(put: Result<(), StoreError>) -> Result<(), StoreError> {
    match put {
        Err(StoreError::Occupied { .. }) => Ok(()),
        put => put,
    }
}

/// Whether a file was written to just now.
fn is_unsettled(path: &Path) -> bool {
    let modified = path.metadata().and_then(|of| of.modified());
    modified.is_ok_and(|modified| {
        let age = SystemTime::now().duration_since(modified);
        age.is_ok_and(|age| age < SETTLED)
    })
}

fn text(rows: &[Row], place: &str) -> String {
    if rows.is_empty() {
        return format!("there is no bundle in {place}");
    }
    let mut text = String::new();
    for row in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "bundle {}: {}: {}",
            row.sequence,
            row.outcome.as_str(),
            row.says
        );
    }
    text
}
