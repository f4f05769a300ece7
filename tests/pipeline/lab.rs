//! A gap for one test, in a folder that goes with it.

use std::ops::Deref;
use std::path::PathBuf;

use mimeograph_tests::gap::{Gap, Programs, Ran};
use mimeograph_tests::registry::gzip;
use tempfile::TempDir;

/// Both sides; see [`Gap`].
pub(crate) struct Lab {
    gap: Gap,
    outer: TempDir,
}

impl Deref for Lab {
    type Target = Gap;

    fn deref(&self) -> &Gap {
        &self.gap
    }
}

impl Lab {
    /// Both sides over a directory store, with keys, two images in the source, and an image set that asks
    /// for them.
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// The same, after `change` was made to the gap.
    pub(crate) fn with(change: impl FnOnce(&mut Gap)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut gap = Gap::new(&folder.path().join("lab"), programs()).unwrap();
        let shared = layer(0);
        for n in 1..=2 {
            gap.source
                .put_image(&format!("apps/{n}"), "v1", &[shared.clone(), layer(n)]);
        }
        gap.ask_for(&["apps/1:v1", "apps/2:v1"]).unwrap();
        change(&mut gap);
        let lab = Self { gap, outer: folder };
        let keys = lab.path("keys").display().to_string();
        done(&lab.bundler(&["keygen", "--out", &keys]));
        lab
    }

    /// The tags of the target, but for the state's copy.
    pub(crate) fn loaded(&self) -> std::collections::BTreeMap<String, String> {
        let mut tags = self.target.tags();
        tags.retain(|name, _| !name.contains("/mimeograph-state:"));
        tags
    }

    /// Lets other users look into its folder, which is closed to them at first.
    pub(crate) fn let_others_in(&self) {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.outer.path(), open).unwrap();
    }

    /// One more image in the source and the image set.
    pub(crate) fn add_image(&self, n: u8) {
        self.source
            .put_image(&format!("apps/{n}"), "v1", &[layer(0), layer(n)]);
        let names: Vec<String> = (1..=n).map(|n| format!("apps/{n}:v1")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.ask_for(&names).unwrap();
    }
}

/// A layer that no other number gives, larger than a small chunk.
pub(crate) fn layer(n: u8) -> Vec<u8> {
    gzip(&vec![n; 1 << 20])
}

fn programs() -> Programs {
    Programs {
        bundler: PathBuf::from(env!("CARGO_BIN_EXE_bundler")),
        populator: PathBuf::from(env!("CARGO_BIN_EXE_populator")),
        standin: PathBuf::from(env!("CARGO_BIN_EXE_oc-mirror-standin")),
    }
}

/// The program ended with 0.
#[track_caller]
pub(crate) fn done(ran: &Ran) {
    assert_eq!(ran.status, 0, "{ran}");
}

/// The program ended with this status and named this error; its error line holds these words.
#[track_caller]
pub(crate) fn refused(ran: &Ran, status: i32, id: &str, words: &[&str]) {
    assert_eq!(ran.status, status, "{ran}");
    assert!(ran.stderr.contains(&format!("[{id}]")), "no [{id}]: {ran}");
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}`: {ran}");
    }
}
