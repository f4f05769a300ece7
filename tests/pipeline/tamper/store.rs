//! Damage and deceit in the store.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use mimeograph_manifest::io::clock;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::name::Sequence;

use super::forge::{key, manifest, papers, publish};
use super::{brought, goes_on, refuses, second_bundle, waits};
use crate::lab::{Lab, done, refused};

fn number(n: u64) -> Sequence {
    Sequence::try_from(n).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn last(path: &Path) -> usize {
    usize::try_from(fs::metadata(path).unwrap().len()).unwrap() - 1
}

/// A first bundle, published and not yet applied.
fn first_bundle() -> Lab {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    lab
}

/// Manifest and signature of a bundle.
fn manifest_and_signature(lab: &Lab, n: u64) -> (PathBuf, PathBuf) {
    let (mut signatures, mut manifests): (Vec<_>, Vec<_>) = papers(lab, number(n))
        .into_iter()
        .partition(|path| path.extension().is_some_and(|ending| ending == "sig"));
    (manifests.remove(0), signatures.remove(0))
}

/// Signs a changed manifest of bundle `n` with the real key.
fn resign(lab: &Lab, n: u64, change: impl FnOnce(&mut Manifest)) {
    let mut forged = manifest(lab, number(n));
    change(&mut forged);
    publish(lab, &forged, &key(lab));
}

#[test]
fn a_bundle_signed_by_a_stranger_is_untrusted() {
    for lab in [first_bundle(), second_bundle()] {
        let n = if lab.oc_mirror_calls() > 1 { 2 } else { 1 };
        let genuine = manifest(&lab, number(n));
        publish(&lab, &genuine, &SigningKey::from_seed(&[7; 32]));
        refuses(&lab, 77, "UNTRUSTED", &[&format!("bundle {n}")]);
        publish(&lab, &genuine, &key(&lab));
        goes_on(&lab, if n == 2 { 3 } else { 2 });
    }
}

#[test]
fn a_flipped_bit_in_a_manifest_or_its_signature_is_untrusted() {
    let lab = second_bundle();
    let (manifest, signature) = manifest_and_signature(&lab, 2);
    for path in [&manifest, &signature] {
        for at in [0, last(path) / 2, last(path)] {
            flip(path, at);
            refuses(&lab, 77, "UNTRUSTED", &["bundle 2"]);
            flip(path, at);
        }
    }
    goes_on(&lab, 3);
}

#[test]
fn a_signature_over_another_manifest_is_untrusted() {
    let lab = second_bundle();
    let (_, of_first) = manifest_and_signature(&lab, 1);
    let (_, of_second) = manifest_and_signature(&lab, 2);
    fs::copy(of_first, of_second).unwrap();
    refuses(&lab, 77, "UNTRUSTED", &["bundle 2"]);
}

#[test]
fn a_genuine_manifest_in_another_place_is_a_fork() {
    let lab = second_bundle();
    let (manifest, signature) = manifest_and_signature(&lab, 1);
    for path in papers(&lab, number(2)) {
        fs::remove_file(path).unwrap();
    }
    for path in [manifest, signature] {
        let name = path.file_name().unwrap().to_str().unwrap();
        let there = name.replacen("0000000001", "0000000002", 1);
        fs::copy(&path, path.with_file_name(there)).unwrap();
    }
    refuses(&lab, 82, "FORK", &["bundle 2"]);
}

/// Chunks that were fetched and checked before are not fetched again.
fn forget_what_was_fetched(lab: &Lab) {
    for entry in fs::read_dir(lab.path("disconnected/bundle")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap().len() > 1 {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_in_any_chunk_is_damage() {
    let lab = second_bundle();
    let first = first_bundle().store_files();
    let chunks = brought(&lab, "chunks", &first);
    assert!(chunks.len() > 3, "{chunks:?}");
    let names: Vec<_> = manifest(&lab, number(2))
        .chunks()
        .map(|chunk| chunk.stored.to_string())
        .collect();
    for path in chunks {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !names.contains(&name) {
            continue;
        }
        let at = last(&path) / 2;
        flip(&path, at);
        forget_what_was_fetched(&lab);
        refuses(&lab, 65, "CHUNK_DAMAGED", &[&name]);
        flip(&path, at);
    }
    goes_on(&lab, 3);
}

#[test]
fn a_chunk_that_is_missing_or_short_is_waited_for() {
    let lab = second_bundle();
    let chunks: Vec<_> = manifest(&lab, number(2))
        .chunks()
        .map(|chunk| chunk.stored.to_string())
        .collect();
    for name in [&chunks[0], chunks.last().unwrap()] {
        let path = lab.path("store/chunks").join(&name[..2]).join(name);
        let whole = fs::read(&path).unwrap();
        for arrived in [None, Some(0), Some(whole.len() - 1)] {
            match arrived {
                None => fs::remove_file(&path).unwrap(),
                Some(size) => fs::write(&path, &whole[..size]).unwrap(),
            }
            forget_what_was_fetched(&lab);
            let ran = waits(&lab);
            assert!(ran.stdout.contains(name.as_str()), "{ran}");
            for command in ["verify", "unpack"] {
                let to = lab.path("never").display().to_string();
                let arguments = match command {
                    "unpack" => vec![command, "2", "--to", &to],
                    _ => vec![command],
                };
                refused(&lab.populator(&arguments), 75, "INCOMPLETE", &[]);
                assert!(!lab.path("never").exists());
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    goes_on(&lab, 3);
}

#[test]
fn a_bundle_without_a_signature_is_waited_for() {
    let lab = second_bundle();
    let (_, signature) = manifest_and_signature(&lab, 2);
    let bytes = fs::read(&signature).unwrap();
    fs::remove_file(&signature).unwrap();
    waits(&lab);
    fs::write(&signature, bytes).unwrap();
    goes_on(&lab, 3);
}

#[test]
fn a_bundle_that_is_waited_for_too_long_is_stale() {
    let lab = second_bundle();
    let (_, signature) = manifest_and_signature(&lab, 2);
    fs::remove_file(&signature).unwrap();
    waits(&lab);
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("trust:\n", "trust:\n  waitAtMost: 1s\n"),
    )
    .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    refuses(&lab, 79, "STALE", &["bundle 2"]);
}

#[test]
fn an_expired_bundle_is_refused() {
    let lab = second_bundle();
    let first = manifest(&lab, number(1)).created;
    resign(&lab, 2, |manifest| {
        manifest.created = first;
        manifest.expires = first.plus(SignedDuration::from_secs(1));
    });
    while clock::now() <= first.plus(SignedDuration::from_secs(1)) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    refuses(&lab, 77, "EXPIRED", &["bundle 2"]);
}

#[test]
fn a_bundle_from_the_future_is_refused() {
    let lab = second_bundle();
    resign(&lab, 2, |manifest| {
        manifest.created = manifest.created.plus(SignedDuration::from_hours(1));
        manifest.expires = manifest.created.plus(SignedDuration::from_hours(2));
    });
    refuses(&lab, 87, "CLOCK", &["bundle 2"]);
}

#[test]
fn a_bundle_for_another_enclave_is_refused() {
    let lab = first_bundle();
    resign(&lab, 1, |manifest| {
        manifest.audience = vec!["harbour".into()];
    });
    refuses(&lab, 77, "WRONG_AUDIENCE", &["harbour"]);
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}enclave: harbour\n")).unwrap();
    goes_on(&lab, 2);
}

#[test]
fn another_stream_than_the_one_that_is_followed_is_refused() {
    let (lab, other) = (second_bundle(), second_bundle());
    for path in lab.store_files() {
        fs::remove_file(path).unwrap();
    }
    for path in other.store_files() {
        let there = lab
            .path("store")
            .join(path.strip_prefix(other.path("store")).unwrap());
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::copy(path, there).unwrap();
    }
    for n in [1, 2] {
        let genuine = manifest(&other, number(n));
        publish(&lab, &genuine, &key(&lab));
    }
    refuses(&lab, 77, "WRONG_STREAM", &[]);
}

#[test]
fn a_newer_format_is_named_so_once_it_is_signed() {
    let lab = first_bundle();
    let (path, signature) = manifest_and_signature(&lab, 1);
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replacen("manifest.v1+json", "manifest.v2+json", 1);
    resign_bytes(&lab, &path, &signature, newer.as_bytes());
    refuses(&lab, 76, "TOO_NEW", &[]);
    let spaced = text.replacen("\",\n", "\", \n", 1);
    let (path, signature) = manifest_and_signature(&lab, 1);
    resign_bytes(&lab, &path, &signature, spaced.as_bytes());
    refuses(&lab, 65, "MANIFEST_MALFORMED", &[]);
}

/// Puts other bytes in a manifest's place, signed with the real key.
fn resign_bytes(lab: &Lab, path: &Path, signature: &Path, bytes: &[u8]) {
    use mimeograph_manifest::{digest::Digest, layout::Key};
    fs::remove_file(signature).unwrap();
    fs::write(path, bytes).unwrap();
    let key = key(lab);
    let name = Key::signature(number(1), &Digest::of(bytes), &key.public().id());
    fs::write(lab.path("store").join(name.to_string()), key.sign(bytes)).unwrap();
}

#[test]
fn a_store_that_went_back_is_a_rollback() {
    let lab = second_bundle();
    goes_on(&lab, 3);
    for path in papers(&lab, number(2)) {
        fs::remove_file(path).unwrap();
    }
    let before = super::Untouched::of(&lab);
    refused(&lab.populator(&["run"]), 81, "ROLLBACK", &["2"]);
    assert!(super::Untouched::of(&lab) == before);
}

#[test]
fn another_signed_manifest_for_a_known_place_is_a_fork() {
    let lab = second_bundle();
    goes_on(&lab, 3);
    resign(&lab, 2, |manifest| manifest.name = "another".into());
    let before = super::Untouched::of(&lab);
    refused(&lab.populator(&["run"]), 82, "FORK", &["2"]);
    assert!(super::Untouched::of(&lab) == before);
}

#[test]
fn a_bundle_whose_predecessor_is_missing_is_waited_for() {
    let lab = second_bundle();
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    let papers = papers(&lab, number(2));
    let kept: Vec<_> = papers.iter().map(|path| fs::read(path).unwrap()).collect();
    for path in &papers {
        fs::remove_file(path).unwrap();
    }
    waits(&lab);
    refused(&lab.populator(&["verify"]), 80, "GAP", &["2"]);
    for (path, bytes) in papers.iter().zip(kept) {
        fs::write(path, bytes).unwrap();
    }
    goes_on(&lab, 4);
}

#[test]
fn time_does_not_go_back() {
    let lab = second_bundle();
    goes_on(&lab, 3);
    let file = lab.path("disconnected/metadata/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    state["latest"] = serde_json::json!(clock::now().plus(SignedDuration::from_hours(2)));
    fs::write(&file, state.to_string()).unwrap();
    refused(&lab.populator(&["run"]), 87, "CLOCK", &[]);
}

#[test]
fn a_manifest_that_does_not_fit_the_one_before_is_malformed() {
    let changes: [&dyn Fn(&mut Manifest); 2] = [
        &|manifest| manifest.audience = vec!["harbour".into()],
        &|manifest| manifest.created = manifest.created.plus(SignedDuration::from_hours(-1)),
    ];
    for change in changes {
        let lab = second_bundle();
        let file = lab.path("disconnected.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}enclave: harbour\n")).unwrap();
        resign(&lab, 2, change);
        refuses(&lab, 65, "MANIFEST_MALFORMED", &["bundle 2", "before it"]);
    }
}

#[test]
fn a_stream_for_other_enclaves_goes_on_with_a_full_bundle() {
    let lab = first_bundle();
    for side in ["connected", "disconnected"] {
        let file = lab.path(&format!("{side}.yaml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            &file,
            format!("{text}enclave: harbour\nstream: {{ audience: [harbour] }}\n"),
        )
        .unwrap();
    }
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, number(2)).kind, Kind::Full);
    goes_on(&lab, 2);
}
