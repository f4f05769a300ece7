//! The child's environment, made from a list of what may pass. `REGISTRY_*` reconfigures `oc-mirror`'s cache
//! registry or makes it panic, so nothing of ours passes by default.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::failure::{ErrorId, Fault};

/// A `PATH` that every Linux understands.
pub(super) const PLAIN_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names the file of the key that `oc-mirror` checks releases with, instead of Red Hat's.
pub const RELEASE_KEY: &str = "OCP_SIGNATURE_VERIFICATION_PK";

/// Variables that pass as they are, where they are set.
const PASSED: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "UPDATE_URL_OVERRIDE",
    "OCP_SIGNATURE_URL",
    "PATH",
    "TZ",
];

/// Variables that name files: made absolute, because the child works elsewhere.
const PASSED_PATHS: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CONTAINERS_REGISTRIES_CONF",
    RELEASE_KEY,
];

/// Variables that we set ourselves.
const OURS: &[&str] = &["HOME", "TMPDIR", "DOCKER_CONFIG", "OC_MIRROR_CACHE"];
/// Beginnings of names that we set ourselves, or that must not be there.
const OUR_PREFIXES: &[&str] = &["REGISTRY_", "XDG_"];

/// What surrounds this process: read once, never changed.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    uid: u32,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            uid: rustix::process::geteuid().as_raw(),
        }
    }

    /// Given ones, for tests.
    pub fn of(variables: &[(&str, &OsStr)], directory: &Path, uid: u32) -> Self {
        Self {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            directory: directory.into(),
            uid,
        }
    }

    /// The user that we run as.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// A variable that names a path, made absolute.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|value| self.directory.join(value))
    }

    /// What of this `oc-mirror` may see.
    pub fn whitelisted(&self) -> BTreeMap<OsString, OsString> {
        let mut env = BTreeMap::from([("PATH".into(), PLAIN_PATH.into())]);
        for name in PASSED {
            if let Some(value) = self.get(name) {
                env.insert((*name).into(), value.into());
            }
        }
        for name in PASSED_PATHS {
            if let Some(value) = self.get(name) {
                env.insert((*name).into(), self.absolute(value));
            }
        }
        env
    }

    /// Each path of a `PATH`-like list made absolute; what cannot be joined again stays as it is.
    fn absolute(&self, value: &OsStr) -> OsString {
        let paths = std::env::split_paths(value).map(|path| self.directory.join(path));
        std::env::join_paths(paths).unwrap_or_else(|_| value.into())
    }
}

/// Checks what the configuration adds (`mirror.ocMirror.env`).
pub fn check_added(added: &BTreeMap<String, String>) -> Result<(), EnvironmentError> {
    for (name, value) in added {
        let name = name.clone();
        if OURS.contains(&name.as_str())
            || OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            return Err(EnvironmentError::Ours { name });
        }
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let digit_first = name.as_bytes().first().is_none_or(u8::is_ascii_digit);
        if digit_first || !name.bytes().all(valid) || value.contains('\0') {
            return Err(EnvironmentError::Invalid { name });
        }
    }
    Ok(())
}

/// What is wrong with `mirror.ocMirror.env`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The variable is ours to set.
    #[error("`mirror.ocMirror.env` must not set `{name}`")]
    Ours {
        /// Its name.
        name: String,
    },
    /// No variable can be called so or hold this.
    #[error("`mirror.ocMirror.env` has an invalid name or value for `{name}`")]
    Invalid {
        /// Its name.
        name: String,
    },
}

impl Fault for EnvironmentError {
    fn id(&self) -> ErrorId {
        ErrorId::ConfigInvalid
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Ours { name } if name == "REGISTRY_AUTH_FILE" => {
                Some("it makes `oc-mirror` panic; use `mirror.ocMirror.authFile`".into())
            }
            Self::Ours { .. } => Some(
                "it belongs to the private surroundings of each run: cache, home and credentials have \
                 settings of their own"
                    .into(),
            ),
            Self::Invalid { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_passes() {
        let all = [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("no_proxy", "registry.example"),
            ("SSL_CERT_FILE", "ca.crt"),
            ("SSL_CERT_DIR", "certs:/etc/certs"),
            ("UPDATE_URL_OVERRIDE", "http://127.0.0.1:1/graph"),
            ("OCP_SIGNATURE_URL", ""),
            ("REGISTRY_AUTH_FILE", "/root/auth.json"),
            ("REGISTRY_STORAGE", "s3"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("HOME", "/root"),
            ("VERSION_FILTER", "4.17"),
        ];
        let all = all.map(|(name, value)| (name, OsStr::new(value)));
        let env = Surroundings::of(&all, Path::new("/here"), 0).whitelisted();
        let text = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(text("HTTPS_PROXY"), Some("http://proxy:3128"));
        assert_eq!(text("no_proxy"), Some("registry.example"));
        assert_eq!(text("SSL_CERT_FILE"), Some("/here/ca.crt"));
        assert_eq!(text("SSL_CERT_DIR"), Some("/here/certs:/etc/certs"));
        assert_eq!(
            text("UPDATE_URL_OVERRIDE"),
            Some("http://127.0.0.1:1/graph")
        );
        assert_eq!(text("PATH"), Some(PLAIN_PATH));
        assert_eq!(env.len(), 6, "{env:?}");
    }

    #[test]
    fn the_configuration_may_not_set_what_is_ours() {
        let check = |name: &str| check_added(&[(name.to_owned(), "x".to_owned())].into());
        for name in [
            "REGISTRY_AUTH_FILE",
            "REGISTRY_HTTP_ADDR",
            "HOME",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
        ] {
            assert_eq!(
                check(name),
                Err(EnvironmentError::Ours { name: name.into() })
            );
        }
        for name in ["", "1A", "A=B", "A B"] {
            assert_eq!(
                check(name),
                Err(EnvironmentError::Invalid { name: name.into() })
            );
        }
        assert_eq!(check("VERSION_FILTER"), Ok(()));
    }
}
