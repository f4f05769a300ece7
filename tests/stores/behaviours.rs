//! What every store does.

use std::sync::Barrier;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::io::store::{Fetch, Put, Shelve, StoreError};
use mimeograph_manifest::layout::{CHUNKS, Key, MANIFESTS};
use mimeograph_manifest::limits;
use mimeograph_manifest::name::Sequence;

use crate::ground::Open;

const FIRST: Key = Key::Manifest(Sequence::FIRST);

/// Puts `body` under `key` with its own digest.
pub(crate) fn put(store: &dyn Shelve, key: &Key, body: &[u8]) -> Result<Put, StoreError> {
    store.put(key, Bytes::copy_from_slice(body), &Digest::of(body))
}

/// Puts a chunk under its own name.
pub(crate) fn put_chunk(store: &dyn Shelve, body: &[u8]) -> Key {
    let key = Key::Chunk(Digest::of(body));
    assert_eq!(put(store, &key, body).unwrap(), Put::Written);
    key
}

pub(crate) fn get(store: &(impl Fetch + ?Sized), key: &Key) -> Option<Vec<u8>> {
    let mut body = b"left over from the last time".to_vec();
    let found = store.get(key, limits::CHUNK_SIZE, &mut body).unwrap();
    assert!(found || body.is_empty());
    found.then_some(body)
}

pub(crate) fn names(store: &(impl Fetch + ?Sized), prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    store
        .list(prefix, &mut |found| names.push(found.name))
        .unwrap();
    names
}

/// Bytes that do not compress and differ by `seed`.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64* (Marsaglia 2003, Vigna 2016)
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn what_is_put_is_got_back_byte_for_byte(open: Open<'_>) {
    let store = open("");
    let every_byte: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let digest = Digest::of(&every_byte);
    for key in [
        Key::Chunk(digest),
        Key::signature(Sequence::FIRST, &digest, &digest),
        FIRST,
        Key::Pruned(Sequence::FIRST),
    ] {
        assert_eq!(put(&*store, &key, &every_byte).unwrap(), Put::Written);
        assert_eq!(get(&*store, &key).unwrap(), every_byte);
        // by another process, as it were
        assert_eq!(get(&*open(""), &key).unwrap(), every_byte);
    }
}

pub(crate) fn an_absent_object_is_no_error(open: Open<'_>) {
    let store = open("");
    assert_eq!(get(&*store, &FIRST), None);
    assert_eq!(get(&*store, &Key::Chunk(Digest::of(b"x"))), None);
    assert_eq!(names(&*store, ""), Vec::<String>::new());
    assert_eq!(names(&*store, CHUNKS), Vec::<String>::new());
}

pub(crate) fn the_same_bytes_may_be_put_again(open: Open<'_>) {
    let store = open("");
    let chunk = put_chunk(&*store, b"chunk");
    assert_eq!(put(&*store, &chunk, b"chunk").unwrap(), Put::AlreadyThere);
    assert_eq!(put(&*store, &FIRST, b"{}").unwrap(), Put::Written);
    assert_eq!(put(&*store, &FIRST, b"{}").unwrap(), Put::AlreadyThere);
    assert_eq!(put(&*open(""), &FIRST, b"{}").unwrap(), Put::AlreadyThere);
}

pub(crate) fn other_bytes_under_a_name_are_refused_and_the_first_stay(open: Open<'_>) {
    let store = open("");
    let chunk = put_chunk(&*store, b"chunk");
    put(&*store, &FIRST, b"{1}").unwrap();
    let digest = Digest::of(b"{1}");
    let signature = Key::signature(Sequence::FIRST, &digest, &digest);
    put(&*store, &signature, &[1; 64]).unwrap();
    for (key, other, first, id) in [
        (&chunk, &b"chunk2"[..], &b"chunk"[..], ErrorId::ChunkDamaged),
        (&chunk, b"Chunk", b"chunk", ErrorId::ChunkDamaged),
        (&FIRST, b"{2}", b"{1}", ErrorId::Fork),
        (&FIRST, b"{1}\n", b"{1}", ErrorId::Fork),
        (&FIRST, b"", b"{1}", ErrorId::Fork),
        (&signature, &[2; 64], &[1; 64], ErrorId::Fork),
    ] {
        let error = put(&*store, key, other).unwrap_err();
        assert!(
            matches!(&error, StoreError::Occupied { key: found, .. } if found == key),
            "{error:?}"
        );
        assert_eq!(error.id(), id);
        assert_eq!(get(&*store, key).unwrap(), first);
    }
}

