//! How old things are: objects by the store's own clock, lists of what is dropped by that of the side that reads them.

use super::clock;
use super::config::Period;
use super::store::{Fetch, StoreError};
use crate::time::Timestamp;

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    ours: Timestamp,
    store: Timestamp,
    grace: Period,
}

impl Ages {
    /// Now. What is younger than `grace` may be on its way.
    pub fn now(store: &dyn Fetch, grace: Period) -> Result<Self, StoreError> {
        let ours = clock::now();
        Ok(Self {
            ours,
            store: store.clock()?.unwrap_or(ours),
            grace,
        })
    }

    /// What was written before this, by the store's clock, is too old to be on its way.
    pub fn horizon(&self) -> Timestamp {
        Timestamp::from_unix(self.store.unix() - self.grace.signed().as_secs())
    }

    /// Whether an object is too old to be on its way.
    pub fn is_old(&self, modified: Timestamp) -> bool {
        self.store.since(modified) >= self.grace.signed()
    }

    /// Whether an object that a list of `created` names may go: it lay there when the list was made, or is old. One that
    /// was written later may be of a run that heeded the list and sent it again.
    pub fn may_go(&self, modified: Timestamp, created: Timestamp) -> bool {
        self.store.since(modified) >= self.ours.since(created) || self.is_old(modified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_after_a_list_is_left_until_it_is_old() {
        let at = Timestamp::from_unix;
        // The store's clock is a minute ahead.
        let ages = Ages {
            ours: at(1_000_000),
            store: at(1_000_060),
            grace: Period::hours(1),
        };
        let created = at(999_900);
        assert!(ages.may_go(at(999_960), created));
        assert!(!ages.may_go(at(999_961), created));
        assert!(!ages.is_old(at(996_461)));
        assert!(ages.is_old(at(996_460)));
        assert!(ages.may_go(at(996_460), at(900_000)));
    }
}
