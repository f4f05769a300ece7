//! Which repository holds what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One repository. Blobs and manifests are named by digest; their bytes lie in the blob folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Repository {
    pub(super) tags: BTreeMap<String, String>,
    /// Digest and media type.
    pub(super) manifests: BTreeMap<String, String>,
    pub(super) blobs: BTreeSet<String>,
}

/// All repositories by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) repositories: BTreeMap<String, Repository>,
}

impl Content {
    pub(super) fn get(&self, repo: &str) -> Option<&Repository> {
        self.repositories.get(repo)
    }

    pub(super) fn entry(&mut self, repo: &str) -> &mut Repository {
        self.repositories.entry(repo.to_owned()).or_default()
    }

    pub(super) fn remove_manifest(&mut self, repo: &str, reference: &str) -> bool {
        self.repositories
            .get_mut(repo)
            .is_some_and(|held| held.remove_manifest(reference))
    }

    pub(super) fn remove_blob(&mut self, repo: &str, digest: &str) -> bool {
        self.repositories
            .get_mut(repo)
            .is_some_and(|held| held.blobs.remove(digest))
    }
}

impl Repository {
    /// Digest and media type of the manifest that a tag or digest names.
    pub(super) fn manifest(&self, reference: &str) -> Option<(String, String)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests
            .get(digest)
            .map(|kind| (digest.to_owned(), kind.clone()))
    }

    /// Remove a tag, or a manifest with every tag that names it.
    fn remove_manifest(&mut self, reference: &str) -> bool {
        if self.tags.remove(reference).is_some() {
            return true;
        }
        self.tags.retain(|_, digest| digest != reference);
        self.manifests.remove(reference).is_some()
    }
}
