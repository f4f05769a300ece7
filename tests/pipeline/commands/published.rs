//! `list` and `show`, and the options that choose which store they look at.

use std::fs;

use serde_json::{Value, json};

use super::published;
use crate::lab::{Lab, done, refused};
use crate::user::run;

#[test]
fn both_sides_list_the_same_bundles_and_the_populator_says_what_became_of_them() {
    let lab = published();
    let rows = |ran: &mimeograph_tests::gap::Ran| {
        done(ran);
        ran.json()["result"].as_array().unwrap().clone()
    };
    let connected = rows(&lab.bundler(&["list", "--output", "json"]));
    let kinds = |rows: &[Value]| -> Vec<_> {
        rows.iter()
            .map(|row| (row["sequence"].clone(), row["kind"].clone()))
            .collect()
    };
    assert_eq!(
        kinds(&connected),
        [(json!(1), json!("full")), (json!(2), json!("delta"))]
    );
    let here = |rows: &[Value]| -> Vec<_> { rows.iter().map(|row| row["here"].clone()).collect() };
    let before = rows(&lab.populator(&["list", "--output", "json"]));
    assert_eq!(kinds(&before), kinds(&connected));
    assert_eq!(here(&before), ["new", "new"]);
    done(&lab.populator(&["run"]));
    let after = rows(&lab.populator(&["list", "--output", "json"]));
    assert_eq!(here(&after), ["merged", "applied"]);
    for (row, here) in connected.iter().zip(&after) {
        assert_eq!(
            (&row["sha256"], &row["bytes"]),
            (&here["sha256"], &here["bytes"])
        );
        let table = lab.bundler(&["list"]).stdout;
        assert!(table.contains(row["sha256"].as_str().unwrap()), "{table}");
        assert!(
            lab.populator(&["list"])
                .stdout
                .contains(here["sha256"].as_str().unwrap())
        );
    }
}

#[test]
fn a_store_without_bundles_is_said_to_have_none() {
    let lab = Lab::new();
    let store = lab.path("store").display().to_string();
    for ran in [lab.bundler(&["list"]), lab.populator(&["list"])] {
        done(&ran);
        assert!(
            ran.stdout.contains("no bundles yet") && ran.stdout.contains(&store),
            "{ran}"
        );
    }
}

#[test]
fn show_prints_the_very_bytes_that_were_signed_and_names_a_bundle_that_is_not_there() {
    let lab = published();
    let signed = fs::read_to_string(lab.path("store/manifests/0000000002.json")).unwrap();
    for ran in [lab.bundler(&["show", "2"]), lab.populator(&["show", "2"])] {
        done(&ran);
        assert_eq!(ran.stdout, signed);
    }
    let manifest: Value = serde_json::from_str(&signed).unwrap();
    assert_eq!(
        lab.bundler(&["show", "2", "--output", "json"]).json()["result"],
        manifest
    );
    assert_eq!(
        lab.populator(&["show", "2", "--output", "json"]).json()["result"],
        manifest
    );
    for ran in [
        lab.bundler(&["show", "3"]),
        lab.populator(&["show", "3"]),
        lab.populator(&["verify", "3"]),
    ] {
        refused(
            &ran,
            66,
            "INPUT_MISSING",
            &["no bundle 3", "list` shows what there is"],
        );
    }
    for wrong in ["0", "-1", "two", "99999999999999999999"] {
        for ran in [
            lab.bundler(&["show", wrong]),
            lab.populator(&["show", wrong]),
        ] {
            assert_eq!(ran.status, 64, "{ran}");
        }
    }
}

#[test]
fn another_store_is_named_before_or_after_the_command() {
    let lab = published();
    fs::create_dir(lab.path("other")).unwrap();
    let other = format!("dir:{}", lab.path("other").display());
    for arguments in [["--store", &other, "list"], ["list", "--store", &other]] {
        for ran in [lab.bundler(&arguments), lab.populator(&arguments)] {
            done(&ran);
            assert!(ran.stdout.contains("no bundles yet"), "{ran}");
        }
    }
    let lines = [
        [
            "--output",
            "json",
            "--store",
            &other,
            "--log-format",
            "json",
            "list",
        ],
        [
            "list",
            "--output",
            "json",
            "--store",
            &other,
            "--log-format",
            "json",
        ],
    ];
    for arguments in lines {
        for ran in [lab.bundler(&arguments), lab.populator(&arguments)] {
            done(&ran);
            assert_eq!(ran.json()["result"], json!([]), "{ran}");
        }
    }
    // Relative to where one is, not to where the configuration is.
    let mut command = lab.command(
        &lab.programs().populator,
        "disconnected",
        &["list", "--store", "dir:store"],
    );
    command.current_dir(lab.path("."));
    assert!(run(command).stdout.contains("delta"));
}
