//! What `oc-mirror` says of itself, and what is made of it.

use std::fs;

use mimeograph_tests::registry::gzip;

use super::{GOOD, all_arrives, arrives, configure, fails_and_loses_nothing, settled};
use crate::lab::{done, refused};
use crate::user::tree;

#[test]
fn a_partial_run_that_ends_with_0_is_not_published() {
    fails_and_loses_nothing(
        &settled(),
        "VERSION=4.17\nMISBEHAVE=partial-exit-0\n",
        86,
        "PARTIAL",
        &["apps/3:v1", "--allow-partial"],
    );
}

#[test]
fn a_partial_run_that_is_allowed_says_so_on_both_sides() {
    let lab = settled();
    lab.play("VERSION=4.17\nMISBEHAVE=partial-exit-0\n")
        .unwrap();
    let ran = lab.bundler(&["run", "--allow-partial", "--output", "json"]);
    done(&ran);
    let incomplete = &ran.json()["result"]["incomplete"];
    assert!(
        incomplete[0]["reference"]
            .as_str()
            .unwrap()
            .contains("apps/3:v1"),
        "{ran}"
    );
    assert!(ran.stderr.contains("PARTIAL BUNDLE"), "{ran}");

    // There the image fails again, which is no surprise.
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(
        ran.stderr.contains("PARTIAL BUNDLE") && ran.stderr.contains("apps/3"),
        "{ran}"
    );
    assert!(lab.target.digest_of("mirror/apps/3", "v1").is_none());
    all_arrives(&lab, 3);
}

#[test]
fn a_partial_run_without_an_archive_cannot_be_allowed() {
    let lab = settled();
    let before = tree(&lab.path("store"));
    lab.play("VERSION=5.2\nMISBEHAVE=bitmask\n").unwrap();
    for arguments in [&["run"][..], &["run", "--allow-partial"]] {
        refused(
            &lab.bundler(arguments),
            86,
            "PARTIAL",
            &["apps/3:v1", "hint"],
        );
    }
    assert!(tree(&lab.path("store")) == before);
    all_arrives(&lab, 3);
}

#[test]
fn what_may_pass_is_tried_again_with_less_at_once() {
    let lab = settled();
    configure(&lab, "connected", "retries: 0", "retries: 1");
    lab.play("VERSION=5.2\nMISBEHAVE=transient\n").unwrap();
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(
        ran.stderr.contains("trying again with less at once"),
        "{ran}"
    );
    let gentle: Vec<bool> = super::calls(&lab)
        .iter()
        .filter(|call| super::argument(call, "--from").is_none())
        .map(|call| call.to_string().contains("--parallel-images=2"))
        .collect();
    assert_eq!(gentle, [false, false, true]);
    arrives(&lab, 3);
}

#[test]
fn an_image_that_was_left_out_without_a_word_is_missed() {
    fails_and_loses_nothing(
        &settled(),
        "VERSION=5.2\nMISBEHAVE=drop-image\n",
        84,
        "IMAGESET_UNSATISFIED",
        &["apps/3:v1"],
    );
}

#[test]
fn archives_that_are_not_what_they_should_be_are_not_signed() {
    let lab = settled();
    for (misdeed, id) in [
        ("no-end-marker", "ARCHIVE_DAMAGED"),
        ("truncated", "ARCHIVE_DAMAGED"),
        ("corrupt-blob", "ARCHIVE_DAMAGED"),
        ("swap-manifest", "ARCHIVE_DAMAGED"),
        ("traversal-entry", "ARCHIVE_ENTRY_REFUSED"),
        ("foreign-entry", "ARCHIVE_ENTRY_REFUSED"),
    ] {
        // Chunks may be there that nobody names: blobs are hashed on their way.
        let manifests = lab.path("store/manifests");
        let before = tree(&manifests);
        lab.play(&format!("VERSION=5.2\nMISBEHAVE={misdeed}\n"))
            .unwrap();
        refused(&lab.bundler(&["run"]), 65, id, &["mirror_00000"]);
        assert!(tree(&manifests) == before, "{misdeed}");
    }
    all_arrives(&lab, 3);
}

