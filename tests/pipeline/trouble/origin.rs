//! What the populator knows of its stream, lost or old: a lost volume never passes for a first run.

use std::fs;
use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;

use super::state::copy;
use super::{arrives, configure, settled, settled_in_earnest};
use crate::lab::{Lab, done, refused};

fn remove(path: &Path) {
    fs::remove_dir_all(path).unwrap();
}

/// The digest of a published manifest.
fn digest(lab: &Lab, sequence: u64) -> String {
    let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
    Digest::of(&fs::read(path).unwrap()).to_string()
}

fn mark(lab: &Lab) -> serde_json::Value {
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    ran.json()["result"]["mark"].clone()
}

#[test]
fn a_populator_that_lost_its_volume_goes_on_from_the_second_copy() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    let ran = lab.populator(&["run"]);
    done(&ran);
    for word in [
        "STATE LOST",
        "still has all of it",
        "nothing to do: bundle 2 is applied",
    ] {
        assert!(format!("{ran}").contains(word), "no `{word}`: {ran}");
    }
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    // The cache stands for all that the delta builds on: nothing older is fetched.
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let applied = &ran.json()["result"]["applied"][0];
    assert_eq!(
        (&applied["sequence"], &applied["merged"]),
        (&3.into(), &serde_json::json!([]))
    );
    arrives(&lab, 4);
}

#[test]
fn a_populator_that_lost_everything_loads_the_chain_again() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected"));
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let applied = &ran.json()["result"]["applied"][0];
    assert_eq!(applied["merged"], serde_json::json!([1, 2]), "{ran}");
    arrives(&lab, 4);
}

#[test]
fn a_target_that_lost_an_image_gets_it_again_after_a_lost_volume() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    assert!(lab.target.remove("mirror/apps/3", "v1"));
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("it is loaded again"), "{ran}");
    assert!(ran.stdout.contains("applied bundle 2"), "{ran}");
    arrives(&lab, 3);
}

#[test]
fn a_lost_volume_does_not_let_an_old_store_pass_for_a_new_one() {
    let lab = settled_in_earnest();
    copy(&lab.path("store"), &lab.path("old-store"));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    remove(&lab.path("store"));
    copy(&lab.path("old-store"), &lab.path("store"));
    let before = lab.target.tags();
    refused(
        &lab.populator(&["run"]),
        81,
        "ROLLBACK",
        &["newest bundle is 1", "2 was accepted"],
    );
    assert_eq!(lab.target.tags(), before);
}

#[test]
fn an_old_volume_is_brought_up_to_what_the_second_copy_knows() {
    let lab = settled_in_earnest();
    copy(&lab.path("disconnected/metadata"), &lab.path("old"));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    copy(&lab.path("old"), &lab.path("disconnected/metadata"));
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("STATE LOST"), "{ran}");
    assert!(ran.stdout.contains("bundle 2 is applied"), "{ran}");
}

#[test]
fn without_a_second_copy_a_first_run_must_be_said_to_be_one() {
    let lab = Lab::new();
    configure(
        &lab,
        "disconnected",
        "trust:\n",
        "state: { copy: none }\ntrust:\n",
    );
    done(&lab.bundler(&["run"]));
    refused(
        &lab.populator(&["run"]),
        83,
        "STATE_LOST",
        &["state.copy", "--first"],
    );
    assert_eq!(lab.oc_mirror_calls(), 1, "only the bundler's");
    done(&lab.populator(&["run", "--first"]));
    arrives(&lab, 2);
    remove(&lab.path("disconnected/metadata"));
    refused(
        &lab.populator(&["run"]),
        83,
        "STATE_LOST",
        &["state.copy", "--first"],
    );
}

#[test]
fn a_second_copy_in_a_folder_is_one_too() {
    let lab = Lab::new();
    let folder = lab.path("elsewhere");
    let state = format!("state: {{ copy: {} }}\ntrust:\n", folder.display());
    configure(&lab, "disconnected", "trust:\n", &state);
    done(&lab.bundler(&["run"]));
    refused(
        &lab.populator(&["run"]),
        66,
        "INPUT_MISSING",
        &["elsewhere"],
    );
    fs::create_dir(&folder).unwrap();
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("STATE LOST"), "{ran}");
    assert!(ran.stdout.contains("bundle 1 is applied"), "{ran}");
}

