//! What an image set came to in names that people know: for results, and to compare bundles.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::{Release, Wish};
use crate::digest::Digest;
use crate::inventory::Inventory;
use crate::manifest::{File, Manifest, Role};

/// By channel: versions.
type Channels = BTreeMap<String, Vec<String>>;

/// What an image set came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Version and architecture of each release.
    pub releases: Vec<String>,
    /// By catalogue, package and channel: versions.
    pub operators: BTreeMap<String, BTreeMap<String, Channels>>,
    /// How many packages the cluster is offered besides, whose images did not travel (up to 4.17).
    pub dead_packages: u64,
    /// Name and version of each chart.
    pub charts: Vec<String>,
    /// Additional images, and those of charts.
    pub images: usize,
}

impl Named {
    /// Of a wish.
    pub fn of(wish: &Wish) -> Self {
        let operators = wish.operators.iter().map(|catalog| {
            let packages = catalog.packages.iter().map(|(name, package)| {
                let channels = package.channels.iter().map(|(channel, bundles)| {
                    let versions = bundles.values().cloned().collect();
                    (channel.clone(), versions)
                });
                (name.clone(), channels.collect())
            });
            (catalog.reference.clone(), packages.collect())
        });
        let charts = wish.charts.iter();
        Self {
            releases: wish.releases.iter().map(name_of).collect(),
            operators: operators.collect(),
            dead_packages: wish.operators.iter().map(|one| one.dead_packages).sum(),
            charts: charts
                .map(|chart| {
                    format!("{} {}", chart.name, chart.version)
                        .trim()
                        .to_owned()
                })
                .collect(),
            images: wish.images.len() + wish.chart_images.len(),
        }
    }
}

fn name_of(release: &Release) -> String {
    format!("{} {}", release.version, release.architecture)
        .trim()
        .to_owned()
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.releases.is_empty() {
            parts.push(format!("releases {}", self.releases.join(", ")));
        }
        for (catalog, packages) in &self.operators {
            let names: Vec<_> = packages.keys().map(String::as_str).collect();
            parts.push(format!("packages {} of {catalog}", names.join(", ")));
        }
        if self.dead_packages > 0 {
            let count = self.dead_packages;
            parts.push(format!("packages whose images did not travel: {count}"));
        }
        if !self.charts.is_empty() {
            parts.push(format!("charts {}", self.charts.join(", ")));
        }
        if self.images > 0 || parts.is_empty() {
            parts.push(format!("images: {}", self.images));
        }
        f.write_str(&parts.join("; "))
    }
}

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A release: its image's digest.
    Release,
    /// An operator catalogue: the digest that the target answers with.
    Catalogue,
    /// A package's channel in a catalogue: versions.
    Package,
    /// A chart.
    Chart,
    /// An additional image, or one of a chart: its digest.
    Image,
    /// A tag in the archives: the digest under it.
    Tag,
    /// A file beside the archives, by role and name: the digest of its content, or of its chunks' digests.
    File,
}

/// Something that is not the same in two bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What it was; none: it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; none: it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Bytes that its bundle carries for it: the newer bundle's, or where it is gone the older one's. What several images
    /// share counts for each; of a delta it is what is new. None where it has no bytes of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Change {
    /// Whether it is a tag made of a digest, which comes and goes with the image and can never move.
    pub fn is_of_digest(&self) -> bool {
        let tag = self.name.rsplit(':').next().unwrap_or_default();
        let digest = tag.strip_prefix("sha256-").unwrap_or(tag);
        let digest = digest.strip_suffix(".sig").unwrap_or(digest);
        self.kind == Kind::Tag
            && digest.len() >= 32
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// Changes in words, a line each; tags made of digests are counted.
pub fn in_words(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "they hold the same".to_owned();
    }
    let mut text = String::new();
    // Writing to a text cannot fail.
    for change in changes.iter().filter(|change| !change.is_of_digest()) {
        let _ = writeln!(text, "{change}");
    }
    let by_digest = || changes.iter().filter(|change| change.is_of_digest());
    let new = by_digest().filter(|change| change.before.is_none()).count();
    let gone = by_digest().count() - new;
    if new + gone > 0 {
        let _ = writeln!(
            text,
            "and tags made of digests: {new} new, {gone} gone (`--output json` names them)"
        );
    }
    text
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Release => "release",
            Kind::Catalogue => "catalogue",
            Kind::Package => "package",
            Kind::Chart => "chart",
            Kind::Image => "image",
            Kind::Tag => "tag",
            Kind::File => "file",
        };
        let name = &self.name;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {kind:<9}  {name}  {after}"),
            (Some(before), None) => write!(f, "- {kind:<9}  {name}  {before}"),
            (Some(before), Some(after)) => write!(f, "~ {kind:<9}  {name}  {before} -> {after}"),
            (None, None) => write!(f, "  {kind:<9}  {name}"),
        }?;
        match self.size {
            Some(size) => write!(f, "  ({size} bytes)"),
            None => Ok(()),
        }
    }
}

