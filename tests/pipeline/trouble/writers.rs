//! Two bundlers on one stream: one publishes a number, the other says so and goes on from there.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::upkeep::{
    as_sealed, ask, chunks_of, journal, large_lab, manifest, names, second, second_host, sequences,
    serves, set_journal,
};
use crate::lab::{Lab, done, refused};
use crate::user::tree;

/// Two hosts that both know bundle 1.
fn two_hosts() -> Lab {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    second_host(&lab);
    done(&second(&lab, &["run"]));
    assert_eq!(sequences(&lab), [1, 2]);
    done(&lab.bundler(&["run"]));
    assert_eq!(sequences(&lab), [1, 2, 3]);
    lab
}

/// Leaves the second host with archives that it has mirrored and not published.
fn mirrored_there(lab: &Lab) {
    let store = format!("dir:{}", lab.path("elsewhere").display());
    let mut copy = Command::new("cp");
    copy.args(["-a", "store", "elsewhere"])
        .current_dir(lab.path(""));
    assert!(copy.status().unwrap().success());
    // A store that takes no new chunk.
    for n in 0..=255_u8 {
        let path = lab.path(&format!("elsewhere/chunks/{n:02x}"));
        if !path.exists() {
            fs::write(path, "in the way").unwrap();
        }
    }
    let ran = second(lab, &["run", "--full", "--store", &store]);
    assert_ne!(ran.status, 0, "{ran}");
    assert_eq!(journal(lab, "second")["stage"]["at"], "mirrored", "{ran}");
    assert!(lab.path("second/bundle/4/mirror_000001.tar").exists());
}

#[test]
fn what_a_host_mirrored_before_another_published_is_dropped_and_mirrored_anew() {
    let lab = two_hosts();
    ask(&lab, &[1, 2, 3]);
    mirrored_there(&lab);
    ask(&lab, &[1, 2, 4]);
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3, 4]);
    let ran = second(&lab, &["run"]);
    done(&ran);
    assert!(
        ran.stderr.contains("another bundler has published"),
        "{ran}"
    );
    assert_eq!(sequences(&lab), [1, 2, 3, 4, 5]);
    assert_eq!(manifest(&lab, 5)["requires"]["sequence"], 4);
    serves(&lab, &[1, 2, 3, 4]);
    done(&lab.populator(&["verify"]));
}

#[test]
fn a_heartbeat_of_another_host_does_not_cost_what_was_mirrored() {
    let lab = two_hosts();
    ask(&lab, &[1, 2, 3]);
    mirrored_there(&lab);
    ask(&lab, &[1, 2]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 4)["kind"], "heartbeat");
    ask(&lab, &[1, 2, 3]);
    let ran = second(&lab, &["run"]);
    done(&ran);
    assert!(ran.stderr.contains("shipped first"), "{ran}");
    assert_eq!(manifest(&lab, 5)["kind"], "full");
    serves(&lab, &[1, 2, 3]);
}

/// The second host published bundle 4 to a copy of the store, was killed before it knew, and meanwhile another bundle 4
/// was published here.
fn sealed_there(lab: &Lab) {
    ask(lab, &[1, 2, 3]);
    let (store, copy) = (lab.path("store"), lab.path("copy"));
    let mut command = Command::new("cp");
    command
        .args(["-a", "store", "copy"])
        .current_dir(lab.path(""));
    assert!(command.status().unwrap().success());
    let elsewhere = format!("dir:{}", copy.display());
    done(&second(lab, &["run", "--store", &elsewhere]));
    // The helper reads the store.
    let aside = lab.path("aside");
    fs::rename(&store, &aside).unwrap();
    fs::rename(&copy, &store).unwrap();
    as_sealed(lab, "second", 4);
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&aside, &store).unwrap();
    ask(lab, &[1, 2, 4]);
    done(&lab.bundler(&["run"]));
}

#[test]
fn a_sealed_bundle_whose_number_was_taken_is_dropped_and_what_it_held_is_published_anew() {
    let lab = two_hosts();
    sealed_there(&lab);
    let taken = fs::read(lab.path("store/manifests/0000000004.json")).unwrap();
    ask(&lab, &[1, 2, 3, 4]);
    let ran = second(&lab, &["run"]);
    done(&ran);
    assert!(ran.stderr.contains("bundle 4"), "{ran}");
    assert_eq!(
        fs::read(lab.path("store/manifests/0000000004.json")).unwrap(),
        taken
    );
    assert_eq!(sequences(&lab), [1, 2, 3, 4, 5]);
    assert_eq!(manifest(&lab, 5)["requires"]["sequence"], 4);
    // Image 3, of which that host's oc-mirror thought that it was shipped, is there.
    serves(&lab, &[1, 2, 3, 4]);
    done(&lab.populator(&["verify"]));
}

