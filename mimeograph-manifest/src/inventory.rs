//! The inventory: what a bundle's archives hold, as a signed file of its own, and its closure.
//!
//! Its structural part is a function of the archives alone. The far side computes it again from the
//! archives that arrived and compares, so what an approver saw is what is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::wish::Wish;

/// The type that this program writes and reads.
pub const TYPE: &str = "application/vnd.mimeograph.inventory.v1+json";
/// The name of the file in a bundle.
pub const FILE_NAME: &str = "inventory.json";

/// The signed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// [`TYPE`].
    pub r#type: String,
    /// What the archives hold.
    pub structure: Structure,
    /// What the image set came to.
    pub wish: Wish,
}

/// What archives hold: all links, the image manifests that are carried, and every blob's size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Structure {
    /// By repository.
    pub repositories: BTreeMap<String, Repository>,
    /// The image manifests that the archives carry.
    pub manifests: BTreeMap<Digest, ImageManifest>,
    /// The blobs that the archives carry, image manifests included, with their sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
}

/// The links of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The digest under each tag.
    pub tags: BTreeMap<String, Digest>,
    /// The image manifests that it names, tagged or not.
    pub revisions: BTreeSet<Digest>,
}

/// What an image manifest or index needs, each list in order and without repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageManifest {
    /// Config and layers.
    pub blobs: Vec<Digest>,
    /// An index's image manifests.
    pub manifests: Vec<Digest>,
}

impl ImageManifest {
    /// Reads an image manifest or index (OCI, or Docker's of schema 2); `None` where the bytes are none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let raw: RawImage = serde_json::from_slice(bytes).ok()?;
        if raw.schema_version != 2 || (raw.layers.is_none() && raw.manifests.is_none()) {
            return None;
        }
        let digests = |list: Vec<Descriptor>| -> Option<Vec<Digest>> {
            let mut digests = list
                .iter()
                .map(|d| Digest::from_oci(&d.digest).ok())
                .collect::<Option<Vec<_>>>()?;
            digests.sort_unstable();
            digests.dedup();
            Some(digests)
        };
        Some(Self {
            blobs: digests(
                raw.config
                    .into_iter()
                    .chain(raw.layers.unwrap_or_default())
                    .collect(),
            )?,
            manifests: digests(raw.manifests.unwrap_or_default())?,
        })
    }
}

/// The members that an image manifest has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawImage {
    schema_version: u64,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl Structure {
    /// Notes a tag; `false` where it is there with another digest.
    pub(crate) fn tag(&mut self, repository: &str, tag: &str, digest: Digest) -> bool {
        let tags = &mut self
            .repositories
            .entry(repository.to_owned())
            .or_default()
            .tags;
        *tags.entry(tag.to_owned()).or_insert(digest) == digest
    }

    pub(crate) fn revision(&mut self, repository: &str, digest: Digest) {
        self.repositories
            .entry(repository.to_owned())
            .or_default()
            .revisions
            .insert(digest);
    }

    /// Of all that looks like an image manifest, keeps what a link names.
    pub(crate) fn keep_manifests(&mut self, candidates: BTreeMap<Digest, ImageManifest>) {
        let linked: BTreeSet<_> = self
            .repositories
            .values()
            .flat_map(|repository| repository.revisions.iter().chain(repository.tags.values()))
            .copied()
            .collect();
        self.manifests = candidates
            .into_iter()
            .filter(|(digest, _)| linked.contains(digest))
            .collect();
    }

    /// The digest under a tag.
    pub fn resolve(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.repositories.get(repository)?.tags.get(tag).copied()
    }

    /// Bytes of all that an image or index needs and the archives carry; none where they do not carry the image itself.
    pub fn carried(&self, image: &Digest) -> Option<u64> {
        self.manifests.get(image)?;
        let (mut open, mut seen) = (vec![*image], BTreeSet::new());
        while let Some(digest) = open.pop() {
            if seen.insert(digest)
                && let Some(image) = self.manifests.get(&digest)
            {
                open.extend(image.blobs.iter().chain(&image.manifests));
            }
        }
        Some(
            seen.iter()
                .filter_map(|digest| self.blobs.get(digest))
                .sum(),
        )
    }

    /// How many tags there are.
    pub fn tags(&self) -> usize {
        self.repositories
            .values()
            .map(|repository| repository.tags.len())
            .sum()
    }
}

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Made by a newer program.
    #[error("the inventory's format `{0}` is newer than this program")]
    Newer(String),
    /// Not in its form.
    #[error("the inventory cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// What arrived is not what was signed.
    #[error("the archives differ from the signed inventory in {0}")]
    Mismatch(String),
    /// An image needs something that is nowhere.
    #[error("{} needs {kind} {missing}, which neither this bundle nor those that it builds on carry", wanted.to_oci())]
    NotClosed {
        /// The image manifest.
        wanted: Digest,
        /// `blob` or `manifest`.
        kind: &'static str,
        /// What it needs.
        missing: Digest,
    },
}

impl Fault for InventoryError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Newer(_) => ErrorId::TooNew,
            Self::Malformed(_) | Self::Mismatch(_) => ErrorId::InventoryMismatch,
            Self::NotClosed { .. } => ErrorId::NotClosed,
        }
    }
}

impl Inventory {
    /// An inventory in this program's format.
    pub fn new(structure: Structure, wish: Wish) -> Self {
        Self {
            r#type: TYPE.to_owned(),
            structure,
            wish,
        }
    }

