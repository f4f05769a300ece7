//! Operator catalogues in file-based form: what they hold, what `oc-mirror` takes of them for a
//! wish, and what of a wish comes to nothing.
//!
//! The form is that of OLM's file-based catalogues
//! (<https://olm.operatorframework.io/docs/reference/file-based-catalogs/>). What `oc-mirror` takes
//! was read from its sources, and is compared with what real runs and the real filter gave.

mod filter_id;
mod filtered;
mod graph;
mod objects;
mod read;
mod select;
mod selected;
mod unmet;
mod version;
mod whole;
mod wish;

use std::collections::BTreeMap;

pub use filter_id::{FilterOf, filter_id};
pub use read::{CatalogError, Reader};
pub use select::{SelectError, select};
pub use selected::{Selected, SelectedPackage};
pub use unmet::{Lack, Unmet, unmet};

/// What `oc-mirror` does with a catalogue, which changed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// 4.17 and before: the catalogue travels whole, and bundles are chosen by the versions in
    /// their names.
    Whole,
    /// 4.18 and later: the catalogue is filtered and built anew, by the versions that bundles
    /// declare.
    Filtered,
}

/// A catalogue, whole or filtered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By name.
    pub packages: BTreeMap<String, Package>,
}

/// An `olm.package` with its channels and bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its default channel, empty where it names none; `None` where the `olm.package` is missing.
    pub default_channel: Option<String>,
    /// The `olm.channel`s by name, each with its entries in the order of the file.
    pub channels: BTreeMap<String, Vec<Entry>>,
    /// The `olm.bundle`s by name.
    pub bundles: BTreeMap<String, Bundle>,
}

/// An entry of a channel: a bundle's place in the upgrade graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The name of the bundle.
    pub name: String,
    /// The bundle that it replaces.
    pub replaces: Option<String>,
    /// The bundles that may be skipped on the way to it.
    pub skips: Vec<String>,
    /// The range of versions that may be skipped on the way to it.
    pub skip_range: Option<String>,
}

/// An `olm.bundle`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The image of the bundle itself.
    pub image: String,
    /// The version in its `olm.package` property, as it stands there; empty where there is none.
    pub version: String,
    /// The images of `relatedImages`, in the order of the file.
    pub related_images: Vec<String>,
}

/// An image that a bundle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelatedImage<'a> {
    /// The package.
    pub package: &'a str,
    /// The bundle.
    pub bundle: &'a str,
    /// The reference as the bundle has it.
    pub image: &'a str,
}

impl Package {
    fn some_bundles(&self, is_kept: impl Fn(&str) -> bool) -> BTreeMap<String, Bundle> {
        let kept = self.bundles.iter().filter(|(name, _)| is_kept(name));
        kept.map(|(name, bundle)| (name.clone(), bundle.clone()))
            .collect()
    }
}

impl Catalog {
    /// What `oc-mirror` copies for the bundles: their `relatedImages`, with repeats.
    pub fn related_images(&self) -> impl Iterator<Item = RelatedImage<'_>> {
        self.bundles().flat_map(|(package, name, bundle)| {
            bundle.related_images.iter().map(move |image| RelatedImage {
                package,
                bundle: name,
                image,
            })
        })
    }

    /// Every bundle with the names of its package and of itself.
    pub fn bundles(&self) -> impl Iterator<Item = (&str, &str, &Bundle)> {
        self.packages.iter().flat_map(|(package, content)| {
            let bundles = content.bundles.iter();
            bundles.map(move |(name, bundle)| (package.as_str(), name.as_str(), bundle))
        })
    }

    /// The packages of this whole catalogue of which `selected` has no bundle.
    ///
    /// `oc-mirror` up to 4.17 does not filter the catalogue: the cluster is offered them, and
    /// their images are nowhere.
    pub fn dead_packages<'a>(&'a self, selected: &Self) -> Vec<&'a str> {
        let is_dead = |name: &str| {
            let found = selected.packages.get(name);
            found.is_none_or(|package| package.bundles.is_empty())
        };
        let names = self.packages.keys().map(String::as_str);
        names.filter(|name| is_dead(name)).collect()
    }
}
