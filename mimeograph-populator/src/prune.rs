//! `prune`: what the connected side has dropped goes from the store on this side, too.
//!
//! Only chunks that a verified list of the stream names, and never what a bundle from the last applied full one on needs,
//! all of whose chunks lie here, hashed: with it `oc-mirror`'s cache can be filled again.

use std::collections::{BTreeMap, BTreeSet};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::age::Ages;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::{Progress, Report};
use mimeograph_manifest::io::fetched::{self, Lies};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::{self, Listing, Lists};
use mimeograph_manifest::io::store::Discard;
use mimeograph_manifest::io::workers;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::pruned::{self, Dropped};
use mimeograph_manifest::signed::{Verified, VerifyError};
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::ledger::Ledger;

/// After so many chunks it is looked again whether a bundle has arrived.
const BATCH: usize = 1000;

/// What becomes of bundles that need not be kept and that no list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// They stay: the connected side counts on their chunks.
    Keep,
    /// They go.
    Drop,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is.
    Drop,
    /// It is only said what would be.
    Tell,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
    /// What becomes of what no list names.
    pub unlisted: Unlisted,
    /// Whether anything is done.
    pub act: Act,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// Why nothing is dropped.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Nothing would be left to go on from.
    #[error("no full bundle that was applied here lies whole in {0}: nothing may be dropped")]
    NoFull(String),
    /// Nobody knows what it names.
    #[error(
        "a bundle that is to be kept does not verify: what it names is not known, so nothing is dropped"
    )]
    Unverified(#[source] VerifyError),
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal while dropping")]
    Interrupted,
}

impl Fault for PruneError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoFull(_) => ErrorId::InputMissing,
            Self::Unverified(error) => error.id(),
            Self::Interrupted => ErrorId::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFull(_) => Some(
                "have what is missing or damaged carried over again (the log names it), or apply a newer full bundle first"
                    .into(),
            ),
            Self::Unverified(error) => error.hint(),
            Self::Interrupted => Some("run it again: it goes on where it was".into()),
        }
    }
}

/// What is printed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    /// The bundles that go.
    bundles: BTreeSet<Sequence>,
    /// The chunks that go.
    chunks: usize,
    /// Their bytes.
    bytes: u64,
    /// Chunks that lists name and that came after them: they may be on their way again.
    left: usize,
    /// The full bundle from which on everything stays.
    from: Option<Sequence>,
}

/// Drops what need not be kept. The caller holds the lock.
pub fn prune(request: &Request<'_>, store: &dyn Discard) -> Result<Report, Failure> {
    let ledger = Ledger::read(&request.config.artefacts.metadata_dir)?;
    let retention = Retention {
        request,
        store,
        ledger,
    };
    let mut stream = retention.read()?;
    let Some(full) = retention.last_full(&stream)? else {
        return Err(PruneError::NoFull(store.describe()).into());
    };
    let doomed = retention.doomed(&mut stream, full)?;
    if request.act == Act::Drop {
        retention.sweep(stream, full, &doomed)?;
    }
    let told = Told {
        chunks: doomed.chunks.len(),
        bytes: doomed.chunks.values().sum(),
        bundles: doomed.bundles,
        left: doomed.left,
        from: Some(full),
    };
    let outcome = match request.act {
        _ if told.is_nothing() => "nothing to do",
        Act::Tell => "planned",
        Act::Drop => "dropped",
    };
    Ok(Report::new(outcome, told.text(request)).with(&told)?)
}

/// The bundles of the store.
struct Stream {
    bundles: Vec<Verified<Manifest>>,
    refused: BTreeMap<Sequence, VerifyError>,
    dropped: Dropped,
    listing: Listing,
}

/// What goes.
struct Doomed {
    bundles: BTreeSet<Sequence>,
    chunks: BTreeMap<Digest, u64>,
    left: usize,
}

struct Retention<'a> {
    request: &'a Request<'a>,
    store: &'a dyn Discard,
    ledger: Ledger,
}