    /// Its bytes: JSON on one line.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InventoryError> {
        let mut bytes = serde_json::to_vec(self).map_err(InventoryError::Malformed)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads it; the bytes are those of a verified bundle.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InventoryError> {
        #[derive(Deserialize)]
        struct Typed {
            r#type: String,
        }
        let Typed { r#type } = serde_json::from_slice(bytes).map_err(InventoryError::Malformed)?;
        if r#type != TYPE {
            return Err(InventoryError::Newer(r#type));
        }
        serde_json::from_slice(bytes).map_err(InventoryError::Malformed)
    }

    /// Compares what was signed with what the archives hold.
    pub fn matches(&self, found: &Structure) -> Result<(), InventoryError> {
        let signed = &self.structure;
        let mismatch = |what: &str, which: &dyn fmt::Display| {
            Err(InventoryError::Mismatch(format!("{what} `{which}`")))
        };
        if let Some(name) = first_difference(&signed.repositories, &found.repositories) {
            return mismatch("the links of repository", name);
        }
        if let Some(digest) = first_difference(&signed.blobs, &found.blobs) {
            return mismatch("blob", digest);
        }
        match first_difference(&signed.manifests, &found.manifests) {
            Some(digest) => mismatch("image manifest", digest),
            None => Ok(()),
        }
    }
}

/// The first name that only one of them has, or that means something else in the other.
fn first_difference<'a, K: Ord, V: PartialEq>(
    signed: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> Option<&'a K> {
    let other = |map: &BTreeMap<K, V>, (name, value): &(&K, &V)| map.get(name) != Some(value);
    let unsigned = found.iter().find(|entry| other(signed, entry));
    let missing = signed.iter().find(|entry| other(found, entry));
    unsigned.or(missing).map(|(name, _)| name)
}

/// What earlier bundles brought, back to a full one: what a delta may build on.
#[derive(Clone, Debug, Default)]
pub struct Before {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, ImageManifest>,
    wish: Option<Wish>,
}

impl Before {
    /// Adds what a bundle brought that comes after those added so far.
    pub fn add_newer(&mut self, inventory: Inventory) {
        self.add(inventory.structure);
        self.wish = Some(inventory.wish);
    }

    /// Adds what a bundle brought that comes before those added so far.
    pub fn add_older(&mut self, inventory: Inventory) {
        self.add(inventory.structure);
        self.wish.get_or_insert(inventory.wish);
    }

    fn add(&mut self, structure: Structure) {
        self.blobs.extend(structure.blobs.into_keys());
        self.manifests.extend(structure.manifests);
    }

    /// What an image manifest or index needs, where one of them carried it.
    pub fn manifest(&self, digest: &Digest) -> Option<&ImageManifest> {
        self.manifests.get(digest)
    }

    /// What the newest of them came to.
    pub fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref()
    }

    /// Whether a blob came with one of them.
    pub fn has(&self, blob: &Digest) -> bool {
        self.blobs.contains(blob)
    }
}

/// Which members of an index must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexMembers {
    /// All of them.
    Every,
    /// All of these; of others the image set's `platforms` leaves some out, but never the last.
    EveryOf(BTreeSet<Digest>),
}

impl IndexMembers {
    fn may_be_left_out(&self, index: &Digest) -> bool {
        match self {
            Self::Every => false,
            Self::EveryOf(whole) => !whole.contains(index),
        }
    }
}

/// Checks that every wanted image is whole: its blobs and manifests are carried here or came before.
///
/// Wanted are the manifests that this bundle carries and `also`. Everything else that is linked may
/// be stale (`oc-mirror` archives the whole link tree of its cache) and is not looked at.
pub fn check_closure(
    structure: &Structure,
    before: &Before,
    also: impl IntoIterator<Item = Digest>,
    members: &IndexMembers,
) -> Result<(), InventoryError> {
    let mut open: Vec<Digest> = structure.manifests.keys().copied().chain(also).collect();
    let mut seen = BTreeSet::new();
    while let Some(wanted) = open.pop() {
        if !seen.insert(wanted) {
            continue;
        }
        let not_closed = |kind, missing| {
            Err(InventoryError::NotClosed {
                wanted,
                kind,
                missing,
            })
        };
        let image = structure
            .manifests
            .get(&wanted)
            .or_else(|| before.manifests.get(&wanted));
        let Some(image) = image else {
            return not_closed("manifest", wanted);
        };
        let there = |digest: &Digest| structure.blobs.contains_key(digest) || before.has(digest);
        if let Some(missing) = image.blobs.iter().find(|digest| !there(digest)) {
            return not_closed("blob", *missing);
        }
        let (here, missing): (Vec<Digest>, Vec<Digest>) =
            image.manifests.iter().partition(|one| there(one));
        if let Some(missing) = missing.first()
            && (here.is_empty() || !members.may_be_left_out(&wanted))
        {
            return not_closed("manifest", *missing);
        }
        open.extend(here);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_manifest_or_index_is_known_by_its_members() {
        let digest = Digest::of(b"x");
        let list = format!("[{{\"digest\":\"{}\"}}]", digest.to_oci());
        let parse = |text: &str| ImageManifest::parse(text.as_bytes());
        let image = parse(&format!("{{\"schemaVersion\":2,\"layers\":{list}}}")).unwrap();
        assert_eq!((image.blobs, image.manifests), (vec![digest], vec![]));
        let index = parse(&format!("{{\"schemaVersion\":2,\"manifests\":{list}}}")).unwrap();
        assert_eq!((index.blobs, index.manifests), (vec![], vec![digest]));
        for other in [
            "{\"schemaVersion\":2}".to_owned(),
            format!("{{\"schemaVersion\":1,\"layers\":{list}}}"),
            format!("{{\"schemaVersion\":1,\"manifests\":{list}}}"),
            format!("{{\"layers\":{list}}}"),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