#[test]
fn a_second_copy_that_is_gone_is_written_again() {
    let lab = settled_in_earnest();
    let copies = |lab: &Lab| {
        lab.target
            .tags()
            .into_iter()
            .filter(|(name, _)| name.contains("mimeograph-state"))
            .count()
    };
    assert_eq!(copies(&lab), 1);
    let tags = lab.target.tags();
    let name = tags
        .keys()
        .find(|name| name.contains("mimeograph-state"))
        .unwrap();
    let (repository, tag) = name.rsplit_once(':').unwrap();
    assert!(lab.target.remove(repository, tag));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    assert_eq!(copies(&lab), 1);
}

/// Signs all manifests with another key, and trusts that one instead.
fn change_keys(lab: &Lab) {
    let keys = lab.path("other-keys");
    done(&lab.bundler(&["keygen", "--out", &keys.display().to_string()]));
    let pem = fs::read_to_string(keys.join("signing.pem")).unwrap();
    let key = SigningKey::from_pem(&pem).unwrap();
    for entry in fs::read_dir(lab.path("store/manifests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(Key::Manifest(sequence)) = Key::parse(&format!("manifests/{name}")) else {
            continue;
        };
        let bytes = fs::read(&path).unwrap();
        let signature = Key::signature(sequence, &Digest::of(&bytes), &key.public().id());
        fs::write(
            lab.path("store").join(signature.to_string()),
            key.sign(&bytes),
        )
        .unwrap();
    }
    configure(
        lab,
        "disconnected",
        "keys/signing.pub.pem",
        "other-keys/signing.pub.pem",
    );
}

#[test]
fn a_second_copy_that_no_trusted_key_signed_stops_a_first_run_until_a_person_decides() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    change_keys(&lab);
    refused(
        &lab.populator(&["run"]),
        83,
        "STATE_LOST",
        &["second copy", "adopt SEQUENCE"],
    );
    let (right, wrong) = (digest(&lab, 2), digest(&lab, 1));
    let adopt =
        |sequence, sha256: &str| lab.populator(&["adopt", sequence, "--manifest-sha256", sha256]);
    refused(&adopt("2", &wrong), 82, "FORK", &["bundle 2", &right]);
    refused(&adopt("9", &right), 66, "INPUT_MISSING", &["bundle 9"]);
    done(&adopt("2", &right));
    assert_eq!(mark(&lab), 2);
    let state = fs::read_to_string(lab.path("disconnected/metadata/state.json")).unwrap();
    assert!(
        state.contains("adopted") && state.contains(&right),
        "{state}"
    );
    refused(&adopt("1", &wrong), 81, "ROLLBACK", &["below bundle 2"]);
}

#[test]
fn an_adopted_bundle_is_built_on() {
    let lab = settled_in_earnest();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    done(&lab.populator(&["adopt", "2", "--manifest-sha256", &digest(&lab, 2)]));
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let applied = &ran.json()["result"]["applied"][0];
    assert_eq!(applied["merged"], serde_json::json!([]), "{ran}");
    arrives(&lab, 4);
}

#[test]
fn a_new_enclave_joins_at_a_full_bundle() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    lab.add_image(4);
    done(&lab.bundler(&["run", "--full"]));
    lab.add_image(5);
    done(&lab.bundler(&["run"]));
    fs::remove_file(lab.path("store/manifests/0000000001.json")).unwrap();
    refused(
        &lab.populator(&["run"]),
        80,
        "GAP",
        &["bundle 1 is not in the store", "--join"],
    );
    refused(
        &lab.populator(&["plan"]),
        80,
        "GAP",
        &["bundle 1 is not in the store", "--join"],
    );
    let join = |sequence, sha256: &str| {
        lab.populator(&["run", "--join", sequence, "--manifest-sha256", sha256])
    };
    refused(
        &join("2", &digest(&lab, 2)),
        64,
        "USAGE",
        &["bundle 2 is no full bundle"],
    );
    refused(&join("3", &digest(&lab, 2)), 82, "FORK", &["bundle 3"]);
    refused(
        &join("8", &digest(&lab, 2)),
        66,
        "INPUT_MISSING",
        &["bundle 8"],
    );
    let ran = join("3", &digest(&lab, 3));
    done(&ran);
    assert!(ran.stdout.contains("applied bundle 4"), "{ran}");
    arrives(&lab, 5);
    refused(
        &join("3", &digest(&lab, 3)),
        64,
        "USAGE",
        &["followed here already"],
    );
    // A lost volume does not make it a stranger.
    remove(&lab.path("disconnected/metadata"));
    refused(
        &join("3", &digest(&lab, 3)),
        64,
        "USAGE",
        &["followed here already"],
    );
}

