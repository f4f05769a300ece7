//! What the bundler knows of its stream, lost, old, or not its own.

use std::fs;
use std::path::Path;

use super::{arrives, configure, settled};
use crate::lab::{Lab, done, refused};

/// Kind of a published bundle, and what it requires.
fn kind(lab: &Lab, sequence: u64) -> (String, Option<u64>) {
    let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let kind = manifest["kind"].as_str().unwrap().to_owned();
    (kind, manifest["requires"]["sequence"].as_u64())
}

fn delta_on(sequence: u64) -> (String, Option<u64>) {
    ("delta".to_owned(), Some(sequence))
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn a_bundler_that_lost_its_volumes_goes_on_from_the_store() {
    let lab = settled();
    fs::remove_dir_all(lab.path("connected")).unwrap();
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("no journal"), "{ran}");
    assert_eq!(kind(&lab, 2), delta_on(1));
    arrives(&lab, 3);
}

#[test]
fn a_bundler_with_an_old_volume_goes_on_from_the_store() {
    let lab = settled();
    copy(&lab.path("connected/metadata"), &lab.path("old"));
    done(&lab.bundler(&["run"]));
    fs::remove_dir_all(lab.path("connected/metadata")).unwrap();
    copy(&lab.path("old"), &lab.path("connected/metadata"));
    lab.add_image(4);
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("ahead of the journal"), "{ran}");
    assert_eq!(kind(&lab, 3), delta_on(2));
    arrives(&lab, 4);
}

#[test]
fn what_is_kept_here_is_believed_only_where_the_store_says_the_same() {
    let lab = settled();
    for folder in ["history", "inventories"] {
        let folder = lab.path("connected/metadata").join(folder);
        for entry in fs::read_dir(folder).unwrap().flatten() {
            fs::write(
                entry.path(),
                "2026-01-01T00:00:00Z\nnot what was published\n",
            )
            .unwrap();
        }
    }
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 2), delta_on(1));
    arrives(&lab, 3);
}

#[test]
fn where_the_store_has_lost_the_records_too_the_next_bundle_is_full() {
    let lab = settled();
    fs::remove_dir_all(lab.path("connected")).unwrap();
    let manifest = fs::read(lab.path("store/manifests/0000000001.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let history = files.iter().find(|file| file["role"] == "history").unwrap();
    let stored = history["chunks"][0]["stored"].as_str().unwrap();
    let chunk = lab
        .store_files()
        .into_iter()
        .find(|path| path.ends_with(stored));
    fs::remove_file(chunk.unwrap()).unwrap();
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 2), ("full".to_owned(), None));
    arrives(&lab, 3);
}

#[test]
fn a_bundle_can_hold_all_that_came_after_another() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    lab.add_image(5);
    done(&lab.bundler(&["run", "--since-sequence", "1"]));
    assert_eq!(kind(&lab, 3), delta_on(2));
    assert_eq!(kind(&lab, 4), delta_on(1));
    // What lay between is not needed.
    for sequence in [2, 3] {
        let of_bundle = format!("{sequence:010}.");
        for path in lab.store_files() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(&of_bundle) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    arrives(&lab, 5);
    let words = ["bundle 9", "`list` shows"];
    refused(
        &lab.bundler(&["run", "--since-sequence", "9"]),
        66,
        "INPUT_MISSING",
        &words,
    );
}

#[test]
fn a_run_in_which_nothing_changed_publishes_a_heartbeat() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    let ran = lab.bundler(&["run"]);
    done(&ran);
    let heartbeat = ("heartbeat".to_owned(), Some(2));
    assert_eq!(kind(&lab, 3), heartbeat, "{ran}");
    assert!(
        ran.stdout.contains("nothing changed since bundle 2"),
        "{ran}"
    );
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 4), heartbeat);
    arrives(&lab, 3);
    // What comes after builds on the last content, and is as whole as if there had been no heartbeat.
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 5), delta_on(2));
    arrives(&lab, 4);
    done(&lab.populator(&["verify"]));
}

#[test]
fn a_changed_image_set_is_no_heartbeat_even_where_it_brings_no_blob() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    let imageset = fs::read_to_string(lab.path("imageset.yaml")).unwrap();
    fs::write(lab.path("imageset.yaml"), format!("{imageset}# a word\n")).unwrap();
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 3), delta_on(2));
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 4), ("heartbeat".to_owned(), Some(3)));
    arrives(&lab, 3);
}

#[test]
fn after_a_lost_volume_nothing_counts_as_unchanged() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    fs::remove_dir_all(lab.path("connected/metadata")).unwrap();
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 3), delta_on(2));
    arrives(&lab, 3);
}

#[test]
fn a_chain_is_as_long_as_the_configuration_lets_it() {
    let lab = settled();
    configure(
        &lab,
        "connected",
        "artefacts:\n",
        "bundle: { fullEvery: 2 }\nartefacts:\n",
    );
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 2), delta_on(1));
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 3), ("full".to_owned(), None));
    lab.add_image(5);
    done(&lab.bundler(&["run"]));
    assert_eq!(kind(&lab, 4), delta_on(3));
    arrives(&lab, 5);
}
