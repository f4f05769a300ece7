//! The registry's content on disk: bytes by digest, and one JSON file that says which repository holds which.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use super::Indexes;
use super::content::Content;
use super::manifest::Needs;
use super::refusal::Refusal;

/// What is stored.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    indexes: Indexes,
    content: Mutex<Content>,
    pub(super) next_upload: AtomicU64,
}

impl Store {
    pub(super) fn open(dir: &Path, indexes: Indexes) -> io::Result<Self> {
        fs::create_dir_all(dir.join("blobs"))?;
        fs::create_dir_all(dir.join("uploads"))?;
        let content = match fs::read(dir.join("content.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            dir: dir.to_owned(),
            indexes,
            content: Mutex::new(content),
            next_upload: AtomicU64::new(1),
        })
    }

    pub(super) fn copy_to(&self, dir: &Path) -> io::Result<()> {
        let content = self.content();
        fs::create_dir_all(dir.join("blobs"))?;
        fs::write(dir.join("content.json"), serde_json::to_vec(&*content)?)?;
        for blob in fs::read_dir(self.dir.join("blobs"))? {
            let blob = blob?;
            fs::copy(blob.path(), dir.join("blobs").join(blob.file_name()))?;
        }
        Ok(())
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content
            .lock()
            .expect("no request panics while it holds the lock")
    }

    /// Change what the repositories hold, and write that down.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut content = self.content();
        let result = change(&mut content);
        fs::write(
            self.dir.join("content.json"),
            serde_json::to_vec(&*content)?,
        )?;
        Ok(result)
    }

    pub(super) fn blob_path(&self, digest: &str) -> Result<PathBuf, Refusal> {
        let hex = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
        let hex =
            hex.ok_or_else(|| Refusal::digest_invalid(format!("not a SHA-256 digest: {digest}")))?;
        Ok(self.dir.join("blobs").join(hex))
    }

    pub(super) fn upload_path(&self, id: &str) -> Result<PathBuf, Refusal> {
        let digits = !id.is_empty() && id.bytes().all(|c| c.is_ascii_digit());
        if digits {
            Ok(self.dir.join("uploads").join(id))
        } else {
            Err(Refusal::upload_unknown())
        }
    }

    pub(super) fn begin_upload(&self) -> io::Result<String> {
        let id = self.next_upload.fetch_add(1, Ordering::SeqCst).to_string();
        File::create(self.dir.join("uploads").join(&id))?;
        Ok(id)
    }

    /// Take a finished upload as the blob that it claims to be.
    pub(super) fn finish_upload(&self, repo: &str, id: &str, digest: &str) -> Result<(), Refusal> {
        let upload = self.upload_path(id)?;
        let target = self.blob_path(digest)?;
        let found = digest_of_file(&upload)?;
        if found != digest {
            fs::remove_file(&upload)?;
            return Err(Refusal::digest_invalid(format!(
                "expected {digest}, found {found}"
            )));
        }
        fs::rename(&upload, &target)?;
        Ok(self
            .change(|content| content.entry(repo).blobs.insert(digest.to_owned()))
            .map(|_| ())?)
    }

    pub(super) fn put_blob(&self, repo: &str, bytes: &[u8]) -> Result<String, Refusal> {
        let digest = digest_of(bytes);
        fs::write(self.blob_path(&digest)?, bytes)?;
        self.change(|content| content.entry(repo).blobs.insert(digest.clone()))?;
        Ok(digest)
    }

    pub(super) fn put_manifest(
        &self,
        repo: &str,
        reference: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<String, Refusal> {
        let digest = digest_of(bytes);
        if reference.contains(':') && reference != digest {
            return Err(Refusal::digest_invalid(format!(
                "expected {reference}, found {digest}"
            )));
        }
        self.check(repo, &Needs::of(bytes)?)?;
        fs::write(self.blob_path(&digest)?, bytes)?;
        self.change(|content| {
            let repository = content.entry(repo);
            repository.manifests.insert(digest.clone(), kind.to_owned());
            if reference != digest {
                repository.tags.insert(reference.to_owned(), digest.clone());
            }
        })?;
        Ok(digest)
    }

    fn check(&self, repo: &str, needs: &Needs) -> Result<(), Refusal> {
        let content = self.content();
        let repository = content.get(repo).cloned().unwrap_or_default();
        let missing = needs
            .blobs
            .iter()
            .find(|digest| !repository.blobs.contains(*digest));
        let sparse = needs
            .manifests
            .iter()
            .find(|digest| !repository.manifests.contains_key(*digest));
        match (missing, sparse, self.indexes) {
            (Some(digest), _, _) | (None, Some(digest), Indexes::Complete) => {
                Err(Refusal::blob_missing(digest))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let content = self.content();
        let of = |(repo, tag, digest): (&String, &String, &String)| {
            (format!("{repo}:{tag}"), digest.clone())
        };
        let all = content.repositories.iter();
        all.flat_map(|(repo, held)| {
            held.tags
                .iter()
                .map(move |(tag, digest)| (repo, tag, digest))
        })
        .map(of)
        .collect()
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = self.tags();
        let content = self.content();
        for (repo, held) in &content.repositories {
            for digest in held.manifests.keys() {
                all.insert(format!("{repo}@{digest}"), self.found(digest));
            }
            for digest in &held.blobs {
                all.insert(format!("{repo}/blobs@{digest}"), self.found(digest));
            }
        }
        all
    }

    fn found(&self, digest: &str) -> String {
        let path = self.blob_path(digest).expect("only digests are stored");
        digest_of_file(&path).expect("stored bytes can be read")
    }
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64
        && hex
            .bytes()
            .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// `sha256:HEX` of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    name_of(Sha256::digest(bytes).as_slice())
}

fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(name_of(hash.finalize().as_slice())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn name_of(hash: &[u8]) -> String {
    use std::fmt::Write;
    hash.iter().fold("sha256:".to_owned(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("a string takes all");
        name
    })
}
