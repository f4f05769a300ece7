//! A folder for one run that no one else can look into, with all that `oc-mirror` would otherwise look for in a
//! home directory. Its parts are named in digits: `oc-mirror` refuses paths with words such as `logs` or `helm` in
//! them, wherever they stand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{ErrorId, Fault};
use crate::io::disk::{self, Action, id_of};
use crate::io::failpoint;

use super::auth::Credentials;
use super::environment::{RELEASE_KEY, Surroundings};
use super::port::Port;

const HOME: &str = "1";
const TEMPORARY: &str = "2";
const CREDENTIALS: &str = "3";
const WORK: &str = "4";
/// What the user keeps below `~/.config/containers` and `oc-mirror` reads there, credentials apart.
const SETTINGS: &[&str] = &[
    "certs.d",
    "registries.conf",
    "registries.conf.d",
    "policy.json",
];

/// The folder. Removed when dropped.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    registries: Option<PathBuf>,
    release_keys: Option<PathBuf>,
}

/// What depends on the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForRun<'a> {
    /// The cache registry's port (v2).
    pub port: Option<&'a Port>,
    /// The cache's place, where there is no `--cache-dir` (v2 up to 4.17). From 4.18 on both together are refused.
    pub cache: Option<&'a Path>,
    /// `mirror.ocMirror.env`.
    pub added: Option<&'a BTreeMap<String, String>>,
}

impl PrivateDir {
    /// Makes it anew at `path`, whose last part must be digits. What an earlier run left there is removed.
    pub fn fresh(
        path: &Path,
        credentials: &Credentials,
        around: &Surroundings,
    ) -> Result<Self, PrivateError> {
        let failed = |source| PrivateError::Create {
            path: path.into(),
            source,
        };
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.is_empty() || !name.iter().all(u8::is_ascii_digit) {
            return Err(failed(io::Error::other("its name is not in digits")));
        }
        let path = std::path::absolute(path).map_err(failed)?;
        disk::remove(&path).map_err(failed)?;
        make(&path).map_err(failed)?;
        let dir = Self {
            path,
            registries: None,
            release_keys: None,
        };
        dir.furnish(credentials, around).map_err(failed)?;
        Ok(dir)
    }

    fn furnish(&self, credentials: &Credentials, around: &Surroundings) -> io::Result<()> {
        for part in [HOME, TEMPORARY, CREDENTIALS, WORK] {
            make(&self.path.join(part))?;
        }
        make(&self.path.join(CREDENTIALS).join("containers"))?;
        disk::make(&self.settings(), 0o700)?;
        for file in [self.docker_config().join("config.json"), self.auth_file()] {
            write_secret(&file, credentials.json())?;
        }
        self.link_settings(around)
    }

