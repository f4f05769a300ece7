//! A diode's drop folder: files arrive in any order, slowly, twice; what is whole is taken.

use std::fs;

use mimeograph_tests::gap::copy_folder;

use super::{chunks, from, lab, largest};
use crate::lab::{Lab, done, refused};
use crate::user::names;

/// The store of one bundle arrives in `drop/a` but for its largest chunk, which is half there.
fn arriving(lab: &Lab) -> std::path::PathBuf {
    done(&lab.bundler(&["run"]));
    fs::create_dir(lab.path("drop")).unwrap();
    copy_folder(&lab.path("store"), &lab.path("drop/a")).unwrap();
    let growing = largest(&lab.path("drop/a"));
    let bytes = fs::read(&growing).unwrap();
    fs::write(&growing, &bytes[..bytes.len() / 2]).unwrap();
    growing
}

#[test]
fn what_grows_is_left_alone_until_it_is_whole() {
    let lab = lab(2);
    let growing = arriving(&lab);
    let drop = lab.path("drop");
    let ran = from(&lab, "import", &[&drop], &[]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
    assert_eq!(
        ran.json()["result"][0]["lacking"]["missing"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // In full length, but not written to its end yet: some tools make room first.
    let whole = fs::read(
        lab.path("store")
            .join(growing.strip_prefix(lab.path("drop/a")).unwrap()),
    )
    .unwrap();
    let mut hollow = whole.clone();
    hollow[whole.len() / 2..].fill(0);
    fs::write(&growing, hollow).unwrap();
    let ran = from(&lab, "import", &[&drop], &[]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
    assert!(
        !lab.path("disconnected/metadata/repair-request.json")
            .exists()
    );
    fs::write(&growing, whole).unwrap();
    let ran = from(&lab, "import", &[&drop], &[]);
    assert_eq!(ran.json()["outcome"], "imported", "{ran}");
    assert_eq!(ran.json()["result"][0]["newChunks"], 1, "{ran}");
    done(&lab.populator(&["run"]));
}

#[test]
fn what_is_missing_for_too_long_is_told_and_holds_up_nothing_else() {
    let lab = lab(2);
    arriving(&lab);
    let drop = lab.path("drop");
    // Another bundle arrives whole, a signature is missing of a third, and a stream that is not ours lies beside them.
    done(&lab.bundler(&["run", "--full"]));
    done(&lab.bundler(&["run", "--full"]));
    for n in [2, 3] {
        for name in names(&lab.path("store/manifests")) {
            let is_unsigned =
                n == 3 && name.contains(".sig") || !name.starts_with(&format!("{n:010}"));
            if !is_unsigned {
                fs::copy(
                    lab.path("store/manifests").join(&name),
                    drop.join("a/manifests").join(&name),
                )
                .unwrap();
            }
        }
    }
    // All chunks of those came, but for the one that is half there: both wait for it.
    let missing = largest(&lab.path("store"));
    for chunk in chunks(&lab.path("store")) {
        let place = drop
            .join("a")
            .join(chunk.strip_prefix(lab.path("store")).unwrap());
        if chunk != missing && !place.exists() {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(&chunk, place).unwrap();
        }
    }
    let other = Lab::new();
    done(&other.bundler(&["run"]));
    copy_folder(&other.path("store"), &drop.join("b")).unwrap();
    let ran = from(&lab, "import", &[&drop], &["--overdue", "1h"]);
    let rows = |ran: &mimeograph_tests::gap::Ran| -> Vec<(u64, String)> {
        let rows = ran.json()["result"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| {
                (
                    row["sequence"].as_u64().unwrap(),
                    row["outcome"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    };
    let found = rows(&ran);
    for (n, outcome) in [(1, "waiting"), (2, "waiting"), (3, "waiting")] {
        assert!(found.contains(&(n, outcome.to_owned())), "{ran}");
    }
    // The stranger's key is not trusted here.
    refused(&ran, 77, "UNTRUSTED", &["bundle 1"]);
    fs::remove_dir_all(drop.join("b")).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let ran = from(&lab, "import", &[&drop], &["--overdue", "1s"]);
    refused(&ran, 79, "STALE", &["bundle 1", "longer than 1s"]);
    let place = drop
        .join("a")
        .join(missing.strip_prefix(lab.path("store")).unwrap());
    fs::copy(&missing, place).unwrap();
    let ran = from(&lab, "import", &[&drop], &["--overdue", "1h"]);
    done(&ran);
    let found = rows(&ran);
    for (n, outcome) in [(1, "imported"), (2, "imported"), (3, "waiting")] {
        assert!(found.contains(&(n, outcome.to_owned())), "{ran}");
    }
}

#[test]
fn another_stream_of_the_same_key_is_left_alone() {
    let lab = lab(1);
    done(&lab.bundler(&["run"]));
    let drop = lab.path("drop");
    fs::create_dir(&drop).unwrap();
    copy_folder(&lab.path("store"), &drop.join("ours")).unwrap();
    done(&from(&lab, "import", &[&drop], &[]));
    done(&lab.populator(&["run"]));
    // The same bundler begins another stream.
    for folder in ["store", "connected"] {
        fs::remove_dir_all(lab.path(folder)).unwrap();
    }
    fs::create_dir(lab.path("store")).unwrap();
    done(&lab.bundler(&["run"]));
    copy_folder(&lab.path("store"), &drop.join("another")).unwrap();
    let ran = from(&lab, "import", &[&drop], &[]);
    done(&ran);
    let mut outcomes: Vec<_> = ran.json()["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["outcome"].as_str().unwrap().to_owned())
        .collect();
    outcomes.sort();
    assert_eq!(outcomes, ["leftAlone", "there"], "{ran}");
}

#[test]
fn what_the_store_has_spoilt_is_replaced_where_that_is_asked_for() {
    let lab = lab(1);
    done(&lab.bundler(&["run"]));
    let store = lab.path("store");
    done(&from(&lab, "import", &[&store], &[]));
    super::damage(&largest(&lab.path("enclave")));
    refused(&lab.populator(&["verify"]), 65, "CHUNK_DAMAGED", &["1 of"]);
    let ran = from(&lab, "import", &[&store], &["--recheck"]);
    done(&ran);
    assert_eq!(ran.json()["result"][0]["newChunks"], 1, "{ran}");
    done(&lab.populator(&["verify"]));
}

#[test]
fn what_retention_has_dropped_is_not_brought_again() {
    let lab = lab(1);
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["run", "--full"]));
    let drop = lab.path("drop");
    copy_folder(&lab.path("store"), &drop).unwrap();
    done(&lab.bundler(&["prune", "--keep-full", "1"]));
    copy_folder(&lab.path("store/pruned"), &drop.join("pruned")).unwrap();
    let ran = from(&lab, "import", &[&drop], &[]);
    done(&ran);
    let rows = ran.json()["result"].as_array().unwrap().clone();
    let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes, ["leftAlone", "imported"], "{ran}");
    // The far side's own retention goes by the same lists.
    let prunes = lab.populator(&["prune", "--dry-run"]);
    assert!(lab.path("enclave/pruned").exists(), "{prunes}");
}
