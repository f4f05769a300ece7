//! One run: finish what the last one left, then mirror, inspect, ship and seal.
//!
//! It has two parts, which can also be done apart, by processes that have different secrets: `mirror`, up to archives in the
//! outbox, and `publish`, from there on. What one hands to the other lies on disk and is read and hashed again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use mimeograph_manifest::archive::Unread;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory;
use mimeograph_manifest::io::config::{Config, OcMirrorVersion, Upkeep};
use mimeograph_manifest::io::console::{Front, NewestBundle, Progress};
use mimeograph_manifest::io::imageset::{self, ImageSetFile};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::oc_mirror::environment;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::store::Shelve;
use mimeograph_manifest::io::{clock, keys, random, release_keys};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::manifest::{Generation, Link, Manifest, Role};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::release::ReleaseKeys;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::named::Named;

use crate::head::{HeadError, Published};
use crate::held::{Belief, Held};
use crate::inspect::{Candidate, Inspected};
use crate::journal::{Journal, Mirrored, Stage};
use crate::kept::{self, Piece};
use crate::mirror::{PartialRuns, Places, Start};
use crate::outbox::{Blobs, Outbox};
use crate::resume::is_damaged_archive;
use crate::seal::{Outbound, SealError};
use crate::ship::{Outgoing, Pace, ShipError, Shipped, Tally, ship};
use crate::unchanged::is_unchanged;
use crate::{charts, describe, history, inspect, seal, travelling};

/// What a run is given.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where progress and facts go.
    pub front: &'a Front,
    /// What of a run is done.
    pub part: Part<'a>,
    /// Whether a partial run may be published.
    pub partial: PartialRuns,
    /// What the bundle is to hold.
    pub extent: Extent,
    /// Which of its chunks are sent.
    pub sending: Sending,
    /// Whether a new stream may begin where that cannot be told from a lost volume.
    pub beginning: Beginning,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
}

/// What of a run is done.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All of it, signed with this key.
    All(&'a SigningKey),
    /// Image set -> archives in the outbox. Nothing is signed, and nothing written to the store.
    Mirror,
    /// Archives in the outbox -> a bundle in the store, signed with this key. `oc-mirror` is not started.
    Publish(&'a SigningKey),
}

impl<'a> Part<'a> {
    fn key(self) -> Option<&'a SigningKey> {
        match self {
            Self::All(key) | Self::Publish(key) => Some(key),
            Self::Mirror => None,
        }
    }
}

/// Whether a person said that this is the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It was said.
    Said,
    /// It was not.
    NotSaid,
}

/// What a bundle is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is new since the last one.
    New,
    /// Everything, so that it needs none before it.
    Everything,
    /// Everything that came after this one.
    Since(Sequence),
    /// Everything that came after this one, which every enclave has applied by its own word.
    Acknowledged(Link),
}

/// Which chunks of a bundle are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Those that the store lacks.
    Missing,
    /// All, whatever the store has or lacks.
    All,
}

/// What came of a run.
#[derive(Debug)]
pub enum Bundled {
    /// A bundle was published.
    Sealed {
        /// Its manifest.
        manifest: Box<Manifest>,
        /// What it holds, by name.
        content: Named,
        /// What shipping took.
        tally: Tally,
    },
    /// v1 found nothing new.
    NothingNew,
    /// Archives wait in the outbox.
    Mirrored {
        /// How many.
        archives: usize,
        /// What they hold, by name.
        content: Named,
    },
    /// What an earlier run mirrored or signed must be published before anything else is mirrored.
    Unpublished,
    /// A bundle that an earlier run had signed was published.
    Finished(Sequence),
    /// Nothing waits to be published.
    NothingToPublish,
}

/// The image set and the program do not fit.
#[derive(Debug, thiserror::Error)]
#[error("`mirror.ocMirror.version` is {asked}, but the image set's apiVersion is that of {found}")]
struct OtherGeneration {
    asked: Generation,
    found: Generation,
}

impl Fault for OtherGeneration {
    fn id(&self) -> ErrorId {
        ErrorId::ConfigInvalid
    }

    fn hint(&self) -> Option<String> {
        Some("leave it at `auto`, or convert the image set".into())
    }
}