pub(crate) fn a_short_chunk_is_occupied_and_can_be_replaced(open: Open<'_>) {
    let store = open("");
    let whole = noise(1, 100_000);
    let key = Key::Chunk(Digest::of(&whole));
    for wrong in [&whole[..1000], &[&whole[..], b"more"].concat()] {
        store
            .replace(&key, Bytes::copy_from_slice(wrong), &Digest::of(wrong))
            .unwrap();
        assert_eq!(
            put(&*store, &key, &whole).unwrap_err().id(),
            ErrorId::ChunkDamaged
        );
        store
            .replace(&key, Bytes::from(whole.clone()), &Digest::of(&whole))
            .unwrap();
        assert_eq!(get(&*store, &key).unwrap(), whole);
        assert_eq!(put(&*store, &key, &whole).unwrap(), Put::AlreadyThere);
    }
}

pub(crate) fn replacing_writes_where_nothing_lay(open: Open<'_>) {
    let store = open("");
    let key = Key::Chunk(Digest::of(b"chunk"));
    store
        .replace(&key, Bytes::from_static(b"chunk"), &Digest::of(b"chunk"))
        .unwrap();
    assert_eq!(get(&*store, &key).unwrap(), b"chunk");
}

pub(crate) fn what_is_removed_is_gone_and_removing_nothing_is_no_fault(open: Open<'_>) {
    let store = open("");
    let (gone, stays) = (put_chunk(&*store, b"gone"), put_chunk(&*store, b"stays"));
    let digest = Digest::of(b"{1}");
    let list = [
        Key::Pruned(Sequence::FIRST),
        Key::pruned_signature(Sequence::FIRST, &digest, &digest),
    ];
    for key in &list {
        put(&*store, key, b"{1}").unwrap();
    }
    for _ in 0..2 {
        store.remove(&gone).unwrap();
        assert_eq!(get(&*open(""), &gone), None);
    }
    assert_eq!(names(&*store, CHUNKS), [stays.to_string()]);
    assert_eq!(put(&*store, &gone, b"gone").unwrap(), Put::Written);
    for key in &list {
        store.remove(key).unwrap();
    }
    assert_eq!(names(&*store, "pruned/"), Vec::<String>::new());
    assert_eq!(get(&*store, &gone).unwrap(), b"gone");
}

pub(crate) fn a_listing_says_when_an_object_was_written(open: Open<'_>) {
    let store = open("");
    put_chunk(&*store, b"chunk");
    let mut times = Vec::new();
    store
        .list(CHUNKS, &mut |found| times.push(found.modified))
        .unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(
        times[0].unix().unsigned_abs().abs_diff(now) < 60,
        "{times:?}"
    );
}

pub(crate) fn an_object_that_was_listed_is_put_again_only_where_it_is_not(open: Open<'_>) {
    let store = open("");
    let body = Bytes::from(noise(4, 100_000));
    let digest = Digest::of(&body);
    let key = Key::Chunk(digest);
    let again = || store.put_again(&key, body.clone(), &digest);
    assert_eq!(again().unwrap(), Put::Written);
    assert_eq!(again().unwrap(), Put::AlreadyThere);
    let short = body.slice(1..);
    store
        .replace(&key, short.clone(), &Digest::of(&short))
        .unwrap();
    assert_eq!(again().unwrap_err().id(), ErrorId::ChunkDamaged);
}

pub(crate) fn reading_stops_one_byte_after_the_limit(open: Open<'_>) {
    let store = open("");
    let body = noise(2, 300_000);
    let key = put_chunk(&*store, &body);
    for (limit, expected) in [
        (299_999, 300_000),
        (300_000, 300_000),
        (300_001, 300_000),
        (100_000, 100_001),
        (0, 1),
    ] {
        let mut into = Vec::new();
        assert!(store.get(&key, limit, &mut into).unwrap());
        assert_eq!(into, body[..expected], "limit {limit}");
    }
}

pub(crate) fn the_largest_chunk_goes_there_and_back(open: Open<'_>) {
    let store = open("");
    let body = noise(3, usize::try_from(limits::CHUNK_SIZE).unwrap());
    let digest = Digest::of(&body);
    let (key, body) = (Key::Chunk(digest), Bytes::from(body));
    assert_eq!(
        store.put(&key, body.clone(), &digest).unwrap(),
        Put::Written
    );
    assert_eq!(
        store.put(&key, body.clone(), &digest).unwrap(),
        Put::AlreadyThere
    );
    assert_eq!(get(&*store, &key).unwrap(), body);
}

