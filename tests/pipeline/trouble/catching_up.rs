//! The far side when something is missing or damaged: what can be applied is applied, what cannot is named, and nothing
//! that came once is believed to be there still.

use std::fs;
use std::path::PathBuf;

use mimeograph_manifest::inventory::ImageManifest;

use super::{arrives, configure, settled, settled_in_earnest};
use crate::lab::{Lab, done, refused};

/// The objects of one bundle's place: manifest and signatures.
fn papers(lab: &Lab, sequence: u64) -> Vec<PathBuf> {
    let of_bundle = format!("{sequence:010}.");
    let is_of = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&of_bundle)
    };
    lab.store_files().into_iter().filter(is_of).collect()
}

/// The objects of the chunks that no other bundle names.
fn own_chunks(lab: &Lab, sequence: u64) -> Vec<PathBuf> {
    let chunks = |sequence: u64| {
        let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
        let manifest = fs::read_to_string(path).unwrap_or_default();
        let stored = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("{\"stored\":\""));
        stored.map(|rest| rest[..64].to_owned()).collect::<Vec<_>>()
    };
    let others: Vec<_> = (1..20)
        .filter(|other| *other != sequence)
        .flat_map(chunks)
        .collect();
    let own = chunks(sequence)
        .into_iter()
        .filter(|chunk| !others.contains(chunk));
    own.map(|hex| lab.path(&format!("store/chunks/{}/{hex}", &hex[..2])))
        .collect()
}

/// Takes a bundle away as if it had never been carried.
fn lose(lab: &Lab, sequence: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let lost = own_chunks(lab, sequence)
        .into_iter()
        .chain(papers(lab, sequence));
    let taken = lost.map(|path| {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        (path, bytes)
    });
    taken.collect()
}

/// The connected side's store has it still.
fn bring_back(lost: Vec<(PathBuf, Vec<u8>)>) {
    for (path, bytes) in lost {
        fs::write(path, bytes).unwrap();
    }
}

/// Publishes what is asked for, and asks for one more image afterwards.
fn publish(lab: &Lab, next_image: u8) {
    done(&lab.bundler(&["run"]));
    lab.add_image(next_image);
}

/// The populator's result.
fn result(lab: &Lab) -> serde_json::Value {
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    ran.json()["result"].clone()
}

/// Nothing is waited for.
fn impatient(lab: &Lab) {
    configure(
        lab,
        "disconnected",
        "trust:\n",
        "trust:\n  waitAtMost: 0s\n",
    );
}

fn cache(lab: &Lab) -> PathBuf {
    lab.path("disconnected/bundle/2")
}

/// The blobs of the far cache, largest first.
fn cached_blobs(lab: &Lab) -> Vec<PathBuf> {
    let blobs = cache(lab).join(".oc-mirror/.cache/docker/registry/v2/blobs/sha256");
    let below = |folder: PathBuf| {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    let mut data: Vec<_> = below(blobs)
        .flat_map(below)
        .map(|blob| blob.join("data"))
        .filter(|path| path.exists())
        .collect();
    data.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    data
}

#[test]
fn several_deltas_are_one_load() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    publish(&lab, 5);
    done(&lab.bundler(&["run"]));
    let before = lab.oc_mirror_calls();
    let result = result(&lab);
    assert_eq!(result["applied"][0]["sequence"], 4, "{result}");
    assert_eq!(result["applied"][0]["merged"], serde_json::json!([2, 3]));
    assert_eq!(result["applied"].as_array().unwrap().len(), 1);
    // One load, and one dry run that tells where everything went.
    assert_eq!(lab.oc_mirror_calls() - before, 2);
    arrives(&lab, 5);
}

#[test]
fn a_lost_cache_is_filled_from_the_store() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    done(&lab.populator(&["run"]));
    done(&lab.bundler(&["run"]));
    fs::remove_dir_all(cache(&lab)).unwrap();
    let result = result(&lab);
    assert_eq!(
        result["applied"][0]["merged"],
        serde_json::json!([1, 2]),
        "{result}"
    );
    arrives(&lab, 4);
}

