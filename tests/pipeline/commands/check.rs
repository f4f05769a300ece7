//! `check`: one line for each thing that a run needs.

use std::fs;

use mimeograph_tests::gap::Ran;
use serde_json::Value;

use super::everything;
use crate::lab::{Lab, done, refused};

/// The line about one thing.
fn line<'a>(ran: &'a Ran, what: &str) -> &'a str {
    ran.stdout
        .lines()
        .rfind(|line| line[6..].starts_with(what))
        .unwrap_or_else(|| panic!("no line on {what}: {ran}"))
}

#[test]
fn a_fit_side_has_a_line_for_everything_and_nothing_is_changed() {
    let lab = Lab::new();
    let before = everything(&lab);
    let (connected, disconnected) = (lab.bundler(&["check"]), lab.populator(&["check"]));
    for (ran, things) in [
        (
            &connected,
            &[
                "config",
                "image set",
                "signing key",
                "oc-mirror",
                "traps",
                "credentials",
                "travelling",
                "bundleDir",
                "metadataDir",
                "store",
                "stream",
                "clock",
            ][..],
        ),
        (
            &disconnected,
            &[
                "config",
                "trusted keys",
                "target",
                "oc-mirror",
                "credentials",
                "bundleDir",
                "metadataDir",
                "state",
                "state copy",
                "store",
                "stream",
                "clock",
            ],
        ),
    ] {
        done(ran);
        for thing in things {
            assert!(line(ran, thing).starts_with("ok  "), "{thing}: {ran}");
        }
        assert_eq!(ran.stdout.lines().count(), things.len(), "{ran}");
        assert_eq!(ran.stderr, "", "{ran}");
    }
    assert!(everything(&lab) == before);
    assert!(line(&connected, "store").contains("no bundles yet"));
    done(&lab.bundler(&["run"]));
    assert!(line(&lab.populator(&["check"]), "store").contains("newest bundle 1"));
}

#[test]
fn what_is_unfit_is_marked_with_its_remedy_and_all_the_rest_is_still_looked_at() {
    let lab = Lab::new();
    fs::remove_file(lab.path("bin/oc-mirror")).unwrap();
    fs::remove_dir(lab.path("store")).unwrap();
    let before = everything(&lab);
    for ran in [lab.bundler(&["check"]), lab.populator(&["check"])] {
        refused(
            &ran,
            66,
            "OC_MIRROR_MISSING",
            &["not fit for a run: oc-mirror, store"],
        );
        for thing in ["oc-mirror", "store"] {
            assert!(line(&ran, thing).starts_with("FAIL"), "{ran}");
        }
        assert!(line(&ran, "oc-mirror").contains("install it"), "{ran}");
        assert!(line(&ran, "store").contains("create it"), "{ran}");
        assert!(line(&ran, "clock").starts_with("ok"), "{ran}");
    }
    let json = lab.populator(&["check", "--output", "json"]).json();
    assert_eq!(
        (&json["outcome"], &json["exit"]),
        (&"unfit".into(), &66.into())
    );
    let lines = json["result"].as_array().unwrap();
    let find = |what: &str| lines.iter().find(|line| line["what"] == what).unwrap();
    assert_eq!(
        (&find("store")["fit"], &find("store")["errorId"]),
        (&Value::Bool(false), &"INPUT_MISSING".into())
    );
    assert_eq!(find("clock")["fit"], true);
    assert!(everything(&lab) == before);
}

#[test]
fn each_unfit_thing_has_the_status_that_a_run_would_have() {
    type Breaks = fn(&Lab);
    let breaks: [(&str, Breaks, i32, &str); 6] = [
        (
            "image set",
            |lab| fs::write(lab.path("imageset.yaml"), "x").unwrap(),
            78,
            "IMAGESET_INVALID",
        ),
        (
            "signing key",
            |lab| fs::remove_file(lab.path("keys/signing.pem")).unwrap(),
            66,
            "KEY_MISSING",
        ),
        (
            "oc-mirror",
            |lab| fs::write(lab.path("bin/oc-mirror"), "no program").unwrap(),
            66,
            "OC_MIRROR_MISSING",
        ),
        (
            "credentials",
            |lab| {
                fs::create_dir(lab.path("home/.docker")).unwrap();
                fs::write(lab.path("home/.docker/config.json"), "[]").unwrap();
            },
            78,
            "CONFIG_INVALID",
        ),
        (
            "bundleDir",
            |lab| fs::write(lab.path("connected/bundle"), "a file").unwrap(),
            73,
            "CANNOT_CREATE",
        ),
        (
            "store",
            |lab| fs::remove_dir(lab.path("store")).unwrap(),
            66,
            "INPUT_MISSING",
        ),
    ];
    for (what, break_it, status, id) in breaks {
        let lab = Lab::new();
        break_it(&lab);
        let checked = lab.bundler(&["check"]);
        refused(&checked, status, id, &[what]);
        assert!(line(&checked, what).starts_with("FAIL"), "{checked}");
        refused(&lab.bundler(&["run"]), status, id, &[]);
    }
}