/// What is not the same of the files beside the archives: the image set itself, local and extra files.
pub fn diff_files(before: Option<&Manifest>, after: &Manifest) -> Vec<Change> {
    let before = before.map(files).unwrap_or_default();
    changes(before, files(after))
}

fn files(manifest: &Manifest) -> BTreeMap<(Kind, String), Entry> {
    let roles = [Role::Imageset, Role::Local, Role::Extra];
    let files = manifest
        .files
        .iter()
        .filter(|file| roles.contains(&file.role));
    let entry = |file: &File| {
        let name = match file.role {
            Role::Local => format!("local {}", file.name),
            Role::Extra => format!("extra {}", file.name),
            _ => file.name.to_string(),
        };
        let is = match &file.chunks[..] {
            [one] => one.raw.to_oci(),
            chunks => {
                let digests: Vec<_> = chunks.iter().map(|chunk| chunk.raw.to_string()).collect();
                format!("chunks:{}", Digest::of(digests.concat().as_bytes()))
            }
        };
        let size = Some(file.size);
        ((Kind::File, name), Entry { is, size })
    };
    files.map(entry).collect()
}

/// What is not the same, by kind and name.
pub fn diff(before: &Inventory, after: &Inventory) -> Vec<Change> {
    changes(entries(before), entries(after))
}

fn changes(
    mut before: BTreeMap<(Kind, String), Entry>,
    after: BTreeMap<(Kind, String), Entry>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for ((kind, name), after) in after {
        let before = before.remove(&(kind, name.clone()));
        if before.as_ref().map(|entry| &entry.is) != Some(&after.is) {
            changes.push(Change {
                kind,
                name,
                before: before.map(|entry| entry.is),
                size: after.size,
                after: Some(after.is),
            });
        }
    }
    changes.extend(before.into_iter().map(|((kind, name), before)| Change {
        kind,
        name,
        before: Some(before.is),
        after: None,
        size: before.size,
    }));
    changes.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    changes
}

/// What is named.
struct Entry {
    /// Its digest, or its versions.
    is: String,
    size: Option<u64>,
}

