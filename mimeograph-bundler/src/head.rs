//! The stream as the store has it: every manifest there, verified with our own keys, and its head.

use std::collections::BTreeSet;
use std::path::Path;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::form::Document as _;
use mimeograph_manifest::io::config::Upkeep;
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::listing::{self, Listing, Lists};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::pruned::{self, Dropped};
use mimeograph_manifest::signed::{Verified, VerifyError};
use mimeograph_manifest::trust::TrustedKeys;

use crate::held::{Belief, Held};
use crate::journal::{Head, Journal};

/// What is published.
#[derive(Debug, Default)]
pub struct Published {
    /// Every bundle whose manifest our keys verify and that retention does not drop, oldest first.
    pub bundles: Vec<Verified<Manifest>>,
    /// What retention drops.
    pub dropped: Dropped,
}

/// Why the store's stream cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Its newest manifest is not ours.
    #[error("the store's newest bundle, {sequence}, cannot be verified with our own key")]
    Foreign {
        /// The bundle.
        sequence: Sequence,
        /// Why not.
        source: VerifyError,
    },
    /// It is another stream.
    #[error("the store holds stream {there}, and the journal is of stream {ours}")]
    OtherStream {
        /// The store's.
        there: String,
        /// The journal's.
        ours: String,
    },
    /// A first run cannot be told from a lost volume.
    #[error(
        "there is no journal, and `store.drained` says that the store is emptied: a lost volume cannot be told from a first run"
    )]
    NotSaid,
    /// Our own newest bundle is not there.
    #[error("bundle {0}, which we published, is not in the store")]
    Lost(Sequence),
    /// Our own newest bundle is there, and no list shows it.
    #[error(
        "bundle {0}, which we published, is in the store, but the store's list does not show it"
    )]
    Unlisted(Sequence),
    /// Nothing can be built on what was named.
    #[error("bundle {0} is not in the store, or has no content")]
    NoContent(Sequence),
    /// Nothing can be built on what was named any more.
    #[error(
        "what bundle {0} and those before it recorded is neither kept here nor whole in the store"
    )]
    NotWhole(Sequence),
    /// Another manifest stands in our bundle's place.
    #[error("bundle {0} in the store is not the one that we published")]
    Fork(Sequence),
}

impl Fault for HeadError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Foreign { .. } | Self::OtherStream { .. } | Self::Lost(_) | Self::NotSaid => {
                ErrorId::StateLost
            }
            Self::Unlisted(_) => ErrorId::StoreUnreachable,
            Self::NoContent(_) | Self::NotWhole(_) => ErrorId::InputMissing,
            Self::Fork(_) => ErrorId::Fork,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Foreign { .. } => {
                    "where the key was changed in good order, name the old public half in `signing.alsoTrust`; after a theft sign \
                     what is yours again: `mimeograph-bundler sign SEQUENCE --trust OLD.pub.pem --key NEW.pem` (`diff`, `list` and \
                     `show` take `--trust`, too). Where it is not yours at all, another store is named: each stream has its own \
                     `s3.bucket.subDir` (or `store.directory`) and `artefacts.metadataDir`"
                }
                Self::NotSaid => {
                    "restore `artefacts.metadataDir`. If nothing was ever published here, say so: `run --first`; a new stream \
                     begins then, which the far side follows only after `trust.stream` or its `metadataDir` is changed"
                }
                Self::OtherStream { .. } => "correct `s3.bucket.subDir` or `artefacts.metadataDir`: each stream has its own",
                Self::Lost(_) => {
                    "point the configuration at the store that holds it, or restore it there. Where a transport takes away \
                     what it has carried, set `store.drained: true`; where the store is a new one for good, `run --full --resend`"
                }
                Self::Unlisted(_) => "run it again later: this store's lists lag behind what was written",
                Self::NoContent(_) => "name a full or delta bundle that `list` shows, or run with `--full`",
                Self::NotWhole(_) => "name an earlier one, or run with `--full`",
                Self::Fork(_) => "two bundlers have written to one stream: stop one of them, and compare `list` on both",
            }
            .into(),
        )
    }
}

