//! Reading the archives of one sequence.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::v1::WORKSPACE;

/// The archives of a sequence, and where each entry lies.
#[derive(Debug)]
pub(super) struct Archive {
    entries: BTreeMap<String, (PathBuf, u64, u64)>,
}

impl Archive {
    pub(super) fn open(from: &Path) -> Result<Self, Failure> {
        let mut files = vec![from.to_owned()];
        if from.is_dir() {
            let all = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
            let ours = |name: &str| name.starts_with("mirror_seq") && name.contains(".tar");
            files = all
                .iter()
                .filter(|file| ours(&file.file_name().to_string_lossy()))
                .map(fs::DirEntry::path)
                .collect();
        }
        let mut entries = BTreeMap::new();
        for file in files {
            let mut archive = tar::Archive::new(File::open(&file)?);
            for entry in archive.entries()? {
                let entry = entry.map_err(|error| {
                    Failure::new(1, format!("reading {}: {error}", file.display()))
                })?;
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                if entry.header().entry_type().is_file() {
                    entries.insert(
                        name,
                        (file.clone(), entry.raw_file_position(), entry.size()),
                    );
                }
            }
        }
        Ok(Self { entries })
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let Some(mut body) = self.body(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Write an entry to a file beside the workspace.
    pub(super) fn unpack(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        let Some(mut body) = self.body(name)? else {
            return Ok(None);
        };
        fs::create_dir_all(WORKSPACE)?;
        let path = Path::new(WORKSPACE).join("unpacked");
        std::io::copy(&mut body, &mut File::create(&path)?)?;
        Ok(Some(path))
    }

    fn body(&self, name: &str) -> Result<Option<impl Read>, Failure> {
        let Some((path, start, size)) = self.entries.get(name) else {
            return Ok(None);
        };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*start))?;
        Ok(Some(file.take(*size)))
    }
}