fn entries(inventory: &Inventory) -> BTreeMap<(Kind, String), Entry> {
    let Inventory {
        wish, structure, ..
    } = inventory;
    let image = |digest: &Digest| Entry {
        is: digest.to_oci(),
        size: structure.carried(digest),
    };
    let versions = |is: String| Entry { is, size: None };
    let mut entries = BTreeMap::new();
    for release in &wish.releases {
        entries.insert((Kind::Release, name_of(release)), image(&release.digest));
    }
    for catalog in &wish.operators {
        let name = catalog.reference.clone();
        entries.insert((Kind::Catalogue, name), image(&catalog.digest));
        for (package, selected) in &catalog.packages {
            for (channel, bundles) in &selected.channels {
                let name = format!("{package} {channel} of {}", catalog.reference);
                let all: Vec<_> = bundles.values().map(String::as_str).collect();
                entries.insert((Kind::Package, name), versions(all.join(" ")));
            }
        }
    }
    for chart in &wish.charts {
        let name = format!("{} of {}", chart.name, chart.from);
        entries.insert((Kind::Chart, name), versions(chart.version.clone()));
    }
    for one in wish.single_images() {
        entries.insert((Kind::Image, one.reference.clone()), image(&one.digest));
    }
    for (repository, links) in &structure.repositories {
        for (tag, digest) in &links.tags {
            let name = format!("{repository}:{tag}");
            entries.insert((Kind::Tag, name), image(digest));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{ImageManifest, Structure};
    use crate::wish::Resolved;

    fn inventory(images: &[(&str, &str)]) -> Inventory {
        let mut structure = Structure::default();
        let mut wish = Wish::default();
        for (name, bytes) in images {
            let digest = Digest::of(bytes.as_bytes());
            let (repository, tag) = name.split_once(':').unwrap();
            assert!(structure.tag(repository, tag, digest));
            wish.images.push(Resolved {
                reference: format!("r.io/{name}"),
                repository: repository.into(),
                tag: tag.into(),
                digest,
            });
        }
        Inventory::new(structure, wish)
    }

    #[test]
    fn what_is_new_gone_and_moved_is_told_apart() {
        let before = inventory(&[("a:v1", "1"), ("b:v1", "2"), ("c:v1", "3")]);
        let after = inventory(&[("a:v1", "1"), ("b:v1", "4"), ("d:v1", "5")]);
        let changes = diff(&before, &after);
        let marks: Vec<_> = changes
            .iter()
            .map(|change| {
                let text = change.to_string();
                (text.chars().next().unwrap(), change.name.clone())
            })
            .collect();
        let wanted = [
            ('~', "r.io/b:v1"),
            ('-', "r.io/c:v1"),
            ('+', "r.io/d:v1"),
            ('~', "b:v1"),
            ('-', "c:v1"),
            ('+', "d:v1"),
        ];
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(mark, name)| (*mark, (*name).to_owned()))
            .collect();
        assert_eq!(marks, wanted);
        assert_eq!(diff(&after, &after), []);
    }

    #[test]
    fn a_change_has_the_bytes_that_are_carried_for_it_each_once() {
        let digest = |name: &str| Digest::of(name.as_bytes());
        let mut after = inventory(&[("a:v1", "index"), ("b:v1", "elsewhere")]);
        let structure = &mut after.structure;
        let image = |blobs: &[&str], manifests: &[&str]| ImageManifest {
            blobs: blobs.iter().map(|name| digest(name)).collect(),
            manifests: manifests.iter().map(|name| digest(name)).collect(),
        };
        let members = [("one", ["shared", "new"]), ("two", ["shared", "old"])];
        for (name, blobs) in members {
            structure.manifests.insert(digest(name), image(&blobs, &[]));
        }
        structure
            .manifests
            .insert(digest("index"), image(&[], &["one", "two", "left out"]));
        let sizes = [
            ("index", 1),
            ("one", 10),
            ("two", 100),
            ("shared", 1000),
            ("new", 10_000),
        ];
        for (name, size) in sizes {
            structure.blobs.insert(digest(name), size);
        }
        let changes = diff(&inventory(&[]), &after);
        let size_of = |name| {
            changes
                .iter()
                .find(|change| change.name == name)
                .unwrap()
                .size
        };
        assert_eq!(size_of("a:v1"), Some(11_111));
        assert_eq!(size_of("r.io/a:v1"), Some(11_111));
        assert_eq!(size_of("b:v1"), None);
        let gone = &diff(&after, &inventory(&[]))[0];
        assert_eq!((gone.size, gone.after.as_ref()), (Some(11_111), None));
        assert!(gone.to_string().ends_with("  (11111 bytes)"), "{gone}");
    }

    #[test]
    fn tags_made_of_digests_are_known() {
        let hex = Digest::of(b"x").to_string();
        let change = |tag: &str| Change {
            kind: Kind::Tag,
            name: format!("a/b:{tag}"),
            before: None,
            after: Some(String::new()),
            size: None,
        };
        for tag in [&hex, &format!("sha256-{hex}"), &format!("sha256-{hex}.sig")] {
            assert!(change(tag).is_of_digest(), "{tag}");
        }
        for tag in ["v1", "4.20.3-x86_64", "cafe"] {
            assert!(!change(tag).is_of_digest(), "{tag}");
        }
    }
}