impl Published {
    /// Reads and verifies what is published. Foreign or damaged ones below the head are passed over with a
    /// warning: they cannot be built on, and the far side refuses them by itself.
    pub fn read(store: &dyn Fetch, ours: &TrustedKeys) -> Result<Self, Failure> {
        Self::but_dropped(verified(store, ours)?, store, ours)
    }

    /// The same with the bundles that are only kept here: the store may have been emptied.
    pub fn read_with_kept(
        store: &dyn Fetch,
        ours: &TrustedKeys,
        metadata: &Path,
    ) -> Result<Self, Failure> {
        let mut bundles = verified(store, ours)?;
        for kept in verified(&DirStore::open(metadata)?, ours)? {
            match bundles.iter().find(|one| one.sequence == kept.sequence) {
                Some(there) if there.digest() != kept.digest() => {
                    return Err(HeadError::Fork(kept.sequence).into());
                }
                Some(_) => {}
                None => bundles.push(kept),
            }
        }
        bundles.sort_by_key(|bundle| bundle.sequence);
        Self::but_dropped(bundles, store, ours)
    }

    fn but_dropped(
        mut bundles: Vec<Verified<Manifest>>,
        store: &dyn Fetch,
        ours: &TrustedKeys,
    ) -> Result<Self, Failure> {
        let Some(stream) = bundles.last().map(|head| head.stream.clone()) else {
            return Ok(Self::default());
        };
        // Our key may sign several streams, and a file be copied into the wrong one.
        bundles.retain(|bundle| {
            let is_of_it = bundle.stream == stream;
            if !is_of_it {
                let (sequence, stream) = (bundle.sequence, &bundle.stream);
                tracing::warn!(%sequence, %stream, "a bundle of another stream is passed over");
            }
            is_of_it
        });
        let dropped = Self::read_dropped(store, ours, &stream)?;
        bundles.retain(|bundle| !dropped.has_bundle(bundle));
        Ok(Self { bundles, dropped })
    }

    /// What retention drops of a stream.
    pub fn read_dropped(
        store: &dyn Fetch,
        ours: &TrustedKeys,
        stream: &StreamId,
    ) -> Result<Dropped, Failure> {
        let lists = Lists::read(store, ours)?;
        lists.warn();
        Ok(Dropped::of(&lists.verified, stream))
    }

    /// The newest.
    pub fn head(&self) -> Option<&Verified<Manifest>> {
        self.bundles.last()
    }

    /// The bundle with this number.
    pub fn bundle(&self, sequence: Sequence) -> Option<&Verified<Manifest>> {
        self.bundles.iter().find(|one| one.sequence == sequence)
    }

    /// The bundles that one needs, itself first and the full one last, followed by their digests. `None`: one of them is
    /// not there.
    pub fn chain(&self, content: Link) -> Option<Vec<&Verified<Manifest>>> {
        let mut chain = Vec::new();
        let mut next = Some(content);
        while let Some(link) = next {
            let bundle = self.bundle(link.sequence);
            let bundle = bundle.filter(|bundle| bundle.link() == link)?;
            chain.push(bundle);
            next = match bundle.kind {
                Kind::Full => None,
                _ => bundle.requires,
            };
        }
        Some(chain)
    }

    /// The numbers of the bundles that one needs, as far as they are there.
    pub fn needed(&self, sequence: Sequence) -> BTreeSet<Sequence> {
        pruned::kept(&self.bundles, [sequence])
    }

    /// A bundle that has content.
    pub fn content(&self, sequence: Sequence) -> Result<Link, HeadError> {
        let bundle = self.bundle(sequence);
        let bundle = bundle.filter(|bundle| bundle.kind != Kind::Heartbeat);
        bundle
            .map(Verified::link)
            .ok_or(HeadError::NoContent(sequence))
    }

    /// The newest with content: what the next delta can build on.
    pub fn newest_content(&self) -> Option<Link> {
        let mut newest = self.bundles.iter().rev();
        let content = newest.find(|bundle| bundle.kind != Kind::Heartbeat);
        content.map(Verified::link)
    }

