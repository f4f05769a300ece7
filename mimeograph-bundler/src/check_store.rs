//! Whether the store still has, unchanged, all that the stream names: everything is read and hashed. What is missing or
//! damaged may be mended from what this host still has: the archives of the last bundle, and the manifests of its chain.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::config::{Config, Upkeep};
use mimeograph_manifest::io::console::{Progress, Report};
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::fetched::{self, Lies};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::{Listing, Lists};
use mimeograph_manifest::io::store::{Fetch, Shelve};
use mimeograph_manifest::io::workers;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::pruned::Dropped;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::head::Published;
use crate::journal::{Journal, Stage};
use crate::mend::{Local, mend};
use crate::outbox::Outbox;
use crate::prune::PruneError;
use crate::seal;

/// What is looked at.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Our own keys.
    pub ours: TrustedKeys,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// An object that is not as it should be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    object: String,
    /// The newest bundle that needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<Sequence>,
    says: String,
    repaired: bool,
    #[serde(skip)]
    key: Key,
}

/// The store is not whole.
#[derive(Debug, thiserror::Error)]
#[error("{count} objects are missing from {place} or damaged there; the first: `{first}` {says}")]
struct NotWhole {
    count: usize,
    place: String,
    first: String,
    says: String,
}

impl Fault for NotWhole {
    fn id(&self) -> ErrorId {
        ErrorId::StoreDamaged
    }

    fn hint(&self) -> Option<String> {
        Some(
            "`--repair` sends again what this host still has: the last bundle's archives. `run --full` makes a bundle that \
             needs none of what is lost before it; the bundles that are hurt then go with `prune --keep-full 1`"
                .into(),
        )
    }
}

/// Reads everything and says what is wrong.
pub fn check(request: &Request<'_>, store: &dyn Fetch) -> Result<Report, Failure> {
    let mut looked = Looked::at_papers(request, store)?;
    looked.look_at_chunks(request, store)?;
    looked.report(store)
}

/// The same, and mends what can be. The caller holds the lock.
pub fn repair(request: &Request<'_>, store: &dyn Shelve) -> Result<Report, Failure> {
    let journal = Journal::read(&request.config.artefacts.metadata_dir)?;
    if journal.is_some_and(|journal| journal.stage != Stage::Idle) {
        return Err(PruneError::Unfinished.into());
    }
    let first = Looked::at_papers(request, store)?;
    let mended = first.mend_papers(request, store)?;
    // What they name was not known before.
    let mut looked = Looked::at_papers(request, store)?;
    looked.problems.extend(mended);
    looked.look_at_chunks(request, store)?;
    looked.mend_chunks(request, store)?;
    looked.report(store)
}

/// What was found.
struct Looked {
    bundles: Vec<Verified<Manifest>>,
    dropped: Dropped,
    problems: Vec<Problem>,
    objects: usize,
}

impl Looked {
    /// Manifests, signatures, lists.
    fn at_papers(request: &Request<'_>, store: &dyn Fetch) -> Result<Self, Failure> {
        let listing = Listing::of(store)?;
        let lists = Lists::read(store, &request.ours)?;
        let mut looked = Self {
            bundles: Vec::new(),
            dropped: Dropped::default(),
            problems: Vec::new(),
            objects: lists.verified.len(),
        };
        for (number, error) in &lists.refused {
            looked.problem(Key::Pruned(*number), None, chain(error));
        }
        for sequence in listing.sequences() {
            let Some(signed) = listing.open(store, sequence, &request.ours)? else {
                continue;
            };
            match signed.verify(&request.ours) {
                Ok(bundle) => looked.bundles.push(bundle),
                Err(error) => {
                    looked.problem(Key::Manifest(sequence), Some(sequence), chain(&error));
                }
            }
        }
        looked.objects += looked.bundles.len();
        if let Some(head) = looked.bundles.last() {
            looked.dropped = Dropped::of(&lists.verified, &head.stream);
        }
        let (dropped, bundles) = (&looked.dropped, &mut looked.bundles);
        bundles.retain(|bundle| !dropped.has_bundle(bundle));
        looked.follow_links(request, &listing)?;
        Ok(looked)
    }

    /// Every manifest that another names, or that we published last, must be there, but for those that are dropped.
    fn follow_links(&mut self, request: &Request<'_>, listing: &Listing) -> Result<(), Failure> {
        for (link, by) in self.named(request)? {
            let sequence = link.sequence;
            let there = self.bundles.iter().find(|one| one.sequence == sequence);
            let says = match there {
                Some(there) if there.link() != link => "is not the one that was published",
                None if !listing.has(sequence)
                    && !self.dropped.has_number(sequence)
                    && request.config.upkeep == Upkeep::Kept =>
                {
                    "is missing"
                }
                _ => continue,
            };
            self.problem(Key::Manifest(sequence), by, says.to_owned());
        }
        Ok(())
    }

    /// The bundles that must be there, each once, and who says so; none: our own journal.
    fn named(&self, request: &Request<'_>) -> Result<Vec<(Link, Option<Sequence>)>, Failure> {
        let journal = Journal::read(&request.config.artefacts.metadata_dir)?;
        let head = journal.and_then(|journal| Some(journal.head?.link));
        let links = self.bundles.iter().flat_map(|bundle| {
            let links = bundle.previous.into_iter().chain(bundle.requires);
            links.map(|link| (link, Some(bundle.sequence)))
        });
        let mut named: Vec<_> = links.chain(head.map(|link| (link, None))).collect();
        named.sort_by_key(|(link, _)| (link.sequence, link.sha256));
        named.dedup_by_key(|(link, _)| *link);
        Ok(named)
    }

