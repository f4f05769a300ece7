//! Retention on both sides: what may go goes, what is needed stays, and nothing that comes back is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use mimeograph_tests::s3::S3Server;

use super::configure;
use super::upkeep::{
    ask, chunk, chunks_of, journal, large_lab, manifest, names, sent, sequences, serves,
    set_journal,
};
use crate::lab::{Lab, done, refused};
use crate::user::{run, tree};

/// A full bundle of images 1 and 2, a delta with 3, a full one of 2 and 3, a delta with 4.
fn four_bundles() -> Lab {
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    ask(&lab, &[1, 2, 3]);
    done(&lab.bundler(&["run"]));
    ask(&lab, &[2, 3]);
    done(&lab.bundler(&["run", "--full"]));
    ask(&lab, &[2, 3, 4]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 3)["kind"], "full");
    assert_eq!(manifest(&lab, 4)["kind"], "delta");
    lab
}

fn union(lab: &Lab, bundles: &[u64]) -> BTreeSet<String> {
    bundles.iter().flat_map(|n| chunks_of(lab, *n)).collect()
}

/// The far side's own store, as a transport brought it.
fn carried(lab: &Lab) {
    let mut copy = Command::new("cp");
    copy.args(["-a", "store", "far"]).current_dir(lab.path(""));
    done(&run(copy));
    configure(
        lab,
        "disconnected",
        &lab.path("store").display().to_string(),
        &lab.path("far").display().to_string(),
    );
}

