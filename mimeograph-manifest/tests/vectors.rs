//! The vectors of FORMAT.md: each passes, or is refused with the error id that its name ends with.
#![expect(clippy::unwrap_used, reason = "a test helper outside a test function")]

mod format;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use format::{committed, entries};
use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::key::{PublicKey, SigningKey};

/// The error id at the end of a vector's name; none for one that begins with `valid`.
fn expected(path: &Path) -> Option<String> {
    let stem = path.file_name().unwrap().to_str().unwrap();
    let stem = stem.strip_suffix(".pem").unwrap_or(stem);
    let id = stem.rsplit_once("__").map(|(_, id)| id.to_owned());
    let is_known = |id: &String| ErrorId::ALL.iter().any(|known| known.as_str() == id);
    assert!(id.as_ref().is_none_or(is_known), "{stem}: no such error id");
    assert_eq!(id.is_none(), stem.contains("valid-"), "{stem}");
    id
}

/// Judges every vector of a folder, and counts them by what became of them.
fn walk(
    folder: &Path,
    judge: impl Fn(&Path) -> Result<(), ErrorId>,
) -> BTreeMap<Option<String>, usize> {
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    for path in entries(folder) {
        let (expected, found) = (expected(&path), judge(&path).err());
        if found.map(ErrorId::as_str) != expected.as_deref() {
            wrong.push(format!("{}: {found:?}", path.display()));
        }
        *counts.entry(expected).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    counts
}

fn counts(of: &[(Option<&str>, usize)]) -> BTreeMap<Option<String>, usize> {
    of.iter()
        .map(|(id, count)| (id.map(str::to_owned), *count))
        .collect()
}

#[test]
fn stores_are_accepted_or_refused_as_their_names_say() {
    let found = walk(&committed("stores"), |store| {
        format::store::read(store).map(drop)
    });
    assert_eq!(
        found,
        counts(&[
            (None, 6),
            (Some("ARCHIVE_DAMAGED"), 9),
            (Some("ARCHIVE_ENTRY_REFUSED"), 9),
            (Some("CHUNK_DAMAGED"), 3),
            (Some("FORK"), 1),
            (Some("INCOMPLETE"), 3),
            (Some("INVENTORY_MISMATCH"), 5),
            (Some("KEY_INVALID"), 1),
            (Some("MANIFEST_MALFORMED"), 113),
            (Some("NOT_CLOSED"), 3),
            (Some("PENDING_APPROVAL"), 2),
            (Some("TOO_NEW"), 3),
            (Some("UNTRUSTED"), 18),
        ])
    );
}

#[test]
fn lists_of_what_is_dropped_are_accepted_or_refused_as_their_names_say() {
    let found = walk(&committed("lists"), |store| {
        format::store::read_list(store).map(drop)
    });
    assert_eq!(
        found,
        counts(&[
            (None, 3),
            (Some("FORK"), 1),
            (Some("INCOMPLETE"), 1),
            (Some("MANIFEST_MALFORMED"), 15),
            (Some("TOO_NEW"), 1),
            (Some("UNTRUSTED"), 2),
        ])
    );
}

#[test]
fn chunks_are_opened_or_refused_as_their_names_say() {
    let found = walk(&committed("chunks"), |path| {
        let record = fs::read(path.join("record.json")).unwrap();
        let chunk: Chunk = serde_json::from_slice(&record).unwrap();
        assert!(
            chunk.is_plausible(),
            "{}: refused before it is opened",
            path.display()
        );
        let stored = fs::read(path.join("stored")).unwrap();
        let mut room = Vec::new();
        let raw = chunk
            .open(&stored, &mut room)
            .map_err(|_| ErrorId::ChunkDamaged)?;
        assert_eq!(chunk.encoding == Encoding::None, raw == stored);
        Ok(())
    });
    assert_eq!(found, counts(&[(None, 5), (Some("CHUNK_DAMAGED"), 19)]));
}

#[test]
fn key_files_are_read_or_refused_as_their_names_say() {
    let release = fs::read_to_string(committed("release.pub.pem")).unwrap();
    let release = PublicKey::from_pem(&release).unwrap();
    let found = walk(&committed("keys"), |path: &Path| {
        // Whoever reads key files reads text; bytes that are none cannot get further.
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let is_private = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("private");
        let key = if is_private {
            SigningKey::from_pem(&text).map(|key| key.public())
        } else {
            PublicKey::from_pem(&text)
        };
        let key = key.map_err(|error| error.id())?;
        assert_eq!(key, release, "{}", path.display());
        Ok(())
    });
    assert_eq!(found, counts(&[(None, 5), (Some("KEY_INVALID"), 34)]));
}

#[test]
fn the_vectors_are_what_their_script_makes_and_are_judged_alike_when_made_again() {
    let again = format::Scratch::new("again");
    format::run(
        "bash",
        &[committed("make.sh").as_os_str(), again.path().as_os_str()],
        again.path(),
    );
    let names = |root: &Path| -> Vec<PathBuf> {
        ["stores", "lists", "chunks", "keys"]
            .iter()
            .flat_map(|folder| entries(&root.join(folder)))
            .map(|path| path.strip_prefix(root).unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(again.path()), names(&committed("")));
    // Another release of zstd may compress to other bytes; what is accepted stays the same.
    walk(&again.path().join("stores"), |store| {
        format::store::read(store).map(drop)
    });
    walk(&again.path().join("lists"), |store| {
        format::store::read_list(store).map(drop)
    });
}
