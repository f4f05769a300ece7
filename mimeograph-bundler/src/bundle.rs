//! One run: finish what the last one left, then mirror, inspect, ship and seal.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Exit, Failure, Fault};
use mimeograph_manifest::imageset::{Findings, ImageSet, ImageSetError};
use mimeograph_manifest::inventory::{self, Before};
use mimeograph_manifest::io::config::{Config, OcMirrorVersion, Parallel};
use mimeograph_manifest::io::console::{Front, Progress};
use mimeograph_manifest::io::imageset::{self, ImageSetFile, refuse_any};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::oc_mirror::environment;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::io::store::Shelve;
use mimeograph_manifest::io::{clock, disk, random, release_keys};
use mimeograph_manifest::key::{SigningKey, TrustedKeys};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{self, Generation, Manifest, Role};
use mimeograph_manifest::name::{FileName, Sequence, StreamId};
use mimeograph_manifest::release::ReleaseKeys;

use mimeograph_manifest::wish::named::Named;

use crate::head::{HeadError, Published};
use crate::inspect::{Candidate, Inspected};
use crate::journal::{Journal, Mirrored, Stage};
use crate::mirror::{Base, PartialRuns, Places, Start};
use crate::outbox::Outbox;
use crate::plan::Ahead;
use crate::ship::{Held, Outgoing, Pace, Tally, ship};
use crate::unchanged::is_unchanged;
use crate::{charts, describe, history, inspect, outbox, restore, seal, travelling};

/// What a run is given.
#[derive(Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where progress and facts go.
    pub front: &'a Front,
    /// The signing key.
    pub key: &'a SigningKey,
    /// Whether a partial run may be published.
    pub partial: PartialRuns,
    /// What the bundle is to hold.
    pub extent: Extent,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
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
    Acknowledged(manifest::Link),
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
        ours: TrustedKeys::new([request.key.public()], std::num::NonZeroUsize::MIN),
    };
    run.run()
}

struct Run<'a> {
    request: &'a Request<'a>,
    store: &'a dyn Shelve,
    metadata: PathBuf,
    places: Places,
    outbox: Outbox,
    ours: TrustedKeys,
    release_keys: ReleaseKeys,
}

/// What goes into a bundle besides what the journal says.
struct Freight {
    inspected: Inspected,
    imageset: ImageSet,
    record: Option<Vec<u8>>,
}

