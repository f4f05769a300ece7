//! Archives that real `oc-mirror` 4.17 and 5.2 wrote are read whole; the same ones, spoilt, are not.
#![expect(clippy::unwrap_used, reason = "a test helper outside a test function")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use mimeograph_manifest::archive::{ArchiveError, Contents, Headers, inspect};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::inventory::{Before, IndexMembers, Inventory, check_closure};
use mimeograph_manifest::manifest::Generation;
use mimeograph_manifest::wish::Wish;

fn recorded(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "archives", name]
        .iter()
        .collect();
    fs::read(path).unwrap()
}

fn read(name: &str, bytes: Vec<u8>) -> Result<Contents, ArchiveError> {
    let generation = if name.contains("-v1-") {
        Generation::V1
    } else {
        Generation::V2
    };
    inspect(
        [Headers::new(name, generation, Cursor::new(bytes))],
        &mut |_| {},
    )
}

/// Tags, image manifests and blobs, counted by hand from `tar -tv` of each.
const RECORDED: &[(&str, usize, usize, usize)] = &[
    ("4.17-v2-full.tar", 2, 2, 7),
    ("5.2-v2-full.tar", 2, 2, 7),
    ("5.2-v2-incremental.tar", 3, 1, 5),
    ("5.2-v2-nothing-new.tar", 3, 0, 0),
    ("4.17-v1-seq1.tar", 2, 2, 7),
    ("4.17-v1-seq2.tar", 1, 1, 5),
];

#[test]
fn recorded_archives_are_read_to_their_end() {
    for (name, tags, manifests, blobs) in RECORDED {
        let found = read(name, recorded(name)).unwrap().structure;
        assert_eq!(
            (found.tags(), found.manifests.len(), found.blobs.len()),
            (*tags, *manifests, *blobs),
            "{name}"
        );
    }
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/archives")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let found = read(&name, recorded(&name)).unwrap();
        assert!(found.structure.tags() > 0, "{name}");
        let inventory = Inventory::new(found.structure.clone(), Wish::default());
        let again = Inventory::from_bytes(&inventory.to_bytes().unwrap()).unwrap();
        assert_eq!(again, inventory);
        again.matches(&found.structure).unwrap();
    }
}

#[test]
fn a_full_archive_closes_over_itself_and_a_delta_over_what_came_before() {
    let structure = |name: &str| read(name, recorded(name)).unwrap().structure;
    let (full, delta) = (
        structure("5.2-v2-full.tar"),
        structure("5.2-v2-incremental.tar"),
    );
    let mut before = Before::default();
    check_closure(&full, &before, [], &IndexMembers::Every).unwrap();
    // Alone, the delta lacks t1, which the image set still asks for (the recorded run ends 8).
    let t1 = delta.resolve("tiny/t1", "v1").unwrap();
    let alone = check_closure(&delta, &before, [t1], &IndexMembers::Every).unwrap_err();
    assert_eq!(alone.id(), ErrorId::NotClosed);
    before.add_newer(Inventory::new(full, Wish::default()));
    check_closure(&delta, &before, [t1], &IndexMembers::Every).unwrap();
}

#[test]
fn a_member_of_an_index_that_is_missing_is_noticed_unless_platforms_leave_it_out() {
    let mut found = read("", recorded("5.2-kinds.tar")).unwrap().structure;
    check_closure(&found, &Before::default(), [], &IndexMembers::Every).unwrap();
    let index = found.resolve("tiny/multi", "v1").unwrap();
    let member = found.manifests[&index].manifests[0];
    found.blobs.remove(&member);
    found.manifests.remove(&member);
    assert!(check_closure(&found, &Before::default(), [], &IndexMembers::Every).is_err());
    let of_others = IndexMembers::EveryOf(BTreeSet::new());
    check_closure(&found, &Before::default(), [], &of_others).unwrap();
    let of_it = IndexMembers::EveryOf(BTreeSet::from([index]));
    assert!(check_closure(&found, &Before::default(), [], &of_it).is_err());
    // `platforms` never leaves out all of them.
    for member in found.manifests[&index].manifests.clone() {
        found.blobs.remove(&member);
        found.manifests.remove(&member);
    }
    assert!(check_closure(&found, &Before::default(), [], &of_others).is_err());
}

#[test]
fn an_archive_cut_anywhere_is_damaged() {
    let whole = recorded("5.2-v2-full.tar");
    // On an entry's edge too, where `oc-mirror` itself accepts it (contract §6.1).
    for length in (0..whole.len())
        .step_by(512)
        .chain([1, 700, whole.len() - 1])
    {
        let error = read("cut", whole[..length].to_vec()).unwrap_err();
        assert_eq!(error.id(), ErrorId::ArchiveDamaged, "cut at {length}");
    }
    let longer = [whole, vec![0; 512]].concat();
    assert_eq!(
        read("longer", longer).unwrap_err().id(),
        ErrorId::ArchiveDamaged
    );
}

