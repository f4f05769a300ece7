//! What an image set says, field by field, with the place of each in the file.
//!
//! v2alpha1 as `oc-mirror` 5.2 has it, and what v1alpha2 has in common with it.

use std::fmt;
use std::ops::Deref;

/// A place in the file, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A text and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Where it stands.
    pub at: Place,
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

/// Lowest and highest version that is wanted, both included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// `minVersion`.
    pub min: Option<Text>,
    /// `maxVersion`.
    pub max: Option<Text>,
}

impl Range {
    /// Whether it bounds nothing.
    pub fn is_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

/// `mirror`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// `platform`.
    pub platform: Option<Platform>,
    /// `operators`.
    pub operators: Vec<Operator>,
    /// `additionalImages`.
    pub additional_images: Vec<AdditionalImage>,
    /// `helm`.
    pub helm: Helm,
    /// `blockedImages`: exact up to 4.18, an unanchored pattern later.
    pub blocked_images: Vec<Text>,
}

/// `platform`: releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// Where it begins.
    pub at: Place,
    /// Whether the graph image is wanted.
    pub graph: bool,
    /// `channels`.
    pub channels: Vec<ReleaseChannel>,
    /// `architectures`; none: amd64.
    pub architectures: Vec<Text>,
    /// `release`: one release by its image.
    pub release: Option<Text>,
    /// `kubeVirtContainer`.
    pub kube_virt_container: bool,
    /// `platforms`.
    pub platforms: Vec<InstancePlatform>,
}

/// One of `platform.channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseChannel {
    /// Where it begins.
    pub at: Place,
    /// `name`.
    pub name: Text,
    /// `type`: `ocp` (the default) or `okd`.
    pub kind: Option<Text>,
    /// `minVersion` and `maxVersion`.
    pub range: Range,
    /// `shortestPath`.
    pub shortest_path: bool,
    /// `full`.
    pub full: bool,
}

/// One of `operators`: a catalogue and what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// Where it begins.
    pub at: Place,
    /// `catalog`.
    pub catalog: Text,
    /// `targetCatalog`.
    pub target_catalog: Option<Text>,
    /// `targetTag`.
    pub target_tag: Option<Text>,
    /// `targetCatalogSourceTemplate`.
    pub target_catalog_source_template: Option<Text>,
    /// `full`: every version instead of the heads.
    pub full: bool,
    /// `skipDependencies`.
    pub skip_dependencies: bool,
    /// `packages`; absent and empty are different to `oc-mirror`'s filter id.
    pub packages: Option<Vec<Package>>,
    /// `platforms`.
    pub platforms: Vec<InstancePlatform>,
}

impl Operator {
    /// The packages that are named.
    pub fn packages(&self) -> &[Package] {
        self.packages.as_deref().unwrap_or_default()
    }
}

/// One of `operators[].packages`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// `name`.
    pub name: Text,
    /// `channels`.
    pub channels: Vec<Channel>,
    /// `defaultChannel`.
    pub default_channel: Option<Text>,
    /// `minVersion` and `maxVersion`.
    pub range: Range,
}

/// One of `operators[].packages[].channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// `name`.
    pub name: Text,
    /// `minVersion` and `maxVersion`.
    pub range: Range,
}

/// One of a `platforms`: the instances of an index that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancePlatform {
    /// `os`.
    pub os: Text,
    /// `architecture`.
    pub architecture: Text,
}

/// One of `additionalImages`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdditionalImage {
    /// `name`.
    pub name: Text,
    /// `targetRepo` (4.22 on).
    pub target_repo: Option<Text>,
    /// `targetTag` (4.22 on).
    pub target_tag: Option<Text>,
    /// `platforms`.
    pub platforms: Vec<InstancePlatform>,
}

/// `helm`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helm {
    /// `repositories`.
    pub repositories: Vec<ChartRepository>,
    /// `local`.
    pub local: Vec<Chart>,
}

/// One of `helm.repositories`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartRepository {
    /// `url`.
    pub url: Text,
    /// `name`.
    pub name: Text,
    /// `charts`; none: all of them.
    pub charts: Vec<Chart>,
}

/// A chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// Where it begins.
    pub at: Place,
    /// `name`.
    pub name: Text,
    /// `version`.
    pub version: Option<Text>,
    /// `path`, of a local one.
    pub path: Option<Text>,
    /// `imagePaths`: JSONPath expressions for images that the templates hide.
    pub image_paths: Vec<Text>,
    /// `platforms`.
    pub platforms: Vec<InstancePlatform>,
}
