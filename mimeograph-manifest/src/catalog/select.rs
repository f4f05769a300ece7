//! Which bundles `oc-mirror` selects for a wish, of a whole catalogue.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::{Catalog, Entry, Package, version};
use crate::imageset::model::{self, Operator, Range};

/// How `oc-mirror` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Up to 4.17: from the default channel where none is named, versions from the entries' names.
    Old,
    /// From 4.18 on: from every channel where none is named, versions from the bundles' properties; an error in one
    /// package is an error in all.
    New,
}

/// What is selected: by package and channel, the names of bundles.
pub type Selected = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Selects. `Err` is what `oc-mirror` refuses, in our words.
pub fn select(catalog: &Catalog, wish: &Operator, rule: Rule) -> Result<Selected, String> {
    let nothing = model::Package::default();
    let named = wish.packages();
    let mut selected = Selected::new();
    for (name, package) in &catalog.packages {
        let wanted = named.iter().find(|wanted| *wanted.name == **name);
        let Some(wanted) = wanted.or(named.is_empty().then_some(&nothing)) else {
            continue;
        };
        if !package.is_declared {
            continue;
        }
        let channels = match rule {
            Rule::Old => old(package, wanted, wish.full),
            Rule::New => new(package, wanted, wish.full)
                .map_err(|problem| format!("package `{name}`: {problem}"))?,
        };
        selected.insert(name.clone(), channels);
    }
    Ok(selected)
}

type Channels = BTreeMap<String, BTreeSet<String>>;

/// operator-framework's mirror filter, as `oc-mirror` uses it (github.com/sherine-k/catalog-filter 0.0.5).
fn new(package: &Package, wanted: &model::Package, full: bool) -> Result<Channels, String> {
    let is_named = |name: &str| {
        wanted
            .channels
            .iter()
            .find(|channel| *channel.name == *name)
    };
    let mut channels = package.channels.clone();
    if !wanted.channels.is_empty() {
        channels.retain(|name, _| is_named(name).is_some());
    }
    let default = match &wanted.default_channel {
        Some(default) => &**default,
        None => &*package.default_channel,
    };
    if !default.is_empty() && !wanted.name.is_empty() && !channels.contains_key(default) {
        return Err(format!(
            "the default channel `{default}` is not among those selected"
        ));
    }
    let mut selected = Channels::new();
    for (name, entries) in &channels {
        let range = is_named(name)
            .map(|channel| &channel.range)
            .filter(|range| !range.is_open())
            .unwrap_or(&wanted.range);
        if full && !range.is_open() {
            return Err("`full` cannot be mixed with a range".to_owned());
        }
        let kept: BTreeSet<String> = if full {
            entries.iter().map(|entry| entry.name.clone()).collect()
        } else if range.is_open() {
            BTreeSet::from([Graph::of(entries)?.head.clone()])
        } else {
            let kept = in_range(package, entries, range)?;
            if kept.is_empty() && *name == package.default_channel {
                return Err(format!("no version of channel `{name}` is in the range"));
            }
            kept
        };
        // What the exact version of a package is called may not stand in this channel: then it is left without entries.
        let there = entries.iter().filter(|entry| kept.contains(&entry.name));
        let there: BTreeSet<_> = there.map(|entry| entry.name.clone()).collect();
        if !kept.is_empty() {
            selected.insert(name.clone(), there);
        }
    }
    Ok(selected)
}

fn in_range(
    package: &Package,
    entries: &[Entry],
    range: &Range,
) -> Result<BTreeSet<String>, String> {
    let versions = |name: &str| package.bundles.get(name)?.version.as_ref();
    if let (Some(min), Some(max)) = (&range.min, &range.max)
        && min.value == max.value
    {
        let exact = version(min).ok_or_else(|| format!("`{min}` is no version"))?;
        let bundle = package.bundles.iter().find(|(_, bundle)| {
            let found = bundle.version.as_ref();
            found.is_some_and(|found| found.cmp_precedence(&exact).is_eq())
        });
        let (name, _) = bundle.ok_or_else(|| format!("there is no version {min}"))?;
        return Ok(BTreeSet::from([name.clone()]));
    }
    let bounds = Bounds::of(range)?;
    let graph = Graph::of(entries)?;
    let is_in = |name: &str| versions(name).is_some_and(|version| bounds.hold(version));
    // From the head down, how many bundles in the range each entry has at or below it, every one counted once.
    let chain = graph.chain();
    let (mut seen, mut count) = (BTreeSet::new(), 0_usize);
    let mut counts = vec![0; chain.len()];
    for (index, name) in chain.iter().enumerate().rev() {
        let skips = graph.skips(name);
        for candidate in std::iter::once(*name).chain(skips) {
            if is_in(candidate) && seen.insert(candidate) {
                count += 1;
            }
        }
        counts[index] = count;
    }
    let (mut head, mut tail, mut most) = (0, chain.len(), None);
    for (index, count) in counts.iter().enumerate() {
        if most.is_none_or(|most| *count >= most) {
            (head, most) = (index, Some(*count));
        }
        if *count == 0 {
            tail = index;
            break;
        }
    }
    let mut kept = BTreeSet::new();
    for name in chain.get(head..tail).unwrap_or_default() {
        kept.insert((*name).to_owned());
        let skips = graph.skips(name).filter(|skip| is_in(skip));
        kept.extend(skips.map(str::to_owned));
    }
    Ok(kept)
}

