//! `oc-mirror` v1, and v2 of every age that is played.

use std::fs;

use super::arrives;
use crate::lab::{Lab, done};

fn ask_v1(lab: &Lab, images: u8) {
    let name = |n| format!("  - name: {}/apps/{n}:v1\n", lab.source_host);
    let names = (1..=images).map(name).collect::<Vec<_>>().concat();
    let text = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror:\n  additionalImages:\n{names}"
    );
    fs::write(lab.path("imageset.yaml"), text).unwrap();
}

#[test]
fn v1_goes_the_whole_way_full_and_delta() {
    let lab = Lab::new();
    lab.play("VERSION=4.17\n").unwrap();
    ask_v1(&lab, 2);
    done(&lab.bundler(&["run"]));
    arrives(&lab, 2);

    lab.add_image(3);
    ask_v1(&lab, 3);
    let ran = lab.bundler(&["run", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["kind"], "delta", "{ran}");
    arrives(&lab, 3);
    let ran = lab.populator(&["show", "2"]);
    assert!(ran.stdout.contains("mirror_seq2_000000.tar"), "{ran}");
}

#[test]
fn a_v1_run_that_fails_does_not_use_up_a_sequence() {
    let lab = Lab::new();
    lab.play("VERSION=4.17\n").unwrap();
    ask_v1(&lab, 2);
    done(&lab.bundler(&["run"]));
    lab.add_image(3);
    ask_v1(&lab, 3);
    for misdeed in ["drop-image", "no-end-marker", "panic", "exit=1"] {
        lab.play(&format!("VERSION=4.17\nMISBEHAVE={misdeed}\n"))
            .unwrap();
        let ran = lab.bundler(&["run"]);
        assert!(![0, 1].contains(&ran.status), "{misdeed}: {ran}");
    }
    lab.play("VERSION=4.17\n").unwrap();
    done(&lab.bundler(&["run"]));
    arrives(&lab, 3);
}

#[test]
fn each_release_that_is_played_goes_the_whole_way() {
    for version in ["4.17", "4.20", "5.2"] {
        let lab = Lab::new();
        lab.play(&format!("VERSION={version}\n")).unwrap();
        done(&lab.bundler(&["run"]));
        arrives(&lab, 2);
        lab.add_image(3);
        done(&lab.bundler(&["run"]));
        arrives(&lab, 3);
    }
}
