//! The files that travel: archives, what we write beside them, those on local disk that the image set names, extra ones.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::io::config::{Config, ConfigError};
use mimeograph_manifest::io::disk::{Action, id_of};
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::Role;
use mimeograph_manifest::name::{FileName, NameError};

use crate::ship::Outgoing;

/// Why a file cannot travel.
#[derive(Debug, thiserror::Error)]
pub enum TravelError {
    /// It is not there or cannot be read.
    #[error("failed to read `{}`, which is to travel ({why})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Which setting names it.
        why: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Its name cannot travel.
    #[error("`{}` cannot travel under its name", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NameError,
    },
    /// It is not a file or a folder.
    #[error("`{}` is neither a regular file nor a folder", .0.display())]
    Kind(PathBuf),
    /// Two would arrive in one place.
    #[error("`{}` and `{}` would travel under one name (letter case does not count)", first.display(), second.display())]
    SameName {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// There are too many.
    #[error("more than {max} files are to travel", max = limits::FILES)]
    TooMany,
    /// The image set names a file elsewhere.
    #[error("the image set names the local file `{path}` (line {line}), which is not below `mirror.localDir` ({})", local_dir.display())]
    Outside {
        /// The file.
        path: String,
        /// The line of the image set.
        line: usize,
        /// The directory.
        local_dir: PathBuf,
    },
}

impl Fault for TravelError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Read { source, .. } => id_of(Action::Read, source),
            Self::Name { .. } | Self::Kind(_) | Self::SameName { .. } | Self::TooMany => {
                ErrorId::ConfigInvalid
            }
            Self::Outside { .. } => ErrorId::ImagesetInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("rename it: letters, digits and `._+~@=-`, at most 8 folders deep".into())
            }
            Self::SameName { .. } => Some(
                "rename one of them, or name the folder above it: each travels under the last part of its path".into(),
            ),
            Self::Outside { .. } => {
                Some("move it below that directory, which exists on both sides under the same path".into())
            }
            _ => None,
        }
    }
}

/// Everything that travels. What lies `beside` the archives is of our own making.
pub(crate) fn all(
    config: &Config,
    imageset: &ImageSet,
    archives: &[PathBuf],
    beside: &[(Option<PathBuf>, Role)],
) -> Result<Vec<Outgoing>, Failure> {
    let archives = archives.iter().map(|path| named(path, Role::Archive));
    let beside = beside
        .iter()
        .filter_map(|(path, role)| Some(named(path.as_ref()?, *role)));
    let mut files = archives.chain(beside).collect::<Result<Vec<_>, _>>()?;
    files.extend(local_files(imageset, &config.mirror.local_dir)?);
    files.extend(extra_files(&extra_paths(config)?)?);
    Ok(files)
}

/// A file under the last component of its path.
fn named(path: &Path, role: Role) -> Result<Outgoing, TravelError> {
    let text = path.file_name().unwrap_or_default().to_string_lossy();
    let name = text
        .parse::<FileName>()
        .map_err(|source| TravelError::Name {
            path: path.to_owned(),
            source,
        })?;
    Ok(Outgoing {
        name,
        role,
        path: path.to_owned(),
    })
}

/// The files below `mirror.localDir` that the image set names.
pub fn local_files(imageset: &ImageSet, local_dir: &Path) -> Result<Vec<Outgoing>, TravelError> {
    let mut files = Vec::new();
    for name in imageset.local_paths() {
        let path = name.strip_prefix("oci://").unwrap_or(name);
        let outside = || TravelError::Outside {
            path: path.to_owned(),
            line: name.at.line,
            local_dir: local_dir.to_owned(),
        };
        let below = Path::new(path)
            .strip_prefix(local_dir)
            .map_err(|_| outside())?;
        if !below
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(outside());
        }
        collect(
            Path::new(path),
            &below.to_string_lossy(),
            Role::Local,
            "the image set",
            &mut files,
        )?;
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    distinct(&files)?;
    Ok(files)
}

/// What `artefacts.extraFiles` names, all of which is there.
pub fn extra_paths(config: &Config) -> Result<Vec<PathBuf>, ConfigError> {
    let files = config.extra_files()?;
    Ok(files.iter().map(|path| path.to_path_buf()).collect())
}

/// The files and folders of `artefacts.extraFiles`, each under its last component.
pub fn extra_files(paths: &[PathBuf]) -> Result<Vec<Outgoing>, TravelError> {
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        collect(path, &name, Role::Extra, "artefacts.extraFiles", &mut files)?;
    }
    distinct(&files)?;
    Ok(files)
}

/// No two of one name, and none where another needs a folder.
fn distinct(files: &[Outgoing]) -> Result<(), TravelError> {
    let mut names = HashMap::new();
    let same = |first: &Path, second: &Path| TravelError::SameName {
        first: first.to_owned(),
        second: second.to_owned(),
    };
    for file in files {
        if let Some(first) = names.insert(file.name.as_str().to_lowercase(), &file.path) {
            return Err(same(first, &file.path));
        }
    }
    for (name, path) in &names {
        let above = |(at, _)| names.get(&name[..at]);
        if let Some(first) = name.match_indices('/').find_map(above) {
            return Err(same(first, path));
        }
    }
    Ok(())
}

fn collect(
    path: &Path,
    name: &str,
    role: Role,
    why: &'static str,
    files: &mut Vec<Outgoing>,
) -> Result<(), TravelError> {
    let read = |source| TravelError::Read {
        path: path.to_owned(),
        why,
        source,
    };
    // The named path itself may be a link (a ConfigMap's files are), what lies below may not.
    let kind = fs::metadata(path).map_err(read)?.file_type();
    if kind.is_file() {
        if files.len() >= limits::FILES {
            return Err(TravelError::TooMany);
        }
        let name = name
            .parse::<FileName>()
            .map_err(|source| TravelError::Name {
                path: path.to_owned(),
                source,
            })?;
        files.push(Outgoing {
            name,
            role,
            path: path.to_owned(),
        });
        return Ok(());
    }
    if !kind.is_dir() {
        return Err(TravelError::Kind(path.to_owned()));
    }
    let mut inside: Vec<_> = fs::read_dir(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    inside.sort_by_key(fs::DirEntry::file_name);
    for entry in inside {
        if entry.file_type().map_err(read)?.is_symlink() {
            return Err(TravelError::Kind(entry.path()));
        }
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        collect(&entry.path(), &name, role, why, files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imageset(path: &str) -> ImageSet {
        let text = format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  helm:\n    local:\n    - name: x\n      path: {path}\n"
        );
        ImageSet::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_chart_below_the_local_folder_travels_and_one_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("charts/x/templates");
        fs::create_dir_all(&chart).unwrap();
        fs::write(chart.join("_helpers.tpl"), b"x").unwrap();
        let named = imageset(&folder.path().join("charts/x").display().to_string());
        let files = local_files(&named, folder.path()).unwrap();
        assert_eq!(files[0].name.as_str(), "charts/x/templates/_helpers.tpl");
        for path in [
            "/etc/passwd".to_owned(),
            format!("{}/../x", folder.path().display()),
        ] {
            let error = local_files(&imageset(&path), folder.path()).unwrap_err();
            assert_eq!(error.id(), ErrorId::ImagesetInvalid, "{path}");
        }
    }

    #[test]
    fn a_link_inside_a_folder_does_not_travel() {
        let folder = tempfile::tempdir().unwrap();
        let extra = folder.path().join("extra");
        fs::create_dir(&extra).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", extra.join("x")).unwrap();
        assert!(matches!(extra_files(&[extra]), Err(TravelError::Kind(_))));
    }
}
