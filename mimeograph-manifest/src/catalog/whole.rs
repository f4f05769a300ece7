//! What `oc-mirror` up to 4.17 takes of a catalogue that it does not filter.
//!
//! The rules are those of its `v2/internal/pkg/manifest/oci-manifest.go`: versions are read from
//! the names of entries, and entries whose names have none are passed over. Where two
//! have the same version, or pre-releases lead on from each other, it takes one by chance.

use std::collections::BTreeSet;

use semver::Version;

use super::select::{SelectError, mixed};
use super::version::{of_name, tolerant};
use super::wish::{given, lines, of_all};
use super::{Catalog, Entry, Package};
use crate::imageset::model::{Operator, Package as Wanted, Range, Text};

/// What is mirrored: the selected bundles, and the places that they have in channels.
pub(super) fn select(catalog: &Catalog, wish: &Operator) -> Result<Catalog, SelectError> {
    let mut kept = Catalog::default();
    let mut keep = |wanted: &Wanted| {
        let package = catalog.packages.get(&*wanted.name);
        if let Some(package) = package.filter(|package| !package.bundles.is_empty()) {
            check(wanted, wish.full)?;
            let part = part(package, &bundles(package, wanted, wish.full));
            if !part.bundles.is_empty() {
                kept.packages.insert(wanted.name.value.clone(), part);
            }
        }
        Ok(())
    };
    if wish.packages().is_empty() {
        let packages = catalog.packages.iter();
        let mut declared = packages.filter(|(_, package)| package.default_channel.is_some());
        declared.try_for_each(|(name, _)| keep(&of_all(wish, name)))?;
    }
    wish.packages().iter().try_for_each(keep)?;
    Ok(kept)
}

fn check(wanted: &Wanted, full: bool) -> Result<(), SelectError> {
    if given(&wanted.range).is_none() {
        return Ok(());
    }
    match wanted.channels.is_empty() {
        _ if full => Err(mixed(wanted, "a range beside `full`", wanted.name.at)),
        false => Err(mixed(wanted, "a range beside channels", wanted.name.at)),
        true => Ok(()),
    }
}

/// The bundles of a package that are copied.
fn bundles<'a>(package: &'a Package, wanted: &Wanted, full: bool) -> BTreeSet<&'a str> {
    let all = || package.bundles.keys().map(String::as_str).collect();
    if wanted.channels.is_empty() {
        if full {
            return all();
        }
        let default = package.default_channel.as_deref().unwrap_or_default();
        let entries = package.channels.get(default);
        return entries.map_or_else(BTreeSet::new, |entries| {
            chosen(entries, given(&wanted.range), full)
        });
    }
    let found: BTreeSet<_> = lines(wanted)
        .filter_map(|line| Some((line, package.channels.get(line.channel?)?)))
        .flat_map(|(line, entries)| chosen(entries, line.range, full))
        .collect();
    // `full` with nothing found in the channels takes the whole package.
    if full && found.is_empty() {
        all()
    } else {
        found
    }
}

fn part(package: &Package, bundles: &BTreeSet<&str>) -> Package {
    let mut part = package.clone();
    for entries in part.channels.values_mut() {
        entries.retain(|entry| bundles.contains(entry.name.as_str()));
    }
    part.channels.retain(|_, entries| !entries.is_empty());
    part.bundles
        .retain(|name, _| bundles.contains(name.as_str()));
    part
}

/// The entries of a channel that are taken: those of the range, or else the head, or with
/// `full` all of them.
pub(super) fn chosen<'a>(
    entries: &'a [Entry],
    range: Option<&Range>,
    full: bool,
) -> BTreeSet<&'a str> {
    let versioned: Vec<(&Entry, Version)> = entries
        .iter()
        .filter_map(|entry| Some((entry, of_name(&entry.name)?)))
        .collect();
    let names = versioned.iter().map(|(entry, _)| entry.name.as_str());
    match range {
        None if full => names.collect(),
        None => head(&versioned).into_iter().collect(),
        Some(range) => within(&versioned, range).unwrap_or_default(),
    }
}

/// The entry with the highest version, or a pre-release that replaces or skips it.
fn head<'a>(entries: &[(&'a Entry, Version)]) -> Option<&'a str> {
    let mut head = None;
    let mut highest = &Version::new(0, 0, 0);
    for (entry, version) in entries {
        if version.cmp_precedence(highest).is_gt() {
            (head, highest) = (Some(entry.name.as_str()), version);
        }
    }
    let mut head = head?;
    for (entry, version) in entries {
        let names = entry.skips.iter().chain(&entry.replaces);
        if !version.pre.is_empty() && names.into_iter().any(|name| name == head) {
            head = &entry.name;
        }
    }
    Some(head)
}

/// The entries of a range, and the pre-releases of their versions; `None` where an end of the
/// range is no version.
fn within<'a>(entries: &[(&'a Entry, Version)], range: &Range) -> Option<BTreeSet<&'a str>> {
    let end = |text: &Option<Text>| {
        let text = text.as_ref().filter(|text| !text.is_empty());
        text.map(|text| tolerant(text).ok_or(())).transpose().ok()
    };
    let (min, max) = (end(&range.min)?, end(&range.max)?);
    let is_in = |version: &Version| {
        let reaches = min
            .as_ref()
            .is_none_or(|min| version.cmp_precedence(min).is_ge());
        reaches
            && max
                .as_ref()
                .is_none_or(|max| version.cmp_precedence(max).is_le())
    };
    let inside = entries.iter().filter(|(_, version)| is_in(version));
    let mut names: BTreeSet<&str> = inside.map(|(entry, _)| entry.name.as_str()).collect();
    for (entry, version) in entries
        .iter()
        .filter(|(_, version)| !version.pre.is_empty())
    {
        let release = Version::new(version.major, version.minor, version.patch).to_string();
        if names.iter().any(|name| name.contains(&release)) {
            names.insert(&entry.name);
        }
    }
    Some(names)
}
