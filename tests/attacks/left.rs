//! What lies in a folder, byte for byte: so it must be left.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_tests::gap::Gap;
use serde_json::Value;

/// A name, and what is under it.
type Lies = BTreeMap<String, String>;

/// Of a file that is larger, all zeros in our cases, the size says enough.
const LARGE: u64 = 64 << 20;

/// What no refusal may change.
#[derive(PartialEq)]
pub(crate) struct Left {
    target: Lies,
    state: Lies,
    calls: usize,
}

/// Two bytes, `{}`, that nothing names: before anything is fetched the populator tries whether it may push the state's
/// copy, which any registry answers to an upload alone.
const PROBE: &str = "mirror/mimeograph-state/blobs@\
                     sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

impl Left {
    pub(crate) fn of(gap: &Gap) -> Self {
        let mut target = gap.target.snapshot();
        target.remove(PROBE);
        Self {
            target,
            state: state(&gap.path("disconnected/metadata")),
            calls: gap.oc_mirror_calls(),
        }
    }

    /// What differs in `after`; nothing where nothing does.
    pub(crate) fn changed(&self, after: &Self) -> Result<(), String> {
        if self.calls != after.calls {
            return Err("oc-mirror was started".into());
        }
        same("the target", &self.target, &after.target)?;
        same("the state", &self.state, &after.state)
    }
}

/// That two are equal, or what is not.
pub(crate) fn same(what: &str, before: &Lies, after: &Lies) -> Result<(), String> {
    let names = before.keys().chain(after.keys());
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let mut changed: Vec<_> = names.filter(differs).cloned().collect();
    changed.dedup();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!("{what} has changed: {}", changed.join(", ")))
}

/// What the disconnected side remembers: everything but the lock, since when it waits for what, and, where nothing was
/// ever accepted, with which verified manifest the stream begins.
fn state(folder: &Path) -> Lies {
    let mut found = lies(folder);
    found.remove("lock");
    let Ok(bytes) = fs::read(folder.join("state.json")) else {
        return found;
    };
    let mut state: Value = serde_json::from_slice(&bytes).unwrap();
    state["waiting"] = Value::Null;
    if state["bundles"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty)
    {
        state["begins"] = Value::Null;
    }
    let is_none = |value: &Value| {
        value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    };
    // One that says nothing is as none.
    if state.as_object().unwrap().values().all(is_none) {
        found.remove("state.json");
    } else {
        found.insert("state.json".into(), state.to_string());
    }
    found
}

/// Everything below a folder: files by their digest, everything else by its kind.
pub(crate) fn lies(folder: &Path) -> Lies {
    let mut found = Lies::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let what = if kind.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else if kind.is_file() && entry.metadata().unwrap().len() > LARGE {
                format!("{} bytes", entry.metadata().unwrap().len())
            } else if kind.is_file() {
                Digest::of(&fs::read(&path).unwrap()).to_string()
            } else {
                format!("pipe: {}, socket: {}", kind.is_fifo(), kind.is_socket())
            };
            let name = path.strip_prefix(folder).unwrap();
            found.insert(name.display().to_string(), what);
        }
    }
    found
}