struct Bounds {
    min: Option<Version>,
    max: Option<Version>,
}

impl Bounds {
    fn of(range: &Range) -> Result<Self, String> {
        let bound = |text: Option<&model::Text>| {
            let parsed =
                text.map(|text| version(text).ok_or_else(|| format!("`{text}` is no version")));
            parsed.transpose()
        };
        Ok(Self {
            min: bound(range.min.as_ref())?,
            max: bound(range.max.as_ref())?,
        })
    }

    /// A bound without a pre-release keeps pre-releases out (github.com/Masterminds/semver, constraints).
    fn hold(&self, version: &Version) -> bool {
        let lets_in = |bound: &Version| version.pre.is_empty() || !bound.pre.is_empty();
        self.min
            .as_ref()
            .is_none_or(|min| lets_in(min) && version.cmp_precedence(min).is_ge())
            && self
                .max
                .as_ref()
                .is_none_or(|max| lets_in(max) && version.cmp_precedence(max).is_le())
    }
}

/// A channel's update graph.
struct Graph<'a> {
    entries: BTreeMap<&'a str, &'a Entry>,
    head: String,
}

impl<'a> Graph<'a> {
    fn of(entries: &'a [Entry]) -> Result<Self, String> {
        let mut passed: BTreeSet<&str> = BTreeSet::new();
        for entry in entries {
            passed.extend(entry.replaces.as_deref().filter(|name| !name.is_empty()));
            passed.extend(entry.skips.iter().map(String::as_str));
        }
        let mut heads = entries
            .iter()
            .filter(|entry| !passed.contains(&*entry.name));
        let head = match (heads.next(), heads.next()) {
            (Some(head), None) => head.name.clone(),
            (None, _) => return Err("a channel has no head".to_owned()),
            (Some(one), Some(other)) => {
                return Err(format!(
                    "a channel has several heads: {}, {}",
                    one.name, other.name
                ));
            }
        };
        let entries = entries.iter().map(|entry| (&*entry.name, entry)).collect();
        Ok(Self { entries, head })
    }

    /// From the head down, by what each replaces; the last may be a bundle that is not in the channel.
    fn chain(&self) -> Vec<&str> {
        let (mut chain, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = Some(&*self.head);
        while let Some(name) = next.filter(|name| !name.is_empty()) {
            if !seen.insert(name) {
                break;
            }
            chain.push(name);
            let entry = self.entries.get(name);
            next = entry.and_then(|entry| entry.replaces.as_deref());
        }
        chain
    }

    fn skips(&self, name: &str) -> impl Iterator<Item = &str> {
        let entry = self.entries.get(name);
        entry
            .into_iter()
            .flat_map(|entry| entry.skips.iter().map(String::as_str))
    }
}

/// release-4.17: v2/internal/pkg/manifest/oci-manifest.go, `getRelatedImages` and `filterBundles`.
fn old(package: &Package, wanted: &model::Package, full: bool) -> Channels {
    let of_channel = |name: &str, range: &Range| {
        let entries = package.channels.get(name).map(Vec::as_slice);
        let kept = old_in_range(entries.unwrap_or_default(), range, full);
        (name.to_owned(), kept)
    };
    if full && wanted.channels.is_empty() {
        let everything = package.channels.iter().map(|(name, entries)| {
            let names = entries.iter().map(|entry| entry.name.clone());
            (name.clone(), names.collect())
        });
        return everything.collect();
    }
    if wanted.channels.is_empty() {
        return Channels::from([of_channel(&package.default_channel, &wanted.range)]);
    }
    let channels = wanted.channels.iter();
    channels
        .map(|channel| of_channel(&channel.name, &channel.range))
        .collect()
}

fn old_in_range(entries: &[Entry], range: &Range, full: bool) -> BTreeSet<String> {
    let bound = |text: &Option<model::Text>| text.as_ref().and_then(|text| version(text));
    let (min, max) = (bound(&range.min), bound(&range.max));
    let versions = entries.iter().filter_map(|entry| {
        // `alpha.v1.2.0`
        let (_, text) = entry.name.split_once('.')?;
        Some((entry, version(text)?))
    });
    let versions: Vec<_> = versions.collect();
    if range.is_open() && !full {
        let head = versions
            .iter()
            .max_by(|one, other| one.1.cmp_precedence(&other.1));
        let Some((head, _)) = head else {
            return BTreeSet::new();
        };
        // A pre-release that skips or replaces the head is the head.
        let heads = versions.iter().filter(|(entry, version)| {
            !version.pre.is_empty()
                && (entry.skips.contains(&head.name) || entry.replaces.as_ref() == Some(&head.name))
        });
        let head = heads.map(|(entry, _)| *entry).next_back().unwrap_or(head);
        return BTreeSet::from([head.name.clone()]);
    }
    let kept = versions.iter().filter(|(_, version)| {
        min.as_ref()
            .is_none_or(|min| version.cmp_precedence(min).is_ge())
            && max
                .as_ref()
                .is_none_or(|max| version.cmp_precedence(max).is_le())
    });
    kept.map(|(entry, _)| entry.name.clone()).collect()
}