pub(crate) fn a_listing_keeps_to_its_folder(open: Open<'_>) {
    let store = open("");
    let chunk = put_chunk(&*store, b"chunk");
    put(&*store, &FIRST, b"{1}").unwrap();
    put(&*store, &Key::Manifest(Sequence::FIRST.next()), b"{2}").unwrap();
    // A neighbour whose name begins in the same way must not be seen.
    put_chunk(&*open("chunks-of-another"), b"foreign");

    let manifests = ["manifests/0000000001.json", "manifests/0000000002.json"];
    assert_eq!(names(&*store, MANIFESTS), manifests);
    assert_eq!(names(&*store, CHUNKS), [chunk.to_string()]);
    assert_eq!(names(&*store, "pruned/"), Vec::<String>::new());

    let mut sizes = Vec::new();
    store
        .list(CHUNKS, &mut |found| sizes.push(found.size))
        .unwrap();
    assert_eq!(sizes, [5]);
    let ours = |name: &String| Key::parse(name).is_some_and(|key| key != Key::Probe);
    let all: Vec<_> = names(&*store, "").into_iter().filter(ours).collect();
    assert_eq!(all, [&chunk.to_string(), manifests[0], manifests[1]]);
}

pub(crate) fn a_listing_of_more_than_one_page_is_whole(open: Open<'_>) {
    let store = open("");
    let numbers: Vec<u32> = (0..1105).collect();
    let put_some = |numbers: &[u32]| {
        let keys = numbers
            .iter()
            .map(|number| put_chunk(&*store, &number.to_le_bytes()));
        keys.map(|key| key.to_string()).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = numbers
            .chunks(140)
            .map(|some| scope.spawn(|| put_some(some)))
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    expected.sort();
    assert_eq!(names(&*store, CHUNKS), expected);
}

pub(crate) fn foreign_names_are_listed(open: Open<'_>) {
    put_chunk(&*open("old"), b"of another stream");
    put_chunk(&*open("manifests/old"), b"misplaced");
    let store = open("");
    put(&*store, &FIRST, b"{1}").unwrap();
    let names = names(&*store, "");
    assert!(
        names.iter().any(|name| name.starts_with("old/")),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name.starts_with("manifests/old/")),
        "{names:?}"
    );
    let ours = names
        .iter()
        .filter_map(|name| Key::parse(name))
        .filter(|key| *key != Key::Probe);
    assert_eq!(ours.collect::<Vec<_>>(), [FIRST]);
}

pub(crate) fn of_two_writers_one_wins(open: Open<'_>) {
    for round in 0..10 {
        let key = Key::Manifest(Sequence::try_from(round + 1).unwrap());
        let stores: Vec<_> = (0..4).map(|_| open("")).collect();
        for store in &stores {
            store.refuses_overwrite().unwrap();
        }
        let start = Barrier::new(stores.len());
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let (start, key) = (&start, &key);
            let mut writers = Vec::new();
            for (seed, store) in (1..).zip(&stores) {
                writers.push(scope.spawn(move || {
                    let body = noise(seed, 50_000);
                    start.wait();
                    (put(&**store, key, &body), body)
                }));
            }
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(put, _)| put.is_ok());
        assert_eq!(won.len(), 1, "{won:?}");
        for (put, _) in lost {
            assert_eq!(put.unwrap_err().id(), ErrorId::Fork);
        }
        assert_eq!(get(&*open(""), &key).unwrap(), won[0].1);
    }
}

pub(crate) fn many_writers_of_one_chunk_all_succeed(open: Open<'_>) {
    let store = open("");
    let body = noise(9, 200_000);
    let key = Key::Chunk(Digest::of(&body));
    let puts: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| put(&*store, &key, &body).unwrap()))
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    assert_eq!(puts.iter().filter(|put| **put == Put::Written).count(), 1);
    assert_eq!(get(&*store, &key).unwrap(), body);
}

pub(crate) fn overwriting_is_refused_by_the_store_itself(open: Open<'_>) {
    assert!(open("").refuses_overwrite().unwrap());
    // once the probe lies there too
    assert!(open("").refuses_overwrite().unwrap());
}

pub(crate) fn the_clock_is_about_right(open: Open<'_>) {
    let store = open("");
    if store.describe().starts_with("directory ") {
        assert_eq!(store.clock().unwrap(), None);
        return;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let said = store.clock().unwrap().unwrap().unix().unsigned_abs();
    assert!(said.abs_diff(now) < 60, "{said} is not {now}");
}

pub(crate) fn an_object_can_be_empty(open: Open<'_>) {
    let store = open("");
    let key = put_chunk(&*store, b"");
    assert_eq!(get(&*store, &key).unwrap(), b"");
    assert_eq!(put(&*store, &key, b"").unwrap(), Put::AlreadyThere);
}
