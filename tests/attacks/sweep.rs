//! Every byte of a small bundle, changed once: all refused.

use std::fs;
use std::num::NonZeroUsize;

use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::{Fetch, Listed, StoreError};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_tests::gap::{Gap, Ran};

use crate::at_once::at_once;
use crate::ground;
use crate::left::Left;

/// A store of which one byte is another.
struct Flipped<'a> {
    store: &'a DirStore,
    key: Key,
    byte: usize,
}

impl Fetch for Flipped<'_> {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.store.list(prefix, each)
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        let found = self.store.get(key, limit, into)?;
        if *key == self.key {
            into[self.byte] ^= 1 << (self.byte % 8);
        }
        Ok(found)
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.clock()
    }
}

/// The small bundle, the keys that count, and what it consists of, with sizes.
struct Bundle {
    store: DirStore,
    listing: Listing,
    trusted: TrustedKeys,
    objects: Vec<(Key, usize)>,
}

impl Bundle {
    fn of(gap: &Gap) -> Self {
        let pem = fs::read_to_string(gap.path("keys/signing.pem")).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap().public();
        let mut bundle = Self {
            store: DirStore::open(&gap.path("store")).unwrap(),
            listing: Listing::default(),
            trusted: TrustedKeys::new([key], NonZeroUsize::MIN),
            objects: Vec::new(),
        };
        bundle.listing = Listing::of(&bundle.store).unwrap();
        let mut keys = bundle.listing.signatures(Sequence::FIRST);
        keys.push(Key::Manifest(Sequence::FIRST));
        let manifest = bundle.verified(&bundle.store).unwrap();
        keys.extend(manifest.chunks().map(|chunk| Key::Chunk(chunk.stored)));
        keys.sort();
        keys.dedup();
        let size = |key: &Key| {
            let file = gap.path("store").join(key.to_string());
            usize::try_from(fs::metadata(file).unwrap().len()).unwrap()
        };
        bundle.objects = keys
            .into_iter()
            .map(|key| (key.clone(), size(&key)))
            .collect();
        bundle
    }

    fn verified(&self, store: &dyn Fetch) -> Option<Verified<Manifest>> {
        let signed = self
            .listing
            .open(store, Sequence::FIRST, &self.trusted)
            .unwrap()
            .unwrap();
        signed.verify(&self.trusted).ok()
    }

    /// Whether a store's bundle would be taken: its manifest, and every byte of its files.
    fn is_taken(&self, store: &dyn Fetch) -> bool {
        self.verified(store).is_some_and(|manifest| {
            let mut files = manifest.files.iter();
            files.all(|file| fetched::small_file(store, file).is_ok_and(|bytes| file.is(&bytes)))
        })
    }
}

#[test]
fn every_byte_of_a_bundle_changed_once_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gap = ground::tiny(&folder.path().join("tiny"));
    let bundle = Bundle::of(&gap);
    assert!(
        bundle.is_taken(&bundle.store),
        "the bundle itself is refused"
    );
    assert!(bundle.objects.len() > 5, "{:?}", bundle.objects);
    let all = bundle.objects.iter();
    let places: Vec<_> = all
        .flat_map(|(key, size)| (0..*size).map(move |byte| (key, byte)))
        .collect();
    assert!(places.len() > 4096, "{} bytes alone", places.len());
    at_once(&places, |(key, byte)| {
        let store = Flipped {
            store: &bundle.store,
            key: (*key).clone(),
            byte: *byte,
        };
        if bundle.is_taken(&store) {
            return Err(format!("byte {byte} of {key} may be another"));
        }
        Ok(())
    });
}

#[test]
fn the_programs_refuse_a_changed_byte_of_every_object() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let gap = ground::tiny(&folder.path().join("tiny"));
    let bundle = Bundle::of(&gap);
    let mut places = Vec::new();
    for (key, size) in &bundle.objects {
        for byte in [0, size / 2, size - 1] {
            let copy = folder.path().join(places.len().to_string());
            places.push((key, byte, gap.again(&copy).unwrap()));
        }
    }
    at_once(&places, |(key, byte, gap)| {
        let file = gap.path("store").join(key.to_string());
        let mut bytes = fs::read(&file).unwrap();
        bytes[*byte] ^= 0x80;
        fs::write(file, bytes).unwrap();
        let id = match key {
            Key::Chunk(_) => (65, "[CHUNK_DAMAGED]"),
            _ => (77, "[UNTRUSTED]"),
        };
        let before = Left::of(gap);
        let refused = |ran: &Ran| {
            let is_so = ran.status == id.0 && ran.stderr.contains(id.1);
            let fails = || format!("byte {byte} of {key}: {ran}");
            if is_so { Ok(()) } else { Err(fails()) }
        };
        refused(&gap.populator(&["verify"]))?;
        refused(&gap.populator(&["run"]))?;
        let unchanged = before.changed(&Left::of(gap));
        unchanged.map_err(|why| format!("byte {byte} of {key}: {why}"))
    });
}
