//! What was selected, short enough for a signed file and for people to compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Catalog, Entry, Package};

/// The packages of a catalogue that are carried, and in which versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selected {
    /// By name.
    pub packages: BTreeMap<String, SelectedPackage>,
}

/// A package of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectedPackage {
    /// The default channel.
    pub default_channel: String,
    /// By channel: the version of each bundle, by the bundle's name.
    pub channels: BTreeMap<String, BTreeMap<String, String>>,
}

impl Selected {
    /// Of a catalogue that [`select()`](super::select()) gave or `oc-mirror` filtered.
    pub fn of(catalog: &Catalog) -> Self {
        let packages = catalog.packages.iter();
        let packages = packages.map(|(name, package)| (name.clone(), SelectedPackage::of(package)));
        Self {
            packages: packages.collect(),
        }
    }
}

impl SelectedPackage {
    fn of(package: &Package) -> Self {
        let version = |entry: &Entry| {
            let bundle = package.bundles.get(&entry.name)?;
            Some((entry.name.clone(), bundle.version.clone()))
        };
        let channels = package.channels.iter().map(|(name, entries)| {
            let versions = entries.iter().filter_map(version);
            (name.clone(), versions.collect())
        });
        Self {
            default_channel: package.default_channel.clone().unwrap_or_default(),
            channels: channels.collect(),
        }
    }
}
