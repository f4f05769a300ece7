//! Whatever `oc-mirror` does, and whenever anything dies: no failure looks like success, and nothing that
//! `oc-mirror` recorded as shipped is lost.

mod catching_up;
mod copies;
mod faults;
mod generations;
mod origin;
mod outcomes;
mod resume;
mod retention;
mod signals;
mod state;
mod store;
mod traps;
mod upkeep;
mod writers;

use std::fs;

use crate::lab::{Lab, done, refused};
use crate::user::tree;

const GOOD: &str = "VERSION=5.2\n";

/// A lab that published and applied one bundle of two images, and has a third to go.
fn settled() -> Lab {
    begun(Lab::with(|gap| gap.play(GOOD).unwrap()))
}

/// The same with a real `oc-mirror`, where one is named.
fn settled_in_earnest() -> Lab {
    begun(Lab::new())
}

fn begun(lab: Lab) -> Lab {
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    lab.add_image(3);
    lab
}

/// The bundler fails so, and the store is as it was; once `oc-mirror` behaves, nothing is missing.
#[track_caller]
fn fails_and_loses_nothing(lab: &Lab, play: &str, status: i32, id: &str, words: &[&str]) {
    let before = tree(&lab.path("store"));
    lab.play(play).unwrap();
    refused(&lab.bundler(&["run"]), status, id, words);
    assert!(tree(&lab.path("store")) == before, "the store changed");
    all_arrives(lab, 3);
}

/// Both programs run with an `oc-mirror` that behaves, and the target has what the source has.
#[track_caller]
fn all_arrives(lab: &Lab, images: u8) {
    lab.play(GOOD).unwrap();
    done(&lab.bundler(&["run"]));
    arrives(lab, images);
}

/// The populator runs, and the target has what the source has.
#[track_caller]
fn arrives(lab: &Lab, images: u8) {
    done(&lab.populator(&["run"]));
    for n in 1..=images {
        let sent = lab.source.digest_of(&format!("apps/{n}"), "v1");
        let arrived = lab.target.digest_of(&format!("mirror/apps/{n}"), "v1");
        assert!(sent.is_some() && sent == arrived, "apps/{n}");
    }
}

/// Changes the configuration of one side.
pub(crate) fn configure(lab: &Lab, side: &str, from: &str, to: &str) {
    let file = lab.path(&format!("{side}.yaml"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// How `oc-mirror` was started: every call to mirror.
fn calls(lab: &Lab) -> Vec<serde_json::Value> {
    let calls = fs::read_to_string(lab.path("bin/oc-mirror.calls")).unwrap();
    calls
        .lines()
        .filter(|line| line.contains("file://"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The value that follows a flag on the command line of a call.
fn argument<'a>(call: &'a serde_json::Value, flag: &str) -> Option<&'a str> {
    let arguments = call["argv"].as_array().unwrap();
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments[at + 1].as_str()
}
