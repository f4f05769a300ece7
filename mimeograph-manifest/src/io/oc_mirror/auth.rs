//! Registry credentials. Each generation of `oc-mirror` looks in other places, and an environment variable makes
//! it panic; so they are found by us and put where both look. Their content is never logged.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::failure::{ErrorId, Fault};
use crate::io::disk::{Action, id_of};

use super::environment::Surroundings;

/// Largest credentials file, in bytes.
const AUTH_SIZE: u64 = 4 << 20;

/// Credentials as one file's content.
pub struct Credentials {
    json: Zeroizing<Vec<u8>>,
    sources: Vec<PathBuf>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `file` (`mirror.ocMirror.authFile`); without it the file that `REGISTRY_AUTH_FILE` names; without it
    /// what `oc-mirror` would find, the first that knows a registry first.
    pub fn find(file: Option<&Path>, around: &Surroundings) -> Result<Self, AuthError> {
        let named = file
            .map(Path::to_owned)
            .or_else(|| around.path("REGISTRY_AUTH_FILE"));
        let mut merged = Map::new();
        let mut sources = Vec::new();
        if let Some(path) = named {
            let file = read(&path, around.uid())?
                .ok_or_else(|| AuthError::Missing { path: path.clone() })?;
            merge(&mut merged, file);
            sources.push(path);
        } else {
            let mounted = mounted_for_root(Path::new(MOUNTED), around.uid());
            for path in places(around).into_iter().chain(mounted) {
                if let Some(file) = read(&path, around.uid())? {
                    merge(&mut merged, file);
                    sources.push(path);
                }
            }
        }
        // Without it `oc-mirror` would take the file for a broken one.
        merged.entry("auths").or_insert_with(|| json!({}));
        let json = Value::Object(merged).to_string().into_bytes();
        Ok(Self {
            json: json.into(),
            sources,
        })
    }

    /// The content of a `config.json` or `auth.json`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The files that they come from, for messages.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }
}

/// Where `oc-mirror` looks by itself.
fn places(around: &Surroundings) -> Vec<PathBuf> {
    let home = around.path("HOME");
    let containers = |dir: PathBuf| dir.join("containers/auth.json");
    let mut places: Vec<Option<PathBuf>> = vec![
        around
            .path("DOCKER_CONFIG")
            .map(|dir| dir.join("config.json")),
        Some(around.path("XDG_RUNTIME_DIR").map_or_else(
            || PathBuf::from(format!("/run/containers/{}/auth.json", around.uid())),
            containers,
        )),
        around.path("XDG_CONFIG_HOME").map(containers),
    ];
    for name in [
        ".config/containers/auth.json",
        ".docker/config.json",
        ".dockercfg",
    ] {
        places.push(home.as_ref().map(|home| home.join(name)));
    }
    places.into_iter().flatten().collect()
}

/// Where the `podman run` of the script that Mimeograph was mounts them. Our images run as another user, and can see it.
const MOUNTED: &str = "/root/.docker/config.json";

/// That file, where it is there as far as we may look; on other hosts nobody else looks into root's home.
fn mounted_for_root(file: &Path, uid: u32) -> Option<PathBuf> {
    (uid != 0 && file.symlink_metadata().is_ok()).then(|| file.to_owned())
}