    /// The user's own certificates and registry settings stay in force.
    fn link_settings(&self, around: &Surroundings) -> io::Result<()> {
        let Some(config) = around
            .path("XDG_CONFIG_HOME")
            .or_else(|| around.path("HOME").map(|home| home.join(".config")))
        else {
            return Ok(());
        };
        let theirs = config.join("containers");
        for name in SETTINGS {
            if theirs.join(name).exists() {
                let link = self.settings().join(name);
                failpoint::reach("link", &link)?;
                symlink(theirs.join(name), link)?;
            }
        }
        Ok(())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `HOME`: private, because `oc-mirror` looks for much there and keeps a cache of its own in it.
    pub fn home(&self) -> PathBuf {
        self.path.join(HOME)
    }

    /// Makes `settings` (a `registries.conf`) the registry settings of the run, instead of the user's own. They are
    /// laid down twice: as the file that `CONTAINERS_REGISTRIES_CONF` names, and as the last drop-in, because the
    /// drop-ins of `/etc/containers` are read after the file and would win over it. (One of those for a longer
    /// prefix still does.)
    pub fn set_registries(&mut self, settings: &str) -> Result<(), PrivateError> {
        let file = self.settings().join("registries.conf");
        let drop_ins = self.drop_ins();
        let set = || {
            // Both may be links into the user's own folder.
            disk::remove(&file)?;
            disk::remove(&drop_ins)?;
            make(&drop_ins)?;
            write_secret(&file, settings.as_bytes())?;
            write_secret(&drop_ins.join("~.conf"), settings.as_bytes())
        };
        set().map_err(|source| PrivateError::Create {
            path: file.clone(),
            source,
        })?;
        self.registries = Some(file);
        Ok(())
    }

    fn settings(&self) -> PathBuf {
        self.home().join(".config/containers")
    }

    fn drop_ins(&self) -> PathBuf {
        self.settings().join("registries.conf.d")
    }

    /// `TMPDIR`. The versions that embed another program run it from here.
    pub fn temporary(&self) -> PathBuf {
        self.path.join(TEMPORARY)
    }

    /// Makes `armoured` the keys that `oc-mirror` checks releases with.
    pub fn set_release_keys(&mut self, armoured: &[u8]) -> Result<(), PrivateError> {
        let file = self.path.join(CREDENTIALS).join("release-keys.asc");
        write_secret(&file, armoured).map_err(|source| PrivateError::Create {
            path: file.clone(),
            source,
        })?;
        self.release_keys = Some(file);
        Ok(())
    }

    /// An empty folder, to work in or to run a rehearsal in.
    pub fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// The file for `--authfile` (v2).
    pub fn auth_file(&self) -> PathBuf {
        self.path.join(CREDENTIALS).join("containers/auth.json")
    }

    fn docker_config(&self) -> PathBuf {
        self.path.join(CREDENTIALS)
    }

    /// The child's whole environment. What the configuration adds has been checked by
    /// [`check_added`](super::environment::check_added).
    pub fn environment(
        &self,
        around: &Surroundings,
        run: &ForRun<'_>,
    ) -> BTreeMap<OsString, OsString> {
        let mut env = around.whitelisted();
        for (name, value) in run.added.into_iter().flatten() {
            env.insert(name.into(), value.into());
        }
        let config = self.home().join(".config");
        let mut ours: Vec<(&str, OsString)> = vec![
            ("HOME", self.home().into()),
            ("TMPDIR", self.temporary().into()),
            ("DOCKER_CONFIG", self.docker_config().into()),
            ("XDG_RUNTIME_DIR", self.path.join(CREDENTIALS).into()),
            ("XDG_CONFIG_HOME", config.into()),
            ("XDG_CACHE_HOME", self.home().join(".cache").into()),
            ("XDG_DATA_HOME", self.home().join(".local/share").into()),
        ];
        if let Some(port) = run.port {
            ours.push(("REGISTRY_HTTP_ADDR", port.address().into()));
        }
        if let Some(file) = &self.registries {
            ours.push(("CONTAINERS_REGISTRIES_CONF", file.into()));
        }
        if let Some(file) = &self.release_keys {
            ours.push((RELEASE_KEY, file.into()));
        }
        if let Some(cache) = run.cache {
            ours.push(("OC_MIRROR_CACHE", cache.into()));
        }
        env.extend(ours.into_iter().map(|(name, value)| (name.into(), value)));
        env
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if let Err(error) = disk::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a private folder");
        }
    }
}

/// One that must not be there yet.
fn make(path: &Path) -> io::Result<()> {
    failpoint::reach("make", path)?;
    DirBuilder::new().mode(0o700).create(path)
}

fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    failpoint::reach("create", path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    failpoint::write(path, bytes, |part, _| file.write_all(part))
}

