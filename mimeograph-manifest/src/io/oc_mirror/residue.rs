//! What earlier runs of v2 left behind and the next one would trip over or ship: half-finished uploads in its
//! cache, release data that it never refreshes, logs. No link is followed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{ErrorId, Fault};
use crate::io::disk::{self, Action, id_of};
use crate::io::failpoint;
use crate::io::working_dir::WorkingDir;
use crate::limits;
use crate::release::{ReleaseKeys, signed_by_name};
use crate::wish::evidence::Evidence as _;

/// How deep repositories may lie in the cache.
const DEPTH: usize = 64;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Folders of uploads.
    pub folders: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The root of the cache registry's storage below `cache`, as `--cache-dir` and `OC_MIRROR_CACHE` name it.
pub fn storage(cache: &Path) -> PathBuf {
    cache.join(".oc-mirror/.cache/docker/registry/v2")
}

/// Removes every `_uploads` from the cache: it would be packed into this and every later archive.
pub fn purge_uploads(cache: &Path) -> Result<Purged, ResidueError> {
    let mut purged = Purged::default();
    let root = storage(cache).join("repositories");
    if is_folder(&root)? {
        purge(&root, 0, &mut purged)?;
    }
    Ok(purged)
}

fn purge(folder: &Path, depth: usize, purged: &mut Purged) -> Result<(), ResidueError> {
    for path in subfolders(folder)? {
        let name = path.file_name().unwrap_or_default();
        if name == "_uploads" {
            purged.bytes += size(&path, depth)?;
            purged.folders += 1;
            remove(&path)?;
        } else if name != "_manifests" && name != "_layers" && depth < DEPTH {
            purge(&path, depth + 1, purged)?;
        }
    }
    Ok(())
}

fn size(folder: &Path, depth: usize) -> Result<u64, ResidueError> {
    let failed = failing(folder);
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let metadata = entry.metadata().map_err(&failed)?;
        if metadata.is_file() {
            bytes += metadata.len();
        } else if metadata.is_dir() && depth < DEPTH {
            bytes += size(&entry.path(), depth + 1)?;
        }
    }
    Ok(bytes)
}

/// Clears `release-images` and `hold-release` below `output`: while they exist a failed or moved release is never
/// fetched again. And `cluster-resources`, which a load by hand leaves there, and which no archive may bring. Signatures and
/// history stay.
pub fn clear_releases(output: &Path) -> Result<(), ResidueError> {
    let working = output.join("working-dir");
    if !is_folder(&working)? {
        return Ok(());
    }
    for name in ["release-images", "hold-release", "cluster-resources"] {
        remove(&working.join(name))?;
    }
    Ok(())
}