/// v1 numbers its archives, and loads them in that order alone.
#[derive(Debug, thiserror::Error)]
#[error("a stream of `oc-mirror` v1 cannot be re-based: `--since-sequence` is for v2")]
struct NotRebased;

impl Fault for NotRebased {
    fn id(&self) -> ErrorId {
        ErrorId::ConfigInvalid
    }

    fn hint(&self) -> Option<String> {
        Some("run with `--full`: that bundle needs none before it".into())
    }
}

/// What was mirrored was no longer fit to be published.
#[derive(Debug, thiserror::Error)]
#[error("what was mirrored could not be published, and is dropped: nothing was published")]
struct Dropped;

impl Fault for Dropped {
    fn id(&self) -> ErrorId {
        ErrorId::Unfinished
    }

    fn hint(&self) -> Option<String> {
        Some(
            "`mirror`, or `run`, mirrors it anew: `oc-mirror`'s history is as it was before".into(),
        )
    }
}

/// Runs once. The caller holds the lock.
pub fn bundle(request: &Request<'_>, store: &dyn Shelve) -> Result<Bundled, Failure> {
    let config = request.config;
    let run = Run {
        request,
        store,
        metadata: config.artefacts.metadata_dir.to_path_buf(),
        places: Places::of(config)?,
        outbox: Outbox::new(&config.artefacts.bundle_dir),
        release_keys: release_keys::read(config)?,
        ours: keys::own(config)?,
    };
    run.run()
}

/// A run under way.
pub(crate) struct Run<'a> {
    pub request: &'a Request<'a>,
    pub store: &'a dyn Shelve,
    pub metadata: PathBuf,
    pub places: Places,
    pub outbox: Outbox,
    pub ours: TrustedKeys,
    pub release_keys: ReleaseKeys,
}

/// What goes into a bundle besides what the journal says.
pub(crate) struct Freight {
    pub inspected: Inspected,
    /// How many archives were read.
    pub archives: usize,
    /// Blobs of the archives that are hashed on their way out.
    pub unread: Vec<Unread>,
    pub imageset: ImageSet,
    pub record: Option<Vec<u8>>,
}