#[test]
fn nothing_that_was_kept_of_a_lost_bundle_is_believed_of_the_one_that_has_its_number() {
    let lab = two_hosts();
    sealed_there(&lab);
    let folder = lab.path("second/metadata");
    for kept in [
        "history/0000000004",
        "inventories/0000000004.json",
        "watched/0000000004.json",
    ] {
        assert!(folder.join(kept).exists(), "{kept}");
    }
    // The image set is that of the bundle that was lost: nothing would be new.
    ask(&lab, &[1, 2, 3]);
    done(&second(&lab, &["run"]));
    assert_eq!(manifest(&lab, 5)["kind"], "delta");
    let mut watched: Value =
        serde_json::from_slice(&fs::read(folder.join("watched/0000000005.json")).unwrap()).unwrap();
    assert!(watched["bundle"].take().is_string());
    assert!(!folder.join("watched/0000000004.json").exists());
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn a_host_that_began_a_stream_which_another_published_first_takes_that_one_up() {
    let lab = large_lab();
    second_host(&lab);
    lab.play("VERSION=5.2\nMISBEHAVE=exit=1\n").unwrap();
    assert_ne!(second(&lab, &["run"]).status, 0);
    lab.play(super::GOOD).unwrap();
    done(&lab.bundler(&["run"]));
    let stream = journal(&lab, "connected")["stream"].clone();
    assert_ne!(journal(&lab, "second")["stream"], stream);
    ask(&lab, &[1, 2, 3]);
    done(&second(&lab, &["run"]));
    assert_eq!(journal(&lab, "second")["stream"], stream);
    assert_eq!(manifest(&lab, 2)["requires"]["sequence"], 1);
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn of_two_hosts_at_once_one_publishes_a_number_and_the_other_says_so_and_goes_on() {
    let lab = two_hosts();
    ask(&lab, &[1, 2, 3]);
    let start = |side: &str| {
        let mut command = lab.command(&lab.programs().bundler, side, &["run"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let both = [start("connected"), start("second")];
    let mut failed = 0;
    for child in both {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {}
            Some(82) => {
                failed += 1;
                assert!(said.contains("by another bundler first"), "{said}");
            }
            other => panic!("{other:?}: {said}"),
        }
    }
    assert!(failed < 2);
    // Whoever lost goes on.
    ask(&lab, &[1, 2, 3, 4]);
    done(&second(&lab, &["run"]));
    done(&lab.bundler(&["run"]));
    let numbers = sequences(&lab);
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    serves(&lab, &[1, 2, 3, 4]);
    done(&lab.populator(&["verify"]));
}

#[test]
fn a_bundle_that_counted_on_chunks_which_another_host_drops_gets_them_back() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    serves(&lab, &[1, 2]);
    ask(&lab, &[2, 3]);
    done(&lab.bundler(&["run", "--full"]));
    // The second host ships image 1 again, counting on what bundle 1 names, and is killed when its bundle is sealed.
    second_host(&lab);
    ask(&lab, &[1, 2, 3]);
    done(&second(&lab, &["run"]));
    let of_three = chunks_of(&lab, 3);
    as_sealed(&lab, "second", 3);
    for name in names(&lab, "manifests") {
        if name.starts_with("0000000003.") {
            fs::remove_file(lab.path("store/manifests").join(name)).unwrap();
        }
    }
    // Its archives wait, as at that moment.
    fs::rename(lab.path("second/bundle/6"), lab.path("second/bundle/4")).unwrap();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    let there = names(&lab, "chunks");
    assert!(
        of_three.difference(&there).count() > 0,
        "nothing of it was dropped"
    );
    let before = tree(&lab.path("store/pruned"));
    done(&second(&lab, &["run"]));
    assert!(of_three.is_subset(&names(&lab, "chunks")));
    assert!(tree(&lab.path("store/pruned")) == before);
    done(&lab.bundler(&["check-store"]));
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn a_bundle_of_another_stream_that_our_key_signed_does_not_stand_in_for_one_of_ours() {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 2)["requires"]["sequence"], 1);
    // Somebody copies another stream's first bundle over it.
    second_host(&lab);
    fs::create_dir(lab.path("elsewhere")).unwrap();
    let store = format!("dir:{}", lab.path("elsewhere").display());
    ask(&lab, &[4, 5]);
    done(&second(&lab, &["run", "--store", &store]));
    for name in names(&lab, "manifests") {
        if name.starts_with("0000000001.") {
            fs::remove_file(lab.path("store/manifests").join(name)).unwrap();
        }
    }
    let mut copy = Command::new("cp");
    copy.args(["-a", "elsewhere/.", "store"])
        .current_dir(lab.path(""));
    assert!(copy.status().unwrap().success());
    ask(&lab, &[1, 2, 3, 4, 5]);
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("of another stream"), "{ran}");
    assert_eq!(manifest(&lab, 3)["kind"], "full", "{ran}");
}

#[test]
fn a_real_fork_is_refused() {
    let lab = two_hosts();
    sealed_there(&lab);
    // As if that host had seen its bundle 4 published.
    let mut known = journal(&lab, "second");
    let taken = manifest(&lab, 4);
    known["stage"] = serde_json::json!({ "at": "idle" });
    known["head"] = serde_json::json!({
        "link": { "sequence": 4, "sha256": "0".repeat(64) }, "created": taken["created"],
    });
    set_journal(&lab, "second", &known);
    refused(&second(&lab, &["run"]), 82, "FORK", &["bundle 4"]);
}
