//! Whose turn it is: the newest bundle that can be applied, and what must be in the cache before it.
//!
//! A bundle can be applied that is reached from a full one, or from what came here before, by a chain of `requires` that
//! is whole: each link of it is in `oc-mirror`'s cache, or in the store to be put there. What the cache has lost does not
//! count as here, whatever the ledger says.

use std::collections::BTreeSet;
use std::path::Path;

use mimeograph_manifest::failure::{Failure, chain};
use mimeograph_manifest::inventory::{Before, Inventory};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Generation, Kind, Link, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Verified, VerifyError};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;

use crate::cache::Cache;
use crate::ledger::{Ledger, LedgerError, Lost};

/// Leave to apply one bundle, which only a [`Course`] gives.
#[derive(Debug)]
pub struct Turn {
    manifest: Verified<Manifest>,
    before: Before,
}

impl Turn {
    /// The bundle.
    pub fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// What the bundles brought that it builds on.
    pub fn before(&self) -> &Before {
        &self.before
    }
}

/// What is to be done: bundles whose blobs go into the cache, and the one that is loaded.
#[derive(Clone, Debug)]
pub struct Course {
    /// What all of them build on, and is here.
    base: Before,
    /// What goes into the cache first, oldest first.
    pub merge: Vec<Verified<Manifest>>,
    /// What is loaded.
    pub load: Verified<Manifest>,
}

impl Course {
    /// What is to be done, one after the other.
    pub fn steps(self) -> Steps {
        let mut merge = self.merge;
        merge.reverse();
        Steps {
            before: self.base,
            merge,
            load: self.load,
        }
    }
}

/// The steps of a course that are left.
#[derive(Debug)]
pub struct Steps {
    before: Before,
    /// Newest first.
    merge: Vec<Verified<Manifest>>,
    load: Verified<Manifest>,
}

impl Steps {
    /// The next bundle whose blobs go into the cache.
    pub fn next_merge(&mut self) -> Option<Turn> {
        let manifest = self.merge.pop()?;
        let before = self.before.clone();
        Some(Turn { manifest, before })
    }

    /// Notes what a bundle brought that was verified and put into the cache.
    pub fn merged(&mut self, inventory: Inventory) {
        self.before.add_newer(inventory);
    }

    /// The bundle that is loaded, once all others are in the cache; `None` before.
    pub fn load(self) -> Option<Turn> {
        self.merge.is_empty().then_some(Turn {
            manifest: self.load,
            before: self.before,
        })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// The newest bundle that can be applied.
    #[default]
    Newest,
    /// This one.
    This(Sequence),
    /// This one, even if it is below the content mark.
    ThisOrOlder(Sequence),
}

/// Looks for what is to be done.
pub struct Chooser<'a> {
    /// What came here before.
    pub ledger: &'a Ledger,
    /// Where its inventories are.
    pub metadata: &'a Path,
    /// What of it is still here.
    pub cache: &'a Cache,
    /// The store, for what lies below the content mark.
    pub shelf: &'a Shelf<'a>,
    /// Verified and accepted manifests, oldest first.
    pub found: &'a [Verified<Manifest>],
    /// Bundles that turned out not to be whole in the store.
    pub set_aside: &'a BTreeSet<Sequence>,
    /// Our clock.
    pub now: Timestamp,
}

/// What lies in a store, read when it is asked for.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    /// The store.
    pub store: &'a dyn Fetch,
    /// What lies there.
    pub listing: &'a Listing,
    /// The keys that count.
    pub trusted: &'a TrustedKeys,
}

