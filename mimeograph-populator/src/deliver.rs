//! Verified files that `oc-mirror` is not given: local ones go to where the image set names them,
//! extra ones to `artefacts.extraDir`, generated cluster resources to `artefacts.resourcesDir`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::io::disk::{self, Action, DiskError, Draft};
use mimeograph_manifest::manifest::{Manifest, Role};

/// The two sides keep local files in different places.
#[derive(Debug, thiserror::Error)]
#[error("the bundle's local files belong in `{theirs}`, but `mirror.localDir` is `{ours}`")]
struct LocalDirError {
    theirs: String,
    ours: String,
}

impl Fault for LocalDirError {
    fn id(&self) -> ErrorId {
        ErrorId::LocalDirDiffers
    }

    fn hint(&self) -> Option<String> {
        Some("set the same `mirror.localDir` on both sides: the image set names these files by their full path".into())
    }
}

/// Refuses where the image set's local paths would not be found here.
pub fn check_local_dir(manifest: &Manifest, local_dir: &Path) -> Result<(), Failure> {
    let ours = local_dir.display().to_string();
    if manifest.files(Role::Local).next().is_some() && manifest.local_dir != ours {
        return Err(LocalDirError {
            theirs: manifest.local_dir.clone(),
            ours,
        }
        .into());
    }
    Ok(())
}

/// Puts the files of `role`, staged in `from`, below `to`, each in one step.
pub fn deliver(manifest: &Manifest, role: Role, from: &Path, to: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for file in manifest.files(role) {
        let target = to.join(file.name.as_str());
        if let Some(folder) = target.parent() {
            disk::create_folder(folder, 0o755)?;
        }
        copy_in_one_step(&from.join(file.name.as_str()), &target)?;
        count += 1;
    }
    Ok(count)
}

/// Removes what lies where the image set would have `oc-mirror` look, below `mirror.localDir`, and is not a file of this
/// bundle: an older bundle's, or one that nobody signed.
pub fn remove_unsigned(
    manifest: &Manifest,
    imageset: &ImageSet,
    local_dir: &Path,
) -> Result<(), Failure> {
    let files = manifest.files(Role::Local);
    let signed: BTreeSet<_> = files
        .map(|file| local_dir.join(file.name.as_str()))
        .collect();
    for name in imageset.local_paths() {
        let path = Path::new(name.strip_prefix("oci://").unwrap_or(name));
        if path.starts_with(local_dir) {
            remove_others(path, &signed)?;
        }
    }
    Ok(())
}

fn remove_others(path: &Path, signed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let read = |source| DiskError::new(Action::Read, path, source);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(read(source).into()),
    };
    if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(read)? {
            remove_others(&entry.map_err(read)?.path(), signed)?;
        }
        return Ok(());
    }
    if !kind.is_file() || !signed.contains(path) {
        tracing::warn!(file = %path.display(), "this bundle does not hold it, and its image set would use it: removed");
        disk::remove(path).map_err(|source| DiskError::new(Action::Remove, path, source))?;
    }
    Ok(())
}

fn copy_in_one_step(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut source =
        fs::File::open(from).map_err(|source| DiskError::new(Action::Read, from, source))?;
    let mut draft = Draft::beside(to, 0o644)?;
    io::copy(&mut source, &mut draft)
        .map_err(|source| DiskError::new(Action::Create, to, source))?;
    Ok(draft.keep()?)
}

/// Moves generated cluster resources into a folder of their own, in place of what lay there.
pub fn keep_resources(generated: &Path, to: &Path) -> Result<Option<PathBuf>, Failure> {
    if !generated.is_dir() {
        return Ok(None);
    }
    disk::remove(to).map_err(|source| DiskError::new(Action::Remove, to, source))?;
    disk::create_folder(to, 0o755)?;
    for entry in fs::read_dir(generated)
        .map_err(|source| DiskError::new(Action::Read, generated, source))?
        .flatten()
    {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            copy_in_one_step(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(Some(to.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signed_files_are_left_where_the_image_set_looks() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("charts/x");
        fs::create_dir_all(chart.join("templates")).unwrap();
        for name in [
            "charts/x/Chart.yaml",
            "charts/x/templates/old.yaml",
            "beside",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", chart.join("link")).unwrap();
        let signed = BTreeSet::from([chart.join("Chart.yaml")]);
        remove_others(&chart, &signed).unwrap();
        assert!(chart.join("Chart.yaml").exists() && folder.path().join("beside").exists());
        assert!(!chart.join("templates/old.yaml").exists());
        assert!(chart.join("link").symlink_metadata().is_err());
        remove_others(&folder.path().join("not/there"), &signed).unwrap();
    }
}
