//! What the next bundle builds on: the last one with content, if its record and the inventories of its chain are kept
//! here; else nothing, and the bundle is a full one.

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::inventory::Before;
use mimeograph_manifest::manifest::{Generation, Link};

use crate::bundle::{Extent, Run};
use crate::head::{HeadError, Published};
use crate::journal::Journal;
use crate::mirror::Base;
use crate::{describe, history, inspect, restore};

impl Run<'_> {
    /// Decides it.
    pub(crate) fn base(
        &self,
        journal: &Journal,
        published: &Published,
        generation: Generation,
    ) -> Result<(Base, Option<Link>), Failure> {
        let extent = self.request.extent;
        let content = match extent {
            Extent::Everything => None,
            Extent::New => journal.content,
            Extent::Since(sequence) => Some(published.content(sequence)?),
            Extent::Acknowledged(link) if published.content(link.sequence)? != link => {
                return Err(HeadError::Fork(link.sequence).into());
            }
            Extent::Acknowledged(link) => Some(link),
        };
        let Some(content) = content.filter(|_| !self.is_for_others_now(published)) else {
            return Ok((Base::Nothing, None));
        };
        let longest = self.request.config.bundle.full_every.unwrap_or(usize::MAX);
        if extent == Extent::New
            && published.chain(content).map_or(0, |chain| chain.len()) >= longest
        {
            tracing::info!("as `bundle.fullEvery` asks, this bundle is a full one");
            return Ok((Base::Nothing, None));
        }
        if !restore::chain_of(self.store, published, &self.metadata, content)? {
            if extent != Extent::New {
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

    /// The audience may change only at a full bundle.
    fn is_for_others_now(&self, published: &Published) -> bool {
        let audience = describe::audience(self.request.config);
        let changed = published
            .head()
            .is_some_and(|head| head.audience != audience);
        if changed {
            tracing::warn!("`stream.audience` has changed: the next bundle will be a full one");
        }
        changed
    }

    /// What the bundles brought that the next one builds on.
    pub(crate) fn earlier(
        &self,
        based_on: Option<Link>,
        published: &Published,
    ) -> Result<Option<Before>, Failure> {
        match based_on {
            None => Ok(Some(Before::default())),
            Some(link) => inspect::before(&self.metadata, published, link),
        }
    }
}