impl Retention<'_> {
    fn read(&self) -> Result<Stream, Failure> {
        let Request {
            config, trusted, ..
        } = self.request;
        let listing = Listing::of(self.store)?;
        let (mut bundles, mut refused) = (Vec::new(), BTreeMap::new());
        for sequence in listing.sequences() {
            let Some(signed) = listing.open(self.store, sequence, trusted)? else {
                continue;
            };
            // What is kept is kept for what it may be: one bundler's word is enough for that.
            match signed.verify(&trusted.to_be_approved()) {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => drop(refused.insert(sequence, error)),
            }
        }
        let pinned = config.trust.stream.as_ref();
        self.ledger.check(pinned, config.upkeep, &bundles, None)?;
        let lists = Lists::read(self.store, trusted)?;
        lists.warn();
        let dropped = match &self.ledger.stream {
            Some(stream) => Dropped::of(&lists.verified, stream),
            None => Dropped::default(),
        };
        Ok(Stream {
            bundles,
            refused,
            dropped,
            listing,
        })
    }

    /// The newest full bundle that came here and whose chunks all lie in this store, read and hashed.
    fn last_full(&self, stream: &Stream) -> Result<Option<Sequence>, Failure> {
        let fulls = stream
            .bundles
            .iter()
            .rev()
            .filter(|bundle| bundle.kind == Kind::Full && self.ledger.has(Some(bundle.link())));
        for full in fulls {
            if self.is_whole(full)? {
                return Ok(Some(full.sequence));
            }
        }
        Ok(None)
    }

    fn is_whole(&self, bundle: &Verified<Manifest>) -> Result<bool, Failure> {
        let Request {
            config, interrupt, ..
        } = self.request;
        let chunks: Vec<_> = bundle.chunks().collect();
        let sizes = chunks.iter().map(|chunk| chunk.stored_size);
        let progress = Progress::begin(format!("reading bundle {}", bundle.sequence), sizes.sum());
        let found = workers::each(&chunks, config.transfer.parallel.count(), |chunk| {
            if interrupt.is_raised() {
                return Err(Failure::from(PruneError::Interrupted));
            }
            progress.add(chunk.stored_size);
            Ok(matches!(fetched::look(self.store, chunk)?, Lies::Whole))
        })?;
        progress.finish();
        let mut lost = chunks.iter().zip(found).filter(|(_, is_whole)| !is_whole);
        let first = lost.next();
        if let Some((chunk, _)) = first {
            tracing::warn!(
                sequence = %bundle.sequence, count = lost.count() + 1, first = %Key::Chunk(chunk.stored),
                "chunks of this full bundle are missing or damaged here: nothing of those before it is dropped"
            );
        }
        Ok(first.is_none())
    }

    fn doomed(&self, stream: &mut Stream, full: Sequence) -> Result<Doomed, Failure> {
        let kept = stream.kept(full)?;
        let wanted = stream.objects(&kept);
        let others = stream.bundles.iter().filter(|one| {
            let goes = stream.dropped.has_bundle(one) || self.request.unlisted == Unlisted::Drop;
            goes && !kept.contains(&one.sequence)
        });
        let bundles: BTreeSet<_> = others.map(|bundle| bundle.sequence).collect();
        let unlisted = match self.request.unlisted {
            Unlisted::Keep => BTreeMap::new(),
            Unlisted::Drop => stream.objects(&bundles),
        };
        let ages = Ages::now(self.store, self.request.config.trust.wait_at_most)?;
        let mut doomed = Doomed {
            bundles,
            chunks: BTreeMap::new(),
            left: 0,
        };
        for (stored, (size, modified)) in listing::dated_chunks(self.store)? {
            if wanted.contains_key(&stored) {
                continue;
            }
            match stream.dropped.since(&stored) {
                _ if unlisted.contains_key(&stored) => drop(doomed.chunks.insert(stored, size)),
                Some(list) if ages.may_go(modified, list) => {
                    doomed.chunks.insert(stored, size);
                }
                Some(_) => doomed.left += 1,
                None => {}
            }
        }
        Ok(doomed)
    }

    /// What no list names is known by its manifest alone: that outlasts it, so that a run that is killed can be gone on with.
    fn sweep(&self, stream: Stream, full: Sequence, doomed: &Doomed) -> Result<(), Failure> {
        let listing = stream.listing.clone();
        if self.request.unlisted == Unlisted::Drop {
            self.sweep_chunks(stream, full, doomed)?;
            return self.sweep_papers(&listing, doomed);
        }
        self.sweep_papers(&listing, doomed)?;
        self.sweep_chunks(stream, full, doomed)
    }

    /// Of each bundle the manifest first, then its signatures.
    fn sweep_papers(&self, listing: &Listing, doomed: &Doomed) -> Result<(), Failure> {
        for sequence in &doomed.bundles {
            let signatures = listing.signatures(*sequence);
            for key in [Key::Manifest(*sequence)].into_iter().chain(signatures) {
                self.heed_signals()?;
                self.store.remove(&key)?;
            }
        }
        Ok(())
    }

    /// Unless a bundle that came meanwhile needs them.
    fn sweep_chunks(
        &self,
        mut stream: Stream,
        full: Sequence,
        doomed: &Doomed,
    ) -> Result<(), Failure> {
        let chunks: Vec<_> = doomed.chunks.keys().collect();
        let mut wanted = BTreeMap::new();
        for batch in chunks.chunks(BATCH) {
            if Listing::of(self.store)?.newest() != stream.listing.newest() {
                stream = self.read()?;
                let kept = stream.kept(full)?;
                wanted = stream.objects(&kept);
            }
            let batch: Vec<_> = batch
                .iter()
                .filter(|one| !wanted.contains_key(**one))
                .collect();
            let parallel = self.request.config.transfer.parallel.count();
            workers::each(&batch, parallel, |stored| {
                self.heed_signals()?;
                Ok::<_, Failure>(self.store.remove(&Key::Chunk(***stored))?)
            })?;
        }
        let ages = Ages::now(self.store, self.request.config.trust.wait_at_most)?;
        self.store.remove_unfinished(ages.horizon())?;
        Ok(())
    }

    fn heed_signals(&self) -> Result<(), PruneError> {
        if self.request.interrupt.is_raised() {
            return Err(PruneError::Interrupted);
        }
        Ok(())
    }
}

