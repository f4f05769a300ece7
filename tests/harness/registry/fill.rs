//! Filling a registry without going over the wire, and reading it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::Registry;
use super::manifest::{IMAGE, INDEX};
use super::store::digest_of;

const ARCHITECTURES: [&str; 4] = ["amd64", "arm64", "ppc64le", "s390x"];
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A layer as a registry holds it: gzip, without the shrinking, so that sizes stay what a test asks for.
/// (`oc-mirror` compresses what is not compressed, and the image gets another digest.)
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(content).expect("memory to write to");
    encoder.finish().expect("memory to write to")
}

impl Registry {
    /// Store an image with these layers under a tag; gives its digest.
    pub fn put_image(&self, repo: &str, tag: &str, layers: &[Vec<u8>]) -> String {
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|layer| self.put_layer(repo, layer))
            .collect();
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.descriptor(repo, "application/vnd.oci.image.config.v1+json", &config),
            "layers": descriptors,
        });
        self.put_manifest(repo, tag, IMAGE, manifest.to_string().as_bytes())
    }

    /// Store an index of images that the repository already holds, one per architecture; gives its digest.
    pub fn put_index(&self, repo: &str, tag: &str, members: &[String]) -> String {
        let member = |(digest, architecture): (&String, &&str)| {
            let size = self
                .manifest(repo, digest)
                .expect("a member is stored before its index")
                .len();
            let platform = json!({ "os": "linux", "architecture": architecture });
            json!({ "mediaType": IMAGE, "digest": digest, "size": size, "platform": platform })
        };
        let members: Vec<Value> = members
            .iter()
            .zip(ARCHITECTURES.iter().cycle())
            .map(member)
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": members });
        self.put_manifest(repo, tag, INDEX, index.to_string().as_bytes())
    }

    /// Store a manifest as it is, under a tag or its digest.
    pub fn put_manifest(
        &self,
        repo: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        self.served
            .store
            .put_manifest(repo, reference, media_type, bytes)
            .expect("a manifest that fits")
    }

    /// Store a blob; gives its digest.
    pub fn put_blob(&self, repo: &str, bytes: &[u8]) -> String {
        self.served
            .store
            .put_blob(repo, bytes)
            .expect("room for a blob")
    }

    /// The bytes of the manifest that a tag or digest names.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<Vec<u8>> {
        let found = self.served.store.content().get(repo)?.manifest(reference)?;
        self.bytes(&found.0)
    }

    /// The bytes of a blob that the repository holds.
    pub fn blob(&self, repo: &str, digest: &str) -> Option<Vec<u8>> {
        let held = self
            .served
            .store
            .content()
            .get(repo)?
            .blobs
            .contains(digest);
        held.then(|| self.bytes(digest)).flatten()
    }

    /// Remove a tag, or a manifest with its tags; `false` if it was not there.
    pub fn remove(&self, repo: &str, reference: &str) -> bool {
        let removed = self
            .served
            .store
            .change(|content| content.remove_manifest(repo, reference));
        removed.expect("a folder that can be written")
    }

    /// Store what a mirror-to-disk archive (v2) carries, as its tags name it.
    pub fn put_archive(&self, archive: &Path) {
        let entries = entries(archive);
        let text = |path: &str| {
            entries
                .get(path)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        for path in entries.keys() {
            let Some(rest) = path.strip_prefix("docker/registry/v2/repositories/") else {
                continue;
            };
            if let Some((repo, hex)) = between(rest, "/_layers/sha256/", "/link")
                && let Some(bytes) = entries.get(&data_path(hex))
            {
                self.put_blob(repo, bytes);
            }
        }
        // instances before the indexes that name them
        let mut revisions: Vec<(&str, &[u8])> = Vec::new();
        for path in entries.keys() {
            let Some(rest) = path.strip_prefix("docker/registry/v2/repositories/") else {
                continue;
            };
            if let Some((repo, hex)) = between(rest, "/_manifests/revisions/sha256/", "/link")
                && let Some(bytes) = entries.get(&data_path(hex))
            {
                revisions.push((repo, bytes));
            }
        }
        revisions.sort_by_key(|(_, bytes)| document(bytes)["manifests"].is_array());
        for (repo, bytes) in revisions {
            self.put_manifest(repo, &digest_of(bytes), &kind_of(bytes), bytes);
        }
        for path in entries.keys() {
            let Some(rest) = path.strip_prefix("docker/registry/v2/repositories/") else {
                continue;
            };
            if let Some((repo, tag)) = between(rest, "/_manifests/tags/", "/current/link")
                && let Some(bytes) = text(path).and_then(|digest| self.manifest(repo, &digest))
            {
                self.put_manifest(repo, tag, &kind_of(&bytes), &bytes);
            }
        }
    }

    fn put_layer(&self, repo: &str, layer: &[u8]) -> Value {
        let gzip = layer.starts_with(&[0x1f, 0x8b]);
        let suffix = if gzip { "+gzip" } else { "" };
        self.descriptor(
            repo,
            &format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
            layer,
        )
    }

    fn descriptor(&self, repo: &str, media_type: &str, bytes: &[u8]) -> Value {
        json!({ "mediaType": media_type, "digest": self.put_blob(repo, bytes), "size": bytes.len() })
    }

    fn bytes(&self, digest: &str) -> Option<Vec<u8>> {
        fs::read(self.served.store.blob_path(digest).ok()?).ok()
    }
}

fn between<'a>(text: &'a str, middle: &str, end: &str) -> Option<(&'a str, &'a str)> {
    text.strip_suffix(end)?.split_once(middle)
}

fn data_path(hex: &str) -> String {
    format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
}

fn kind_of(bytes: &[u8]) -> String {
    let value = document(bytes);
    let guess = if value["manifests"].is_array() {
        INDEX
    } else {
        DOCKER_IMAGE
    };
    value["mediaType"].as_str().unwrap_or(guess).to_owned()
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a manifest in JSON")
}

fn entries(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut archive = tar::Archive::new(fs::File::open(archive).expect("an archive"));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .expect("the bytes of an entry");
        all.insert(name, bytes);
    }
    all
}
