//! What becomes of a store that loses things, is emptied, or is another one.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::configure;
use super::upkeep::{
    as_sealed, ask, chunk, chunks_of, journal, large_lab, manifest, names, sent, sequences, serves,
};
use crate::lab::{Lab, done, refused};
use crate::user::{run, tree};

#[test]
fn a_full_bundle_ships_only_what_the_store_lacks() {
    let lab = large_lab();
    let first = sent(&lab, &[]);
    ask(&lab, &[1, 2, 3]);
    let ran = lab.bundler(&["run", "--full", "--output", "json"]);
    done(&ran);
    let second = &ran.json()["result"];
    let (all, new) = (
        manifest(&lab, 2)["files"][0]["size"].as_u64().unwrap(),
        second["bytesSent"].as_u64().unwrap(),
    );
    // Three layers of 1.2 MB are in it, and one of them is new.
    assert!(all > 3_600_000 && first > 2_400_000, "{ran}");
    assert!((1_200_000..1_300_000).contains(&new), "{ran}");
    // And of a third, in which nothing is new, not even one layer.
    let third = sent(&lab, &["--full"]);
    assert!(third < 50_000, "{third}");
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn a_full_bundle_trusts_no_listing() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    let largest = chunks_of(&lab, 1)
        .into_iter()
        .map(|name| chunk(&lab, &name));
    let largest = largest.max_by_key(|path| path.metadata().unwrap().len());
    let path = largest.unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, vec![0; whole.len()]).unwrap();
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    assert!(fs::read(&path).unwrap() != whole, "a delta does not look");
    done(&lab.bundler(&["run", "--full"]));
    assert!(fs::read(&path).unwrap() == whole, "a full bundle does");
    fs::write(&path, vec![0; whole.len()]).unwrap();
    ask(&lab, &[1, 2, 3, 4]);
    done(&lab.bundler(&["run", "--since-sequence", "1"]));
    done(&lab.bundler(&["run", "--full"]));
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3, 4]);
}

/// A transport takes away all that lies in the store.
fn drain(lab: &Lab) {
    let mut copy = Command::new("cp");
    copy.args(["-a", "store/.", "far"])
        .current_dir(lab.path(""));
    done(&run(copy));
    fs::remove_dir_all(lab.path("store")).unwrap();
    fs::create_dir(lab.path("store")).unwrap();
}

fn with_a_transport() -> Lab {
    let lab = large_lab();
    fs::create_dir(lab.path("far")).unwrap();
    let store = lab.path("store").display().to_string();
    let far = lab.path("far").display().to_string();
    configure(&lab, "disconnected", &store, &far);
    lab
}

#[test]
fn a_store_that_a_transport_empties_goes_on_from_what_is_kept_here() {
    let lab = with_a_transport();
    let folder = format!("directory: {}", lab.path("store").display());
    configure(
        &lab,
        "connected",
        &folder,
        &format!("{folder}\n  drained: true"),
    );
    let words = ["no journal", "--first"];
    refused(&lab.bundler(&["run"]), 83, "STATE_LOST", &words);
    done(&lab.bundler(&["run", "--first"]));
    drain(&lab);
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 2)["requires"]["sequence"], 1);
    drain(&lab);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 3)["kind"], "heartbeat");
    drain(&lab);
    ask(&lab, &[1, 2, 3, 4]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 4)["requires"]["sequence"], 2);
    done(&lab.bundler(&["check-store"]));
    drain(&lab);
    // A full bundle holds everything, whatever was carried before.
    assert!(sent(&lab, &["--full"]) > 4_000_000);
    drain(&lab);
    serves(&lab, &[1, 2, 3, 4]);
    done(&lab.populator(&["verify"]));
}