#[test]
fn a_blob_of_several_chunks_must_be_what_it_is_named_as_a_whole() {
    let lab = settled();
    let settings = "transfer: { chunkSize: 1MiB }\nsigning:";
    configure(&lab, "connected", "signing:", settings);
    let layers = [gzip(&vec![7; 5 << 20])];
    lab.source.put_image("apps/3", "v1", &layers);
    let manifests = lab.path("store/manifests");
    let before = tree(&manifests);
    lab.play("VERSION=5.2\nMISBEHAVE=corrupt-blob\n").unwrap();
    let words = ["mirror_000001.tar", "a blob named", "run again"];
    let history = lab.path("connected/bundle/1/working-dir/.history");
    let recorded = || -> Vec<String> {
        let entries = fs::read_dir(&history).unwrap();
        entries
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect()
    };
    let before_run = recorded();
    refused(&lab.bundler(&["run"]), 65, "ARCHIVE_DAMAGED", &words);
    // `oc-mirror`'s record is set back at once.
    assert_eq!(recorded(), before_run);
    assert!(tree(&manifests) == before);
    all_arrives(&lab, 3);
}

#[test]
fn the_childs_own_status_is_never_ours() {
    let lab = settled();
    for (misdeed, status, id) in [
        ("panic", 84, "OC_MIRROR_FAILED"),
        ("exit=1", 84, "OC_MIRROR_FAILED"),
        ("exit=64", 84, "OC_MIRROR_FAILED"),
        ("kill-self", 85, "OC_MIRROR_UNFINISHED"),
        ("kill-self-packing", 85, "OC_MIRROR_UNFINISHED"),
        ("no-space", 73, "NO_SPACE"),
    ] {
        let before = tree(&lab.path("store"));
        lab.play(&format!("VERSION=5.2\nMISBEHAVE={misdeed}\n"))
            .unwrap();
        let ran = lab.bundler(&["run"]);
        refused(&ran, status, id, &["oc-mirror"]);
        assert!(tree(&lab.path("store")) == before, "{misdeed}");
    }
    all_arrives(&lab, 3);
}

#[test]
fn much_output_is_passed_on_and_harms_nobody() {
    let lab = settled();
    lab.play("VERSION=5.2\nMISBEHAVE=noisy\nNOISE=20000\n")
        .unwrap();
    let ran = lab.bundler(&["run"]);
    done(&ran);
    let lines = ran
        .stderr
        .lines()
        .filter(|line| line.contains("oc-mirror: "))
        .count();
    assert!(lines >= 20_000, "{lines}");
    assert!(!ran.stderr.contains('\u{1b}'), "colour codes");
    arrives(&lab, 3);
}

#[test]
fn a_load_that_brings_nothing_is_found_out() {
    for (misdeed, id) in [
        ("d2m-exit-0-nothing", "TARGET_MISMATCH"),
        ("d2m-wrong-digest", "TARGET_MISMATCH"),
    ] {
        let lab = settled();
        done(&lab.bundler(&["run"]));
        lab.play(&format!("VERSION=5.2\nMISBEHAVE={misdeed}\n"))
            .unwrap();
        refused(&lab.populator(&["run"]), 84, id, &["apps/3:v1"]);
        let ran = lab.populator(&["list"]);
        assert!(
            !ran.stdout.lines().last().unwrap().contains("applied"),
            "{ran}"
        );
        lab.play(GOOD).unwrap();
        arrives(&lab, 3);
    }
}

#[test]
fn a_load_that_fails_moves_nothing_and_is_done_again() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    let state = || {
        let bytes = std::fs::read(lab.path("disconnected/metadata/state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        state["bundles"].clone()
    };
    let before = state();
    for (misdeed, status) in [
        ("bitmask", 86),
        ("panic", 84),
        ("exit=1", 84),
        ("kill-self", 85),
    ] {
        lab.play(&format!("VERSION=5.2\nMISBEHAVE={misdeed}\n"))
            .unwrap();
        let ran = lab.populator(&["run"]);
        assert_eq!(ran.status, status, "{misdeed}: {ran}");
        assert!(state() == before, "{misdeed}");
    }
    lab.play(GOOD).unwrap();
    arrives(&lab, 3);
}
