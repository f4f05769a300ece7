//! What was not signed, or should not have been, never reaches `oc-mirror`.

mod archives;
mod forge;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mimeograph_tests::gap::Ran;

use crate::lab::{Lab, done, refused};
use crate::user::names;

/// A lab where bundle 1 was applied and bundle 2 was published.
fn second_bundle() -> Lab {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    lab
}

/// What the disconnected side remembers: everything but the lock, and since when it waits for what.
fn state(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    let folder = lab.path("disconnected/metadata");
    if !folder.exists() {
        return BTreeMap::new();
    }
    let mut state = BTreeMap::new();
    for name in names(&folder).into_iter().filter(|name| name != "lock") {
        let mut bytes = fs::read(folder.join(&name)).unwrap();
        if name == "state.json" {
            let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            json["waiting"] = serde_json::Value::Null;
            bytes = json.to_string().into_bytes();
        }
        state.insert(name, bytes);
    }
    state
}

/// What no refusal may change: target, state, and how often `oc-mirror` was started.
#[derive(PartialEq)]
struct Untouched(BTreeMap<String, String>, BTreeMap<String, Vec<u8>>, usize);

impl Untouched {
    fn of(lab: &Lab) -> Self {
        Self(lab.target.snapshot(), state(lab), lab.oc_mirror_calls())
    }
}

/// The populator refuses so, and nothing has changed.
#[track_caller]
fn refuses(lab: &Lab, status: i32, id: &str, words: &[&str]) {
    let before = Untouched::of(lab);
    let ran = lab.populator(&["run"]);
    refused(&ran, status, id, words);
    assert!(Untouched::of(lab) == before, "something changed: {ran}");
    let shown = lab.populator(&["verify"]);
    assert_ne!(shown.status, 0, "`verify` finds nothing: {shown}");
}

/// The populator waits, and nothing has changed.
#[track_caller]
fn waits(lab: &Lab) -> Ran {
    let before = Untouched::of(lab);
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
    assert!(Untouched::of(lab) == before, "something changed: {ran}");
    ran
}

/// The populator goes on, and the target has what the source has.
#[track_caller]
fn goes_on(lab: &Lab, images: u8) {
    done(&lab.populator(&["run"]));
    for n in 1..=images {
        let sent = lab.source.digest_of(&format!("apps/{n}"), "v1");
        let arrived = lab.target.digest_of(&format!("mirror/apps/{n}"), "v1");
        assert!(sent.is_some() && sent == arrived, "apps/{n}");
    }
}

/// The files of the store below `folder` that bundle 2 brought.
fn brought(lab: &Lab, folder: &str, before: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = lab.store_files();
    files.retain(|path| path.starts_with(lab.path("store").join(folder)) && !before.contains(path));
    files
}