#[test]
fn a_store_without_our_bundle_is_refused_unless_all_is_sent_again() {
    let lab = with_a_transport();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    drain(&lab);
    ask(&lab, &[1, 2, 3, 4]);
    let words = ["bundle 2", "store.drained", "--resend"];
    refused(&lab.bundler(&["run"]), 83, "STATE_LOST", &words);
    refused(
        &lab.bundler(&["prune", "--keep-full", "1"]),
        83,
        "STATE_LOST",
        &words,
    );
    assert!(sent(&lab, &["--full", "--resend"]) > 4_000_000);
    assert_eq!(sequences(&lab), [3]);
    assert_eq!(manifest(&lab, 3)["previous"]["sequence"], 2);
    // From then on the store is ours again.
    done(&lab.bundler(&["run"]));
    drain(&lab);
    serves(&lab, &[1, 2, 3, 4]);
}

#[test]
fn what_is_sent_again_replaces_what_lies_there() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    let before = names(&lab, "chunks");
    for name in &before {
        let path = chunk(&lab, name);
        let size = fs::read(&path).unwrap().len();
        fs::write(path, vec![0; size]).unwrap();
    }
    assert!(sent(&lab, &["--full", "--resend"]) > 2_400_000);
    for name in chunks_of(&lab, 2) {
        let bytes = fs::read(chunk(&lab, &name)).unwrap();
        assert_eq!(
            mimeograph_manifest::digest::Digest::of(&bytes).to_string(),
            name
        );
    }
}