    fn look_at_chunks(&mut self, request: &Request<'_>, store: &dyn Fetch) -> Result<(), Failure> {
        let mut chunks: BTreeMap<Digest, (&Chunk, Sequence)> = BTreeMap::new();
        for bundle in &self.bundles {
            chunks.extend(
                bundle
                    .chunks()
                    .map(|one| (one.stored, (one, bundle.sequence))),
            );
        }
        let chunks: Vec<_> = chunks.into_values().collect();
        let sizes = chunks.iter().map(|(chunk, _)| chunk.stored_size);
        let progress = Progress::begin("reading", sizes.sum());
        let parallel = request.config.transfer.parallel.count();
        let is_drained = request.config.upkeep == Upkeep::Drained;
        let said = workers::each(&chunks, parallel, |(chunk, _)| {
            if request.interrupt.is_raised() {
                return Err(Failure::from(PruneError::Interrupted));
            }
            let lies = fetched::look(store, chunk)?;
            progress.add(chunk.stored_size);
            Ok(match lies {
                Lies::Whole => None,
                Lies::Absent if is_drained => None,
                Lies::Absent => Some("is missing".to_owned()),
                Lies::Short(found) => {
                    Some(format!("is short: {found} of {} bytes", chunk.stored_size))
                }
                Lies::Damaged(error) => Some(format!("is damaged: {}", chain(&error))),
            })
        })?;
        progress.finish();
        self.objects += chunks.len();
        let problems: Vec<_> = chunks
            .iter()
            .zip(said)
            .filter_map(|((chunk, sequence), says)| Some((chunk.stored, *sequence, says?)))
            .collect();
        for (stored, sequence, says) in problems {
            self.problem(Key::Chunk(stored), Some(sequence), says);
        }
        Ok(())
    }

    fn problem(&mut self, key: Key, bundle: Option<Sequence>, says: String) {
        self.problems.push(Problem {
            object: key.to_string(),
            bundle,
            says,
            repaired: false,
            key,
        });
    }

    /// Puts back manifests that are kept here, after their signatures. Returns what they were. One that is signed in the
    /// store stays, whoever published it; and none is put where others name another.
    fn mend_papers(
        self,
        request: &Request<'_>,
        store: &dyn Shelve,
    ) -> Result<Vec<Problem>, Failure> {
        let metadata = &request.config.artefacts.metadata_dir;
        let kept = Published::read(&DirStore::open(metadata)?, &request.ours)?;
        let named = self.named(request)?;
        let mut mended = Vec::new();
        for mut problem in self.problems {
            let Key::Manifest(sequence) = problem.key else {
                continue;
            };
            let is_signed = self.bundles.iter().any(|one| one.sequence == sequence);
            let is_other = |link: &Link, bundle: &Link| link.sequence == sequence && link != bundle;
            let kept = kept.bundle(sequence).filter(|bundle| {
                !is_signed && !named.iter().any(|(link, _)| is_other(link, &bundle.link()))
            });
            let Some(bundle) = kept else {
                continue;
            };
            for found in bundle.signatures() {
                let key = Key::Signature {
                    sequence,
                    manifest: found.manifest.clone(),
                    signer: found.signer.clone(),
                };
                seal::put_signature(store, &key, &found.bytes)?;
            }
            let payload = Bytes::copy_from_slice(bundle.payload());
            store.replace(&problem.key, payload, &bundle.digest())?;
            problem.repaired = true;
            mended.push(problem);
        }
        Ok(mended)
    }

    /// Sends chunks again that the archives of the last bundle still hold.
    fn mend_chunks(&mut self, request: &Request<'_>, store: &dyn Shelve) -> Result<(), Failure> {
        let config = request.config;
        let outbox = Outbox::new(&config.artefacts.bundle_dir);
        let sent = outbox.sent();
        let bundles = self.bundles.iter();
        let Some(bundle) = bundles.rev().find(|one| Some(one.link()) == sent) else {
            return Ok(());
        };
        let chunks = self
            .problems
            .iter()
            .filter_map(|problem| match problem.key {
                Key::Chunk(stored) => Some(stored),
                _ => None,
            });
        let local = Local {
            folder: outbox.folder_of(bundle.link()),
            config,
        };
        let lost = mend(store, bundle, chunks.collect(), &local)?;
        for problem in &mut self.problems {
            if let Key::Chunk(stored) = problem.key {
                problem.repaired = !lost.contains(&stored);
            }
        }
        Ok(())
    }

    fn report(self, store: &dyn Fetch) -> Result<Report, Failure> {
        let mut text = format!(
            "{} bundles, {} objects were read and hashed\n",
            self.bundles.len(),
            self.objects
        );
        for problem in &self.problems {
            let mark = if problem.repaired { "mended" } else { "FAIL  " };
            // Writing to a text cannot fail.
            let bundle = problem.bundle.map(|bundle| format!(" (bundle {bundle})"));
            let _ = writeln!(
                text,
                "{mark}  {}{} {}",
                problem.object,
                bundle.unwrap_or_default(),
                problem.says
            );
        }
        let mut left = self.problems.iter().filter(|problem| !problem.repaired);
        let count = left.clone().count();
        let Some(first) = left.next() else {
            return Ok(Report::new("whole", text).with(&self.problems)?);
        };
        let failure = NotWhole {
            count,
            place: store.describe(),
            first: first.object.clone(),
            says: first.says.clone(),
        };
        Ok(Report::new("not whole", text)
            .with(&self.problems)?
            .but(failure))
    }
}
