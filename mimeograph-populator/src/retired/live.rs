//! What of a repository is in use: deleting a tag deletes its digest, and with it every other tag and index that needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use mimeograph_manifest::digest::Digest;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::registry::artifact::ANY_MANIFEST;
use crate::registry::{Question, Registry, RegistryError};

/// What the tags of one repository need.
#[derive(Debug, Default)]
pub struct Live {
    /// By digest, a tag that needs it.
    pub needed: BTreeMap<Digest, String>,
    /// A tag that could not be looked into.
    pub unreadable: Option<String>,
}

impl Registry {
    /// What all tags of a repository need, but for those that are to go.
    pub fn live(
        &self,
        repository: &str,
        is_going: impl Fn(&str) -> bool,
        parallel: usize,
    ) -> Result<Live, RegistryError> {
        let mut tags = self.tags(repository)?;
        tags.retain(|tag| !is_going(tag));
        let places = Arc::new(Semaphore::new(parallel.max(1)));
        self.wait(async {
            let mut asked = JoinSet::new();
            for tag in tags {
                let (question, places) = (self.question(repository, &tag), Arc::clone(&places));
                asked.spawn(async move {
                    // The semaphore is never closed.
                    let _place = places.acquire_owned().await;
                    (tag, manifest(&question).await)
                });
            }
            let mut live = Live::default();
            while let Some(answer) = asked.join_next().await {
                let Ok((tag, manifest)) = answer else {
                    live.unreadable.get_or_insert_default();
                    continue;
                };
                match manifest? {
                    Some(bytes) => live.add(&tag, &bytes),
                    None => live.unreadable = Some(tag),
                }
            }
            Ok(live)
        })
    }
}

impl Live {
    fn add(&mut self, tag: &str, manifest: &[u8]) {
        let members = members(manifest);
        for digest in members.into_iter().chain([Digest::of(manifest)]) {
            self.needed.entry(digest).or_insert_with(|| tag.to_owned());
        }
    }
}

async fn manifest(question: &Question) -> Result<Option<Vec<u8>>, RegistryError> {
    let answer = question.put(|client, image, auth| async move {
        let pulled = client.pull_manifest_raw(&image, &auth, &ANY_MANIFEST).await;
        pulled.map(|(bytes, _)| bytes.to_vec())
    });
    answer.await
}

/// The manifests of an index.
fn members(manifest: &[u8]) -> Vec<Digest> {
    #[derive(serde::Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<Member>,
    }
    #[derive(serde::Deserialize)]
    struct Member {
        digest: String,
    }
    let index = serde_json::from_slice(manifest).unwrap_or(Index {
        manifests: Vec::new(),
    });
    let members = index.manifests.iter();
    members
        .filter_map(|member| Digest::from_oci(&member.digest).ok())
        .collect()
}