impl Run<'_> {
    fn run(&self) -> Result<Bundled, Failure> {
        let mut journal = Journal::read(&self.metadata)?;
        if let Some(journal) = journal
            .as_mut()
            .filter(|journal| matches!(journal.stage, Stage::Sealed(_)))
        {
            tracing::info!(
                "the last run was stopped while publishing: its bundle is published first"
            );
            seal::publish(self.store, journal, &self.metadata)?;
            self.outbox.clear()?;
        }
        let published = self
            .front()
            .stage("list", || Published::read(self.store, &self.ours))?;
        let mut journal = match published.adopt(journal)? {
            Some(journal) => journal,
            None => Journal::begin(StreamId::from_bytes(random::bytes()?)),
        };
        seal::check_clock(
            clock::now(),
            journal.head.map(|head| head.created),
            self.store.clock()?,
        )?;
        if let Stage::Mirrored(mirrored) = journal.stage.clone() {
            tracing::info!(
                "the last run mirrored but did not publish: its archives are shipped first"
            );
            self.ship_outbox(&mut journal, &published, mirrored)?;
            return self.mirror(&mut journal, &Published::read(self.store, &self.ours)?);
        }
        self.mirror(&mut journal, &published)
    }

    fn mirror(&self, journal: &mut Journal, published: &Published) -> Result<Bundled, Failure> {
        let Request {
            config, interrupt, ..
        } = self.request;
        let file = imageset::read(config)?;
        let ImageSetFile {
            bytes, imageset, ..
        } = &file;
        // Before hours are spent on mirroring: what is to travel must be there.
        travelling::local_files(imageset, &config.mirror.local_dir)?;
        travelling::extra_files(&travelling::extra_paths(config)?)?;
        environment::check_added(&config.mirror.oc_mirror.env)?;
        self.check_generation(imageset)?;
        if imageset.generation == Generation::V1 && matches!(self.request.extent, Extent::Since(_))
        {
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
            facts.key_ids = vec![self.request.key.public().id().to_string()];
        });
        self.look_ahead(&file, &oc_mirror, published)?;
        let (base, based_on) = self.base(journal, published, imageset.generation)?;
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
        };
        let mirrored = self.front().stage("mirror", || start.mirror());
        let idle = |journal: &mut Journal| {
            journal.stage = Stage::Idle;
            journal.write(&self.metadata)
        };
        let run = mirrored.inspect_err(|_| drop(idle(journal)))?;
        // What cannot be sealed is found out while the record can still be set back.
        let earlier = self
            .earlier(based_on.map(|link| link.sequence), published)?
            .unwrap_or_default();
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
        // The archives go out of `oc-mirror`'s reach; from then on they are shipped, whatever happens.
        self.outbox.take(&run.archives, bytes, record.as_deref())?;
        journal.stage = Stage::Mirrored(mirrored.clone());
        journal.write(&self.metadata)?;
        let freight = Freight {
            inspected,
            imageset: file.imageset,
            record,
        };
        self.ship(journal, published, mirrored, &freight)
    }

    /// What cannot be met is said before hours are spent on mirroring.
    ///
    /// A dry run fetches catalogues and release images once more, so it is made only where the image set is another than
    /// that of the last bundle. Where it fails otherwise, the run itself will tell: its archives are judged in any case.
    fn look_ahead(
        &self,
        file: &ImageSetFile,
        oc_mirror: &OcMirror,
        published: &Published,
    ) -> Result<(), Failure> {
        let imageset = &file.imageset;
        let tells = imageset.mirror.platform.is_some() || imageset.has_operators();
        let last = published.newest_content();
        let last = last.and_then(|link| published.bundle(link.sequence));
        let is_known = last.is_some_and(|bundle| holds_imageset(bundle, &file.bytes));
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
                let refused = refuse_any(findings, ImageSetError::Unsatisfied);
                refused.map_err(|error| file.wrong(error).into())
            }
            Err(failure) if failure.id() == ErrorId::Interrupted => Err(failure),
            Err(failure) => {
                tracing::info!("what cannot be met could not be told by a dry run: {failure}");
                Ok(())
            }
        }
    }

    /// Archives of an earlier run: nothing of them is believed, all is read again. Those that are no longer
    /// whole are dropped: `oc-mirror`'s record is set back before its next attempt, so it writes them anew.
    fn ship_outbox(
        &self,
        journal: &mut Journal,
        published: &Published,
        mirrored: Mirrored,
    ) -> Result<(), Failure> {
        match self
            .front()
            .stage("inspect", || self.read_outbox(&mirrored, published))
        {
            Ok(freight) => self.ship(journal, published, mirrored, &freight).map(drop),
            Err(failure) if is_verdict(&failure) => {
                tracing::warn!(
                    "what the last run left cannot be shipped, and is mirrored anew: {failure}"
                );
                self.outbox.clear()?;
                journal.stage = Stage::Idle;
                Ok(journal.write(&self.metadata)?)
            }
            Err(failure) => Err(failure),
        }
    }

    fn read_outbox(&self, mirrored: &Mirrored, published: &Published) -> Result<Freight, Failure> {
        let generation = mirrored.producer.generation;
        let archives = self.outbox.archives(generation)?;
        let bytes = disk::read_bounded(&self.outbox.imageset(), limits::IMAGESET_SIZE)?;
        let imageset = ImageSet::parse(&bytes)?;
        let earlier = self
            .earlier(mirrored.based_on.map(|link| link.sequence), published)?
            .unwrap_or_default();
        let inspected = inspect::inspect(Candidate {
            contents: outbox::read(&archives, generation, &|_| ())?,
            archives: &archives,
            imageset: &imageset,
            mirrored,
            release_keys: &self.release_keys,
            before: &earlier,
        })?;
        Ok(Freight {
            inspected,
            imageset,
            record: self.outbox.record()?,
        })
    }

    fn ship(
        &self,
        journal: &mut Journal,
        published: &Published,
        mirrored: Mirrored,
        freight: &Freight,
    ) -> Result<Bundled, Failure> {
        let generation = mirrored.producer.generation;
        let Inspected { inventory, watched } = &freight.inspected;
        let bytes = inventory.to_bytes()?;
        let files = self.outgoing(generation, &freight.imageset, &bytes)?;
        let content = Named::of(&inventory.wish);
        if let Some(last) = last_with_content(published, &mirrored)
            && is_unchanged(&self.metadata, last, inventory, watched, &files)?
        {
            // `oc-mirror`'s record is set back before it runs again: it belongs to the bundle that has the content.
            let head = published.head();
            let manifest =
                describe::manifest(self.request.config, journal, head, mirrored, Vec::new());
            self.seal(journal, &manifest)?;
            return Ok(Bundled::Sealed {
                manifest: Box::new(manifest),
                content,
                tally: Tally::default(),
            });
        }
        let held = self.front().stage("list", || published.held(self.store))?;
        let shipped = self
            .front()
            .stage("ship", || self.ship_files(&files, generation, held))?;
        let manifest = describe::manifest(
            self.request.config,
            journal,
            published.head(),
            mirrored,
            shipped.files,
        );
        let sequence = manifest.sequence;
        inspect::keep(&self.metadata, sequence, &bytes)?;
        watched.keep(&self.metadata, sequence)?;
        if let Some(record) = &freight.record {
            history::keep(&self.metadata, sequence, record)?;
        }
        self.seal(journal, &manifest)?;
        self.front().note(|facts| {
            facts.bytes = Some(shipped.tally.bytes);
            facts.chunks = Some(shipped.tally.chunks);
        });
        Ok(Bundled::Sealed {
            manifest: Box::new(manifest),
            content,
            tally: shipped.tally,
        })
    }

    fn seal(&self, journal: &mut Journal, manifest: &Manifest) -> Result<(), Failure> {
        let Request { key, .. } = self.request;
        self.front().stage("seal", || {
            seal::seal(manifest, key, self.store, journal, &self.metadata)
        })?;
        Ok(self.outbox.clear()?)
    }

    fn ship_files(
        &self,
        files: &[Outgoing],
        generation: Generation,
        held: Held,
    ) -> Result<crate::ship::Shipped, Failure> {
        let total = files
            .iter()
            .filter_map(|file| file.path.metadata().ok())
            .map(|file| file.len())
            .sum();
        let progress = Progress::begin("shipping", total);
        let transfer = &self.request.config.transfer;
        let pace = Pace {
            parallel: match transfer.parallel {
                Parallel::Auto => 4,
                Parallel::Fixed(count) => count.get(),
            },
            chunk_size: transfer.chunk_size.bytes(),
            interrupt: self.request.interrupt,
        };
        let shipped = ship(files, generation, self.store, held, pace, &|bytes| {
            progress.add(bytes);
        })?;
        progress.finish();
        Ok(shipped)
    }

    /// Everything that travels: archives, image set, inventory, history, local and extra files.
    fn outgoing(
        &self,
        generation: Generation,
        imageset: &ImageSet,
        inventory: &[u8],
    ) -> Result<Vec<Outgoing>, Failure> {
        let config = self.request.config;
        let mut files = Vec::new();
        for path in self.outbox.archives(generation)? {
            files.push(named(&path, Role::Archive)?);
        }
        files.push(named(&self.outbox.imageset(), Role::Imageset)?);
        files.push(named(
            &self.outbox.write(inventory::FILE_NAME, inventory)?,
            Role::Inventory,
        )?);
        if let Some(path) = self.outbox.record_path() {
            files.push(named(&path, Role::History)?);
        }
        files.extend(travelling::local_files(imageset, &config.mirror.local_dir)?);
        files.extend(travelling::extra_files(&travelling::extra_paths(config)?)?);
        Ok(files)
    }

    /// What the next bundle builds on: the last one with content, if its record and the inventories of its
    /// chain are kept here; else nothing, and the bundle is a full one.
    fn base(
        &self,
        journal: &Journal,
        published: &Published,
        generation: Generation,
    ) -> Result<(Base, Option<manifest::Link>), Failure> {
        let longest = self.request.config.bundle.full_every.unwrap_or(usize::MAX);
        let content = match self.request.extent {
            Extent::Everything => None,
            Extent::New => journal.content,
            Extent::Since(sequence) => Some(published.content(sequence)?),
            Extent::Acknowledged(link) if published.content(link.sequence)? != link => {
                return Err(HeadError::Fork(link.sequence).into());
            }
            Extent::Acknowledged(link) => Some(link),
        };
        let Some(content) = content else {
            return Ok((Base::Nothing, None));
        };
        if published
            .head()
            .is_some_and(|head| head.audience != describe::audience(self.request.config))
        {
            tracing::warn!("`stream.audience` has changed: the next bundle will be a full one");
            return Ok((Base::Nothing, None));
        }
        let is_long = published.chain_length(content.sequence) >= longest;
        if self.request.extent == Extent::New && is_long {
            tracing::info!("as `bundle.fullEvery` asks, this bundle is a full one");
            return Ok((Base::Nothing, None));
        }
        if !restore::chain_of(self.store, published, &self.metadata, content.sequence)? {
            if self.request.extent != Extent::New {
                return Err(HeadError::NotWhole(content.sequence).into());
            }
            tracing::warn!(
                bundle = %content.sequence,
                "what the next bundle would build on is neither kept here nor whole in the store: it will be a full one"
            );
            return Ok((Base::Nothing, None));
        }
        Ok(
            match history::base(&self.metadata, Some(content), generation)? {
                Base::Nothing => (Base::Nothing, None),
                base => (base, Some(content)),
            },
        )
    }

    fn earlier(
        &self,
        based_on: Option<Sequence>,
        published: &Published,
    ) -> Result<Option<Before>, Failure> {
        match based_on {
            None => Ok(Some(Before::default())),
            Some(sequence) => inspect::before(&self.metadata, &published.bundles, sequence),
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

    fn front(&self) -> &Front {
        self.request.front
    }
}

/// Whether it says that archives are not what they must be: mirrored anew, they may be.
fn is_verdict(failure: &Failure) -> bool {
    let id = failure.id();
    id == ErrorId::ImagesetUnsatisfied || matches!(id.exit(), Exit::Damaged | Exit::MissingInput)
}

/// The last bundle with content, where whole archives build on it.
fn last_with_content<'p>(published: &'p Published, mirrored: &Mirrored) -> Option<&'p Manifest> {
    let last = published.newest_content()?;
    let is_v2 = mirrored.producer.generation == Generation::V2;
    if !is_v2 || !mirrored.incomplete.is_empty() || mirrored.based_on != Some(last) {
        return None;
    }
    published.bundle(last.sequence).map(|bundle| &**bundle)
}

/// Whether a bundle was made for exactly this image set.
fn holds_imageset(bundle: &Manifest, bytes: &[u8]) -> bool {
    let mut files = bundle.files.iter();
    let file = files.find(|file| file.role == Role::Imageset);
    file.is_some_and(|file| file.is(bytes))
}

/// A file of our own making, under its last component.
fn named(path: &Path, role: Role) -> Result<Outgoing, Failure> {
    let text = path.file_name().unwrap_or_default().to_string_lossy();
    let name = text
        .parse::<FileName>()
        .map_err(|source| travelling::TravelError::Name {
            path: path.to_owned(),
            source,
        })?;
    Ok(Outgoing {
        name,
        role,
        path: path.to_owned(),
    })
}
