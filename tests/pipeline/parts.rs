//! A run in two parts, by processes that have different secrets: `mirror` and `publish`, `fetch` and `load`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use mimeograph_tests::wrap;

use crate::lab::{Lab, done, refused};
use crate::trouble::configure;
use crate::user::tree;

/// Published: `bundles` of them, of `images` images in the end.
fn published(bundles: u8) -> Lab {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    for n in 2..=bundles {
        lab.add_image(n + 1);
        done(&lab.bundler(&["run"]));
    }
    lab
}

/// The archives that wait to be loaded.
fn staged(lab: &Lab) -> Vec<PathBuf> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(lab.path("disconnected/bundle")).unwrap() {
        let folder = entry.unwrap().path().join("1");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        archives.extend(files.map(|file| file.path()));
    }
    archives
}

/// Something else at one place of an archive, which was closed to us.
fn change(archive: &PathBuf) {
    fs::set_permissions(archive, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(archive, bytes).unwrap();
}

#[test]
fn mirror_needs_no_signing_key_and_writes_nothing_to_the_store() {
    let lab = Lab::new();
    let (key, away) = (lab.path("keys/signing.pem"), lab.path("signing.pem.away"));
    fs::rename(&key, &away).unwrap();
    refused(&lab.bundler(&["mirror"]), 66, "KEY_MISSING", &[]);
    let also = format!(
        "signing:\n  alsoTrust: [{}]\n",
        lab.path("keys/signing.pub.pem").display()
    );
    configure(&lab, "connected", "signing:\n", &also);
    let ran = lab.bundler(&["mirror", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "mirrored", "{ran}");
    assert_eq!(lab.store_files(), Vec::<PathBuf>::new());

    let calls = lab.oc_mirror_calls();
    let ran = lab.bundler(&["mirror", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "unpublished", "{ran}");
    assert_eq!(lab.oc_mirror_calls(), calls);
    refused(&lab.bundler(&["publish"]), 66, "KEY_MISSING", &[]);
    assert_eq!(lab.store_files(), Vec::<PathBuf>::new());

    fs::rename(&away, &key).unwrap();
    done(&lab.bundler(&["publish"]));
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 2);
}

#[test]
fn publish_needs_neither_image_set_nor_oc_mirror() {
    let lab = Lab::new();
    done(&lab.bundler(&["mirror"]));
    // Nor credentials of registries.
    let named = "  ocMirror:\n    authFile: /nowhere/auth.json\n";
    configure(&lab, "connected", "  ocMirror:\n", named);
    for gone in ["imageset.yaml", "bin/oc-mirror"] {
        fs::rename(lab.path(gone), lab.path(&format!("{gone}.away"))).unwrap();
    }
    let ran = lab.bundler(&["publish", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "published", "{ran}");
    assert_eq!(ran.json()["result"]["kind"], "full", "{ran}");
    let files = lab.store_files();
    let ran = lab.bundler(&["publish", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "nothing to do", "{ran}");
    assert_eq!(lab.store_files(), files);
}

#[test]
fn what_was_changed_between_mirror_and_publish_is_not_published() {
    let lab = Lab::new();
    done(&lab.bundler(&["mirror"]));
    let outbox = lab.path("connected/bundle/4");
    let archive = fs::read_dir(&outbox)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "tar"));
    change(&archive.unwrap());
    refused(&lab.bundler(&["publish"]), 75, "UNFINISHED", &["mirror"]);
    // What of it was read before is there, and named by nobody.
    assert!(!lab.path("store/manifests").exists());
    done(&lab.bundler(&["mirror"]));
    done(&lab.bundler(&["publish"]));
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 2);
}

#[test]
fn what_a_link_in_the_outbox_leads_to_is_not_published() {
    let lab = Lab::new();
    let outbox = lab.path("connected/bundle/4");
    let record = outbox.join("history.txt");
    let key = lab.path("keys/signing.pem");
    done(&lab.bundler(&["mirror"]));
    fs::remove_file(&record).unwrap();
    symlink(&key, &record).unwrap();
    let refused_with = |what: &str| {
        refused(
            &lab.bundler(&["publish"]),
            65,
            "STATE_DAMAGED",
            &[what, "link"],
        );
        assert_eq!(lab.store_files(), Vec::<PathBuf>::new());
    };
    refused_with("history.txt");
    // Nor what a folder leads to.
    fs::remove_file(&record).unwrap();
    let elsewhere = lab.path("elsewhere");
    fs::rename(&outbox, &elsewhere).unwrap();
    symlink(&elsewhere, &outbox).unwrap();
    refused_with("bundle/4");
}

#[test]
fn an_extra_file_that_is_a_link_out_of_its_folder_does_not_travel() {
    let lab = Lab::new();
    let extra = lab.path("outgoing/extra.txt");
    fs::create_dir(lab.path("outgoing")).unwrap();
    symlink(lab.path("keys/signing.pem"), &extra).unwrap();
    let named = format!("artefacts:\n  extraFiles: [{}]\n", extra.display());
    configure(&lab, "connected", "artefacts:\n", &named);
    let words = ["extra.txt", "out of its folder"];
    refused(&lab.bundler(&["run"]), 66, "INPUT_MISSING", &words);
    // Within it, as ConfigMaps have it.
    fs::create_dir(lab.path("outgoing/..data")).unwrap();
    fs::write(lab.path("outgoing/..data/extra.txt"), "x").unwrap();
    fs::remove_file(&extra).unwrap();
    symlink("..data/extra.txt", &extra).unwrap();
    done(&lab.bundler(&["run"]));
}

#[test]
fn a_bundle_of_the_journal_that_none_of_our_keys_has_signed_is_not_published() {
    let lab = Lab::new();
    done(&lab.bundler(&["mirror"]));
    let journal = lab.path("connected/metadata/journal.json");
    let mut text = String::new();
    // An object a time, until the bundle is sealed and its manifest not yet there.
    while !text.contains("\"sealed\"") {
        let mut command = lab.command(&lab.programs().bundler, "connected", &["publish"]);
        command.env("MIMEOGRAPH_FAILPOINT", "store-create:2:kill");
        assert_eq!(wrap::run(command).unwrap().status, -1);
        text = fs::read_to_string(&journal).unwrap();
    }
    let manifests = lab.path("store/manifests");
    let before = fs::read_dir(&manifests).map_or(0, Iterator::count);
    for (from, to) in [
        ("\\\"full\\\"", "\\\"delta\\\""),
        ("\"signature\":[", "\"signature\":[0,"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        fs::write(&journal, changed).unwrap();
        let ran = lab.bundler(&["publish"]);
        refused(&ran, 65, "STATE_DAMAGED", &["alsoTrust"]);
        let after = fs::read_dir(&manifests).map_or(0, Iterator::count);
        assert_eq!(after, before);
    }
    fs::write(&journal, text).unwrap();
    done(&lab.bundler(&["publish"]));
}

#[test]
fn two_parts_make_the_bundles_that_runs_make() {
    let lab = Lab::new();
    let two = |lab: &Lab| {
        done(&lab.bundler(&["mirror"]));
        let ran = lab.bundler(&["publish", "--output", "json"]);
        done(&ran);
        ran.json()["result"]["kind"].clone()
    };
    assert_eq!(two(&lab), "full");
    lab.add_image(3);
    assert_eq!(two(&lab), "delta");
    assert_eq!(two(&lab), "heartbeat");
    done(&lab.bundler(&["mirror", "--full"]));
    let ran = lab.bundler(&["publish", "--output", "json"]);
    assert_eq!(ran.json()["result"]["kind"], "full", "{ran}");
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 3);
}

#[test]
fn fetch_needs_no_registry_and_load_no_store() {
    let lab = published(2);
    let target = format!("{}/mirror", lab.target_host);
    let nowhere = "127.0.0.1:9/mirror";
    configure(&lab, "disconnected", &target, nowhere);
    let named = "  ocMirror:\n    authFile: /nowhere/auth.json\n";
    configure(&lab, "disconnected", "  ocMirror:\n", named);
    let ran = lab.populator(&["fetch", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "fetched", "{ran}");
    assert_eq!(ran.json()["result"]["staged"], serde_json::json!([2]));
    assert!(lab.loaded().is_empty());

    configure(&lab, "disconnected", nowhere, &target);
    configure(&lab, "disconnected", named, "  ocMirror:\n");
    fs::rename(lab.path("store"), lab.path("store.away")).unwrap();
    let ran = lab.populator(&["load", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "applied", "{ran}");
    assert_eq!(lab.loaded().len(), 3);
    assert_eq!(staged(&lab), Vec::<PathBuf>::new());

    let calls = lab.oc_mirror_calls();
    refused(&lab.populator(&["fetch"]), 66, "INPUT_MISSING", &["store"]);
    refused(&lab.populator(&["load"]), 66, "INPUT_MISSING", &["fetch"]);
    fs::rename(lab.path("store.away"), lab.path("store")).unwrap();
    for (part, outcome) in [("fetch", "nothing to do"), ("load", "nothing to do")] {
        let ran = lab.populator(&[part, "--output", "json"]);
        done(&ran);
        assert_eq!(ran.json()["outcome"], outcome, "{ran}");
    }
    assert_eq!(lab.oc_mirror_calls(), calls);
}

#[test]
fn what_was_changed_between_fetch_and_load_is_not_loaded() {
    let lab = published(1);
    done(&lab.populator(&["fetch"]));
    let archives = staged(&lab);
    change(&archives[0]);
    let calls = lab.oc_mirror_calls();
    let ran = lab.populator(&["load"]);
    refused(&ran, 75, "INCOMPLETE", &["bundle 1", "fetch"]);
    assert_eq!(lab.oc_mirror_calls(), calls);
    assert!(lab.loaded().is_empty());
    // It is brought again, and only what is missing.
    done(&lab.populator(&["fetch"]));
    done(&lab.populator(&["load"]));
    assert_eq!(lab.loaded().len(), 2);
}

#[test]
fn a_manifest_that_was_changed_between_fetch_and_load_is_refused() {
    let lab = published(1);
    done(&lab.populator(&["fetch"]));
    let manifest = lab.path("disconnected/bundle/handover/store/manifests/0000000001.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"sequence\"", "\"sequence\" ", 1)).unwrap();
    let calls = lab.oc_mirror_calls();
    let ran = lab.populator(&["load"]);
    refused(&ran, 77, "UNTRUSTED", &["other bytes"]);
    assert_eq!(lab.oc_mirror_calls(), calls);
    assert!(lab.loaded().is_empty());
}

#[test]
fn a_damaged_newest_bundle_does_not_hold_up_the_one_before_and_is_an_error_all_the_same() {
    let lab = published(2);
    let manifest = fs::read(lab.path("store/manifests/0000000002.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let first = fs::read_to_string(lab.path("store/manifests/0000000001.json")).unwrap();
    let only_here = lab.store_files().into_iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.to_string_lossy().contains("/chunks/")
            && manifest.to_string().contains(&*name)
            && !first.contains(&*name)
    });
    let chunk = only_here.unwrap();
    let mut bytes = fs::read(&chunk).unwrap();
    bytes[0] ^= 1;
    fs::write(&chunk, bytes).unwrap();

    let ran = lab.populator(&["fetch", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["staged"], serde_json::json!([1]));
    assert!(ran.stderr.contains("[CHUNK_DAMAGED]"), "{ran}");
    let ran = lab.populator(&["load"]);
    refused(&ran, 65, "CHUNK_DAMAGED", &[]);
    assert_eq!(lab.loaded().len(), 2, "{ran}");
    // Nothing is left that could be loaded: now it is `fetch` that fails.
    refused(&lab.populator(&["fetch"]), 65, "CHUNK_DAMAGED", &[]);
    refused(&lab.populator(&["load"]), 66, "INPUT_MISSING", &[]);
}

#[test]
fn fetch_writes_nothing_down_that_load_must_ask_the_registry_for() {
    let lab = published(1);
    done(&lab.populator(&["run"]));
    let loaded = lab.loaded();
    // The volume is lost; the second copy of the state is in the registry, and `fetch` does not see it.
    fs::remove_dir_all(lab.path("disconnected")).unwrap();
    done(&lab.populator(&["fetch"]));
    assert!(!lab.path("disconnected/metadata/state.json").exists());
    let calls = lab.oc_mirror_calls();
    let ran = lab.populator(&["load"]);
    done(&ran);
    assert!(ran.stderr.contains("STATE LOST"), "{ran}");
    assert_eq!((lab.loaded(), lab.oc_mirror_calls()), (loaded, calls));
    assert_eq!(staged(&lab), Vec::<PathBuf>::new());
}

#[test]
fn a_bundle_that_waits_for_chunks_waits_in_both_parts() {
    let lab = published(1);
    let chunks = lab.path("store/chunks");
    fs::rename(&chunks, lab.path("chunks.away")).unwrap();
    fs::create_dir(&chunks).unwrap();
    for part in ["fetch", "load"] {
        let ran = lab.populator(&[part, "--output", "json"]);
        done(&ran);
        assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
    }
    assert!(lab.loaded().is_empty());
}

#[test]
fn v1_is_fetched_and_loaded_one_bundle_after_the_other() {
    let lab = Lab::new();
    lab.play("VERSION=4.17\n").unwrap();
    let ask = |images: u8| {
        let name = |n| format!("  - name: {}/apps/{n}:v1\n", lab.source_host);
        let names = (1..=images).map(name).collect::<Vec<_>>().concat();
        let text = format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror:\n  additionalImages:\n{names}"
        );
        fs::write(lab.path("imageset.yaml"), text).unwrap();
    };
    ask(2);
    done(&lab.bundler(&["run"]));
    lab.add_image(3);
    ask(3);
    done(&lab.bundler(&["mirror"]));
    done(&lab.bundler(&["publish"]));
    let ran = lab.populator(&["fetch", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["staged"], serde_json::json!([1, 2]));
    done(&lab.populator(&["load"]));
    for n in 1..=3 {
        let arrived = lab.target.digest_of(&format!("mirror/apps/{n}"), "v1");
        assert_eq!(arrived, lab.source.digest_of(&format!("apps/{n}"), "v1"));
    }
}

#[test]
fn fetch_leaves_the_store_as_it_is() {
    let lab = published(2);
    let before = tree(&lab.path("store"));
    done(&lab.populator(&["fetch"]));
    assert_eq!(tree(&lab.path("store")), before);
}