#[test]
fn every_missing_or_damaged_object_is_named_and_mended_from_the_last_archives() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run", "--full"]));
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 3)["kind"], "heartbeat");
    let ran = lab.bundler(&["check-store"]);
    done(&ran);
    assert!(ran.stdout.contains("3 bundles"), "{ran}");
    serves(&lab, &[1, 2, 3]);
    // Every chunk of the last bundle with content, in turn missing, short, damaged.
    let chunks: Vec<_> = chunks_of(&lab, 2).into_iter().collect();
    for (n, name) in chunks.iter().enumerate() {
        let path = chunk(&lab, name);
        let bytes = fs::read(&path).unwrap();
        match n % 3 {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::write(&path, &bytes[1..]).unwrap(),
            _ => fs::write(&path, vec![7; bytes.len()]).unwrap(),
        }
    }
    let papers = lab.path("store/manifests");
    fs::remove_file(papers.join("0000000001.json")).unwrap();
    fs::remove_file(papers.join("0000000003.json")).unwrap();
    let signature = names(&lab, "manifests");
    let signature = signature
        .iter()
        .find(|name| name.starts_with("0000000002.") && name.strip_suffix(".sig").is_some());
    fs::write(papers.join(signature.unwrap()), [0; 64]).unwrap();
    let before = tree(&lab.path("store"));
    let ran = lab.bundler(&["check-store", "--output", "json"]);
    refused(
        &ran,
        65,
        "STORE_DAMAGED",
        &["2 objects", "0000000002.json", "--repair"],
    );
    assert!(
        tree(&lab.path("store")) == before,
        "looking changed something"
    );
    let ran = lab.bundler(&["check-store", "--repair", "--output", "json"]);
    // Bundle 1 is on no chain that is kept here, and is needed by none.
    refused(&ran, 65, "STORE_DAMAGED", &["1 objects", "0000000001.json"]);
    let problems = ran.json()["result"].as_array().unwrap().clone();
    let named: BTreeSet<_> = problems
        .iter()
        .map(|problem| {
            problem["object"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    for name in &chunks {
        assert!(named.contains(name), "{name}: {ran}");
        let bytes = fs::read(chunk(&lab, name)).unwrap();
        assert_eq!(
            &mimeograph_manifest::digest::Digest::of(&bytes).to_string(),
            name
        );
    }
    let left: Vec<_> = problems
        .iter()
        .filter(|one| one["repaired"] == false)
        .collect();
    assert_eq!(left.len(), 1, "{ran}");
    assert!(papers.join("0000000003.json").exists());
    done(&lab.bundler(&["run"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn what_the_last_archives_do_not_hold_cannot_be_mended() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    let old = &chunks_of(&lab, 1) - &chunks_of(&lab, 2);
    let lost = old.first().unwrap();
    fs::remove_file(chunk(&lab, lost)).unwrap();
    let ran = lab.bundler(&["check-store", "--repair"]);
    refused(&ran, 65, "STORE_DAMAGED", &[lost, "run --full"]);
    done(&lab.bundler(&["run", "--full"]));
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    done(&lab.bundler(&["check-store"]));
}

#[test]
fn archives_are_kept_until_the_next_bundle_is_sealed() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    let (waiting, sent) = (
        lab.path("connected/bundle/4"),
        lab.path("connected/bundle/6"),
    );
    let archive = fs::read(sent.join("mirror_000001.tar")).unwrap();
    assert!(!waiting.exists());
    // Not by a heartbeat, nor by a run that fails.
    done(&lab.bundler(&["run"]));
    assert!(fs::read(sent.join("mirror_000001.tar")).unwrap() == archive);
    ask(&lab, &[1, 2, 3]);
    lab.play("VERSION=5.2\nMISBEHAVE=exit=1\n").unwrap();
    assert_ne!(lab.bundler(&["run"]).status, 0);
    assert!(fs::read(sent.join("mirror_000001.tar")).unwrap() == archive);
    lab.play(super::GOOD).unwrap();
    done(&lab.bundler(&["run"]));
    assert!(fs::read(sent.join("mirror_000001.tar")).unwrap() != archive);
    assert!(!waiting.exists());
}

/// Bundle 2 is sealed, and the bundler was killed before it knew that it was published. Its archives wait.
fn sealed() -> Lab {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    as_sealed(&lab, "connected", 2);
    fs::rename(
        lab.path("connected/bundle/6"),
        lab.path("connected/bundle/4"),
    )
    .unwrap();
    lab
}

fn remove_papers(lab: &Lab, sequence: u64) {
    for name in names(lab, "manifests") {
        if name.starts_with(&format!("{sequence:010}.")) {
            fs::remove_file(lab.path("store/manifests").join(name)).unwrap();
        }
    }
}

fn remove_new_chunks(lab: &Lab) {
    for name in &chunks_of(lab, 2) - &chunks_of(lab, 1) {
        fs::remove_file(chunk(lab, &name)).unwrap();
    }
}

#[test]
fn a_sealed_bundle_is_published_with_exactly_its_bytes() {
    for published in [true, false] {
        let lab = sealed();
        let bytes = fs::read(lab.path("store/manifests/0000000002.json")).unwrap();
        if !published {
            remove_papers(&lab, 2);
        }
        done(&lab.bundler(&["run"]));
        assert_eq!(
            fs::read(lab.path("store/manifests/0000000002.json")).unwrap(),
            bytes
        );
        assert_eq!(manifest(&lab, 3)["kind"], "heartbeat");
        assert_eq!(journal(&lab, "connected")["stage"]["at"], "idle");
        serves(&lab, &[1, 2, 3]);
    }
}

#[test]
fn a_sealed_bundle_gets_lost_chunks_back_from_its_archives_before_it_is_published() {
    let lab = sealed();
    let chunks = chunks_of(&lab, 2);
    remove_new_chunks(&lab);
    remove_papers(&lab, 2);
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("sent again"), "{ran}");
    assert!(chunks.is_subset(&names(&lab, "chunks")));
    assert_eq!(manifest(&lab, 2)["kind"], "delta");
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn a_sealed_bundle_whose_chunks_are_lost_for_good_is_mirrored_anew() {
    let lab = sealed();
    remove_new_chunks(&lab);
    remove_papers(&lab, 2);
    fs::remove_dir_all(lab.path("connected/bundle/4")).unwrap();
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("lost for good"), "{ran}");
    assert_eq!(sequences(&lab), [1, 2]);
    assert_eq!(manifest(&lab, 2)["kind"], "delta");
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn after_a_published_bundle_whose_chunks_are_lost_for_good_comes_a_full_one() {
    let lab = sealed();
    remove_new_chunks(&lab);
    fs::remove_dir_all(lab.path("connected/bundle/4")).unwrap();
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("will be a full one"), "{ran}");
    assert_eq!(manifest(&lab, 3)["kind"], "full");
    serves(&lab, &[1, 2, 3]);
}