#[test]
fn a_join_that_has_to_wait_is_remembered() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["run", "--full"]));
    fs::remove_file(lab.path("store/manifests/0000000001.json")).unwrap();
    let chunks = lab.path("store/chunks");
    fs::rename(&chunks, lab.path("chunks-on-their-way")).unwrap();
    let ran = lab.populator(&["run", "--join", "2", "--manifest-sha256", &digest(&lab, 2)]);
    done(&ran);
    assert!(ran.stdout.contains("waiting for bundle 2"), "{ran}");
    fs::rename(lab.path("chunks-on-their-way"), &chunks).unwrap();
    arrives(&lab, 2);
}

#[test]
fn a_store_that_is_empty_is_not_taken_for_one_without_news() {
    let lab = settled_in_earnest();
    fs::rename(lab.path("store"), lab.path("unmounted")).unwrap();
    fs::create_dir(lab.path("store")).unwrap();
    let words = ["no bundle in the store", "1 was accepted", "mounted"];
    refused(&lab.populator(&["run"]), 81, "ROLLBACK", &words);
    refused(&lab.populator(&["plan"]), 81, "ROLLBACK", &words);
}

#[test]
fn a_second_copy_that_is_gone_is_written_again_even_where_nothing_is_new() {
    let lab = settled_in_earnest();
    let tags = lab.target.tags();
    let name = tags
        .keys()
        .find(|name| name.contains("mimeograph-state"))
        .unwrap();
    let (repository, tag) = name.rsplit_once(':').unwrap();
    assert!(lab.target.remove(repository, tag));
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("it is written again"), "{ran}");
    assert!(lab.target.tags().contains_key(name));
}

#[test]
fn an_old_volume_does_not_make_the_second_copy_older() {
    let lab = settled_in_earnest();
    copy(&lab.path("store"), &lab.path("old-store"));
    copy(&lab.path("disconnected/metadata"), &lab.path("old"));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    copy(&lab.path("old"), &lab.path("disconnected/metadata"));
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    // With a heartbeat told since, and the volume lost for good, an old store is still known for one.
    remove(&lab.path("disconnected/metadata"));
    remove(&lab.path("store"));
    copy(&lab.path("old-store"), &lab.path("store"));
    refused(&lab.populator(&["run"]), 81, "ROLLBACK", &["was accepted"]);
}

#[test]
fn what_stood_for_a_chain_gives_way_where_it_is_not_enough() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    lab.source.put_image(
        "apps/3",
        "v1",
        &[crate::lab::layer(0), crate::lab::layer(3)],
    );
    lab.ask_for(&["apps/1:v1", "apps/3:v1"]).unwrap();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    // The cache loses what only bundle 1 brought, and the state is lost.
    let mut folders = vec![lab.path("disconnected/bundle/2")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if fs::read(entry.path()).unwrap() == crate::lab::layer(2) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    remove(&lab.path("disconnected/metadata"));
    done(&lab.populator(&["run"]));
    lab.ask_for(&["apps/1:v1", "apps/2:v1", "apps/3:v1"])
        .unwrap();
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let applied = &ran.json()["result"]["applied"][0];
    assert_eq!(applied["merged"], serde_json::json!([1]), "{ran}");
    arrives(&lab, 3);
}

#[test]
fn a_restored_bundle_whose_load_fails_is_still_built_on() {
    let lab = settled();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    remove(&lab.path("disconnected/metadata"));
    done(&lab.populator(&["run"]));
    lab.play("VERSION=5.2\nMISBEHAVE=exit=1\n").unwrap();
    let ran = lab.populator(&["run", "--sequence", "2"]);
    assert_eq!(ran.status, 84, "{ran}");
    lab.play(super::GOOD).unwrap();
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    arrives(&lab, 4);
}
