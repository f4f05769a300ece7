//! The filter that `oc-mirror` from 4.18 on applies to a catalogue.
//!
//! The rules are those of github.com/sherine-k/catalog-filter 0.0.5, `mirror-filter.go`, with the
//! ranges that `oc-mirror`'s `catalog_handler.go` makes of an image set. Left out is that it keeps
//! all bundles of packages that no channel is left of: they are nowhere to be installed from.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::graph::Graph;
use super::select::{SelectError, mixed};
use super::unmet::Unmet;
use super::version::{Interval, strict};
use super::wish::{Line, given, line, lines, of_all};
use super::{Bundle, Catalog, Entry, Package, Rule, unmet};
use crate::imageset::model::{Operator, Package as Wanted, Range};

/// The filtered catalogue.
pub(super) fn select(catalog: &Catalog, wish: &Operator) -> Result<Catalog, SelectError> {
    wish.packages().iter().try_for_each(check)?;
    let mut filter = Filter {
        kept: Catalog::default(),
        full: wish.full,
        refused: Vec::new(),
    };
    let outcome = filter.all(catalog, wish);
    if filter.refused.is_empty() {
        return outcome.map(|()| filter.kept);
    }
    // What the wish can mend comes first.
    let mut refused = filter.refused;
    if outcome.is_ok() {
        refused.extend(unmet(&filter.kept, wish, Rule::Filtered));
    }
    refused.sort();
    refused.dedup();
    Err(SelectError::Unmet(refused))
}

/// Ranges are versions, and stand either at the package or at its channels.
fn check(wanted: &Wanted) -> Result<(), SelectError> {
    let mut channels = wanted.channels.iter();
    if given(&wanted.range).is_some() && channels.any(|channel| given(&channel.range).is_some()) {
        let what = "a range beside channels with ranges";
        return Err(mixed(wanted, what, wanted.name.at));
    }
    for line in lines(wanted).chain(line(wanted, "")) {
        line.range
            .map_or(Ok(()), |range| interval(line, range).map(drop))?;
    }
    Ok(())
}

fn interval(line: Line, range: &Range) -> Result<Interval, SelectError> {
    Interval::of(range).map_err(|text| SelectError::Version { text, at: line.at })
}

#[derive(Debug)]
struct Filter {
    kept: Catalog,
    full: bool,
    /// What ends the run.
    refused: Vec<Unmet>,
}

impl Filter {
    fn all(&mut self, catalog: &Catalog, wish: &Operator) -> Result<(), SelectError> {
        if wish.packages().is_empty() {
            let mut packages = catalog.packages.iter();
            return packages.try_for_each(|(name, package)| {
                let default = package.default_channel.clone();
                self.package(package, &of_all(wish, name), default)
            });
        }
        let mut found = Vec::new();
        for wanted in wish.packages() {
            if let Some(package) = catalog.packages.get(&*wanted.name) {
                let default = self.default_channel(package, wanted);
                found.push((package, wanted, default));
            }
        }
        let mut found = found.into_iter();
        found.try_for_each(|(package, wanted, default)| self.package(package, wanted, default))
    }

    fn package(
        &mut self,
        package: &Package,
        wanted: &Wanted,
        default_channel: Option<String>,
    ) -> Result<(), SelectError> {
        let versions = versions(&wanted.name, package)?;
        let mut kept = Package {
            default_channel,
            ..Package::default()
        };
        let mut bundles = BTreeSet::new();
        for (name, entries) in &package.channels {
            let Some(line) = line(wanted, name) else {
                continue;
            };
            let channel = Channel {
                wanted,
                name,
                entries,
                line,
            };
            let names = channel.take(self.full, &versions)?;
            if let Some(range) = line.range.filter(|_| names.is_empty()) {
                // The catalogue's own default channel, even where the wish puts another.
                let is_default = package.default_channel.as_ref() == Some(name);
                if is_default || matches!(interval(line, range)?, Interval::Exactly(_)) {
                    self.refused.push(Unmet::range(&wanted.name, line, range));
                }
                continue;
            }
            let mut entries = entries.clone();
            entries.retain(|entry| names.contains(entry.name.as_str()));
            kept.channels.insert(name.clone(), entries);
            bundles.extend(names);
        }
        kept.bundles = package.some_bundles(|name| bundles.contains(name));
        if kept != Package::default() {
            self.kept.packages.insert(wanted.name.value.clone(), kept);
        }
        Ok(())
    }

    /// The default channel afterwards. It must be among the channels that the wish leaves.
    fn default_channel(&mut self, package: &Package, wanted: &Wanted) -> Option<String> {
        let own = package.default_channel.as_ref()?;
        let other = wanted.default_channel.as_ref();
        let other = other.filter(|name| !name.is_empty());
        let (name, at) = other.map_or((own, wanted.name.at), |text| (&text.value, text.at));
        let is_there = package.channels.contains_key(name) && line(wanted, name).is_some();
        if !name.is_empty() && !is_there {
            let refused = Unmet::default_channel(&wanted.name, name, at);
            self.refused.push(refused);
        }
        Some(name.clone())
    }
}

/// The version of every bundle.
fn versions<'a>(
    name: &str,
    package: &'a Package,
) -> Result<BTreeMap<&'a str, Version>, SelectError> {
    let read = |(bundle, content): (&'a String, &Bundle)| {
        let version = strict(&content.version).ok_or_else(|| SelectError::Bundle {
            package: name.to_owned(),
            bundle: bundle.clone(),
        });
        Ok((bundle.as_str(), version?))
    };
    package.bundles.iter().map(read).collect()
}

#[derive(Clone, Copy, Debug)]
struct Channel<'a> {
    wanted: &'a Wanted,
    name: &'a str,
    entries: &'a [Entry],
    line: Line<'a>,
}

impl<'a> Channel<'a> {
    /// The names of the bundles that are kept.
    fn take(
        self,
        full: bool,
        versions: &BTreeMap<&'a str, Version>,
    ) -> Result<BTreeSet<&'a str>, SelectError> {
        match self.line.range {
            Some(_) if full => Err(mixed(self.wanted, "a range beside `full`", self.line.at)),
            Some(range) => self.within(&interval(self.line, range)?, versions),
            None if full => Ok(self
                .entries
                .iter()
                .map(|entry| entry.name.as_str())
                .collect()),
            None => Ok(self.graph()?.head().into_iter().collect()),
        }
    }

    /// What a range keeps. One single version is looked for in the whole package, and kept in
    /// every channel, even where it leaves a channel without entries.
    fn within(
        self,
        interval: &Interval,
        versions: &BTreeMap<&'a str, Version>,
    ) -> Result<BTreeSet<&'a str>, SelectError> {
        if let Interval::Exactly(_) = interval {
            let mut found = versions.iter().filter(|(_, version)| interval.has(version));
            return Ok(found.next().map(|(name, _)| *name).into_iter().collect());
        }
        let version = |name: &str| versions.get(name);
        let is_in = |name: &str| version(name).is_some_and(|version| interval.has(version));
        Ok(self.graph()?.within(is_in))
    }

    fn graph(self) -> Result<Graph<'a>, SelectError> {
        Graph::of(self.entries).map_err(|reason| SelectError::Channel {
            package: self.wanted.name.value.clone(),
            channel: self.name.to_owned(),
            reason,
        })
    }
}
