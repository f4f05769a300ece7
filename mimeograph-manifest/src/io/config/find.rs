//! Where the configuration lies.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::model::Config;
use super::{Environment, environment};

/// The places that are tried when none is named.
const PLACES: [&str; 2] = [
    "/mimeograph/mimeograph-config.yaml",
    "mimeograph-config.yaml",
];

impl Config {
    /// The configuration file: `flag` (`--config`), else `MIMEOGRAPH_CONFIG`, else
    /// `/mimeograph/mimeograph-config.yaml`, else `./mimeograph-config.yaml`. One that was named must be
    /// there: none of the later places is tried instead.
    pub fn find(flag: Option<&Path>) -> Result<PathBuf, ConfigError> {
        find(flag, &environment, &PLACES.map(PathBuf::from))
    }

    /// The same, for commands that can do without: `None` where none is named and none lies there.
    pub fn find_if_any(flag: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
        let named = named(flag, &environment).is_some();
        match Self::find(flag) {
            Err(ConfigError::Missing(_)) if !named => Ok(None),
            found => found.map(Some),
        }
    }
}

fn named(flag: Option<&Path>, environment: Environment<'_>) -> Option<PathBuf> {
    flag.map(Path::to_owned)
        .or_else(|| environment("MIMEOGRAPH_CONFIG").map(PathBuf::from))
}

fn find(
    flag: Option<&Path>,
    environment: Environment<'_>,
    places: &[PathBuf],
) -> Result<PathBuf, ConfigError> {
    let candidates = match named(flag, environment) {
        Some(path) => vec![path],
        None => places.to_vec(),
    };
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ConfigError::Missing(candidates)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_places() {
        let folder = tempfile::tempdir().unwrap();
        let [flag, variable, first, second] = ["a", "b", "c", "d"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        });
        let places = [first.clone(), second.clone()];
        let set =
            |name: &str| (name == "MIMEOGRAPH_CONFIG").then(|| variable.display().to_string());
        let unset = |_: &str| None;
        assert_eq!(find(Some(&flag), &set, &places).unwrap(), flag);
        assert_eq!(find(None, &set, &places).unwrap(), variable);
        assert_eq!(find(None, &unset, &places).unwrap(), first);
        std::fs::remove_file(&first).unwrap();
        assert_eq!(find(None, &unset, &places).unwrap(), second);
    }

    #[test]
    fn a_file_that_was_named_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "").unwrap();
        let error = find(Some(Path::new("/absent")), &|_| None, &[there]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no configuration file: looked for `/absent`"
        );
        let error = find(None, &|_| None, &["/a", "b"].map(PathBuf::from)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no configuration file: looked for `/a`, then `b`"
        );
    }
}
