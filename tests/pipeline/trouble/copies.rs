//! The second copy of the state counts by its own signatures alone, is absent only where that is sure, and its
//! troubles are known before anything is loaded.

use std::fs;

use mimeograph_manifest::limits;
use mimeograph_populator::registry::artifact::Pulled;
use mimeograph_populator::registry::{Registry, Tls};
use serde_json::Value;

use super::{arrives, configure, settled};
use crate::commands::everything;
use crate::lab::{Lab, done, refused};

const REPOSITORY: &str = "mirror/mimeograph-state";

fn target(lab: &Lab) -> Registry {
    Registry::open(&lab.target_host, Tls::Skip, b"").unwrap()
}

/// The stream's id, as the ledger has it.
fn stream(lab: &Lab) -> String {
    let state = fs::read(lab.path("disconnected/metadata/state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    state["stream"].as_str().unwrap().to_owned()
}

/// What is kept, heartbeat and all, as JSON.
fn read_copy(lab: &Lab, stream: &str) -> Vec<Value> {
    let limit = limits::STATE_STORED_SIZE;
    match target(lab).pull_files(REPOSITORY, stream, limit).unwrap() {
        Pulled::Files(parts) => {
            let part = |part: &Vec<u8>| zstd::decode_all(&**part).unwrap();
            let lines = parts.iter().map(part);
            lines
                .map(|line| serde_json::from_slice(&line).unwrap())
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

fn write_copy(lab: &Lab, stream: &str, copy: &Value) {
    let bytes = zstd::encode_all(format!("{copy}\n").as_bytes(), 3).unwrap();
    let pushed = target(lab).push_files(REPOSITORY, stream, &[("content", &bytes)]);
    pushed.unwrap();
}

fn lose_volume(lab: &Lab) {
    fs::remove_dir_all(lab.path("disconnected/metadata")).unwrap();
}

#[test]
fn a_copy_is_a_plain_image_that_every_registry_takes() {
    let lab = settled();
    let stream = stream(&lab);
    let copy = &read_copy(&lab, &stream)[0];
    assert_eq!(copy["type"], "application/vnd.mimeograph.state.v1+json");
    assert_eq!(copy["stream"], *stream);
    let destinations = copy["destinations"].as_array().unwrap();
    assert_eq!(destinations.len(), 2, "{copy}");
    let of = lab.target.tags();
    let tags: Vec<_> = of.keys().filter(|name| name.contains("state")).collect();
    assert_eq!(tags, [&format!("{REPOSITORY}:{stream}")]);
}

#[test]
fn a_copy_that_somebody_changed_counts_for_nothing_and_is_mended() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("manifest", |copy| {
            let manifest = copy["content"]["manifest"].as_str().unwrap();
            let later = manifest.replace("\"sequence\":1,", "\"sequence\":7,");
            copy["content"]["manifest"] = later.into();
            copy["content"]["sequence"] = 7.into();
        }),
        ("inventory", |copy| {
            let inventory = copy["inventory"].as_str().unwrap();
            copy["inventory"] = inventory.replace("apps/1", "apps/9").into();
        }),
        ("is not one", |copy| copy["more"] = 1.into()),
        ("something else", |copy| copy["type"] = "text/plain".into()),
    ];
    for (word, change) in changes {
        let lab = settled();
        let stream = stream(&lab);
        let good = read_copy(&lab, &stream);
        let mut copy = good[0].clone();
        change(&mut copy);
        write_copy(&lab, &stream, &copy);
        let checked = lab.populator(&["check"]);
        done(&checked);
        assert!(checked.stdout.contains("it does not count"), "{checked}");
        fs::rename(lab.path("disconnected/metadata"), lab.path("kept")).unwrap();
        let ran = lab.populator(&["run"]);
        refused(&ran, 83, "STATE_LOST", &["second copy", word]);
        lose_volume(&lab);
        fs::rename(lab.path("kept"), lab.path("disconnected/metadata")).unwrap();
        done(&lab.bundler(&["run"]));
        let ran = lab.populator(&["run"]);
        done(&ran);
        assert!(ran.stderr.contains("does not count"), "{ran}");
        assert_ne!(read_copy(&lab, &stream), good);
        lose_volume(&lab);
        let ran = lab.populator(&["run"]);
        done(&ran);
        assert!(ran.stdout.contains("bundle 2 is applied"), "{ran}");
    }
}

#[test]
fn a_copy_by_a_newer_program_is_not_written_over() {
    let lab = settled();
    let stream = stream(&lab);
    let newer = serde_json::json!({ "type": "application/vnd.mimeograph.state.v2+json" });
    write_copy(&lab, &stream, &newer);
    done(&lab.bundler(&["run"]));
    let calls = lab.oc_mirror_calls();
    let words = ["is newer than this program", &stream];
    refused(&lab.populator(&["run"]), 76, "TOO_NEW", &words);
    refused(&lab.populator(&["check"]), 76, "TOO_NEW", &["state copy"]);
    lose_volume(&lab);
    refused(&lab.populator(&["run"]), 76, "TOO_NEW", &words);
    assert_eq!(lab.oc_mirror_calls(), calls);
    assert_eq!(read_copy(&lab, &stream), [newer]);
}

#[test]
fn another_image_under_the_tag_is_no_copy() {
    let lab = settled();
    let stream = stream(&lab);
    lose_volume(&lab);
    let strange = |words: &str| {
        refused(
            &lab.populator(&["run"]),
            83,
            "STATE_LOST",
            &["second copy", words],
        );
    };
    let image = lab
        .target
        .put_image(REPOSITORY, &stream, &[b"one".to_vec()]);
    strange("not a tar");
    let many = [[0_u8; 1]; 9].map(|layer| layer.to_vec());
    lab.target.put_image(REPOSITORY, &stream, &many);
    strange("not an image of few layers");
    lab.target.put_index(REPOSITORY, &stream, &[image]);
    strange("not an image of few layers");
}

#[test]
fn a_heartbeat_leaves_what_is_large_as_it_is() {
    let lab = settled();
    let stream = stream(&lab);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let layers = |lab: &Lab| {
        let manifest = lab.target.manifest(REPOSITORY, &stream).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().clone()
    };
    let before = layers(&lab);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let after = layers(&lab);
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(after[0]["digest"], before[0]["digest"]);
    assert!(after[1]["size"].as_u64().unwrap() < 8192, "{after:?}");
    assert_eq!(read_copy(&lab, &stream)[1]["sequence"], 3);
    lose_volume(&lab);
    fs::remove_file(lab.path("store/manifests/0000000003.json")).unwrap();
    let words = ["newest bundle is 2", "3 was accepted"];
    refused(&lab.populator(&["run"]), 81, "ROLLBACK", &words);
}

#[test]
fn a_copy_in_a_folder_is_read_within_a_bound() {
    let lab = Lab::new();
    let folder = lab.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    let state = format!("state: {{ copy: {} }}\ntrust:\n", folder.display());
    configure(&lab, "disconnected", "trust:\n", &state);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let copy = folder.join(format!("{}.mimeograph-state", stream(&lab)));
    let checked = lab.populator(&["check"]);
    done(&checked);
    assert!(checked.stdout.contains(copy.to_str().unwrap()), "{checked}");
    let file = fs::File::options().write(true).open(&copy).unwrap();
    file.set_len(limits::STATE_STORED_SIZE + 1).unwrap();
    lose_volume(&lab);
    let words = ["second copy", "too long"];
    refused(&lab.populator(&["run"]), 83, "STATE_LOST", &words);
    // A folder that is not there is not one without a copy: the mount may have failed.
    fs::remove_dir_all(&folder).unwrap();
    refused(
        &lab.populator(&["run"]),
        66,
        "INPUT_MISSING",
        &["elsewhere", "state.copy"],
    );
    refused(
        &lab.populator(&["check"]),
        66,
        "INPUT_MISSING",
        &["state copy"],
    );
}

#[test]
fn only_a_registry_that_says_so_has_no_copy() {
    for (status, exit, id, words) in [
        (500, 69, "REGISTRY_UNREACHABLE", ["mimeograph-state", "500"]),
        (
            401,
            77,
            "REGISTRY_FORBIDDEN",
            ["state.copy: PATH", "state.copy: none"],
        ),
        (
            403,
            77,
            "REGISTRY_FORBIDDEN",
            ["state.copy: PATH", "state.copy: none"],
        ),
    ] {
        let lab = Lab::new();
        done(&lab.bundler(&["run"]));
        lab.target.refuse("GET", REPOSITORY, status);
        let before = lab.target.snapshot();
        refused(&lab.populator(&["run"]), exit, id, &words);
        refused(&lab.populator(&["check"]), exit, id, &["state copy"]);
        assert_eq!(lab.oc_mirror_calls(), 1, "only the bundler's");
        assert!(lab.target.snapshot() == before, "the target changed");
        lab.target.refuse_nothing();
        lab.target.refuse("GET", REPOSITORY, 404);
        let ran = lab.populator(&["run"]);
        done(&ran);
        assert!(ran.stderr.contains("FIRST RUN"), "{ran}");
    }
}

#[test]
fn a_registry_that_takes_no_copy_is_known_before_anything_is_loaded() {
    for (method, part, status) in [
        ("POST", "mimeograph-state/blobs/uploads", 403),
        ("POST", "mimeograph-state/blobs/uploads", 405),
        ("PATCH", "mimeograph-state/blobs/uploads", 413),
    ] {
        let lab = Lab::new();
        done(&lab.bundler(&["run"]));
        lab.target.refuse(method, part, status);
        let words = ["mimeograph-state", "state.copy: PATH"];
        refused(&lab.populator(&["run"]), 77, "REGISTRY_FORBIDDEN", &words);
        assert_eq!(lab.oc_mirror_calls(), 1, "only the bundler's");
        lab.target.refuse_nothing();
        arrives(&lab, 2);
    }
}

#[test]
fn a_copy_that_could_not_be_written_is_written_by_the_next_run() {
    let lab = settled();
    let stream = stream(&lab);
    done(&lab.bundler(&["run"]));
    lab.target
        .refuse("PUT", &format!("{REPOSITORY}/manifests"), 403);
    let words = ["mimeograph-state", "state.copy: PATH"];
    refused(&lab.populator(&["run"]), 77, "REGISTRY_FORBIDDEN", &words);
    assert_eq!(read_copy(&lab, &stream)[0]["content"]["sequence"], 1);
    lab.target.refuse_nothing();
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stdout.contains("bundle 2 is applied"), "{ran}");
    assert_eq!(read_copy(&lab, &stream)[0]["content"]["sequence"], 2);
}

#[test]
fn tags_are_listed_page_by_page() {
    let lab = Lab::new();
    for n in 0..230 {
        lab.target
            .put_image("many", &format!("t{n:03}"), &[b"a".to_vec()]);
    }
    assert_eq!(target(&lab).tags("many").unwrap().len(), 230);
    assert!(target(&lab).tags("none").unwrap().is_empty());
}

#[test]
fn check_says_where_the_copy_is_and_changes_nothing() {
    let lab = Lab::new();
    let line = |lab: &Lab| {
        let before = everything(lab);
        let checked = lab.populator(&["check"]);
        done(&checked);
        assert!(everything(lab) == before, "{checked}");
        let mut lines = checked.stdout.lines();
        let line = lines.find(|line| line.contains("state copy"));
        line.unwrap().to_owned()
    };
    let place = format!("{}/{REPOSITORY}", lab.target_host);
    assert!(line(&lab).contains(&place));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let after = line(&lab);
    let place = format!("{place}:{}, bundle 1 is applied", stream(&lab));
    assert!(after.contains(&place), "{after}");
}
