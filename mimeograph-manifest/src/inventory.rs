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

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn image(blobs: &[&str], manifests: &[&str]) -> ImageManifest {
        ImageManifest {
            blobs: blobs.iter().map(|name| digest(name)).collect(),
            manifests: manifests.iter().map(|name| digest(name)).collect(),
        }
    }

    /// Carries these image manifests, and these blobs besides; each is as large as its name.
    fn structure(images: &[(&str, ImageManifest)], blobs: &[&str]) -> Structure {
        let names = images.iter().map(|(name, _)| name).chain(blobs);
        Structure {
            repositories: BTreeMap::new(),
            manifests: images
                .iter()
                .map(|(name, image)| (digest(name), image.clone()))
                .collect(),
            blobs: names
                .map(|name| (digest(name), name.len() as u64))
                .collect(),
        }
    }

    #[test]
    fn a_tag_means_one_thing_and_only_what_is_linked_is_an_image() {
        let mut found = Structure::default();
        assert!(found.tag("a", "v1", digest("tagged")));
        assert!(found.tag("a", "v1", digest("tagged")));
        assert!(!found.tag("a", "v1", digest("other")));
        assert!(found.tag("b", "v1", digest("other")));
        found.revision("c", digest("revision"));
        assert_eq!(found.resolve("a", "v1"), Some(digest("tagged")));
        assert_eq!(found.resolve("a", "v2"), None);
        assert_eq!(found.resolve("c", "v1"), None);
        assert_eq!(found.tags(), 2);
        let candidates =
            ["tagged", "revision", "unlinked"].map(|name| (digest(name), image(&[], &[])));
        found.keep_manifests(candidates.into());
        let kept: BTreeSet<_> = found.manifests.into_keys().collect();
        assert_eq!(kept, BTreeSet::from([digest("tagged"), digest("revision")]));
    }

    #[test]
    fn what_an_index_needs_is_counted_once() {
        let found = structure(
            &[
                ("index", image(&[], &["first", "second"])),
                ("first", image(&["shared", "elsewhere"], &[])),
                ("second", image(&["shared"], &["index"])),
            ],
            &["shared", "unneeded"],
        );
        let all = "indexfirstsecondshared".len() as u64;
        assert_eq!(found.carried(&digest("index")), Some(all));
        let one = "firstshared".len() as u64;
        assert_eq!(found.carried(&digest("first")), Some(one));
        assert_eq!(found.carried(&digest("shared")), None);
    }

    #[test]
    fn an_inventory_differs_from_archives_that_hold_more_less_or_something_else() {
        let signed = || {
            let mut signed = structure(&[("image", image(&["layer"], &[]))], &["layer"]);
            signed.tag("a", "v1", digest("image"));
            signed
        };
        let inventory = Inventory::new(signed(), Wish::default());
        inventory.matches(&signed()).unwrap();
        let others: [fn(&mut Structure); 8] = [
            |s| s.repositories.clear(),
            |s| assert!(s.tag("a", "v2", digest("image"))),
            |s| s.revision("b", digest("image")),
            |s| assert!(s.blobs.remove(&digest("layer")).is_some()),
            |s| s.blobs.extend([(digest("layer"), 1)]),
            |s| s.blobs.extend([(digest("more"), 1)]),
            |s| s.manifests.clear(),
            |s| drop(s.manifests.insert(digest("image"), image(&[], &[]))),
        ];
        for (n, change) in others.iter().enumerate() {
            let mut found = signed();
            change(&mut found);
            assert!(inventory.matches(&found).is_err(), "{n}");
        }
    }

    #[test]
    fn a_later_inventory_is_told_from_a_broken_one() {
        let inventory = Inventory::new(Structure::default(), Wish::default());
        let bytes = inventory.to_bytes().unwrap();
        assert_eq!(bytes.last(), Some(&b'\n'));
        assert_eq!(Inventory::from_bytes(&bytes).unwrap(), inventory);
        let text = String::from_utf8(bytes).unwrap();
        let id = |text: &str| Inventory::from_bytes(text.as_bytes()).unwrap_err().id();
        assert_eq!(id(&text.replace(".v1+", ".v2+")), ErrorId::TooNew);
        assert_eq!(
            id(&text.replace("\"wish\"", "\"wishes\"")),
            ErrorId::InventoryMismatch
        );
        assert_eq!(id("{}"), ErrorId::InventoryMismatch);
    }

    #[test]
    fn what_came_before_has_the_wish_of_the_newest() {
        let inventory = |name: &str, graph: Option<&str>| {
            let carried = structure(&[(name, image(&[], &[]))], &[]);
            let graph = graph.map(|reference| crate::wish::Resolved {
                reference: reference.to_owned(),
                repository: reference.to_owned(),
                tag: "v1".to_owned(),
                digest: digest(reference),
            });
            let wish = Wish {
                graph,
                ..Wish::default()
            };
            Inventory::new(carried, wish)
        };
        let graph = |before: &Before| {
            let wish = before.wish().unwrap();
            wish.graph.as_ref().map(|graph| graph.reference.clone())
        };
        let mut before = Before::default();
        assert_eq!(before.wish(), None);
        before.add_older(inventory("b", Some("b")));
        before.add_older(inventory("a", Some("a")));
        assert_eq!(graph(&before).as_deref(), Some("b"));
        before.add_newer(inventory("c", None));
        assert_eq!(graph(&before), None);
        for name in ["a", "b", "c"] {
            assert!(before.has(&digest(name)), "{name}");
            assert!(before.manifest(&digest(name)).is_some(), "{name}");
        }
        assert!(!before.has(&digest("d")));
        assert_eq!(before.manifest(&digest("d")), None);
    }

    #[test]
    fn an_image_is_whole_where_all_that_it_needs_is_here_or_came_before() {
        let check = |here: &Structure, before: &Structure, members: &IndexMembers| {
            let mut came = Before::default();
            came.add_newer(Inventory::new(before.clone(), Wish::default()));
            check_closure(here, &came, [], members).is_ok()
        };
        let nothing = Structure::default();
        let every = IndexMembers::Every;
        let alone = |images: &[(&str, ImageManifest)], blobs: &[&str]| {
            check(&structure(images, blobs), &nothing, &every)
        };
        assert!(alone(&[("image", image(&["layer"], &[]))], &["layer"]));
        assert!(!alone(&[("image", image(&["layer"], &[]))], &[]));
        assert!(!alone(
            &[("image", image(&["layer", "other"], &[]))],
            &["layer"]
        ));
        // A member that is there as a blob alone cannot be told to be whole.
        assert!(!alone(&[("index", image(&[], &["member"]))], &["member"]));
        let member = ("member", image(&["layer"], &[]));
        let index = ("index", image(&[], &["member", "other"]));
        assert!(!alone(&[index.clone(), member.clone()], &["layer"]));
        assert!(!alone(
            &[("index", image(&[], &["member"])), member.clone()],
            &[]
        ));
        let here = structure(std::slice::from_ref(&index), &[]);
        let before = structure(&[member.clone(), ("other", image(&[], &[]))], &["layer"]);
        assert!(check(&here, &before, &every));
        let of =
            |list: &[&str]| IndexMembers::EveryOf(list.iter().map(|name| digest(name)).collect());
        let some = structure(&[member], &["layer"]);
        assert!(!check(&here, &some, &every));
        assert!(check(&here, &some, &of(&["elsewhere"])));
        assert!(!check(&here, &some, &of(&["index"])));
        assert!(!check(&here, &nothing, &of(&[])));
    }

    #[test]
    fn a_wanted_image_that_is_nowhere_is_missing_itself() {
        let found = structure(&[], &["layer"]);
        let wanted = digest("image");
        let error = check_closure(&found, &Before::default(), [wanted], &IndexMembers::Every);
        let Err(InventoryError::NotClosed { missing, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(missing, wanted);
    }
}
