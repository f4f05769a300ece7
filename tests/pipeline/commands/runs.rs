//! `run`, again where nothing changed.

use serde_json::json;

use super::{everything, published};
use crate::lab::{Lab, done, refused};

#[test]
fn a_second_populator_run_does_nothing_and_says_so() {
    let lab = published();
    let first = lab.populator(&["run", "--output", "json"]);
    done(&first);
    assert_eq!(first.json()["outcome"], "applied");
    let sequences: Vec<_> = first.json()["result"]["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["sequence"].clone())
        .collect();
    assert_eq!(sequences, [json!(2)]);
    assert_eq!(first.json()["result"]["applied"][0]["merged"], json!([1]));
    let (served, calls) = (lab.target.snapshot(), lab.oc_mirror_calls());
    let again = lab.populator(&["run"]);
    done(&again);
    assert_eq!(
        again.stdout,
        "nothing to do: bundle 2 is applied, and nothing newer is in the store\n"
    );
    let again = lab.populator(&["--output", "json"]);
    assert_eq!(again.json()["outcome"], "nothing to do", "{again}");
    assert_eq!(
        (lab.target.snapshot(), lab.oc_mirror_calls()),
        (served, calls)
    );
}

#[test]
fn a_run_that_finds_no_bundle_and_never_did_is_an_error() {
    let lab = Lab::new();
    for part in ["run", "fetch"] {
        let ran = lab.populator(&[part]);
        refused(&ran, 66, "INPUT_MISSING", &["no bundle in", "mounted"]);
    }
    assert_eq!(lab.oc_mirror_calls(), 0);
}

#[test]
fn a_second_bundler_run_on_an_unchanged_image_set_sends_nothing_and_says_so() {
    let lab = Lab::new();
    let first = lab.bundler(&["run", "--output", "json"]);
    done(&first);
    let again = lab.bundler(&["run", "--output", "json"]);
    done(&again);
    let (first, result) = (first.json(), again.json());
    assert_eq!(
        (&result["outcome"], &result["sequence"]),
        (&json!("published"), &json!(2))
    );
    assert_eq!(result["result"]["kind"], "heartbeat");
    assert!(first["result"]["bytesSent"].as_u64().unwrap() > 0);
    assert_eq!(result["result"]["bytesSent"], 0, "{again}");
    done(&lab.populator(&["run"]));
    done(&lab.populator(&["verify"]));
    let listed = lab.bundler(&["list", "--output", "json"]).json();
    assert_eq!(listed["result"].as_array().unwrap().len(), 2);
}

#[test]
fn what_only_looks_changes_nothing_anywhere() {
    let lab = published();
    done(&lab.populator(&["run"]));
    let before = everything(&lab);
    let looks: [(&[&str], bool); 6] = [
        (&["list"], true),
        (&["show", "1"], true),
        (&["check"], true),
        (&["verify"], false),
        (&["verify", "2"], false),
        (&["--help"], true),
    ];
    for (arguments, both) in looks {
        done(&lab.populator(arguments));
        if both {
            done(&lab.bundler(arguments));
        }
        assert!(
            everything(&lab) == before,
            "{arguments:?} changed something"
        );
    }
}

#[test]
fn a_json_log_ends_with_the_figures_of_the_run() {
    let lab = Lab::new();
    let ran = lab.bundler(&["run", "--log-format", "json"]);
    done(&ran);
    let last: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    let told = last.get("fields").unwrap_or(&last);
    assert_eq!(told["command"], "run", "{ran}");
    for (field, value) in [
        ("outcome", json!("published")),
        ("newest", json!(1)),
        ("exit", json!(0)),
    ] {
        assert_eq!(told[field], value, "{field}: {ran}");
    }
    assert!(told["chunksSent"].as_u64() > Some(0), "{ran}");
    assert!(
        told["durations"].as_str().unwrap().contains("mirror"),
        "{ran}"
    );
}
