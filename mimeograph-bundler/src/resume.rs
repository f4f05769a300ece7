//! What the last run left, finished before `oc-mirror` may start again; what can no longer be finished is dropped, and
//! mirrored anew.

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Exit, Failure, Fault as _, chain};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::io::config::Upkeep;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::pruned::Dropped;

use crate::bundle::{Bundled, Freight, Run};
use crate::head::{HeadError, Published};
use crate::inspect::{self, Candidate};
use crate::journal::{Journal, Mirrored, Stage};
use crate::mend::{Local, mend, unlisted};
use crate::outbox::{self, Blobs};
use crate::seal::{Outbound, SealError};
use crate::ship::ShipError;
use crate::{kept, restore};

impl Run<'_> {
    /// A bundle that was signed and perhaps published: exactly its bytes are published, once its chunks are all there. Its
    /// number, unless it was dropped.
    pub(crate) fn finish_sealed(&self, journal: &mut Journal) -> Result<Option<Sequence>, Failure> {
        let Some(outbound) = Outbound::of(journal)? else {
            return Ok(None);
        };
        outbound.check(&self.ours)?;
        let sequence = outbound.link.sequence;
        let published = self.published()?;
        self.refuse_strange_store(&outbound, &published)?;
        tracing::info!("the last run was stopped while publishing: its bundle is published first");
        let is_whole = self.has_chunks(&outbound)?;
        if !is_whole && !outbound.is_published(self.store)? {
            tracing::warn!(%sequence, "chunks of it are lost for good: it is dropped, and all is mirrored anew");
            self.drop_run(journal, sequence)?;
            return Ok(None);
        }
        // Which lists were heeded when it was made is not known any more.
        match self.publish(journal, outbound, &published, &Dropped::default()) {
            Err(failure) if is_taken(&failure) => {
                tracing::warn!("{failure}");
                Ok(None)
            }
            Ok(()) if !is_whole => {
                tracing::warn!(%sequence, "chunks of it are lost for good, and it is published: the next bundle will be a full one");
                journal.content = None;
                journal.write(&self.metadata)?;
                Ok(Some(sequence))
            }
            done => done.map(|()| Some(sequence)),
        }
    }

    /// A bundle is published only where the one before it was. The settings may lead to another store by now.
    fn refuse_strange_store(
        &self,
        outbound: &Outbound,
        published: &Published,
    ) -> Result<(), Failure> {
        let Some(head) = published.head() else {
            return match outbound.manifest.previous {
                Some(before) if self.absence() == Upkeep::Kept => {
                    Err(HeadError::Lost(before.sequence).into())
                }
                _ => Ok(()),
            };
        };
        if head.stream != outbound.manifest.stream {
            let there = head.stream.to_string();
            let ours = outbound.manifest.stream.to_string();
            return Err(HeadError::OtherStream { there, ours }.into());
        }
        match outbound.manifest.previous {
            Some(before) if head.sequence < before.sequence && self.absence() == Upkeep::Kept => {
                Err(HeadError::Lost(before.sequence).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether all its chunks are in the store, those that local files still hold being sent again.
    fn has_chunks(&self, outbound: &Outbound) -> Result<bool, Failure> {
        if self.upkeep() == Upkeep::Drained {
            return Ok(true);
        }
        let missing = unlisted(self.store, &outbound.manifest)?;
        if missing.is_empty() {
            return Ok(true);
        }
        let lost = mend(
            self.store,
            &outbound.manifest,
            missing,
            &self.local(outbound),
        )?;
        Ok(lost.is_empty())
    }

    /// Signature and manifest, then all that depends on their being there.
    ///
    /// `published` is what the bundle was built on, and `heeded` are the lists that shipping heeded.
    pub(crate) fn publish(
        &self,
        journal: &mut Journal,
        outbound: Outbound,
        published: &Published,
        heeded: &Dropped,
    ) -> Result<(), Failure> {
        let (link, local) = (outbound.link, self.local(&outbound));
        let is_held = || {
            let bundle = &outbound.manifest;
            let dropped = Published::read_dropped(self.store, &self.ours, &bundle.stream)?;
            let chain_stays = self.is_chain_kept(bundle, published, &dropped);
            Ok::<_, Failure>(self.hold_against(bundle, &dropped, heeded, &local)? && chain_stays)
        };
        if !is_held()? && !outbound.is_published(self.store)? {
            self.drop_run(journal, link.sequence)?;
            return Err(SealError::Pruned(link.sequence).into());
        }
        if let Err(error) = outbound.publish(self.store) {
            if let SealError::Taken(sequence) = error {
                self.drop_run(journal, sequence)?;
            }
            return Err(error.into());
        }
        // Once more: retention may have looked just before there was a manifest that names them.
        let is_whole = is_held()?;
        if outbound.manifest.kind == Kind::Heartbeat {
            self.outbox.clear()?;
        } else {
            self.outbox.set_aside(link)?;
        }
        outbound.close(journal, &self.metadata)?;
        if is_whole {
            return Ok(());
        }
        tracing::warn!(sequence = %link.sequence, "retention has dropped what this bundle builds on: the next one will be a full one");
        journal.content = None;
        Ok(journal.write(&self.metadata)?)
    }

    /// Whether no list names a bundle that this one requires, or one further down.
    fn is_chain_kept(&self, bundle: &Manifest, published: &Published, dropped: &Dropped) -> bool {
        let Some(required) = bundle.requires.filter(|_| self.absence() == Upkeep::Kept) else {
            return true;
        };
        let chain = published.chain(required);
        chain.is_some_and(|chain| !chain.iter().any(|one| dropped.has_bundle(one)))
    }

    /// Whether all chunks stay that retention on another host may be removing: what lists name that were not `heeded` is
    /// sent again, there or not, because what is written after a list is left alone.
    fn hold_against(
        &self,
        bundle: &Manifest,
        dropped: &Dropped,
        heeded: &Dropped,
        local: &Local<'_>,
    ) -> Result<bool, Failure> {
        self.send_again(bundle, dropped, local, |stored| {
            dropped.since(stored) > heeded.since(stored)
        })
    }

    /// Retention on another host may have removed what we took for held when we made our last bundle.
    pub(crate) fn look_after_last(&self, published: &Published) -> Result<(), Failure> {
        let Some(link) = self.outbox.sent() else {
            return Ok(());
        };
        match published.bundle(link.sequence) {
            Some(last) if last.link() == link => {
                let local = self.local_of(link);
                self.send_again(last, &published.dropped, &local, |_| false)
                    .map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Sends again what is missing of a bundle or at risk, where lists name chunks of it. `false`: some can no longer be sent.
    fn send_again(
        &self,
        bundle: &Manifest,
        dropped: &Dropped,
        local: &Local<'_>,
        is_at_risk: impl Fn(&Digest) -> bool,
    ) -> Result<bool, Failure> {
        let chunks = || bundle.chunks().map(|chunk| chunk.stored);
        let is_named = chunks().any(|stored| dropped.since(&stored).is_some());
        if !is_named || self.upkeep() == Upkeep::Drained {
            return Ok(true);
        }
        let mut wanted = unlisted(self.store, bundle)?;
        wanted.extend(chunks().filter(is_at_risk));
        let lost = mend(self.store, bundle, wanted, local)?;
        if let Some(chunk) = lost.first() {
            tracing::warn!(
                sequence = %bundle.sequence, count = lost.len(), first = %chunk,
                "retention has dropped chunks of this bundle, and they are not here any more: `check-store` names those that are missing"
            );
        }
        Ok(lost.is_empty())
    }

    fn local(&self, outbound: &Outbound) -> Local<'_> {
        self.local_of(outbound.link)
    }

    fn local_of(&self, link: Link) -> Local<'_> {
        Local {
            folder: self.outbox.folder_of(link),
            config: self.request.config,
        }
    }

    fn upkeep(&self) -> Upkeep {
        self.request.config.upkeep
    }

    /// Archives that wait are shipped, unless another bundler has published since, or they are no longer whole: then they
    /// are dropped.
    pub(crate) fn finish_mirrored(
        &self,
        journal: &mut Journal,
        published: &Published,
        key: &SigningKey,
    ) -> Result<Option<Bundled>, Failure> {
        let Stage::Mirrored(mirrored) = journal.stage.clone() else {
            return Ok(None);
        };
        let sequence = journal.next_sequence();
        if mirrored.newest != published.newest_content() {
            tracing::warn!(
                "another bundler has published since the last run mirrored: what it mirrored is dropped, and mirrored anew"
            );
            self.drop_run(journal, sequence)?;
            return Ok(None);
        }
        tracing::info!("the last run mirrored but did not publish: its archives are shipped first");
        if let Some(link) = mirrored.based_on {
            // What is kept of the chain may be another bundler's, or damaged.
            restore::chain_of(self.store, published, &self.metadata, link)?;
        }
        let read = self
            .front()
            .stage("inspect", || self.read_outbox(&mirrored, published));
        let refused = match read {
            Ok(freight) => match self.ship(journal, published, mirrored, freight, key) {
                Err(failure) if is_damaged_archive(&failure) => failure,
                shipped => return shipped.map(Some),
            },
            Err(failure) if is_verdict(&failure) => failure,
            Err(failure) => return Err(failure),
        };
        tracing::warn!(
            "what the last run left cannot be shipped, and is mirrored anew: {}",
            chain(refused.as_error())
        );
        self.drop_run(journal, sequence)?;
        Ok(None)
    }

    /// Nothing of them is believed, all is read again.
    fn read_outbox(&self, mirrored: &Mirrored, published: &Published) -> Result<Freight, Failure> {
        let generation = mirrored.producer.generation;
        let archives = self.outbox.archives(generation)?;
        let bytes = disk::read_bounded(&self.outbox.imageset(), limits::IMAGESET_SIZE)?;
        let imageset = ImageSet::parse(&bytes)?;
        let earlier = self
            .earlier(mirrored.based_on, published)?
            .unwrap_or_default();
        let transfer = &self.request.config.transfer;
        let (contents, unread) =
            outbox::read(&archives, generation, transfer, Blobs::ButThoseToShip)?;
        let inspected = inspect::inspect(Candidate {
            contents,
            archives: &archives,
            imageset: &imageset,
            mirrored,
            release_keys: &self.release_keys,
            before: &earlier,
        })?;
        Ok(Freight {
            inspected,
            archives: archives.len(),
            unread,
            imageset,
            record: self.outbox.record()?,
        })
    }

    /// Drops what was made for a number: archives, and what is kept of it. `oc-mirror`'s record is set back before it runs
    /// again, so it writes anew what it thinks it has shipped.
    pub(crate) fn drop_run(
        &self,
        journal: &mut Journal,
        sequence: Sequence,
    ) -> Result<(), Failure> {
        kept::forget(&self.metadata, sequence)?;
        self.outbox.clear()?;
        journal.stage = Stage::Idle;
        Ok(journal.write(&self.metadata)?)
    }
}

/// Whether another bundler was first.
pub(crate) fn is_taken(failure: &Failure) -> bool {
    let error = failure.as_error().downcast_ref::<SealError>();
    matches!(error, Some(SealError::Taken(_)))
}

/// Whether an archive was found damaged on its way out.
pub(crate) fn is_damaged_archive(failure: &Failure) -> bool {
    let error = failure.as_error().downcast_ref::<ShipError>();
    error.is_some_and(|error| error.id() == ErrorId::ArchiveDamaged)
}

/// Whether it says that archives are not what they must be: mirrored anew, they may be.
fn is_verdict(failure: &Failure) -> bool {
    let id = failure.id();
    id == ErrorId::ImagesetUnsatisfied || matches!(id.exit(), Exit::Damaged | Exit::MissingInput)
}