/// A file's object; `None` where there is no such file.
fn read(path: &Path, uid: u32) -> Result<Option<Map<String, Value>>, AuthError> {
    let failed = |source| AuthError::Unreadable {
        path: path.into(),
        uid,
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(AUTH_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let invalid = || AuthError::Invalid { path: path.into() };
    if u64::try_from(bytes.len()).is_ok_and(|size| size > AUTH_SIZE) {
        return Err(invalid());
    }
    // The parser's own words could quote a secret, so they are dropped.
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let Value::Object(mut object) = value else {
        return Err(invalid());
    };
    if path.file_name().is_some_and(|name| name == ".dockercfg") {
        object = Map::from_iter([("auths".to_owned(), Value::Object(object))]);
    }
    let is_object = |name: &str| object.get(name).is_none_or(Value::is_object);
    if is_object("auths") && is_object("credHelpers") {
        Ok(Some(object))
    } else {
        Err(invalid())
    }
}

/// Adds what `from` knows and `into` does not.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => {
                for (registry, entry) in more {
                    known.entry(registry).or_insert(entry);
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// What is wrong with the credentials.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file that was named is not there.
    #[error("there is no credentials file `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("failed to read the credentials file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who tried.
        uid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what it must be.
    #[error("the credentials file `{}` is not a JSON object with `auths`, or is too large", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
}

impl Fault for AuthError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Missing { .. } => ErrorId::InputMissing,
            Self::Unreadable { source, .. } => id_of(Action::Read, source),
            Self::Invalid { .. } => ErrorId::ConfigInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("correct `mirror.ocMirror.authFile` or `REGISTRY_AUTH_FILE`".into())
            }
            Self::Unreadable { uid, source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(format!(
                    "make it readable for uid {uid}, which this runs as"
                ))
            }
            Self::Unreadable { .. } => None,
            Self::Invalid { .. } => {
                Some("write it anew with `podman login --authfile FILE REGISTRY`".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn around(dir: &Path, more: &[(&str, &OsStr)]) -> Surroundings {
        let mut all = vec![("HOME", dir.as_os_str())];
        // An own directory, so that /run/containers of this machine is not looked at.
        let run = dir.join("run");
        all.push(("XDG_RUNTIME_DIR", run.as_os_str()));
        all.extend_from_slice(more);
        Surroundings::of(&all, dir, 1000)
    }

    fn json(credentials: &Credentials) -> Value {
        serde_json::from_slice(credentials.json()).unwrap()
    }

    #[test]
    fn every_place_is_merged_and_the_first_wins() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(
            &dir.join("run/containers/auth.json"),
            r#"{"auths":{"a":{"auth":"run"}}}"#,
        );
        write(
            &dir.join(".docker/config.json"),
            r#"{"auths":{"a":{"auth":"docker"},"b":{"auth":"docker"}},"credHelpers":{"c":"ecr"}}"#,
        );
        write(&dir.join(".dockercfg"), r#"{"d":{"auth":"old"}}"#);
        let found = Credentials::find(None, &around(dir, &[])).unwrap();
        let expected = json!({
            "auths": {"a": {"auth": "run"}, "b": {"auth": "docker"}, "d": {"auth": "old"}},
            "credHelpers": {"c": "ecr"}
        });
        assert_eq!(json(&found), expected);
        assert_eq!(found.sources().len(), 3);
        assert!(!format!("{found:?}").contains("old"));
    }

    #[test]
    fn a_named_file_is_taken_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(&dir.join(".docker/config.json"), r#"{"auths":{"b":{}}}"#);
        write(&dir.join("named.json"), r#"{"auths":{"a":{}}}"#);
        write(&dir.join("given.json"), r#"{"auths":{"g":{}}}"#);
        let around = around(dir, &[("REGISTRY_AUTH_FILE", OsStr::new("named.json"))]);
        let named = Credentials::find(None, &around).unwrap();
        assert_eq!(json(&named), json!({"auths": {"a": {}}}));
        let given = Credentials::find(Some(&dir.join("given.json")), &around).unwrap();
        assert_eq!(json(&given), json!({"auths": {"g": {}}}));
    }

    #[test]
    fn without_any_file_we_are_anonymous_and_a_named_one_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let around = around(dir.path(), &[]);
        let none = Credentials::find(None, &around).unwrap();
        assert_eq!(json(&none), json!({"auths": {}}));
        let error = Credentials::find(Some(Path::new("/nowhere/auth.json")), &around).unwrap_err();
        assert_eq!(error.id(), ErrorId::InputMissing);
    }

    #[test]
    fn what_is_mounted_for_root_is_found_by_another_user() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        assert_eq!(mounted_for_root(&file, 65_532), None);
        fs::write(&file, "{}").unwrap();
        assert_eq!(mounted_for_root(&file, 65_532), Some(file.clone()));
        assert_eq!(mounted_for_root(&file, 0), None);
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.json");
        for text in [
            "{\"auths\": secret",
            "[\"secret\"]",
            "{\"auths\":\"secret\"}",
        ] {
            fs::write(&path, text).unwrap();
            let error = Credentials::find(Some(&path), &around(dir.path(), &[])).unwrap_err();
            let text = crate::failure::chain(&error);
            assert!(
                text.contains("auth.json") && !text.contains("secret"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_unreadable_file_is_named_with_who_tried() {
        let dir = tempfile::tempdir().unwrap();
        // A directory cannot be read as a file, by root neither.
        let error = Credentials::find(Some(dir.path()), &around(dir.path(), &[])).unwrap_err();
        assert_eq!(error.id(), ErrorId::InputMissing);
        let denied = AuthError::Unreadable {
            path: "auth.json".into(),
            uid: 1_000_660_000,
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let hint = denied.hint().unwrap();
        assert!(hint.contains("uid 1000660000"), "{hint}");
    }
}