/// Removes release signatures that are not what their names say, by a trusted key: one that lies there is never fetched
/// again, right or wrong.
pub fn clear_signatures(output: &Path, keys: &ReleaseKeys) -> Result<(), ResidueError> {
    let working = output.join("working-dir");
    let mut files = WorkingDir::below(output);
    for name in files.files("signatures/") {
        let path = working.join(&name);
        let is_good = |bytes: &[u8]| {
            let signed = keys.verify(bytes);
            signed.is_ok_and(|signed| Some(signed.digest) == signed_by_name(&name))
        };
        let bytes = files.file(&name, limits::RELEASE_SIGNATURE_SIZE).ok();
        if !bytes.flatten().is_some_and(|bytes| is_good(&bytes)) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Moves what lies in `working-dir/logs` below `output` to the folder `to`, made if need be, over files of the same
/// names. From 4.21 on it would travel in every archive. Returns the names.
pub fn set_logs_aside(output: &Path, to: &Path) -> Result<BTreeSet<String>, ResidueError> {
    let logs = output.join("working-dir/logs");
    let mut moved = BTreeSet::new();
    if !is_folder(&output.join("working-dir"))? || !is_folder(&logs)? {
        return Ok(moved);
    }
    disk::make(to, 0o755).map_err(failing(to))?;
    for entry in fs::read_dir(&logs).map_err(failing(&logs))? {
        let entry = entry.map_err(failing(&logs))?;
        let path = entry.path();
        let is_file = entry.file_type().map_err(failing(&path))?.is_file();
        let name = entry.file_name();
        if is_file {
            relocate(&path, &to.join(&name)).map_err(failing(&path))?;
            moved.insert(name.to_string_lossy().into_owned());
        }
    }
    Ok(moved)
}

fn remove(path: &Path) -> Result<(), ResidueError> {
    disk::remove(path).map_err(failing(path))
}

/// Renames; across file systems copies and removes.
fn relocate(from: &Path, to: &Path) -> io::Result<()> {
    match disk::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            failpoint::reach("copy", to)?;
            fs::copy(from, to)?;
            disk::remove(from)
        }
        renamed => renamed,
    }
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, ResidueError> {
    let failed = failing(folder);
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        if entry.file_type().map_err(&failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// Whether there is a folder; a link or file in its place is an error.
fn is_folder(path: &Path) -> Result<bool, ResidueError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(failing(path)(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failing(path)(error)),
    }
}

fn failing(path: &Path) -> impl Fn(io::Error) -> ResidueError {
    move |source| ResidueError {
        path: path.to_owned(),
        source,
    }
}

/// Something cannot be cleared away.
#[derive(Debug, thiserror::Error)]
#[error("failed to clear away `{}`", path.display())]
pub struct ResidueError {
    path: PathBuf,
    source: io::Error,
}

impl Fault for ResidueError {
    fn id(&self) -> ErrorId {
        id_of(Action::Remove, &self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn uploads_go_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(purge_uploads(dir.path()).unwrap(), Purged::default());
        let repositories = storage(dir.path()).join("repositories");
        for repository in ["tiny/t1", "a/b/c/d"] {
            put(
                &repositories.join(repository).join("_uploads/1234/data"),
                "12345",
            );
            put(
                &repositories
                    .join(repository)
                    .join("_uploads/1234/startedat"),
                "",
            );
            put(
                &repositories
                    .join(repository)
                    .join("_manifests/tags/_uploads/current/link"),
                "l",
            );
            put(
                &repositories.join(repository).join("_layers/sha256/x/link"),
                "l",
            );
        }
        put(&dir.path().join("elsewhere/_uploads/data"), "kept");
        symlink(dir.path().join("elsewhere"), repositories.join("linked")).unwrap();
        let purged = purge_uploads(dir.path()).unwrap();
        assert_eq!(
            purged,
            Purged {
                folders: 2,
                bytes: 10
            }
        );
        assert!(!repositories.join("tiny/t1/_uploads").exists());
        assert!(
            repositories
                .join("a/b/c/d/_manifests/tags/_uploads/current/link")
                .exists()
        );
        assert!(dir.path().join("elsewhere/_uploads/data").exists());
    }

    #[test]
    fn release_data_goes_and_signatures_stay() {
        let dir = tempfile::tempdir().unwrap();
        clear_releases(dir.path()).unwrap();
        let working = dir.path().join("working-dir");
        put(
            &working.join("release-images/ocp-release/4.99.1-x86_64/index.json"),
            "",
        );
        put(
            &working.join("hold-release/cincinnati-graph-data/amd64-stable.json"),
            "",
        );
        put(&working.join("cluster-resources/idms-oc-mirror.yaml"), "");
        put(&working.join("signatures/4.99.1"), "");
        put(&working.join(".history/.history-2026-11-23T22:32:52Z"), "");
        clear_releases(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(&working)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".history", "signatures"]);
    }

    #[test]
    fn logs_are_moved_out_of_reach() {
        let dir = tempfile::tempdir().unwrap();
        let aside = dir.path().join("meta/logs");
        assert!(set_logs_aside(dir.path(), &aside).unwrap().is_empty());
        let logs = dir.path().join("working-dir/logs");
        put(&logs.join("mirroring_errors_20261123_154730.txt"), "x");
        put(&logs.join("oc-mirror-20261123_154730.log"), "y");
        let moved = set_logs_aside(dir.path(), &aside).unwrap();
        assert_eq!(moved.len(), 2);
        assert_eq!(fs::read_dir(&logs).unwrap().count(), 0);
        assert_eq!(
            fs::read(aside.join("oc-mirror-20261123_154730.log")).unwrap(),
            b"y"
        );
    }

    #[test]
    fn a_linked_working_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("elsewhere/release-images/x"), "");
        symlink(dir.path().join("elsewhere"), dir.path().join("working-dir")).unwrap();
        assert!(clear_releases(dir.path()).is_err());
        assert!(dir.path().join("elsewhere/release-images/x").exists());
    }
}
