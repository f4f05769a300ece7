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
pub(crate) mod tests {
    use std::num::NonZeroUsize;

    use mimeograph_manifest::digest::Digest;
    use mimeograph_manifest::failure::ErrorId;
    use mimeograph_manifest::key::SigningKey;
    use mimeograph_manifest::layout::Key;

    use super::*;
    use crate::open::tests::manifest;
    use crate::sample::{Memory, Sample, heartbeat, key, sign, trusted};

    /// Leave that no course gave.
    pub(crate) fn turn(manifest: &Verified<Manifest>, before: &Before) -> Turn {
        Turn {
            manifest: manifest.clone(),
            before: before.clone(),
        }
    }

    fn taken(store: &Memory, signer: &SigningKey, link: Link) -> Result<Option<Link>, ErrorId> {
        let reader = Shelf {
            store,
            listing: &Listing::of(store).unwrap(),
            trusted: &TrustedKeys::new([signer.public()], NonZeroUsize::MIN),
        };
        let found = reader.get(link).map_err(|failure| failure.id())?;
        Ok(found.map(|manifest| manifest.link()))
    }

    #[test]
    fn what_a_manifest_names_is_taken_from_the_store_where_it_is_that_very_one() {
        let (named, twin) = (manifest(2, &[]), manifest(2, &["lab"]));
        let mut store = Memory::default();
        store.put(&named);
        let taken = |signer: &_, link| taken(&store, signer, link);
        assert_eq!(taken(&key(), named.link()), Ok(Some(named.link())));
        assert_eq!(taken(&key(), twin.link()), Err(ErrorId::Fork));
        assert_eq!(taken(&key(), manifest(3, &[]).link()), Ok(None));
        let stranger = SigningKey::from_seed(&[1; 32]);
        let by_a_stranger = taken(&stranger, named.link());
        assert_eq!(by_a_stranger, Err(ErrorId::Untrusted));
        let name = Key::Manifest(named.sequence).to_string();
        store.objects.retain(|found, _| *found == name);
        assert_eq!(super::tests::taken(&store, &key(), named.link()), Ok(None));
    }
    /// A stream, and what came of it here.
    struct Here {
        folder: tempfile::TempDir,
        store: Memory,
        /// By number, from 1 on.
        stream: Vec<Verified<Manifest>>,
        ledger: Ledger,
        /// The numbers of what was found in the store.
        found: Vec<usize>,
        set_aside: BTreeSet<Sequence>,
        now: i64,
    }

    /// A bundle's one blob.
    fn blob(number: usize) -> [u8; 4] {
        [b'b', b'l', b'o', u8::try_from(number).unwrap()]
    }

    /// What makes a stream of bundles longer.
    #[derive(Clone, Copy)]
    enum Next {
        Full,
        /// Builds on the one of this number.
        Delta(usize),
        /// Repeats the one of this number.
        Heartbeat(usize),
    }
    use Next::{Delta, Full, Heartbeat};

    const LATE: i64 = 300_000_000_000;

    impl Here {
        fn new(stream: &[Next]) -> Self {
            Self::of(Generation::V2, stream)
        }

        fn of(generation: Generation, stream: &[Next]) -> Self {
            let mut here = Self {
                folder: tempfile::tempdir().unwrap(),
                store: Memory::default(),
                stream: vec![],
                ledger: Ledger::default(),
                found: vec![],
                set_aside: BTreeSet::new(),
                now: 5000,
            };
            for next in stream {
                here.goes_on(generation, *next);
            }
            here
        }

        fn goes_on(&mut self, generation: Generation, next: Next) {
            let link = |number: usize| self.stream[number - 1].link();
            let last = self.stream.last();
            let manifest = if let (Some(last), Heartbeat(number)) = (last, next) {
                sign(&heartbeat(last, link(number)))
            } else {
                let sample = last.map_or_else(Sample::first, Sample::after);
                let sample = sample.with(|manifest| {
                    manifest.producer.generation = generation;
                    (manifest.kind, manifest.requires) = match next {
                        Delta(number) => (Kind::Delta, Some(link(number))),
                        Full | Heartbeat(_) => (Kind::Full, None),
                    };
                });
                sample
                    .blob(&blob(self.stream.len() + 1))
                    .put(&mut self.store)
            };
            self.store.put(&manifest);
            self.stream.push(manifest);
        }

        /// The last one expires at this time.
        fn expiring(mut self, next: Next, at: i64) -> Self {
            self.goes_on(Generation::V2, next);
            let last = self.stream.pop().unwrap();
            let mut manifest = Manifest::clone(&last);
            manifest.expires = Timestamp::from_unix(at);
            let last = sign(&manifest);
            self.store.put(&last);
            self.stream.push(last);
            self
        }