#[test]
fn a_cache_with_a_short_blob_or_a_changed_manifest_is_mended() {
    for change in ["short", "changed"] {
        let lab = settled_in_earnest();
        let blobs = cached_blobs(&lab);
        if change == "short" {
            fs::write(&blobs[0], "short").unwrap();
        } else {
            // The same size: an image manifest is hashed.
            let is_manifest =
                |path: &&PathBuf| ImageManifest::parse(&fs::read(path).unwrap()).is_some();
            let manifest = blobs
                .iter()
                .find(is_manifest)
                .expect("no manifest in the cache");
            let bytes = fs::read(manifest).unwrap();
            fs::write(manifest, bytes.to_ascii_uppercase()).unwrap();
        }
        done(&lab.bundler(&["run"]));
        let result = result(&lab);
        assert_eq!(
            result["applied"][0]["merged"],
            serde_json::json!([1]),
            "{change}: {result}"
        );
        arrives(&lab, 3);
    }
}

#[test]
fn what_a_failed_load_wrote_to_the_cache_is_not_believed() {
    let lab = settled();
    publish(&lab, 4);
    lab.play("VERSION=5.2\nMISBEHAVE=kill-self\n").unwrap();
    let ran = lab.populator(&["run"]);
    assert_ne!(ran.status, 0, "{ran}");
    lab.play(super::GOOD).unwrap();
    // A layer that it wrote has the right size and other bytes, as after a power cut.
    for blob in cached_blobs(&lab) {
        let bytes = fs::read(&blob).unwrap();
        if bytes == crate::lab::layer(3) {
            fs::write(&blob, vec![0; bytes.len()]).unwrap();
        }
    }
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run"]);
    done(&ran);
    for words in ["did not end well", "removed=1"] {
        assert!(ran.stderr.contains(words), "no `{words}`: {ran}");
    }
    arrives(&lab, 4);
}

#[test]
fn a_cache_that_neither_store_nor_itself_can_mend_is_a_gap_that_a_full_bundle_closes() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    fs::remove_dir_all(cache(&lab)).unwrap();
    lose(&lab, 1);
    let waiting = result(&lab);
    assert_eq!(waiting["waiting"]["sequence"], 1, "{waiting}");
    impatient(&lab);
    let words = ["bundle 1 is missing", "cache does not hold", "--full"];
    refused(&lab.populator(&["run"]), 80, "GAP", &words);
    refused(&lab.populator(&["plan"]), 80, "GAP", &words);
    done(&lab.bundler(&["run", "--full"]));
    let result = result(&lab);
    assert_eq!(result["applied"][0]["sequence"], 3, "{result}");
    assert_eq!(result["skipped"], serde_json::json!([2]));
    arrives(&lab, 4);
}

#[test]
fn a_lost_delta_is_a_gap_that_names_what_to_run() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    done(&lab.bundler(&["run"]));
    let lost = lose(&lab, 2);
    impatient(&lab);
    let words = [
        "bundle 2 is missing, which bundle 3 builds on",
        "--since-sequence 1",
    ];
    refused(&lab.populator(&["run"]), 80, "GAP", &words);
    bring_back(lost);
    done(&lab.bundler(&["run", "--since-sequence", "1"]));
    lose(&lab, 2);
    let result = result(&lab);
    assert_eq!(result["applied"][0]["sequence"], 4, "{result}");
    assert_eq!(result["skipped"], serde_json::json!([3]));
    arrives(&lab, 4);
}

#[test]
fn a_lost_delta_is_not_hidden_by_a_later_heartbeat() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["run"]));
    lose(&lab, 2);
    impatient(&lab);
    let words = [
        "bundle 2 is missing, which bundle 3 builds on",
        "--since-sequence 1",
    ];
    refused(&lab.populator(&["run"]), 80, "GAP", &words);
}

