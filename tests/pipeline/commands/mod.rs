//! What each command answers, what it changes, and what it leaves alone.

mod check;
mod published;
mod receipts;
mod resources;
mod retired;
mod runs;
mod trust;
mod unpack;
mod verify;

use crate::lab::{Lab, done};
use crate::user::tree;

/// A lab in which a full bundle and a delta are published.
fn published() -> Lab {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    lab
}

/// All that lies on disk on both sides and in the store, and what the target serves.
#[track_caller]
pub(crate) fn everything(lab: &Lab) -> impl PartialEq + std::fmt::Debug + use<> {
    let folders = [
        "store",
        "connected",
        "disconnected",
        "keys",
        "local",
        "home",
    ];
    let all = folders.map(|name| lab.path(name)).into_iter();
    let trees: Vec<_> = all
        .filter(|path| path.exists())
        .map(|path| tree(&path))
        .collect();
    (trees, lab.target.snapshot())
}
