//! The stream as the store has it: every manifest there, verified with our own keys, and its head.

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::{Kind, Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Verified, VerifyError};

use crate::journal::{Head, Journal};
use crate::ship::Held;

/// What is published.
#[derive(Debug, Default)]
pub struct Published {
    /// Every bundle whose manifest our keys verify, oldest first.
    pub bundles: Vec<Verified<Manifest>>,
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
    /// Our own newest bundle is not there.
    #[error("bundle {0}, which we published, is not in the store")]
    Lost(Sequence),
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
            Self::Foreign { .. } | Self::OtherStream { .. } | Self::Lost(_) => ErrorId::StateLost,
            Self::NoContent(_) | Self::NotWhole(_) => ErrorId::InputMissing,
            Self::Fork(_) => ErrorId::Fork,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Foreign { .. } => {
                    "sign with the key that this stream was begun with, or begin a new stream: a new `s3.bucket.subDir` \
                     (or `store.directory`) and a new `artefacts.metadataDir`"
                }
                Self::OtherStream { .. } => "correct `s3.bucket.subDir` or `artefacts.metadataDir`: each stream has its own",
                Self::Lost(_) => "point the configuration at the store that holds it, or restore it there",
                Self::NoContent(_) => "name a full or delta bundle that `list` shows",
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
            let Some(signed) = listing.open(store, sequence)? else {
                continue;
            };
            match signed.verify(ours) {
                Ok(verified) => bundles.push(verified),
                Err(source) if Some(sequence) == listing.newest() => {
                    return Err(HeadError::Foreign { sequence, source }.into());
                }
                Err(error) => {
                    tracing::warn!(%sequence, error = %mimeograph_manifest::failure::chain(&error), "a bundle is passed over");
                }
            }
        }
        Ok(Self { bundles })
    }

    /// The newest.
    pub fn head(&self) -> Option<&Verified<Manifest>> {
        self.bundles.last()
    }

    /// The bundle with this number.
    pub fn bundle(&self, sequence: Sequence) -> Option<&Verified<Manifest>> {
        self.bundles.iter().find(|one| one.sequence == sequence)
    }

    /// How many bundles one needs, itself and the full one included.
    pub fn chain_length(&self, sequence: Sequence) -> usize {
        let requires = |one: &&Verified<Manifest>| self.bundle(one.requires?.sequence);
        std::iter::successors(self.bundle(sequence), requires).count()
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

    /// The chunks that need not be sent again.
    pub fn held(&self, store: &dyn Fetch) -> Result<Held, Failure> {
        let mut held = Held::default();
        if !self.bundles.is_empty() {
            let listed = listing::chunks(store)?;
            self.bundles
                .iter()
                .for_each(|manifest| held.add(manifest, &listed));
        }
        Ok(held)
    }

    /// Brings the journal to the store's head, or says why the two do not fit.
    ///
    /// A store that is ahead (the journal is lost or old, or another bundler published) is adopted: the next bundle builds
    /// on its newest content, with the history that was published with it.
    pub fn adopt(&self, journal: Option<Journal>) -> Result<Option<Journal>, HeadError> {
        let Some(head) = self.head() else {
            return match journal.as_ref().and_then(|journal| journal.head) {
                Some(ours) => Err(HeadError::Lost(ours.link.sequence)),
                None => Ok(journal),
            };
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
        if journal.stream != head.stream {
            let (there, ours) = (head.stream.to_string(), journal.stream.to_string());
            return Err(HeadError::OtherStream { there, ours });
        }
        match journal.head.map(|head| head.link) {
            Some(ours) if ours == there.link => {}
            Some(ours) if ours.sequence > there.link.sequence => {
                return Err(HeadError::Lost(ours.sequence));
            }
            Some(ours) if self.digest_differs(ours) => return Err(HeadError::Fork(ours.sequence)),
            _ => {
                tracing::warn!(sequence = %head.sequence, "the store is ahead of the journal: its head is taken over");
                journal.head = Some(there);
                journal.content = self.newest_content();
            }
        }
        Ok(Some(journal))
    }

    fn digest_differs(&self, ours: Link) -> bool {
        self.bundles
            .iter()
            .any(|b| b.sequence == ours.sequence && b.digest() != ours.sha256)
    }
}