#[test]
fn a_damaged_bundle_does_not_hold_up_the_one_that_mends_it() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    for chunk in own_chunks(&lab, 2) {
        let bytes = fs::read(&chunk).unwrap();
        fs::write(&chunk, vec![0; bytes.len()]).unwrap();
    }
    refused(&lab.populator(&["run"]), 65, "CHUNK_DAMAGED", &["damaged"]);
    done(&lab.bundler(&["run", "--full"]));
    // The full one repaired what it needs of it, or needs nothing of it: nothing of bundle 2 is asked for.
    for path in papers(&lab, 2) {
        fs::remove_file(path).unwrap();
    }
    let result = result(&lab);
    assert_eq!(result["applied"][0]["sequence"], 3, "{result}");
    arrives(&lab, 3);
}

#[test]
fn what_is_whole_is_applied_although_the_newest_is_damaged() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    done(&lab.bundler(&["run"]));
    let damaged = own_chunks(&lab, 3);
    for chunk in &damaged {
        let bytes = fs::read(chunk).unwrap();
        fs::write(chunk, vec![0; bytes.len()]).unwrap();
    }
    refused(&lab.populator(&["run"]), 65, "CHUNK_DAMAGED", &["damaged"]);
    let sent = lab.source.digest_of("apps/3", "v1");
    assert_eq!(lab.target.digest_of("mirror/apps/3", "v1"), sent);
    let listed = lab.populator(&["list"]);
    assert!(listed.stdout.contains("applied"), "{listed}");
}

#[test]
fn an_old_bundle_is_loaded_again_only_where_that_is_asked_for() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let old = lab.source.digest_of("apps/1", "v1");
    lab.source
        .put_image("apps/1", "v1", &[crate::lab::layer(9)]);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let new = lab.source.digest_of("apps/1", "v1");
    let target = || lab.target.digest_of("mirror/apps/1", "v1");
    assert_eq!(target(), new);

    let words = ["below bundle 2", "--allow-rollback"];
    refused(
        &lab.populator(&["run", "--sequence", "1"]),
        81,
        "ROLLBACK",
        &words,
    );
    assert_eq!(target(), new);
    done(&lab.populator(&["run", "--sequence", "1", "--allow-rollback"]));
    assert_eq!(target(), old);
    let says_so = |arguments: &[&str]| {
        let ran = lab.populator(arguments);
        let is_said =
            ran.stdout.contains("set back to bundle 1") && ran.stdout.contains("run --sequence 2");
        (ran, is_said)
    };
    let (ran, is_said) = says_so(&["run"]);
    done(&ran);
    assert!(ran.stdout.contains("nothing to do") && is_said, "{ran}");
    for command in ["check", "list", "plan"] {
        let (ran, is_said) = says_so(&[command]);
        assert!(is_said, "{ran}");
    }
    let words = ["set back to bundle 1", "run --sequence 2"];
    refused(&lab.populator(&["retired"]), 81, "ROLLBACK", &words);
    done(&lab.populator(&["run", "--sequence", "2"]));
    assert_eq!(target(), new);
    let (ran, is_said) = says_so(&["run"]);
    done(&ran);
    assert!(!is_said, "{ran}");
    refused(
        &lab.populator(&["run", "--sequence", "7"]),
        66,
        "INPUT_MISSING",
        &["bundle 7"],
    );
}

#[test]
fn a_tag_that_moved_back_is_a_delta_and_moves_back_there_too() {
    let lab = Lab::new();
    let old = [crate::lab::layer(0), crate::lab::layer(1)];
    done(&lab.bundler(&["run"]));
    lab.source
        .put_image("apps/1", "v1", &[crate::lab::layer(9)]);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    lab.source.put_image("apps/1", "v1", &old);
    done(&lab.bundler(&["run"]));
    let result = result(&lab);
    assert_eq!(result["applied"][0]["kind"], "delta", "{result}");
    arrives(&lab, 2);
}

