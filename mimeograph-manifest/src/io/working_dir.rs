//! `oc-mirror`'s working directory as a folder, after a dry run.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::wish::evidence::{Evidence, too_long};

/// The folder. Links in it are not followed.
#[derive(Clone, Debug)]
pub struct WorkingDir(PathBuf);

impl WorkingDir {
    /// `working-dir` in an output folder.
    pub fn below(output: &Path) -> Self {
        Self(output.join("working-dir"))
    }
}

impl Evidence for WorkingDir {
    fn files(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.0, below.trim_end_matches('/'), &mut found);
        found.sort();
        found
    }

    fn file(&mut self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let path = self.0.join(path);
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)?
            .take(limit + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_long(limit));
        }
        Ok(Some(bytes))
    }

    /// A dry run copies no blobs.
    fn blob(&mut self, _: &Digest, _: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

fn collect(root: &Path, below: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(below)) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(root, &path, found),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
}
