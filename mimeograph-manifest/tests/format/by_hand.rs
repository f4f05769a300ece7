//! FORMAT.md's own words: the commands in it are run as they stand, and its table of limits is the code's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Scratch, committed, entries, run, store, try_to_run};
use mimeograph_manifest::{limits, manifest::Role};

const FORMAT: &str = include_str!("../../FORMAT.md");

/// The first fenced block of shell below a heading.
fn block(heading: &str) -> &'static str {
    let (_, rest) = FORMAT.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, rest) = rest.split_once("\n```sh\n").unwrap();
    rest.split_once("\n```\n").unwrap().0
}

/// The hand-made stream in a folder of its own, beside the key that signed it.
fn stream(scratch: &Scratch) -> std::path::PathBuf {
    let folder = scratch.path().join("stream");
    let from = committed("stores/valid-made-with-openssl");
    run(
        "cp",
        &["-r".as_ref(), from.as_os_str(), folder.as_os_str()],
        scratch.path(),
    );
    fs::copy(
        committed("release.pub.pem"),
        scratch.path().join("release.pub.pem"),
    )
    .unwrap();
    folder
}

fn verifies(stream: &Path) -> bool {
    let (succeeded, output) = try_to_run("sh", &["-eu", "-c", block("Verifying by hand")], stream);
    assert_eq!(
        succeeded,
        output.ends_with("all chunks of 0000000001 are as signed\n"),
        "{output}"
    );
    succeeded
}

/// Runs `check` with one byte of a file flipped.
fn flipped(path: &Path, at: usize, check: impl FnOnce()) {
    let whole = fs::read(path).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    fs::write(path, &bytes).unwrap();
    check();
    fs::write(path, &whole).unwrap();
}

#[test]
fn a_stream_verifies_by_hand_and_fails_after_any_flipped_byte() {
    let scratch = Scratch::new("by-hand");
    let stream = stream(&scratch);
    assert!(verifies(&stream));
    let read = store::read(&stream).ok().unwrap();
    assert_eq!(read.foreign, ["README.txt"]);
    let bundle = &read.bundles[0];
    let short = bundle.signers()[0].short();
    let manifest = stream.join("manifests/0000000001.json");
    let signature = stream.join(format!(
        "manifests/0000000001.{}.{short}.sig",
        bundle.digest().short()
    ));
    for (path, step) in [(&manifest, 211), (&signature, 9)] {
        let size = fs::read(path).unwrap().len();
        for at in (0..size).step_by(step).chain([size - 1]) {
            flipped(path, at, || {
                assert!(!verifies(&stream), "{}, byte {at}", path.display());
            });
        }
    }
    for chunk in bundle.chunks() {
        let path = stream.join(mimeograph_manifest::layout::Key::Chunk(chunk.stored).to_string());
        let last = usize::try_from(chunk.stored_size - 1).unwrap();
        flipped(&path, last / 2, || {
            assert!(!verifies(&stream), "{}", path.display());
        });
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!verifies(&stream), "{} is missing", path.display());
        fs::write(&path, whole).unwrap();
    }
    assert!(verifies(&stream), "all is as it was");
    fs::copy(
        committed("second.pub.pem"),
        scratch.path().join("release.pub.pem"),
    )
    .unwrap();
    assert!(verifies(&stream), "the second key signed it too");
    let stranger = run(
        "openssl",
        &["genpkey", "-algorithm", "ed25519"],
        scratch.path(),
    );
    fs::write(scratch.path().join("key.pem"), stranger).unwrap();
    run(
        "openssl",
        &[
            "pkey",
            "-in",
            "key.pem",
            "-pubout",
            "-out",
            "release.pub.pem",
        ],
        scratch.path(),
    );
    assert!(!verifies(&stream), "by a key that did not sign it");
}

#[test]
fn a_list_of_what_is_dropped_verifies_by_hand_and_fails_after_any_flipped_byte() {
    let scratch = Scratch::new("list");
    let stream = scratch.path().join("stream");
    let from = committed("lists/valid-of-two-bundles");
    run(
        "cp",
        &["-r".as_ref(), from.as_os_str(), stream.as_os_str()],
        scratch.path(),
    );
    fs::copy(
        committed("release.pub.pem"),
        scratch.path().join("release.pub.pem"),
    )
    .unwrap();
    let check = || {
        let block = block("Verifying a list of what is dropped by hand");
        try_to_run("sh", &["-eu", "-c", block], &stream)
    };
    let (succeeded, output) = check();
    assert!(succeeded, "{output}");
    let list = store::read_list(&stream).ok().unwrap();
    for link in &list.manifests {
        assert!(output.contains(&format!("bundle {}\n", link.sequence)));
    }
    for chunk in &list.chunks {
        let key = mimeograph_manifest::layout::Key::Chunk(chunk.stored);
        assert!(output.contains(&format!("{key}\n")), "{key}");
    }
    for path in entries(&stream.join("pruned")) {
        let size = fs::read(&path).unwrap().len();
        for at in (0..size).step_by(97).chain([size - 1]) {
            flipped(&path, at, || {
                assert!(!check().0, "{}, byte {at}", path.display());
            });
        }
    }
}