impl Shelf<'_> {
    /// A manifest that a verified one names; `None` where it is not there.
    pub fn get(&self, link: Link) -> Result<Option<Verified<Manifest>>, Failure> {
        let Some(signed) = self.listing.open(self.store, link.sequence, self.trusted)? else {
            return Ok(None);
        };
        let manifest = match signed.verify(self.trusted) {
            Ok(manifest) => manifest,
            // Who has to sign it has not, by today's rules: it is as if it were not there yet.
            Err(error @ (VerifyError::Unsigned(_) | VerifyError::Pending { .. })) => {
                tracing::warn!("{}", chain(&error));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if manifest.digest() == link.sha256 {
            Ok(Some(manifest))
        } else {
            Err(LedgerError::Fork(link.sequence).into())
        }
    }
}

impl Chooser<'_> {
    /// What is to be done; `None` where nothing is above the mark.
    pub fn choose(&self, asked: Asked) -> Result<Option<Course>, Failure> {
        let candidates = self.candidates(asked)?;
        let mut gap = None;
        for candidate in candidates.iter().rev() {
            match self.course(candidate)? {
                Ok(course) => return Ok(Some(course)),
                Err(found) => gap = gap.or(Some(found)),
            }
        }
        match gap.or_else(|| self.behind_a_heartbeat()) {
            Some((found, missing)) => Err(self.gap(found, missing)?.into()),
            None => Ok(None),
        }
    }

    fn candidates(&self, asked: Asked) -> Result<Vec<&Verified<Manifest>>, LedgerError> {
        let mark = self.ledger.mark();
        let floor = self.ledger.floor;
        let (Asked::This(number) | Asked::ThisOrOlder(number)) = asked else {
            let is_new = |manifest: &&Verified<Manifest>| {
                Some(manifest.sequence) > mark
                    && Some(manifest.sequence) >= floor
                    && self.may_be_loaded(manifest)
                    && self.is_alive(manifest)
            };
            return Ok(self.found.iter().filter(is_new).collect());
        };
        let mark = mark.max(floor);
        if let Some(mark) = mark.filter(|mark| number < *mark && asked == Asked::This(number)) {
            return Err(LedgerError::Older {
                asked: number,
                mark,
            });
        }
        let mut found = self.found.iter();
        match found.find(|manifest| manifest.sequence == number && manifest.kind != Kind::Heartbeat)
        {
            Some(manifest) if self.may_be_loaded(manifest) => Ok(vec![manifest]),
            Some(_) => Ok(Vec::new()),
            None => Err(LedgerError::NoContent(number)),
        }
    }

    /// Whether it has not expired, or something builds on it, or repeats it, that has not. Else whoever holds back a part
    /// of the newest could have an old one loaded in its place.
    fn is_alive(&self, manifest: &Verified<Manifest>) -> bool {
        let link = Some(manifest.link());
        let alive = self
            .found
            .iter()
            .rev()
            .filter(|one| one.expires >= self.now);
        let mut alive = alive.filter(|one| one.sequence >= manifest.sequence);
        alive.any(|one| {
            let mut on_the_way = Some(one);
            while let Some(one) = on_the_way {
                if Some(one.link()) == link || one.requires == link {
                    return true;
                }
                let requires = one.requires;
                let below = |next: &&Verified<Manifest>| Some(next.link()) == requires;
                on_the_way = self.found.iter().find(below);
            }
            false
        })
    }

    fn may_be_loaded(&self, manifest: &Manifest) -> bool {
        manifest.kind != Kind::Heartbeat && !self.set_aside.contains(&manifest.sequence)
    }

    /// The way to one bundle, or what is missing on it.
    fn course(
        &self,
        load: &Verified<Manifest>,
    ) -> Result<Result<Course, (Sequence, Link)>, Failure> {
        let (mut merge, mut base) = (Vec::new(), Before::default());
        let mut next = load.requires;
        while let Some(link) = next {
            if let Some((inventory, requires)) = self.here(link)? {
                base.add_older(inventory);
                next = requires;
                continue;
            }
            let found = self.found.iter().find(|one| one.link() == link).cloned();
            let manifest = match found {
                None => self.shelf.get(link)?,
                found => found,
            };
            let Some(manifest) = manifest.filter(|_| !self.set_aside.contains(&link.sequence))
            else {
                return Ok(Err((load.sequence, link)));
            };
            next = manifest.requires;
            merge.push(manifest);
        }
        merge.reverse();
        let mut load = load.clone();
        if load.producer.generation == Generation::V1 && !merge.is_empty() {
            // v1 counts: its archives are loaded one after the other.
            load = merge.swap_remove(0);
            merge.clear();
        }
        Ok(Ok(Course { base, merge, load }))
    }

    /// What a bundle brought and what it builds on, where it came here and all of it still is.
    fn here(&self, link: Link) -> Result<Option<(Inventory, Option<Link>)>, Failure> {
        if !self.ledger.has(Some(link)) {
            return Ok(None);
        }
        let bundle = &self.ledger.bundles[&link.sequence];
        let Some(inventory) = Ledger::inventory(self.metadata, link.sequence)? else {
            return Ok(None);
        };
        // v1 has no cache: it takes what it needs from the target.
        let is_whole = bundle.generation == Generation::V1 || self.cache.is_whole(&inventory)?;
        Ok(is_whole.then_some((inventory, bundle.requires)))
    }

    /// What a heartbeat repeats that never came here: a later heartbeat must not hide it.
    fn behind_a_heartbeat(&self) -> Option<(Sequence, Link)> {
        let mark = self.ledger.mark();
        let known: BTreeSet<_> = self.found.iter().map(|one| one.sequence).collect();
        let heartbeats = self.found.iter().filter(|one| one.kind == Kind::Heartbeat);
        let mut lost = heartbeats.filter_map(|one| Some((one.sequence, one.requires?)));
        lost.find(|(_, link)| Some(link.sequence) > mark && !known.contains(&link.sequence))
    }

    fn gap(&self, found: Sequence, missing: Link) -> Result<LedgerError, Failure> {
        let cache = if self.ledger.has(Some(missing)) {
            Lost::FromCache
        } else {
            Lost::Never
        };
        Ok(LedgerError::Gap {
            found,
            needed: missing.sequence,
            cache,
            holds: self.holds()?,
        })
    }

    /// The newest applied bundle that all is still here of, down to the full one that it builds on.
    fn holds(&self) -> Result<Option<Sequence>, Failure> {
        let mut holds = None;
        for sequence in self
            .ledger
            .mark()
            .map_or(Vec::new(), |mark| self.ledger.chain(mark))
        {
            let bundle = &self.ledger.bundles[&sequence];
            let link = Link {
                sequence,
                sha256: bundle.sha256,
            };
            match self.here(link)? {
                Some((_, None)) => return Ok(holds.or(Some(sequence))),
                Some(_) => holds = holds.or(Some(sequence)),
                None => holds = None,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;

    use mimeograph_manifest::failure::ErrorId;
    use mimeograph_manifest::io::store::{Listed, StoreError};
    use mimeograph_manifest::key::SigningKey;
    use mimeograph_manifest::layout::Key;

    use super::*;
    use crate::open::tests::{key, manifest};

    /// A store in memory.
    struct Memory(BTreeMap<String, Vec<u8>>);

    impl Memory {
        fn of(manifest: &Verified<Manifest>) -> Self {
            let name = Key::Manifest(manifest.sequence).to_string();
            let mut objects = BTreeMap::from([(name, manifest.payload().to_vec())]);
            for found in manifest.signatures() {
                let name =
                    Key::signature(manifest.sequence, &manifest.digest(), &key().public().id());
                objects.insert(name.to_string(), found.bytes.clone());
            }
            Self(objects)
        }

        fn get(&self, signer: &SigningKey, link: Link) -> Result<Option<Link>, ErrorId> {
            let reader = Shelf {
                store: self,
                listing: &Listing::of(self).unwrap(),
                trusted: &TrustedKeys::new([signer.public()], NonZeroUsize::MIN),
            };
            let found = reader.get(link).map_err(|failure| failure.id())?;
            Ok(found.map(|manifest| manifest.link()))
        }
    }

    impl Fetch for Memory {
        fn describe(&self) -> String {
            "memory".to_owned()
        }

        fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
            for (name, bytes) in self.0.iter().filter(|(name, _)| name.starts_with(prefix)) {
                each(Listed {
                    name: name.clone(),
                    size: bytes.len() as u64,
                    modified: Timestamp::from_unix(0),
                });
            }
            Ok(())
        }

        fn get(&self, key: &Key, _: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
            into.clear();
            let found = self.0.get(&key.to_string());
            into.extend(found.into_iter().flatten());
            Ok(found.is_some())
        }

        fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
            Ok(None)
        }
    }

    #[test]
    fn what_a_manifest_names_is_taken_from_the_store_where_it_is_that_very_one() {
        let (named, twin) = (manifest(2, &[]), manifest(2, &["lab"]));
        let mut store = Memory::of(&named);
        assert_eq!(store.get(&key(), named.link()), Ok(Some(named.link())));
        assert_eq!(store.get(&key(), twin.link()), Err(ErrorId::Fork));
        assert_eq!(store.get(&key(), manifest(3, &[]).link()), Ok(None));
        let stranger = SigningKey::from_seed(&[1; 32]);
        let by_a_stranger = store.get(&stranger, named.link());
        assert_eq!(by_a_stranger, Err(ErrorId::Untrusted));
        store
            .0
            .retain(|name, _| *name == Key::Manifest(named.sequence).to_string());
        assert_eq!(store.get(&key(), named.link()), Ok(None));
    }
}