/// What goes wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// It cannot be made.
    #[error("failed to make the private folder `{}`", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Fault for PrivateError {
    fn id(&self) -> ErrorId {
        let Self::Create { source, .. } = self;
        id_of(Action::Create, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn surroundings(home: &Path) -> Surroundings {
        let run = home.join("run");
        let variables = [
            ("HOME", home.as_os_str()),
            ("XDG_RUNTIME_DIR", run.as_os_str()),
            ("REGISTRY_STORAGE", OsStr::new("s3")),
            ("HTTPS_PROXY", OsStr::new("http://proxy:3128")),
        ];
        Surroundings::of(&variables, home, 0)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn credentials_lie_in_both_places_for_us_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".docker")).unwrap();
        fs::write(
            dir.path().join(".docker/config.json"),
            r#"{"auths":{"a":{}}}"#,
        )
        .unwrap();
        let around = surroundings(dir.path());
        let credentials = Credentials::find(None, &around).unwrap();
        let private = PrivateDir::fresh(&dir.path().join("12"), &credentials, &around).unwrap();
        assert_eq!(mode(private.path()), 0o700);
        let env = private.environment(&around, &ForRun::default());
        let docker = Path::new(&env[OsStr::new("DOCKER_CONFIG")]).join("config.json");
        let runtime = Path::new(&env[OsStr::new("XDG_RUNTIME_DIR")]).join("containers/auth.json");
        for file in [docker, runtime, private.auth_file()] {
            assert_eq!(fs::read(&file).unwrap(), br#"{"auths":{"a":{}}}"#);
            assert_eq!(mode(&file), 0o600);
        }
        let path = private.path().to_owned();
        drop(private);
        assert!(!path.exists());
    }

    #[test]
    fn the_environment_is_ours_whatever_surrounds_us() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings(dir.path());
        let credentials = Credentials::find(None, &around).unwrap();
        let private = PrivateDir::fresh(&dir.path().join("7"), &credentials, &around).unwrap();
        let port = Port::at(23_999, &[]);
        let added = BTreeMap::from([("OCP_SIGNATURE_URL".to_owned(), "http://sig".to_owned())]);
        let run = ForRun {
            port: Some(&port),
            cache: Some(Path::new("/cache")),
            added: Some(&added),
        };
        let env = private.environment(&around, &run);
        let text = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(text("REGISTRY_HTTP_ADDR"), Some("127.0.0.1:23999"));
        assert_eq!(text("OC_MIRROR_CACHE"), Some("/cache"));
        assert_eq!(text("OCP_SIGNATURE_URL"), Some("http://sig"));
        assert_eq!(text("HTTPS_PROXY"), Some("http://proxy:3128"));
        assert_eq!(text("REGISTRY_STORAGE"), None);
        for name in [
            "HOME",
            "TMPDIR",
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
        ] {
            assert!(
                text(name)
                    .unwrap()
                    .starts_with(private.path().to_str().unwrap()),
                "{name}"
            );
        }
    }

    #[test]
    fn the_users_certificates_and_registries_stay_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join(".config/containers/certs.d/registry:5000");
        fs::create_dir_all(&certs).unwrap();
        fs::write(certs.join("ca.crt"), "ca").unwrap();
        let drop_ins = dir.path().join(".config/containers/registries.conf.d");
        fs::create_dir_all(&drop_ins).unwrap();
        fs::write(drop_ins.join("corp.conf"), "corp").unwrap();
        let around = surroundings(dir.path());
        let credentials = Credentials::find(None, &around).unwrap();
        let mut private = PrivateDir::fresh(&dir.path().join("7"), &credentials, &around).unwrap();
        let seen = private.drop_ins();
        assert_eq!(fs::read(seen.join("corp.conf")).unwrap(), b"corp");
        private.set_registries("ours").unwrap();
        let env = private.environment(&around, &ForRun::default());
        let file = &env[OsStr::new("CONTAINERS_REGISTRIES_CONF")];
        assert_eq!(fs::read(file).unwrap(), b"ours");
        assert_eq!(fs::read_dir(&seen).unwrap().count(), 1);
        assert_eq!(fs::read(drop_ins.join("corp.conf")).unwrap(), b"corp");
        assert_eq!(fs::read_dir(&drop_ins).unwrap().count(), 1);
        let seen = private
            .home()
            .join(".config/containers/certs.d/registry:5000/ca.crt");
        assert_eq!(fs::read(seen).unwrap(), b"ca");
        drop(private);
        assert_eq!(fs::read(certs.join("ca.crt")).unwrap(), b"ca");
    }

    #[test]
    fn leftovers_go_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let around = surroundings(dir.path());
        let credentials = Credentials::find(None, &around).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "").unwrap();
        symlink(&elsewhere, dir.path().join("7")).unwrap();
        let private = PrivateDir::fresh(&dir.path().join("7"), &credentials, &around).unwrap();
        assert!(elsewhere.join("precious").exists());
        fs::write(private.work().join("left"), "").unwrap();
        std::mem::forget(private);
        let private = PrivateDir::fresh(&dir.path().join("7"), &credentials, &around).unwrap();
        assert!(!private.work().join("left").exists());
        let error = PrivateDir::fresh(&elsewhere, &credentials, &around).unwrap_err();
        assert!(elsewhere.join("precious").exists(), "{error}");
    }
}