        fn metadata(&self) -> std::path::PathBuf {
            self.folder.path().join("metadata")
        }

        fn cache(&self) -> Cache {
            Cache::at(self.folder.path().join("cache"))
        }

        /// Is applied, and in the cache.
        fn applied(mut self, numbers: &[usize]) -> Self {
            for number in numbers {
                let manifest = &self.stream[number - 1];
                let inventory = self.store.inventory(manifest).to_bytes().unwrap();
                Ledger::keep_inventory(&self.metadata(), manifest.sequence, &inventory).unwrap();
                let blob = blob(*number);
                self.cache().put(&Digest::of(&blob), &blob[..]).unwrap();
                self.ledger.apply(manifest);
            }
            self
        }

        /// The cache has lost what it brought.
        fn lost(self, number: usize) -> Self {
            self.cache().remove(&Digest::of(&blob(number))).unwrap();
            self
        }

        /// Is in the store, verified and accepted; the others are not there.
        fn found(mut self, numbers: &[usize]) -> Self {
            self.found = numbers.to_vec();
            for (number, manifest) in (1..).zip(&self.stream) {
                if !numbers.contains(&number) {
                    let name = Key::Manifest(manifest.sequence).to_string();
                    self.store.objects.remove(&name);
                }
            }
            self
        }

        /// Is in the store, but of the past: nobody has looked at it.
        fn lies_there(mut self, number: usize) -> Self {
            self.store.put(&self.stream[number - 1]);
            self
        }

        fn set_aside(mut self, numbers: &[u64]) -> Self {
            self.set_aside = numbers.iter().map(|n| (*n).try_into().unwrap()).collect();
            self
        }

        fn at(mut self, now: i64) -> Self {
            self.now = now;
            self
        }

        fn course(&self, asked: Asked) -> Result<Option<Course>, Failure> {
            let found: Vec<_> = self
                .found
                .iter()
                .map(|n| self.stream[n - 1].clone())
                .collect();
            let place = Shelf {
                store: &self.store,
                listing: &Listing::of(&self.store).unwrap(),
                trusted: &trusted(),
            };
            let chooser = Chooser {
                ledger: &self.ledger,
                metadata: &self.metadata(),
                cache: &self.cache(),
                shelf: &place,
                found: &found,
                set_aside: &self.set_aside,
                now: Timestamp::from_unix(self.now),
            };
            chooser.choose(asked)
        }

        fn asked(&self, asked: Asked) -> Chosen {
            let course = self.course(asked);
            let course = course.map_err(|failure| failure.as_error().to_string())?;
            Ok(course.map(|course| {
                let merge = course.merge.iter().map(|one| one.sequence.number());
                (merge.collect(), course.load.sequence.number())
            }))
        }

        fn newest(&self) -> Chosen {
            self.asked(Asked::Newest)
        }

        /// What a gap says, and the other side is told to run.
        fn gap(&self) -> (String, String) {
            let failure = self.course(Asked::Newest).unwrap_err();
            assert_eq!(failure.id(), ErrorId::Gap);
            let hint = failure.hint().unwrap();
            let told = hint.split('`').nth(1).unwrap().to_owned();
            (failure.as_error().to_string(), told)
        }
    }