    /// The chunks that need not be sent again: those that bundles from `since` on name.
    pub fn held(
        &self,
        store: &dyn Fetch,
        since: Option<Sequence>,
        belief: Belief,
    ) -> Result<Held, Failure> {
        let mut held = Held::new(listing::chunks(store)?, self.dropped.clone(), belief);
        for bundle in &self.bundles {
            if Some(bundle.sequence) >= since {
                held.add(bundle);
            } else {
                held.add_before(bundle);
            }
        }
        Ok(held)
    }

    /// Brings the journal to the store's head, or says why the two do not fit.
    ///
    /// A store that is ahead (the journal is lost or old, or another bundler published) is adopted: the next bundle builds
    /// on its newest content, with the history that was published with it. One that lacks what we published last is
    /// refused, unless it is emptied by a transport.
    pub fn adopt(
        &self,
        store: &dyn Fetch,
        journal: Option<Journal>,
        upkeep: Upkeep,
    ) -> Result<Option<Journal>, Failure> {
        match self.fit(journal, upkeep) {
            // What is written can be read at once; a list may lag behind.
            Err(HeadError::Lost(sequence))
                if store.get(&Key::Manifest(sequence), Manifest::SIZE, &mut Vec::new())? =>
            {
                Err(HeadError::Unlisted(sequence).into())
            }
            fitted => Ok(fitted?),
        }
    }

    fn fit(&self, journal: Option<Journal>, upkeep: Upkeep) -> Result<Option<Journal>, HeadError> {
        let lost = |ours: Link| match upkeep {
            Upkeep::Kept => Err(HeadError::Lost(ours.sequence)),
            Upkeep::Drained => Ok(()),
        };
        let Some(head) = self.head() else {
            if let Some(ours) = journal.as_ref().and_then(|journal| journal.head) {
                lost(ours.link)?;
            }
            return Ok(journal);
        };
        let there = Head {
            link: head.link(),
            created: head.created,
        };
        let Some(mut journal) = journal else {
            tracing::warn!(
                stream = %head.stream, sequence = %head.sequence,
                "no journal: the stream is taken up where the store has it"
            );
            let mut journal = Journal::begin(head.stream.clone());
            journal.head = Some(there);
            journal.content = self.newest_content();
            return Ok(Some(journal));
        };
        match journal.head.map(|head| head.link) {
            // Another bundler began the stream before we had published anything.
            None => journal.stream = head.stream.clone(),
            Some(_) if journal.stream != head.stream => {
                let (there, ours) = (head.stream.to_string(), journal.stream.to_string());
                return Err(HeadError::OtherStream { there, ours });
            }
            Some(ours) if ours == there.link => return Ok(Some(journal)),
            Some(ours) if self.digest_differs(ours) => return Err(HeadError::Fork(ours.sequence)),
            Some(ours) if ours.sequence > there.link.sequence => {
                lost(ours)?;
                return Ok(Some(journal));
            }
            Some(_) => {}
        }
        tracing::warn!(sequence = %head.sequence, "the store is ahead of the journal: its head is taken over");
        journal.head = Some(there);
        journal.content = self.newest_content();
        Ok(Some(journal))
    }

    fn digest_differs(&self, ours: Link) -> bool {
        self.bundles
            .iter()
            .any(|b| b.sequence == ours.sequence && b.digest() != ours.sha256)
    }
}

/// Every manifest that our keys verify, oldest first.
fn verified(store: &dyn Fetch, ours: &TrustedKeys) -> Result<Vec<Verified<Manifest>>, Failure> {
    let listing = Listing::of(store)?;
    if listing.foreign_count > 0 {
        tracing::info!(
            count = listing.foreign_count,
            first = listing.foreign.join(", "),
            "objects beside the manifests that are not ours: left alone"
        );
    }
    let mut bundles = Vec::new();
    for sequence in listing.sequences() {
        let Some(signed) = listing.open(store, sequence, ours)? else {
            continue;
        };
        match signed.verify(ours) {
            Ok(verified) => bundles.push(verified),
            Err(source) if Some(sequence) == listing.newest() => {
                return Err(HeadError::Foreign { sequence, source }.into());
            }
            Err(error) => {
                tracing::warn!(%sequence, error = %chain(&error), "a bundle is passed over");
            }
        }
    }
    Ok(bundles)
}