impl Stream {
    /// The bundles from `full` on, with all that they require. One of them that does not verify may name anything.
    fn kept(&mut self, full: Sequence) -> Result<BTreeSet<Sequence>, PruneError> {
        let numbers = self.bundles.iter().map(|bundle| bundle.sequence);
        let kept = pruned::kept(&self.bundles, numbers.filter(|one| *one >= full));
        let is_required = |sequence: Sequence| {
            let mut kept = self
                .bundles
                .iter()
                .filter(|one| kept.contains(&one.sequence));
            kept.any(|one| one.requires.is_some_and(|link| link.sequence == sequence))
        };
        let mut refused = self.refused.keys().copied();
        let unknown = refused.rfind(|one| *one >= full || is_required(*one));
        match unknown.and_then(|sequence| self.refused.remove(&sequence)) {
            Some(error) => Err(PruneError::Unverified(error)),
            None => Ok(kept),
        }
    }

    fn objects(&self, of: &BTreeSet<Sequence>) -> BTreeMap<Digest, u64> {
        let bundles = self.bundles.iter();
        pruned::objects(bundles.filter(|bundle| of.contains(&bundle.sequence)))
    }
}

impl Told {
    fn is_nothing(&self) -> bool {
        self.bundles.is_empty() && self.chunks == 0
    }

    fn text(&self, request: &Request<'_>) -> String {
        let (chunks, bytes) = (self.chunks, self.bytes);
        let numbers: Vec<_> = self.bundles.iter().map(ToString::to_string).collect();
        let numbers = if numbers.is_empty() {
            "none".to_owned()
        } else {
            numbers.join(", ")
        };
        let going = format!("bundles ({numbers}) and {chunks} chunks, {bytes} bytes");
        let going = match request.act {
            _ if self.is_nothing() => "nothing is to be dropped".to_owned(),
            Act::Tell => format!("would drop {going}"),
            Act::Drop => format!("dropped {going}"),
        };
        let from = self.from.map_or_else(String::new, |full| {
            format!("; all from full bundle {full} on is kept")
        });
        let left = match self.left {
            0 => String::new(),
            left => {
                format!("; {left} chunks came after the list that names them, and stay for now")
            }
        };
        let resend = if request.unlisted == Unlisted::Drop && !self.is_nothing() {
            "\nthe connected side counts on what no list names and does not send it again: it must run \
             `mimeograph-bundler run --full --resend` before it publishes anything else"
        } else {
            ""
        };
        format!("{going}{from}{left}{resend}")
    }
}