#[test]
fn every_flipped_byte_of_a_blob_is_noticed() {
    let whole = recorded("5.2-v2-full.tar");
    let mut headers = Headers::new("x", Generation::V2, Cursor::new(whole.clone())).unwrap();
    let mut blobs = 0;
    while let Some(entry) = headers.next_entry().unwrap() {
        if entry.path.contains("/blobs/") {
            blobs += 1;
            for at in entry.data.clone().step_by(97) {
                let mut flipped = whole.clone();
                flipped[usize::try_from(at).unwrap()] ^= 1;
                assert!(
                    matches!(read("x", flipped), Err(ArchiveError::Blob { .. })),
                    "byte {at}"
                );
            }
        }
    }
    assert_eq!(blobs, 7);
}

/// A ustar archive of one entry, complete to its end marker.
fn one_entry(path: &str, change: impl FnOnce(&mut tar::Header), data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    change(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes().to_vec(), data.to_vec()].concat();
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

#[test]
fn what_oc_mirror_does_not_write_is_refused_by_name() {
    for path in [
        "working-dir/../../evil",
        "docker/registry/v2/../../../x",
        "/abs/working-dir/f",
        "README-working-dir.txt",
        "etc/passwd",
        "working-dir//x",
        "working-dir/a\\b",
        "docker/registry/v2/blobs/sha256/00/data",
        "docker/registry/v2/blobs/md5/00/0/data",
        "mirror_000002.tar",
        "isc_x/../y",
    ] {
        let error = read("x", one_entry(path, |_| {}, b"{}")).unwrap_err();
        assert_eq!(error.id(), ErrorId::ArchiveEntryRefused, "{path}: {error}");
    }
    let kinds: [fn(&mut tar::Header); 6] = [
        |h| h.set_mode(0o4755),
        |h| h.set_entry_type(tar::EntryType::Symlink),
        |h| h.set_entry_type(tar::EntryType::Link),
        |h| h.set_entry_type(tar::EntryType::Directory),
        |h| h.set_entry_type(tar::EntryType::Fifo),
        |h| h.set_entry_type(tar::EntryType::GNULongName),
    ];
    for change in kinds {
        let error = read("x", one_entry("working-dir/x", change, b"")).unwrap_err();
        assert_eq!(error.id(), ErrorId::ArchiveEntryRefused, "{error}");
    }
    read("x", one_entry("working-dir/x", |_| {}, b"{}")).unwrap();
}

fn with_pax(records: &[u8]) -> Vec<u8> {
    let extended = one_entry(
        "PaxHeaders.0/x",
        |h| h.set_entry_type(tar::EntryType::XHeader),
        records,
    );
    [
        &extended[..extended.len() - 1024],
        &one_entry("working-dir/x", |_| {}, b"{}"),
    ]
    .concat()
}

/// A PAX record, whose length counts its own digits (two of them here).
fn record(text: &str) -> String {
    format!("{} {text}\n", text.len() + 4)
}

#[test]
fn owners_beyond_ustar_travel_in_pax_records_and_nothing_else_does() {
    let owners = record("uid=1000660000") + &record("gid=1000660000");
    read("x", with_pax(owners.as_bytes())).unwrap();
    read("x", with_pax(record("path=isc_elsewhere").as_bytes())).unwrap();
    for records in [
        record("path=/etc/passwd"),
        record("linkpath=../evil"),
        record("SCHILY.xattr.a=bbb"),
        record("uid=100000") + &record("uid=100000"),
        record("size=-1-1-1"),
        record("size=9999999999"),
        "99 size=1\n".to_owned(),
        // GNU tar refuses these, and the `tar` crate stops, passes over, or supplies what is missing.
        record("uid=10") + "\n" + &record("path=isc_elsewhere"),
        "+9 uid=1\n".to_owned(),
        "8 uid=1".to_owned(),
        // As it is, but not as Go writes it.
        "09 uid=1\n".to_owned(),
    ] {
        assert!(
            read("x", with_pax(records.as_bytes())).is_err(),
            "{records}"
        );
    }
}

#[test]
fn a_size_that_pax_replaces_is_octal_all_the_same() {
    let with_size = |field: &[u8; 12]| {
        let extended = one_entry(
            "PaxHeaders.0/x",
            |h| h.set_entry_type(tar::EntryType::XHeader),
            b"9 size=2\n",
        );
        let entry = one_entry("working-dir/x", |h| h.as_old_mut().size = *field, b"{}");
        read("x", [&extended[..extended.len() - 1024], &entry].concat())
    };
    // Go writes zero where a size does not fit.
    with_size(b"00000000000\0").unwrap();
    for field in [b"0000009\x001130", b"\x80\0\0\0\0\0\0\0\0\0\0\x02"] {
        let error = with_size(field).unwrap_err();
        assert_eq!(error.id(), ErrorId::ArchiveDamaged, "{field:?}");
    }
}

#[test]
fn a_tag_that_says_two_things_is_refused() {
    let link = |tag: &str, target: &[u8]| {
        let digest = Digest::of(target).to_oci();
        let path = format!("docker/registry/v2/repositories/a/_manifests/tags/{tag}/current/link");
        let bytes = one_entry(&path, |_| {}, digest.as_bytes());
        bytes[..bytes.len() - 1024].to_vec()
    };
    let end = vec![0; 1024];
    read(
        "x",
        [link("v1", b"1"), link("v1", b"1"), end.clone()].concat(),
    )
    .unwrap();
    let error = read("x", [link("v1", b"1"), link("v1", b"2"), end].concat()).unwrap_err();
    assert_eq!(error.id(), ErrorId::ArchiveEntryRefused);
}
