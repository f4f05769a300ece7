//! Where registry credentials are looked for.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The authorisation header's value for a registry, from the first file that knows it.
pub(crate) fn basic(host: &str, repo: &str, given: Option<&Path>) -> Option<String> {
    let files = match given {
        Some(file) => vec![file.to_owned()],
        None => places(),
    };
    files
        .iter()
        .find_map(|file| entry(file, host, repo))
        .map(|auth| format!("Basic {auth}"))
}

fn places() -> Vec<PathBuf> {
    let under =
        |variable: &str, rest: &str| env::var_os(variable).map(|dir| PathBuf::from(dir).join(rest));
    let all = [
        under("XDG_RUNTIME_DIR", "containers/auth.json"),
        under("XDG_CONFIG_HOME", "containers/auth.json"),
        under("HOME", ".config/containers/auth.json"),
        under("DOCKER_CONFIG", "config.json"),
        under("HOME", ".docker/config.json"),
    ];
    all.into_iter().flatten().collect()
}

/// The longest name that is the host, or the host and a leading part of the path.
fn entry(file: &Path, host: &str, repo: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let auths = document["auths"].as_object()?;
    let full = format!("{host}/{repo}");
    let mut names: Vec<&str> = full
        .match_indices('/')
        .map(|(end, _)| &full[..end])
        .collect();
    names.push(&full);
    names
        .iter()
        .rev()
        .find_map(|name| auths.get(*name)?["auth"].as_str().map(str::to_owned))
}