    /// What is merged and what is loaded, by number; or why nothing is.
    type Chosen = Result<Option<(Vec<u64>, u64)>, String>;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is what is expected of a choice"
    )]
    fn to(merge: &[u64], load: u64) -> Chosen {
        Ok(Some((merge.to_vec(), load)))
    }

    #[test]
    fn the_newest_is_loaded_after_what_it_builds_on_is_in_the_cache() {
        let stream = || Here::new(&[Full, Delta(1), Delta(2), Full, Delta(4)]);
        assert_eq!(stream().found(&[1]).newest(), to(&[], 1));
        assert_eq!(stream().found(&[1, 2, 3]).newest(), to(&[1, 2], 3));
        assert_eq!(stream().found(&[1, 2, 3, 4]).newest(), to(&[], 4));
        let one = || stream().applied(&[1]);
        assert_eq!(one().found(&[1, 2, 3]).newest(), to(&[2], 3));
        assert_eq!(one().found(&[1, 2, 3, 4, 5]).newest(), to(&[4], 5));
        assert_eq!(one().found(&[1]).newest(), Ok(None));
        assert_eq!(one().found(&[]).newest(), Ok(None));
        let two = stream().applied(&[1, 2]).found(&[1, 2]);
        assert_eq!(two.newest(), Ok(None));
        // What was passed over below the mark is not put into the cache again.
        assert_eq!(stream().applied(&[4]).found(&[1, 2, 3]).newest(), Ok(None));
    }

    #[test]
    fn each_step_builds_on_what_came_before_it() {
        let here = Here::new(&[Full, Delta(1), Delta(2), Delta(3)]);
        let here = here.applied(&[1]).found(&[2, 3, 4]);
        let course = here.course(Asked::Newest).unwrap().unwrap();
        assert!(course.clone().steps().load().is_none());
        let mut steps = course.steps();
        let has = |turn: &Turn| {
            let came = (1..5).filter(|n| turn.before().has(&Digest::of(&blob(*n))));
            (turn.manifest().sequence.number(), came.collect::<Vec<_>>())
        };
        for (number, came) in [(2, vec![1]), (3, vec![1, 2])] {
            let turn = steps.next_merge().unwrap();
            assert_eq!(has(&turn), (number, came));
            steps.merged(here.store.inventory(turn.manifest()));
        }
        assert!(steps.next_merge().is_none());
        assert_eq!(has(&steps.load().unwrap()), (4, vec![1, 2, 3]));
    }

    #[test]
    fn nothing_below_what_the_second_copy_knows_of_is_loaded() {
        let mut here = Here::new(&[Full, Full]).found(&[1, 2]);
        for (floor, course) in [(2, to(&[], 2)), (3, Ok(None))] {
            here.ledger.floor = Some(floor.try_into().unwrap());
            assert_eq!(here.newest(), course);
        }
        let older = here.asked(Asked::This(2.try_into().unwrap())).unwrap_err();
        assert!(older.starts_with("bundle 2 is below bundle 3"), "{older}");
    }

    #[test]
    fn what_is_not_whole_in_the_store_stands_in_nobodys_way() {
        let here = || Here::new(&[Full, Delta(1), Full]).found(&[1, 2, 3]);
        assert_eq!(here().set_aside(&[3]).newest(), to(&[1], 2));
        assert_eq!(here().set_aside(&[1, 2]).newest(), to(&[], 3));
        assert_eq!(here().set_aside(&[1, 2, 3]).newest(), Ok(None));
        // What builds on it has to wait, too.
        let without = here().found(&[1, 2]).set_aside(&[1]);
        let (says, _) = without.gap();
        assert_eq!(says, "bundle 1 is missing, which bundle 2 builds on");
    }

    #[test]
    fn what_has_expired_is_loaded_only_where_something_that_has_not_stands_on_it() {
        let (past, now, future) = (4999, 5000, 5000);
        let one = || Here::new(&[]).expiring(Full, past).at(now);
        assert_eq!(one().found(&[1]).newest(), Ok(None));
        assert_eq!(
            Here::new(&[]).expiring(Full, future).found(&[1]).newest(),
            to(&[], 1)
        );
        let repeated = one().expiring(Heartbeat(1), future);
        assert_eq!(repeated.found(&[1, 2]).newest(), to(&[], 1));
        let repeated = one().expiring(Heartbeat(1), past);
        assert_eq!(repeated.found(&[1, 2]).newest(), Ok(None));
        // A part of the newest is held back, and the old one does not take its place.
        let replaced = one().expiring(Full, future).set_aside(&[2]);
        assert_eq!(replaced.found(&[1, 2]).newest(), Ok(None));
        let chain = || {
            let chain = one().expiring(Delta(1), past).expiring(Delta(2), future);
            chain.set_aside(&[2, 3])
        };
        assert_eq!(chain().found(&[1, 2, 3]).newest(), to(&[], 1));
        assert_eq!(chain().found(&[1, 3]).newest(), Ok(None));
        // What is alive and older says nothing of it.
        let later = Here::new(&[Full]).expiring(Delta(1), past).applied(&[1]);
        assert_eq!(later.found(&[1, 2]).newest(), Ok(None));
    }

    #[test]
    fn a_bundle_that_is_asked_for_is_loaded_unless_it_is_below_the_mark() {
        let number = |number: u64| Sequence::try_from(number).unwrap();
        let stream = [Full, Delta(1), Delta(2), Heartbeat(3), Full];
        let here = Here::new(&stream).applied(&[1, 2]).found(&[1, 2, 3, 4, 5]);
        let this = |n| here.asked(Asked::This(number(n)));
        let older = |n| here.asked(Asked::ThisOrOlder(number(n)));
        let says = this(1).unwrap_err();
        assert!(says.starts_with("bundle 1 is below bundle 2"), "{says}");
        assert_eq!(older(1), to(&[], 1));
        for n in [2, 3, 5] {
            assert_eq!(this(n), to(&[], n));
            assert_eq!(older(n), to(&[], n));
        }
        for n in [4, 6] {
            let says = format!("there is no bundle {n} with content in the store");
            assert_eq!(this(n), Err(says.clone()));
            assert_eq!(older(n), Err(says));
        }
        // Expired or not: a person asks for it.
        let late = here.at(LATE);
        assert_eq!(late.newest(), Ok(None));
        assert_eq!(late.asked(Asked::This(number(3))), to(&[], 3));
        let aside = late.set_aside(&[3]);
        assert_eq!(aside.asked(Asked::This(number(3))), Ok(None));
    }

    #[test]
    fn a_gap_names_what_is_missing_and_what_the_other_side_must_run() {
        let stream = || Here::new(&[Full, Delta(1), Delta(2), Delta(3)]);
        let missing =
            |needed, found| format!("bundle {needed} is missing, which bundle {found} builds on");
        let full = || "mimeograph-bundler run --full".to_owned();
        let since = |n| format!("mimeograph-bundler run --since-sequence {n}");
        let begun = || stream().applied(&[1, 2]);
        assert_eq!(begun().found(&[4]).gap(), (missing(3, 4), since(2)));
        assert_eq!(stream().found(&[2]).gap(), (missing(1, 2), full()));
        // Of several, what the newest lacks.
        assert_eq!(stream().found(&[2, 4]).gap(), (missing(3, 4), full()));

        let gone = |needed, found| {
            missing(needed, found) + " and which `oc-mirror`'s cache does not hold any more"
        };
        let all = || stream().applied(&[1, 2, 3]).found(&[4]);
        assert_eq!(all().newest(), to(&[], 4));
        assert_eq!(all().lost(3).gap(), (gone(3, 4), since(2)));
        assert_eq!(all().lost(2).gap(), (gone(2, 4), since(1)));
        assert_eq!(all().lost(1).gap(), (gone(1, 4), full()));
    }

    #[test]
    fn what_the_cache_has_lost_comes_from_the_store_again() {
        let stream = || Here::new(&[Full, Delta(1), Delta(2), Delta(3)]);
        let all = || stream().applied(&[1, 2, 3]).found(&[4]);
        assert_eq!(all().lost(2).lies_there(2).newest(), to(&[2], 4));
        let both = all().lost(2).lost(3).lies_there(2).lies_there(3);
        assert_eq!(both.newest(), to(&[2, 3], 4));
        // What it held is not known any more.
        let here = all().lies_there(3);
        let kept = here.metadata().join("inventories/0000000003.json");
        std::fs::write(kept, "junk").unwrap();
        assert_eq!(here.newest(), to(&[3], 4));
        // What was passed over never came.
        let mut here = all().lies_there(2);
        let passed = here.ledger.bundles.get_mut(&2.try_into().unwrap());
        passed.unwrap().fate = crate::ledger::Fate::Skipped;
        assert_eq!(here.newest(), to(&[2], 4));
    }

    #[test]
    fn what_a_heartbeat_repeats_and_never_came_is_a_gap() {
        let stream = || Here::new(&[Full, Delta(1), Heartbeat(2), Heartbeat(2)]);
        let one = || stream().applied(&[1]);
        let (says, told) = one().found(&[1, 3, 4]).gap();
        assert_eq!(says, "bundle 2 is missing, which bundle 3 builds on");
        assert_eq!(told, "mimeograph-bundler run --since-sequence 1");
        // It is there, and others tell what is wrong with it.
        let aside = one().found(&[1, 2, 3]).set_aside(&[2]);
        assert_eq!(aside.newest(), Ok(None));
        let both = stream().applied(&[1, 2]);
        assert_eq!(both.found(&[3, 4]).newest(), Ok(None));
        let full = Here::new(&[Full, Full, Heartbeat(1)]).applied(&[2]);
        assert_eq!(full.found(&[3]).newest(), Ok(None));
    }

    #[test]
    fn v1_loads_one_after_the_other_and_has_no_cache() {
        let stream = || Here::of(Generation::V1, &[Full, Delta(1), Delta(2)]);
        assert_eq!(stream().found(&[1, 2, 3]).newest(), to(&[], 1));
        let begun = || stream().applied(&[1]).lost(1);
        assert_eq!(begun().found(&[2, 3]).newest(), to(&[], 2));
        assert_eq!(begun().found(&[2]).newest(), to(&[], 2));
    }
}
