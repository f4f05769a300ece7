//! The cache: distribution's layout on disk, without its server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::hash::digest_of;
use crate::reference::is_digest;

/// `<cache-dir>/.oc-mirror/.cache`
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let root = dir.join(".oc-mirror/.cache");
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.root.join("docker/registry/v2/repositories")
    }

    /// The path of a blob under the root.
    pub(crate) fn blob_name(digest: &str) -> String {
        let hex = digest.trim_start_matches("sha256:");
        format!(
            "docker/registry/v2/blobs/sha256/{}/{hex}/data",
            hex.get(..2).unwrap_or_default()
        )
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.root.join(Self::blob_name(digest))
    }

    /// Take a blob that `fill` writes; it is there only when whole.
    pub(crate) fn add_blob(
        &self,
        digest: &str,
        fill: impl FnOnce(&mut File) -> Result<(), String>,
    ) -> Result<(), String> {
        let path = self.blob_path(digest);
        if path.exists() {
            return Ok(());
        }
        let dir = path.parent().unwrap_or(&self.root);
        let part = dir.join("part");
        let broken = |error: io::Error| format!("writing blob: {error}");
        fs::create_dir_all(dir).map_err(broken)?;
        fill(&mut File::create(&part).map_err(broken)?)?;
        fs::rename(part, path).map_err(broken)
    }

    pub(crate) fn link_layer(&self, repo: &str, digest: &str) -> io::Result<()> {
        self.link(repo, &format!("_layers/sha256/{}", hex(digest)), digest)
    }

    pub(crate) fn add_manifest(&self, repo: &str, bytes: &[u8]) -> io::Result<String> {
        let digest = digest_of(bytes);
        let path = self.blob_path(&digest);
        fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        fs::write(path, bytes)?;
        self.link_revision(repo, &digest)?;
        Ok(digest)
    }

    pub(crate) fn link_revision(&self, repo: &str, digest: &str) -> io::Result<()> {
        self.link(
            repo,
            &format!("_manifests/revisions/sha256/{}", hex(digest)),
            digest,
        )
    }

    pub(crate) fn tag(&self, repo: &str, tag: &str, digest: &str) -> io::Result<()> {
        self.link(repo, &format!("_manifests/tags/{tag}/current"), digest)?;
        self.link(
            repo,
            &format!("_manifests/tags/{tag}/index/sha256/{}", hex(digest)),
            digest,
        )
    }

    /// The manifest under a tag or digest. As in the real one, only what is asked by digest has a known digest,
    /// and nobody compares that with the bytes.
    pub(crate) fn manifest(&self, repo: &str, reference: &str) -> Option<Vec<u8>> {
        let digest = if is_digest(reference) {
            reference.to_owned()
        } else {
            self.read_link(repo, &format!("_manifests/tags/{reference}/current"))?
        };
        self.read_link(
            repo,
            &format!("_manifests/revisions/sha256/{}", hex(&digest)),
        )?;
        fs::read(self.blob_path(&digest)).ok()
    }

    /// A blob that the repository links.
    pub(crate) fn blob(&self, repo: &str, digest: &str) -> Option<File> {
        self.read_link(repo, &format!("_layers/sha256/{}", hex(digest)))?;
        File::open(self.blob_path(digest)).ok()
    }

    fn link(&self, repo: &str, place: &str, digest: &str) -> io::Result<()> {
        let dir = self.repositories().join(repo).join(place);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("link"), digest)
    }

    fn read_link(&self, repo: &str, place: &str) -> Option<String> {
        fs::read_to_string(self.repositories().join(repo).join(place).join("link")).ok()
    }
}

fn hex(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}