#[test]
fn an_archive_is_put_together_by_hand() {
    let scratch = Scratch::new("together");
    let stream = stream(&scratch);
    run(
        "sh",
        &["-eu", "-c", block("Putting a file together by hand")],
        &stream,
    );
    let path = scratch.path().join("mirror_000001.tar");
    let read = store::read(&stream).ok().unwrap();
    let archive = read.bundles[0].files(Role::Archive).next().unwrap();
    assert_eq!(
        store::assemble(&stream, archive).ok().unwrap(),
        fs::read(&path).unwrap()
    );
    let listing = run("tar", &["-tf".as_ref(), path.as_os_str()], scratch.path());
    assert!(
        listing.lines().any(|line| line.starts_with("isc_")),
        "{listing}"
    );
}

#[test]
fn a_second_person_signs_by_hand() {
    let scratch = Scratch::new("signing");
    let stream = stream(&scratch);
    fs::create_dir(stream.join("trusted")).unwrap();
    fs::copy(
        committed("release.pub.pem"),
        stream.join("trusted/release.pem"),
    )
    .unwrap();
    for name in ["Making keys by hand", "Signing by hand"] {
        run("sh", &["-eu", "-c", block(name)], &stream);
    }
    fs::copy(
        scratch.path().join("approver.pub.pem"),
        stream.join("trusted/approver.pem"),
    )
    .unwrap();
    for sequence in [2, 3] {
        for entry in entries(&stream.join("manifests")) {
            if entry
                .to_str()
                .unwrap()
                .contains(&format!("000000000{sequence}."))
            {
                fs::remove_file(entry).unwrap();
            }
        }
    }
    fs::write(stream.join("threshold"), "2").unwrap();
    let read = store::read(&stream).ok().unwrap();
    assert_eq!(read.bundles[0].signers().len(), 2);
    assert_eq!(
        read.bundles[0].disregarded().len(),
        1,
        "the key `second` is not trusted here"
    );
}

#[test]
fn the_table_of_limits_is_the_codes() {
    let rows: BTreeMap<_, u64> = FORMAT
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .filter_map(|(name, rest)| Some((name, rest.split_once(' ')?.0.parse().ok()?)))
        .collect();
    let constants = [
        ("MANIFEST_SIZE", limits::MANIFEST_SIZE),
        ("PRUNED_SIZE", limits::PRUNED_SIZE),
        ("SIGNATURE_SIZE", limits::SIGNATURE_SIZE),
        ("SIGNATURES", limits::SIGNATURES as u64),
        ("CHUNK_SIZE", limits::CHUNK_SIZE),
        ("CUT_SIZE", limits::CUT_SIZE),
        ("FILES", limits::FILES as u64),
        ("FILE_SIZE", limits::FILE_SIZE),
        ("IMAGESET_SIZE", limits::IMAGESET_SIZE),
        ("INVENTORY_SIZE", limits::INVENTORY_SIZE),
        ("HISTORY_SIZE", limits::HISTORY_SIZE),
        ("IMAGE_MANIFEST_SIZE", limits::IMAGE_MANIFEST_SIZE),
        ("CATALOG_SIZE", limits::CATALOG_SIZE as u64),
        ("CATALOG_OBJECT_SIZE", limits::CATALOG_OBJECT_SIZE as u64),
        ("CATALOG_ITEMS", limits::CATALOG_ITEMS as u64),
        ("CHART_SIZE", limits::CHART_SIZE),
        ("GRAPH_SIZE", limits::GRAPH_SIZE),
        ("RELEASE_KEYS_SIZE", limits::RELEASE_KEYS_SIZE),
        ("RELEASE_SIGNATURE_SIZE", limits::RELEASE_SIGNATURE_SIZE),
        ("RELEASE_LAYER_SIZE", limits::RELEASE_LAYER_SIZE),
        ("IMAGE_REFERENCES_SIZE", limits::IMAGE_REFERENCES_SIZE),
        ("ARCHIVE_ENTRIES", limits::ARCHIVE_ENTRIES),
        ("PAX_SIZE", limits::PAX_SIZE),
        ("ARCHIVE_PATH", limits::ARCHIVE_PATH as u64),
        ("NAME_LENGTH", limits::NAME_LENGTH as u64),
        ("NAME_COMPONENTS", limits::NAME_COMPONENTS as u64),
        ("TEXT_LENGTH", limits::TEXT_LENGTH as u64),
        ("TEXTS", limits::TEXTS as u64),
        ("OBJECTS", limits::OBJECTS as u64),
        ("NUMBER", limits::NUMBER),
        ("STATE_SIZE", limits::STATE_SIZE),
        ("STATE_STORED_SIZE", limits::STATE_STORED_SIZE),
        ("RECEIPT_SIZE", limits::RECEIPT_SIZE),
        ("CONFIG_SIZE", limits::CONFIG_SIZE),
        ("KEY_SIZE", limits::KEY_SIZE),
        ("KEYS_FILE_SIZE", limits::KEYS_FILE_SIZE),
    ];
    assert_eq!(rows, BTreeMap::from(constants));
    // A constant that is added there must be added here.
    let declared = include_str!("../../src/limits.rs")
        .matches("pub const ")
        .count();
    assert_eq!(declared, constants.len());
}
