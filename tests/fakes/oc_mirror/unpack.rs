//! Taking archives in, as carelessly as the release does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::failure::Failure;
use crate::log::{Log, print};
use crate::misdeeds;
use crate::release::Release;
use crate::settings::Settings;

/// Extract every archive in `from` into the cache and the working directory.
pub(crate) fn unpack(
    from: &Path,
    cache: &Path,
    settings: &Settings,
    log: &Log,
    release: Release,
) -> Result<(), Failure> {
    let archives = archives(from)?;
    if archives.is_empty() && release.is_strict() {
        return Err(Failure::new(
            1,
            format!(
                "no tar archives matching \"mirror_[0-9]{{6}}\\\\.tar\" found in {:?}",
                from.display().to_string()
            ),
        ));
    }
    if release.is_strict() {
        log.info("📦 Extracting mirror archive(s)...");
    }
    for (index, archive) in archives.iter().enumerate() {
        if release.is_strict() {
            print(
                true,
                &format!(
                    "Extracting chunk file ({} / {}): {}\n",
                    index + 1,
                    archives.len(),
                    archive.display()
                ),
            );
            if fs::metadata(archive)?.len() == 0 {
                return Err(Failure::new(
                    1,
                    format!("unexpected empty archive {}", archive.display()),
                ));
            }
        }
        extract(archive, from, cache, release, settings)?;
    }
    Ok(())
}

/// The pattern has no anchors: `mirror_000001.tar.bak` is an archive too.
fn archives(from: &Path) -> Result<Vec<PathBuf>, Failure> {
    let pattern =
        Regex::new(r"mirror_[0-9]{6}\.tar").map_err(|error| Failure::new(1, error.to_string()))?;
    let mut found = Vec::new();
    for file in fs::read_dir(from)? {
        let file = file?;
        if pattern.is_match(&file.file_name().to_string_lossy()) {
            found.push(file.path());
        }
    }
    found.sort();
    Ok(found)
}

fn extract(
    archive: &Path,
    from: &Path,
    cache: &Path,
    release: Release,
    settings: &Settings,
) -> Result<(), Failure> {
    let broken = |error: &io::Error| {
        let text = error.to_string();
        let short = text.contains("EOF") || text.contains("entire block");
        Failure::new(
            1,
            if short {
                "unexpected EOF"
            } else {
                "archive/tar: invalid tar header"
            },
        )
    };
    let mut archive = tar::Archive::new(File::open(archive)?);
    for entry in archive.entries()? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let root = if name.contains("working-dir") {
            from
        } else if name.contains("docker/registry/v2") {
            cache
        } else {
            continue;
        };
        let path = join(root, &name);
        if release.is_strict() && !path.starts_with(root) {
            return Err(Failure::new(
                1,
                format!("content filepath is tainted: {}", path.display()),
            ));
        }
        let mode = entry.header().mode().unwrap_or(0o644);
        let size = entry.size();
        if misdeeds::ends_while_unpacking(settings) && name.contains("/blobs/") {
            write(&path, mode, release, &mut entry.by_ref().take(size / 2))?;
            misdeeds::end_while_unpacking(settings);
        }
        if write(&path, mode, release, &mut entry)? != size {
            return Err(Failure::new(1, "unexpected EOF"));
        }
    }
    Ok(())
}

/// The oldest release overwrites without truncating, and makes everything executable.
fn write(
    path: &Path,
    mode: u32,
    release: Release,
    from: &mut impl io::Read,
) -> Result<u64, Failure> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let strict = release.is_strict();
    let mode = if strict { mode } else { 0o755 };
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(strict)
        .mode(mode | 0o200)
        .open(path)?;
    let copied = io::copy(from, &mut file).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Failure::new(
            1,
            format!("write {}: no space left on device", path.display()),
        ),
        _ => Failure::new(1, "unexpected EOF"),
    })?;
    if strict {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(copied)
}

/// As `filepath.Join` cleans: `..` climbs, even out of the root.
fn join(root: &Path, name: &str) -> PathBuf {
    let mut path = root.to_owned();
    for part in Path::new(name).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}