#[test]
fn a_plan_tells_what_a_run_will_do_and_changes_nothing() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    done(&lab.bundler(&["run"]));
    let before = crate::user::tree(&lab.path("disconnected"));
    let plan = lab.populator(&["plan", "--output", "json"]);
    done(&plan);
    let plan = plan.json()["result"].clone();
    assert_eq!(
        (&plan["load"], &plan["merge"]),
        (&3.into(), &serde_json::json!([2])),
        "{plan}"
    );
    let names: Vec<_> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name.contains("apps/4")),
        "{names:?}"
    );
    assert!(
        plan["cacheBytes"].as_u64().unwrap() > 0 && plan["fetchBytes"].as_u64().unwrap() > 0,
        "{plan}"
    );
    let said = lab.populator(&["plan"]);
    assert!(
        said.stdout.contains("bundle 2: its blobs go into"),
        "{said}"
    );
    assert!(
        crate::user::tree(&lab.path("disconnected")) == before,
        "something changed"
    );
    done(&lab.populator(&["run"]));
    let said = lab.populator(&["plan"]);
    assert!(
        said.stdout.contains("nothing to do: bundle 3 is applied"),
        "{said}"
    );
}

#[test]
fn the_cache_is_trimmed_of_what_nothing_builds_on_and_of_nothing_else() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let trim = |arguments: &[&str]| {
        let ran = lab.populator(&[&["cache", "--output", "json"], arguments].concat());
        done(&ran);
        ran.json()["result"]["otherBlobs"].as_u64().unwrap()
    };
    assert_eq!(trim(&["--trim"]), 0, "all of it is needed");
    lab.ask_for(&["apps/2:v1", "apps/3:v1"]).unwrap();
    done(&lab.bundler(&["run", "--full"]));
    done(&lab.populator(&["run"]));
    let before = cached_blobs(&lab).len() as u64;
    let others = trim(&[]);
    assert!(others > 0);
    assert_eq!(trim(&["--trim"]), others);
    assert_eq!(cached_blobs(&lab).len() as u64, before - others);
    assert_eq!(trim(&[]), 0);
    // The next delta builds on what is left.
    lab.source.put_image(
        "apps/4",
        "v1",
        &[crate::lab::layer(0), crate::lab::layer(4)],
    );
    lab.ask_for(&["apps/2:v1", "apps/3:v1", "apps/4:v1"])
        .unwrap();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let sent = lab.source.digest_of("apps/4", "v1");
    assert_eq!(lab.target.digest_of("mirror/apps/4", "v1"), sent);
}

#[test]
fn nothing_is_trimmed_where_it_cannot_be_told_what_is_needed() {
    let lab = Lab::new();
    refused(
        &lab.populator(&["cache", "--trim"]),
        66,
        "INPUT_MISSING",
        &["nothing was applied"],
    );
    let lab = settled_in_earnest();
    fs::remove_dir_all(lab.path("disconnected/metadata/inventories")).unwrap();
    refused(
        &lab.populator(&["cache", "--trim"]),
        83,
        "STATE_LOST",
        &["bundle 1", "--full"],
    );
}

#[test]
fn a_record_of_our_own_that_cannot_be_read_does_not_have_an_older_bundle_loaded() {
    let lab = settled_in_earnest();
    publish(&lab, 4);
    lab.source
        .put_image("apps/1", "v1", &[crate::lab::layer(9)]);
    done(&lab.bundler(&["run"]));
    let new = lab.source.digest_of("apps/1", "v1");
    fs::write(lab.path("disconnected/metadata/placed.json"), "{").unwrap();
    let words = ["placed.json"];
    refused(&lab.populator(&["run"]), 65, "STATE_DAMAGED", &words);
    assert_eq!(lab.target.digest_of("mirror/apps/1", "v1"), new);
    fs::remove_file(lab.path("disconnected/metadata/placed.json")).unwrap();
    arrives(&lab, 4);
}