fn far_chunks(lab: &Lab) -> BTreeSet<String> {
    let names = crate::user::names(&lab.path("far/chunks"));
    names
        .iter()
        .map(|name| name.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[test]
fn old_bundles_go_and_what_kept_ones_name_stays() {
    let lab = four_bundles();
    let (old, kept) = (union(&lab, &[1, 2]), union(&lab, &[3, 4]));
    assert!(old.intersection(&kept).count() > 0, "nothing is shared");
    assert!(old.difference(&kept).count() > 0, "nothing would go");
    let before = tree(&lab.path("store"));
    let planned = lab.bundler(&["prune", "--keep-full", "1", "--dry-run", "--output", "json"]);
    done(&planned);
    assert!(
        tree(&lab.path("store")) == before,
        "a dry run changed something"
    );
    let ran = lab.bundler(&["prune", "--keep-full", "1", "--output", "json"]);
    done(&ran);
    assert_eq!(planned.json()["result"], ran.json()["result"]);
    assert_eq!(planned.json()["outcome"], "planned");
    let result = &ran.json()["result"];
    assert_eq!(result["bundles"], serde_json::json!([1, 2]));
    assert_eq!(result["chunks"], old.difference(&kept).count());
    assert!(result["bytes"].as_u64().unwrap() > 1_000_000, "{ran}");
    assert_eq!(sequences(&lab), [3, 4]);
    assert_eq!(names(&lab, "chunks"), kept);
    assert_eq!(names(&lab, "manifests").len(), 4, "signatures are left");
    // The stream goes on, and what is left is whole for one who comes to it now.
    done(&lab.populator(&["verify"]));
    done(&lab.bundler(&["check-store"]));
    ask(&lab, &[2, 3, 4, 5]);
    done(&lab.bundler(&["run"]));
    assert_eq!(manifest(&lab, 5)["requires"]["sequence"], 4);
    let again = lab.bundler(&["prune", "--keep-full", "1", "--output", "json"]);
    done(&again);
    assert_eq!(again.json()["outcome"], "nothing to do");
}

#[test]
fn one_who_has_applied_what_was_dropped_goes_on_and_one_who_has_not_is_told_what_is_missing() {
    let lab = four_bundles();
    let config = fs::read_to_string(lab.path("disconnected.yaml")).unwrap();
    let config = config.replace("/disconnected/", "/other/");
    let config = config.replace(
        &format!("{}/mirror", lab.target_host),
        &format!("{}/other", lab.target_host),
    );
    fs::write(lab.path("other.yaml"), config).unwrap();
    serves(&lab, &[2, 3, 4]);
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    ask(&lab, &[2, 3, 4, 5]);
    done(&lab.bundler(&["run"]));
    serves(&lab, &[2, 3, 4, 5]);
    let late = run(lab.command(&lab.programs().populator, "other", &["run"]));
    refused(&late, 80, "GAP", &["bundle 1", "--join"]);
}

#[test]
fn a_list_of_what_goes_is_signed_and_can_be_read_by_hand() {
    let lab = four_bundles();
    let gone = &union(&lab, &[1, 2]) - &union(&lab, &[3, 4]);
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    let list = fs::read(lab.path("store/pruned/0000000001.json")).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let listed = list["chunks"].as_array().unwrap().iter();
    let listed: BTreeSet<_> = listed
        .map(|chunk| chunk["stored"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, gone);
    assert_eq!(list["manifests"][1]["sequence"], 2);
    let output = crate::papers::by_hand(&lab, "Verifying a list of what is dropped by hand");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("bundle 1\nbundle 2\n"), "{said}");
}

#[test]
fn so_many_full_bundles_and_so_many_days_are_kept() {
    let lab = four_bundles();
    for arguments in [
        &["prune", "--keep-full", "2"][..],
        &["prune", "--keep-full", "9"],
        &["prune", "--keep-full", "1", "--keep-days", "1"],
    ] {
        let ran = lab.bundler(arguments);
        done(&ran);
        assert!(ran.stdout.contains("nothing is to be dropped"), "{ran}");
    }
    assert_eq!(sequences(&lab), [1, 2, 3, 4]);
    for wrong in [&["prune"][..], &["prune", "--keep-full", "0"]] {
        assert_eq!(lab.bundler(wrong).status, 64);
    }
    done(&lab.bundler(&["prune", "--keep-full", "1", "--keep-days", "0"]));
    assert_eq!(sequences(&lab), [3, 4]);
}

#[test]
fn a_kept_bundle_keeps_what_it_requires() {
    let lab = four_bundles();
    ask(&lab, &[2, 3, 4, 5]);
    done(&lab.bundler(&["run", "--since-sequence", "1"]));
    assert_eq!(manifest(&lab, 5)["requires"]["sequence"], 1);
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert_eq!(sequences(&lab), [1, 3, 4, 5]);
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[2, 3, 4, 5]);
}

#[test]
fn what_was_dropped_and_comes_back_is_sent_again_and_stays() {
    let lab = four_bundles();
    serves(&lab, &[2, 3, 4]);
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    // Image 1 went with bundle 1.
    ask(&lab, &[1, 2, 3]);
    assert!(sent(&lab, &["--full"]) > 1_000_000);
    done(&lab.bundler(&["check-store"]));
    // Its chunks are on the first list, and now they are needed.
    done(&lab.bundler(&["prune", "--keep-full", "2"]));
    done(&lab.bundler(&["check-store"]));
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert_eq!(sequences(&lab), [5]);
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn a_run_that_was_killed_is_finished_by_the_next_and_nothing_counts_on_what_is_listed() {
    let lab = four_bundles();
    serves(&lab, &[2, 3, 4]);
    let mut copy = Command::new("cp");
    copy.args(["-a", "store", "before"])
        .current_dir(lab.path(""));
    done(&run(copy));
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    let after = names(&lab, "");
    // As if it had been killed once the list was written: all that it removed is there.
    let mut back = Command::new("cp");
    back.args(["-a", "before/.", "store"])
        .current_dir(lab.path(""));
    done(&run(back));
    assert_eq!(sequences(&lab), [1, 2, 3, 4]);
    let listed = lab.bundler(&["list", "--output", "json"]).json();
    assert_eq!(listed["result"].as_array().unwrap().len(), 2, "{listed}");
    refused(
        &lab.bundler(&["run", "--since-sequence", "2"]),
        66,
        "INPUT_MISSING",
        &["bundle 2"],
    );
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert_eq!(names(&lab, ""), after);
    // And once more, with the manifests gone and their signatures not.
    let mut back = Command::new("cp");
    back.args(["-a", "before/.", "store"])
        .current_dir(lab.path(""));
    done(&run(back));
    for sequence in [1, 2] {
        fs::remove_file(lab.path(&format!("store/manifests/{sequence:010}.json"))).unwrap();
    }
    // Image 1 is wanted again, and its chunks lie there, about to go.
    ask(&lab, &[1, 2, 3]);
    assert!(sent(&lab, &["--full"]) > 1_000_000);
    done(&lab.bundler(&["prune", "--keep-full", "2"]));
    assert_eq!(sequences(&lab), [3, 4, 5]);
    assert_eq!(names(&lab, "manifests").len(), 6);
    done(&lab.bundler(&["check-store"]));
    serves(&lab, &[1, 2, 3]);
}

#[test]
fn nothing_is_dropped_while_a_bundle_is_in_the_making_or_a_manifest_cannot_be_read() {
    let lab = four_bundles();
    let idle = journal(&lab, "connected");
    for stage in [
        serde_json::json!({ "at": "mirroring" }),
        serde_json::json!({ "at": "sealed", "sequence": 5, "manifest": "", "keyId": "0".repeat(64), "signature": [] }),
    ] {
        let mut journal = idle.clone();
        journal["stage"] = stage;
        set_journal(&lab, "connected", &journal);
        let before = tree(&lab.path("store"));
        let ran = lab.bundler(&["prune", "--keep-full", "1"]);
        refused(&ran, 75, "UNFINISHED", &["run` finishes it"]);
        assert!(tree(&lab.path("store")) == before);
    }
    set_journal(&lab, "connected", &idle);
    let path = lab.path("store/manifests/0000000002.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[1..]).unwrap();
    let ran = lab.bundler(&["prune", "--keep-full", "1"]);
    refused(
        &ran,
        77,
        "UNTRUSTED",
        &["nothing is dropped", "check-store"],
    );
    fs::write(&path, whole).unwrap();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert_eq!(sequences(&lab), [3, 4]);
}

#[test]
fn chunks_that_nothing_names_go_only_when_asked_and_old() {
    let lab = four_bundles();
    let orphan = lab
        .path("store/chunks/ab")
        .join(format!("ab{}", "0".repeat(62)));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "of a run that came to nothing").unwrap();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    assert!(orphan.exists());
    done(&lab.bundler(&["prune", "--keep-full", "1", "--orphans"]));
    assert!(orphan.exists(), "it is too young");
    let wrong = lab.bundler(&["prune", "--keep-full", "1", "--grace", "soon"]);
    assert_eq!(wrong.status, 64, "{wrong}");
    let ran = lab.bundler(&["prune", "--keep-full", "1", "--orphans", "--grace", "0s"]);
    done(&ran);
    assert!(!orphan.exists(), "{ran}");
    assert!(lab.path("store/pruned/0000000002.json").exists());
    done(&lab.bundler(&["check-store"]));
}

#[test]
fn old_bundles_go_from_a_bucket() {
    let server = S3Server::start();
    let lab = large_lab();
    let mut gap_store = format!(
        "s3:\n  bucket:\n    name: {}\n    endpoint: {}/\n    subDir: one\n",
        server.bucket, server.endpoint
    );
    lab.configure(&gap_store).unwrap();
    gap_store.clear();
    let bundler = |arguments: &[&str]| {
        let mut command = lab.command(&lab.programs().bundler, "connected", arguments);
        command.envs(server.environment());
        let ran = run(command);
        done(&ran);
        ran
    };
    bundler(&["run"]);
    ask(&lab, &[2, 3]);
    bundler(&["run", "--full"]);
    let objects = server.objects().join("one");
    let before = crate::user::names(&objects).len();
    let ran = bundler(&["prune", "--keep-full", "1", "--output", "json"]);
    assert_eq!(
        ran.json()["result"]["bundles"],
        serde_json::json!([1]),
        "{ran}"
    );
    let after = crate::user::names(&objects);
    assert!(after.len() < before, "{after:?}");
    assert!(!objects.join("manifests/0000000001.json").exists());
    assert!(objects.join("pruned/0000000001.json").exists());
    bundler(&["check-store"]);
    ask(&lab, &[2, 3, 4]);
    bundler(&["run"]);
    bundler(&["check-store"]);
}

#[test]
fn the_far_side_drops_what_a_list_names_and_nothing_else() {
    let lab = four_bundles();
    carried(&lab);
    serves(&lab, &[2, 3, 4]);
    let (old, kept) = (union(&lab, &[1, 2]), union(&lab, &[3, 4]));
    // No list names anything yet.
    let ran = lab.populator(&["prune"]);
    done(&ran);
    assert!(ran.stdout.contains("nothing is to be dropped"), "{ran}");
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    fs::create_dir(lab.path("far/pruned")).unwrap();
    for name in names(&lab, "pruned") {
        let (from, to) = (lab.path("store/pruned"), lab.path("far/pruned"));
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    let before = tree(&lab.path("far"));
    let planned = lab.populator(&["prune", "--dry-run", "--output", "json"]);
    done(&planned);
    assert!(tree(&lab.path("far")) == before);
    let ran = lab.populator(&["prune", "--output", "json"]);
    done(&ran);
    assert_eq!(planned.json()["result"], ran.json()["result"]);
    assert_eq!(ran.json()["result"]["bundles"], serde_json::json!([1, 2]));
    assert_eq!(ran.json()["result"]["from"], 3);
    assert_eq!(far_chunks(&lab), kept);
    assert!(old.difference(&kept).count() > 0);
    done(&lab.populator(&["verify"]));
    serves(&lab, &[2, 3, 4]);
}

#[test]
fn the_far_side_keeps_everything_where_the_last_full_bundle_is_not_whole_or_not_applied() {
    let lab = four_bundles();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    carried(&lab);
    let ran = lab.populator(&["prune"]);
    refused(&ran, 66, "INPUT_MISSING", &["nothing may be dropped"]);
    let lab = large_lab();
    done(&lab.bundler(&["run"]));
    serves(&lab, &[1, 2]);
    ask(&lab, &[2, 3]);
    done(&lab.bundler(&["run", "--full"]));
    carried(&lab);
    serves(&lab, &[2, 3]);
    let of_full = union(&lab, &[2]);
    let damaged = Path::new("far/chunks").join(&of_full.first().unwrap()[..2]);
    let damaged = lab.path("").join(damaged).join(of_full.first().unwrap());
    let whole = fs::read(&damaged).unwrap();
    fs::write(&damaged, vec![0; whole.len()]).unwrap();
    let before = far_chunks(&lab);
    let ran = lab.populator(&["prune", "--unlisted"]);
    done(&ran);
    assert!(ran.stderr.contains("missing or damaged here"), "{ran}");
    assert_eq!(
        far_chunks(&lab),
        before,
        "bundle 1 is what could be gone back to"
    );
    fs::write(&damaged, whole).unwrap();
    done(&lab.populator(&["prune", "--unlisted"]));
    assert_eq!(far_chunks(&lab), union(&lab, &[3, 4]));
}

#[test]
fn what_no_list_names_goes_on_the_far_side_only_when_asked_and_is_then_sent_again() {
    let lab = four_bundles();
    carried(&lab);
    serves(&lab, &[2, 3, 4]);
    let ran = lab.populator(&["prune", "--unlisted"]);
    done(&ran);
    assert!(ran.stdout.contains("--resend"), "{ran}");
    assert_eq!(far_chunks(&lab), union(&lab, &[3, 4]));
    assert!(!lab.path("far/manifests/0000000001.json").exists());
    // The connected side counts on bundle 1, whose chunks it has: image 1 would not be sent.
    ask(&lab, &[1, 2, 3]);
    assert!(sent(&lab, &["--full", "--resend"]) > 3_000_000);
    // And from then on on nothing that was published before.
    ask(&lab, &[1, 2, 3, 4]);
    assert!(sent(&lab, &["--full"]) > 1_000_000);
}

#[test]
fn a_store_that_lies_open_to_one_who_may_not_remove_keeps_its_bundles() {
    // The right to remove is asked for by `prune` alone.
    let server = S3Server::start();
    let lab = large_lab();
    lab.configure(&format!(
        "s3:\n  bucket:\n    name: {}\n    endpoint: {}/\n    subDir: one\n",
        server.bucket, server.endpoint
    ))
    .unwrap();
    for arguments in [
        &["run"][..],
        &["run", "--full"],
        &["check-store", "--repair"],
    ] {
        let mut command = lab.command(&lab.programs().bundler, "connected", arguments);
        command.envs(server.environment());
        done(&run(command));
    }
    let methods: BTreeSet<_> = server.seen().into_iter().map(|seen| seen.method).collect();
    assert!(!methods.contains("DELETE"), "{methods:?}");
}

#[test]
fn a_chunk_that_is_listed_and_gone_is_named_with_its_bundle() {
    let lab = four_bundles();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    let lost = chunks_of(&lab, 3).into_iter().next().unwrap();
    fs::remove_file(chunk(&lab, &lost)).unwrap();
    let ran = lab.bundler(&["check-store"]);
    refused(&ran, 65, "STORE_DAMAGED", &[&lost, "is missing"]);
}