impl Run<'_> {
    fn run(&self) -> Result<Bundled, Failure> {
        let journal = Journal::read(&self.metadata)?;
        let waits = journal
            .as_ref()
            .is_some_and(|one| one.stage.is_unpublished());
        match self.request.part {
            Part::Mirror if waits => Ok(Bundled::Unpublished),
            Part::Mirror => {
                let published = self.published()?;
                let mut journal = self.take_up(journal, &published)?;
                self.mirror(&mut journal, &published)
            }
            Part::Publish(_) if !waits => Ok(Bundled::NothingToPublish),
            Part::Publish(key) => {
                let (_, _, done) = self.finish(journal, key)?;
                done.ok_or_else(|| Dropped.into())
            }
            Part::All(key) => {
                let (mut journal, published, _) = self.finish(journal, key)?;
                self.mirror(&mut journal, &published)
            }
        }
    }

    /// What the last run left is published, as far as it can be.
    fn finish(
        &self,
        mut journal: Option<Journal>,
        key: &SigningKey,
    ) -> Result<(Journal, Published, Option<Bundled>), Failure> {
        self.outbox.refuse_links()?;
        let sealed = match &mut journal {
            Some(journal) => self.finish_sealed(journal)?,
            None => None,
        };
        let published = self.published()?;
        let mut journal = self.take_up(journal, &published)?;
        self.look_after_last(&published)?;
        if !matches!(journal.stage, Stage::Mirrored(_)) {
            return Ok((journal, published, sealed.map(Bundled::Finished)));
        }
        let shipped = self.finish_mirrored(&mut journal, &published, key)?;
        Ok((journal, self.published()?, shipped))
    }

    /// The journal, brought up to what is published; and the clock is right.
    fn take_up(&self, journal: Option<Journal>, published: &Published) -> Result<Journal, Failure> {
        let journal = match published.adopt(self.store, journal, self.absence())? {
            Some(journal) => journal,
            None => self.begin()?,
        };
        self.front().note(|facts| {
            facts.newest = published.head().map(|head| NewestBundle::from(&**head));
        });
        let last = journal.head.map(|head| head.created);
        seal::check_clock(clock::now(), last, self.store.clock()?)?;
        Ok(journal)
    }

    /// A new stream. Where a transport empties the store, a lost volume looks the same.
    fn begin(&self) -> Result<Journal, Failure> {
        let Request {
            config, beginning, ..
        } = self.request;
        if config.upkeep == Upkeep::Drained && *beginning == Beginning::NotSaid {
            return Err(HeadError::NotSaid.into());
        }
        let stream = StreamId::from_bytes(random::bytes()?);
        tracing::warn!(%stream, "FIRST RUN: nothing was ever published here; a new stream begins");
        Ok(Journal::begin(stream))
    }

    /// Before hours are spent on mirroring: image set and program fit, and what is to travel is there.
    fn prepare(
        &self,
        journal: &Journal,
        published: &Published,
    ) -> Result<(ImageSetFile, OcMirror), Failure> {
        let Request {
            config, interrupt, ..
        } = self.request;
        let file = imageset::read(config)?;
        let imageset = &file.imageset;
        travelling::local_files(imageset, &config.mirror.local_dir)?;
        travelling::extra_files(&travelling::extra_paths(config)?)?;
        environment::check_added(&config.mirror.oc_mirror.env)?;
        self.check_generation(imageset)?;
        let is_rebased = !matches!(self.request.extent, Extent::New | Extent::Everything);
        if imageset.generation == Generation::V1 && is_rebased {
            return Err(NotRebased.into());
        }
        let oc_mirror = OcMirror::probe(
            &config.mirror.oc_mirror.path,
            &self.places.bundle_dir,
            interrupt,
        )?;
        oc_mirror.require(imageset.generation)?;
        inspect::refuse_traps(config, imageset, &oc_mirror).map_err(|error| file.wrong(error))?;
        self.front().note(|facts| {
            facts.stream = Some(journal.stream.clone());
            facts.sequence = Some(journal.next_sequence().number());
            let key = self.request.part.key();
            facts.key_ids = key
                .map(|key| key.public().id().to_string())
                .into_iter()
                .collect();
        });
        self.look_ahead(&file, &oc_mirror, published)?;
        Ok((file, oc_mirror))
    }

    /// Image set -> archives in the outbox, judged -> a published bundle.
    fn mirror(&self, journal: &mut Journal, published: &Published) -> Result<Bundled, Failure> {
        let Request {
            config, interrupt, ..
        } = self.request;
        let (file, oc_mirror) = self.prepare(journal, published)?;
        let ImageSetFile {
            bytes, imageset, ..
        } = &file;
        let (base, based_on) = self.base(journal, published, imageset.generation)?;
        self.keep_chain(journal, published)?;
        journal.stage = Stage::Mirroring;
        journal.write(&self.metadata)?;
        let start = Start {
            config,
            places: &self.places,
            oc_mirror: &oc_mirror,
            bytes,
            imageset,
            base,
            release_keys: &self.release_keys,
            without_signatures: false.into(),
            interrupt,
            partial: self.request.partial,
            // Where another process publishes, it believes nothing, and this one is to tell what is damaged.
            blobs: match self.request.part {
                Part::All(_) => Blobs::ButThoseToShip,
                Part::Mirror | Part::Publish(_) => Blobs::All,
            },
        };
        let mirrored = self.front().stage("mirror", || start.mirror());
        let idle = |journal: &mut Journal| {
            journal.stage = Stage::Idle;
            journal.write(&self.metadata)
        };
        let run = mirrored.inspect_err(|_| drop(idle(journal)))?;
        // What cannot be sealed is found out while the record can still be set back.
        let earlier = self.earlier(based_on, published)?.unwrap_or_default();
        let producer = describe::producer(
            config,
            &oc_mirror,
            imageset.generation,
            start.removes_signatures(),
        );
        let nothing_new = run.is_none();
        let run = run.unwrap_or_default();
        let mirrored = Mirrored {
            based_on,
            newest: published.newest_content(),
            producer,
            incomplete: run.incomplete,
            copied: run.copied,
        };
        let judged = inspect::inspect(Candidate {
            contents: run.contents,
            archives: &run.archives,
            imageset,
            mirrored: &mirrored,
            release_keys: &self.release_keys,
            before: &earlier,
        });
        let judged = judged.and_then(|inspected| match run.left_out {
            Some(left_out) => Err(left_out.into()),
            None => Ok(inspected),
        });
        let inspected = match judged {
            Ok(inspected) => inspected,
            Err(failure) => {
                start.set_back()?;
                idle(journal)?;
                return Err(failure);
            }
        };
        if nothing_new {
            idle(journal)?;
            return Ok(Bundled::NothingNew);
        }
        for hint in charts::hints(imageset, &config.mirror.local_dir, &mirrored.copied)? {
            tracing::info!("{hint}");
        }
        self.note_oc_mirror(&oc_mirror, run.status);
        let record = history::after_run(&self.metadata, &self.places.output, imageset.generation)?;
        // The archives go out of `oc-mirror`'s reach; from then on they are shipped, unless one is damaged.
        self.outbox.take(&run.archives, bytes, record.as_deref())?;
        journal.stage = Stage::Mirrored(mirrored.clone());
        journal.write(&self.metadata)?;
        let Some(key) = self.request.part.key() else {
            return Ok(Bundled::Mirrored {
                archives: run.archives.len(),
                content: Named::of(&inspected.inventory.wish),
            });
        };
        let freight = Freight {
            inspected,
            archives: run.archives.len(),
            unread: run.unread,
            imageset: imageset.clone(),
            record,
        };
        let shipped = self.ship(journal, published, mirrored, freight, key);
        if shipped.as_ref().err().is_some_and(is_damaged_archive) {
            start.set_back()?;
            self.drop_run(journal, journal.next_sequence())?;
        }
        shipped
    }

    /// Archives in the outbox -> chunks in the store -> a published bundle.
    pub(crate) fn ship(
        &self,
        journal: &mut Journal,
        published: &Published,
        mirrored: Mirrored,
        freight: Freight,
        key: &SigningKey,
    ) -> Result<Bundled, Failure> {
        let Request { config, .. } = self.request;
        let generation = mirrored.producer.generation;
        let Inspected { inventory, watched } = freight.inspected;
        let bytes = inventory.to_bytes()?;
        let archives = self.outbox.archives(generation)?;
        if archives.len() != freight.archives {
            // One that came or went would be in the manifest or the inventory alone.
            return Err(ShipError::Lost.into());
        }
        let written = self.outbox.write(inventory::FILE_NAME, &bytes)?;
        let beside = [
            (Some(self.outbox.imageset()), Role::Imageset),
            (Some(written), Role::Inventory),
            (self.outbox.record_path(), Role::History),
        ];
        let files = travelling::all(config, &freight.imageset, &archives, &beside)?;
        let content = Named::of(&inventory.wish);
        self.refuse_if_taken(journal)?;
        let last = last_with_content(published, &mirrored);
        let is_heartbeat = match last.filter(|_| self.request.sending == Sending::Missing) {
            Some(last) => is_unchanged(&self.metadata, last, &inventory, &watched, &files)?,
            None => false,
        };
        let shipped = if is_heartbeat {
            // `oc-mirror`'s record is set back before it runs again: it belongs to the bundle that has the content.
            Shipped::default()
        } else {
            let held = self.front().stage("list", || {
                let belief = self.belief(&mirrored, published);
                published.held(self.store, journal.resent, belief)
            })?;
            self.front().stage("ship", || {
                self.ship_files(&files, generation, held, &freight.unread)
            })?
        };
        let Shipped { files, tally } = shipped;
        let manifest = describe::manifest(config, journal, published.head(), mirrored, files);
        let sequence = manifest.sequence;
        if !is_heartbeat {
            kept::write(&self.metadata, Piece::Inventory, sequence, &bytes)?;
            if let Some(record) = &freight.record {
                kept::write(&self.metadata, Piece::History, sequence, record)?;
            }
        }
        if self.request.sending == Sending::All {
            journal.resent = Some(sequence);
        }
        self.front().stage("seal", || {
            seal::seal(&manifest, key, journal, &self.metadata, |link| {
                if is_heartbeat {
                    return Ok(());
                }
                watched.keep(&self.metadata, link)
            })?;
            match Outbound::of(journal)? {
                Some(outbound) => self.publish(journal, outbound, published, &published.dropped),
                None => Ok(()),
            }
        })?;
        self.front().note(|facts| {
            facts.newest = Some(NewestBundle::from(&manifest));
            facts.bytes = Some(tally.bytes);
            facts.chunks = Some(tally.chunks);
            facts.chunks_sent = Some(tally.chunks_sent);
        });
        Ok(Bundled::Sealed {
            manifest: Box::new(manifest),
            content,
            tally,
        })
    }

    fn ship_files(
        &self,
        files: &[Outgoing],
        generation: Generation,
        held: Held,
        unread: &[Unread],
    ) -> Result<Shipped, Failure> {
        let sizes = files.iter().filter_map(|file| file.path.metadata().ok());
        let progress = Progress::begin("shipping", sizes.map(|file| file.len()).sum());
        let transfer = &self.request.config.transfer;
        let pace = Pace {
            parallel: transfer.parallel.count(),
            chunk_size: transfer.chunk_size.bytes(),
            unread,
            throttle: &transfer.throttle(),
            interrupt: self.request.interrupt,
        };
        let shipped = ship(files, generation, self.store, held, pace, &|bytes| {
            progress.add(bytes);
        })?;
        progress.finish();
        Ok(shipped)
    }

    /// Before much is sent in vain: whether another bundler has published while we mirrored.
    fn refuse_if_taken(&self, journal: &mut Journal) -> Result<(), Failure> {
        let next = journal.next_sequence();
        if Listing::of(self.store)?.newest() < Some(next) {
            return Ok(());
        }
        self.drop_run(journal, next)?;
        Err(SealError::Taken(next).into())
    }

    /// What is published; where the store may have been emptied, also by what is kept here.
    pub(crate) fn published(&self) -> Result<Published, Failure> {
        self.front().stage("list", || match self.absence() {
            Upkeep::Kept => Published::read(self.store, &self.ours),
            Upkeep::Drained => Published::read_with_kept(self.store, &self.ours, &self.metadata),
        })
    }

    /// The manifests that what comes next builds on are kept here, and no others.
    fn keep_chain(&self, journal: &Journal, published: &Published) -> Result<(), Failure> {
        let content = journal.content.map(|link| link.sequence);
        let mut chain = content.map_or_else(BTreeSet::new, |content| published.needed(content));
        chain.extend(journal.head.map(|head| head.link.sequence));
        kept::keep_manifests(&self.metadata, &chain)
    }

    /// Whether the store may lack what we published.
    pub(crate) fn absence(&self) -> Upkeep {
        match self.request.sending {
            Sending::All => Upkeep::Drained,
            Sending::Missing => self.request.config.upkeep,
        }
    }

    /// How far it is believed that what was published is there: a bundle that does not build on the newest one is made because
    /// it may not be.
    fn belief(&self, mirrored: &Mirrored, published: &Published) -> Belief {
        match self.request.sending {
            Sending::All => Belief::Nothing,
            Sending::Missing if mirrored.based_on == published.newest_content() => Belief::Listing,
            Sending::Missing => Belief::Bytes,
        }
    }

    fn check_generation(&self, imageset: &ImageSet) -> Result<(), OtherGeneration> {
        let found = imageset.generation;
        let asked = match self.request.config.mirror.oc_mirror.version {
            OcMirrorVersion::Auto => found,
            OcMirrorVersion::V1 => Generation::V1,
            OcMirrorVersion::V2 => Generation::V2,
        };
        if asked == found {
            Ok(())
        } else {
            Err(OtherGeneration { asked, found })
        }
    }

    fn note_oc_mirror(&self, oc_mirror: &OcMirror, status: i32) {
        self.front().note(|facts| {
            facts.oc_mirror = Some(mimeograph_manifest::io::console::OcMirrorRun {
                version: oc_mirror.version.clone(),
                status: Some(status),
            });
        });
    }

    pub(crate) fn front(&self) -> &Front {
        self.request.front
    }
}

/// The last bundle with content, where whole archives build on it.
fn last_with_content<'p>(
    published: &'p Published,
    mirrored: &Mirrored,
) -> Option<&'p Verified<Manifest>> {
    let last = published.newest_content()?;
    let is_v2 = mirrored.producer.generation == Generation::V2;
    if !is_v2 || !mirrored.incomplete.is_empty() || mirrored.based_on != Some(last) {
        return None;
    }
    published.bundle(last.sequence)
}
