//! Operator catalogues (contract §12, "wish rule").
//!
//! From 4.18 on the filtered catalogue in the working directory is what the cluster will be offered; up to 4.17, and for
//! `full` without packages, it is the whole one, and what travels of it is computed by `oc-mirror`'s own rule.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Evidence;
use super::plan::PlannedCatalog;
use super::{Catalog, Package, Question, WishError, read};
use crate::catalog::{self, Rule, Selected, filter_id, pinned, select};
use crate::digest::Digest;
use crate::imageset::model::{self, Operator, Place, Range, Text};
use crate::imageset::{Finding, Reference, TagStyle};
use crate::limits;

/// Dead packages that are named in a hint.
const NAMED: usize = 5;

/// What is known of one catalogue.
struct Search<'a> {
    question: &'a Question<'a>,
    wish: &'a Operator,
    found: &'a mut Vec<Finding>,
    hints: &'a mut Vec<String>,
    /// The selection could not be made, and the whole catalogue is looked at for the reason.
    reads_whole: bool,
}

/// Where a catalogue's data lies, and what it is published as.
struct Published {
    data: catalog::Catalog,
    digest: Digest,
    filter: Option<String>,
}

pub(super) fn resolve(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<Catalog>, WishError> {
    let mut catalogs = Vec::new();
    for wish in &question.imageset.mirror.operators {
        let mut search = Search {
            question,
            wish,
            found,
            hints,
            reads_whole: false,
        };
        catalogs.extend(search.catalog(evidence)?);
    }
    Ok(catalogs)
}

/// What a dry run selected of each catalogue. It was made in an empty directory, so what lies there is of this run.
pub(super) fn planned(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<PlannedCatalog>, WishError> {
    let mut catalogs = Vec::new();
    for wish in &question.imageset.mirror.operators {
        let mut search = Search {
            question,
            wish,
            found,
            hints,
            reads_whole: false,
        };
        catalogs.extend(search.planned(evidence)?);
    }
    Ok(catalogs)
}

impl Search<'_> {
    fn planned(
        &mut self,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<PlannedCatalog>, WishError> {
        let name = self.wish.catalog.clone();
        let folder = self.folder();
        let paths = evidence.files(&folder);
        let hex = |path: &String| path.strip_prefix(&folder)?.split('/').next()?.parse().ok();
        let sources: BTreeSet<Digest> = paths.iter().filter_map(hex).collect();
        let filtered = |source: &Digest| {
            let filters = [pinned(&name, source), name.value.clone()];
            let filters = filters.map(|catalog| filter_id(self.wish, &catalog));
            let folders = filters.map(|filter| {
                format!("{folder}{source}/filtered-catalogs/{filter}/catalog-config/")
            });
            folders
                .into_iter()
                .find(|below| paths.iter().any(|path| path.starts_with(below)))
        };
        let selection = sources
            .iter()
            .find_map(|source| Some((*source, filtered(source)?)));
        let is_filtered = self.is_filtered();
        let (source, below) = match (selection, sources.iter().next()) {
            (Some((source, below)), _) if is_filtered => (source, below),
            // The whole catalogue tells what could not be selected of it.
            (_, Some(source)) => (*source, self.whole(source)),
            (_, None) => {
                let problem = format!("catalogue `{name}` could not be read at its source");
                self.find(
                    name.at,
                    problem,
                    "look for it in the log; correct its name, or take it out",
                );
                return Ok(None);
            }
        };
        let Some(data) = self.data(&below, evidence)? else {
            return Ok(None);
        };
        self.reads_whole = is_filtered && !below.contains("/filtered-catalogs/");
        let published = Published {
            data,
            digest: source,
            filter: None,
        };
        let selected = self.selected(&published);
        let dead_packages = self.dead_packages(&published);
        Ok(Some(PlannedCatalog {
            reference: name.value,
            source,
            packages: packages(&published.data, selected),
            dead_packages,
        }))
    }

    /// The catalogue's folder in the working directory.
    fn folder(&self) -> String {
        let folder = if self.is_new() {
            "operator-catalogs"
        } else {
            "hold-operator"
        };
        format!("{folder}/{}/", last_component(&self.wish.catalog))
    }

    /// The folder of all that the catalogue offers.
    fn whole(&self, source: &Digest) -> String {
        let below = if self.is_new() {
            "catalog-config/configs"
        } else {
            "configs"
        };
        format!("{}{source}/{below}/", self.folder())
    }

    fn find(&mut self, at: Place, problem: impl Into<String>, remedy: &str) {
        self.found.push(Finding::new(at, problem, remedy));
    }

    fn catalog(&mut self, evidence: &mut dyn Evidence) -> Result<Option<Catalog>, WishError> {
        let name = self.wish.catalog.clone();
        let Some(reference) = Reference::of_catalog(self.wish, self.question.style()) else {
            self.find(
                name.at,
                format!("`{name}` is not the name of a catalogue"),
                "correct it",
            );
            return Ok(None);
        };
        let Reference {
            repository, tag, ..
        } = &reference;
        let structure = self.question.structure;
        let Some(source) = structure.resolve(repository, tag) else {
            self.find(
                name.at,
                format!("catalogue `{name}` is not there (`{repository}:{tag}`)"),
                "look for it in the log; correct its name, or take it out",
            );
            return Ok(None);
        };
        if reference.digest.is_some_and(|wanted| wanted != source) {
            self.find(
                name.at,
                format!(
                    "catalogue `{name}` is not there: `{repository}:{tag}` is {}",
                    source.to_oci()
                ),
                "correct the digest, or the tag",
            );
            return Ok(None);
        }
        let Some(published) = self.published(&reference, source, evidence)? else {
            return Ok(None);
        };
        let selected = self.selected(&published);
        let images = self.images(&published.data, &selected);
        let packages = packages(&published.data, selected);
        let dead_packages = self.dead_packages(&published);
        Ok(Some(Catalog {
            reference: name.value,
            repository: reference.repository,
            tag: reference.tag,
            source,
            digest: published.digest,
            filter: published.filter,
            packages,
            dead_packages,
            images,
        }))
    }

    /// From 4.18 on.
    fn is_new(&self) -> bool {
        self.question.style() == TagStyle::Algorithm
    }

    fn is_filtered(&self) -> bool {
        let is_whole = self.reads_whole || self.wish.full && self.wish.packages().is_empty();
        self.is_new() && !is_whole
    }

    fn published(
        &mut self,
        reference: &Reference,
        source: Digest,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<Published>, WishError> {
        if !self.is_filtered() {
            let data = self.data(&self.whole(&source), evidence)?;
            return Ok(data.map(|data| Published {
                data,
                digest: source,
                filter: None,
            }));
        }
        let name = &self.wish.catalog;
        for catalog in [pinned(name, &source), name.value.clone()] {
            let filter = filter_id(self.wish, &catalog);
            let base = format!("{}{source}/filtered-catalogs/{filter}", self.folder());
            let path = format!("{base}/digest");
            let Some(digest) = read(evidence, &path, 1024)? else {
                continue;
            };
            let rebuilt = self
                .question
                .structure
                .resolve(&reference.repository, &filter);
            let Some(digest) = std::str::from_utf8(&digest)
                .ok()
                .and_then(|hex| {
                    hex.trim()
                        .trim_start_matches("sha256:")
                        .parse::<Digest>()
                        .ok()
                })
                .filter(|digest| Some(*digest) == rebuilt)
            else {
                self.find(
                    self.wish.catalog.at,
                    format!("the filtered catalogue of `{}` is not packed under its name (`{}:{filter}`)", self.wish.catalog, reference.repository),
                    "run it again; if it stays so, give the catalogue a `targetCatalog` and `targetTag` of another text",
                );
                return Ok(None);
            };
            let data = self.data(&format!("{base}/catalog-config/"), evidence)?;
            return Ok(data.map(|data| Published {
                data,
                digest,
                filter: Some(filter),
            }));
        }
        self.find(
            name.at,
            format!("catalogue `{name}` was not filtered as the image set asks"),
            "look for it in the log; compare the versions of `oc-mirror`",
        );
        Ok(None)
    }

    fn data(
        &mut self,
        folder: &str,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<catalog::Catalog>, WishError> {
        let mut data = catalog::Catalog::default();
        let files = evidence.files(folder);
        let is_data = |path: &str| {
            [".json", ".yaml", ".yml"]
                .iter()
                .any(|end| path.ends_with(end))
        };
        for path in files.iter().filter(|path| is_data(path)) {
            let Some(bytes) = read(evidence, path, limits::CATALOG_FILE_SIZE)? else {
                continue;
            };
            if let Err(error) = data.read(path, &bytes) {
                self.find(
                    self.wish.catalog.at,
                    format!("catalogue `{}` cannot be read: {error}", self.wish.catalog),
                    "ask whoever publishes the catalogue",
                );
                return Ok(None);
            }
        }
        if data.packages.is_empty() && self.wish.packages().is_empty() {
            self.find(
                self.wish.catalog.at,
                format!("catalogue `{}` has no packages", self.wish.catalog),
                "look for it in the log",
            );
            return Ok(None);
        }
        Ok(Some(data))
    }

    /// The bundles that travel, after saying which wishes come to nothing.
    fn selected(&mut self, published: &Published) -> Selected {
        let data = &published.data;
        let selected = if self.is_filtered() {
            everything(data)
        } else {
            let rule = if self.is_new() { Rule::New } else { Rule::Old };
            select(data, self.wish, rule).unwrap_or_else(|problem| {
                self.find(
                    self.wish.catalog.at,
                    format!(
                        "of catalogue `{}` nothing can be selected: {problem}",
                        self.wish.catalog
                    ),
                    "correct its packages",
                );
                Selected::new()
            })
        };
        let wish = self.wish;
        for package in wish.packages() {
            self.package(data, package, &selected);
        }
        if self.is_filtered() {
            self.empty_channels(data);
        }
        selected
    }

    fn package(&mut self, data: &catalog::Catalog, wish: &model::Package, selected: &Selected) {
        let name = &wish.name;
        let Some(package) = data
            .packages
            .get(&**name)
            .filter(|package| package.is_declared)
        else {
            self.find(
                name.at,
                format!("package `{name}` is not there"),
                &format!("compare its name with those in `{}`", self.wish.catalog),
            );
            return;
        };
        let nothing = BTreeMap::new();
        let channels = selected.get(&**name).unwrap_or(&nothing);
        for channel in &wish.channels {
            self.channel(package, wish, channel, channels);
        }
        if wish.channels.is_empty() {
            let bundles: BTreeSet<_> = channels.values().flatten().collect();
            let met = bundles
                .iter()
                .any(|bundle| is_in(package, bundle, &wish.range));
            if !met {
                self.find(
                    range_place(&wish.range).unwrap_or(name.at),
                    format!(
                        "of package `{name}` no version is there{}",
                        within(&wish.range)
                    ),
                    "correct the range",
                );
            }
        }
        self.default_channel(package, wish, channels);
        for bundle in channels.values().flatten() {
            if !package.bundles.contains_key(bundle) {
                self.find(
                    name.at,
                    format!("bundle `{bundle}` of package `{name}` is in a channel, but not in the catalogue"),
                    "ask whoever publishes the catalogue",
                );
            }
        }
    }

    fn channel(
        &mut self,
        package: &catalog::Package,
        of: &model::Package,
        wish: &model::Channel,
        selected: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let name = &wish.name;
        let bundles = selected.get(&**name);
        let met = bundles.is_some_and(|bundles| {
            bundles
                .iter()
                .any(|bundle| is_in(package, bundle, &wish.range))
        });
        if met {
            return;
        }
        // Of a filtered catalogue a channel is gone whether it never was or its range is empty.
        let (at, problem, remedy) = if wish.range.is_open() {
            let problem = format!("channel `{name}` of package `{}` is not there", of.name);
            (name.at, problem, "correct its name, or take it out")
        } else {
            let problem = format!(
                "of channel `{name}` of package `{}` no version is there{}",
                of.name,
                within(&wish.range)
            );
            let at = range_place(&wish.range).unwrap_or(name.at);
            (at, problem, "correct the range, or the channel's name")
        };
        self.find(at, problem, remedy);
    }

    fn default_channel(
        &mut self,
        package: &catalog::Package,
        wish: &model::Package,
        selected: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let default = wish.default_channel.as_ref();
        let name = default.map_or(&*package.default_channel, |default| &**default);
        let is_there = |name: &str| {
            selected
                .get(name)
                .is_some_and(|bundles| !bundles.is_empty())
        };
        if name.is_empty() || is_there(name) {
            return;
        }
        if self.is_new() || default.is_some() {
            self.find(
                default.map_or(wish.name.at, |default| default.at),
                format!(
                    "the default channel `{name}` of package `{}` is not there",
                    wish.name
                ),
                "add it to the package's channels, or name another as `defaultChannel`",
            );
        } else {
            // This `oc-mirror` knows no `defaultChannel`, so there would be no way out.
            self.hints.push(format!(
                "line {}: package `{}` is offered with the default channel `{name}`, of which nothing travels: name a channel \
                 in every Subscription",
                wish.name.at.line, wish.name
            ));
        }
    }

    /// opm refuses a catalogue with such a channel, so the cluster would have no catalogue at all.
    fn empty_channels(&mut self, data: &catalog::Catalog) {
        for (name, package) in &data.packages {
            for (channel, entries) in &package.channels {
                if entries.is_empty() {
                    let wishes = self.wish.packages();
                    let wish = wishes.iter().find(|wish| *wish.name == **name);
                    let at = wish.map_or(self.wish.at, |wish| {
                        range_place(&wish.range).unwrap_or(wish.name.at)
                    });
                    self.find(
                        at,
                        format!("channel `{channel}` of package `{name}` is left without a version, and no cluster can read such a catalogue"),
                        "name the channels that have the version, each with its own range",
                    );
                }
            }
        }
    }

    /// The images of the selected bundles, each by tag and digest.
    fn images(&mut self, data: &catalog::Catalog, selected: &Selected) -> BTreeSet<Digest> {
        let mut images = BTreeSet::new();
        let mut asked = BTreeSet::new();
        for (name, channels) in selected {
            let Some(package) = data.packages.get(name) else {
                continue;
            };
            let bundles: BTreeSet<_> = channels.values().flatten().collect();
            for (bundle, image) in bundles.iter().flat_map(|name| {
                let images = package.bundles.get(*name).map(|bundle| &bundle.images);
                images
                    .into_iter()
                    .flatten()
                    .map(move |image| (*name, image))
            }) {
                if !asked.insert(image) || self.is_left_out(image) {
                    continue;
                }
                if let Some(digest) = self.image(image) {
                    images.insert(digest);
                    continue;
                }
                let wishes = self.wish.packages();
                let wish = wishes.iter().find(|wish| *wish.name == **name);
                self.find(
                    wish.map_or(self.wish.catalog.at, |wish| wish.name.at),
                    format!("image `{image}` of bundle `{bundle}` is not there"),
                    "look for it in the log; ask whoever publishes the operator, or take the version out by a range",
                );
            }
        }
        images
    }

    fn is_left_out(&self, image: &str) -> bool {
        let Question {
            imageset, minor, ..
        } = self.question;
        self.question.has_failed(image) || imageset.blocks(image, *minor).is_some()
    }

    fn image(&self, image: &str) -> Option<Digest> {
        let reference = Reference::parse(image, None, None, self.question.style())?;
        let structure = self.question.structure;
        let digest = structure.resolve(&reference.repository, &reference.tag)?;
        reference
            .digest
            .is_none_or(|wanted| wanted == digest)
            .then_some(digest)
    }

    /// Up to 4.17 the cluster is offered every package of the catalogue, whether its images travelled or not.
    fn dead_packages(&mut self, published: &Published) -> u64 {
        if self.is_new() || self.wish.packages().is_empty() {
            return 0;
        }
        let named: BTreeSet<&str> = self
            .wish
            .packages()
            .iter()
            .map(|wish| &*wish.name)
            .collect();
        let packages = published.data.packages.keys();
        let dead: Vec<&str> = packages
            .map(String::as_str)
            .filter(|name| !named.contains(name))
            .collect();
        if let Some(first) = dead
            .get(..dead.len().min(NAMED))
            .filter(|first| !first.is_empty())
        {
            self.hints.push(format!(
                "line {}: catalogue `{}` is not filtered by this `oc-mirror`: the cluster will be offered {} packages whose \
                 images did not travel ({}{})",
                self.wish.at.line,
                self.wish.catalog,
                dead.len(),
                first.join(", "),
                if dead.len() > NAMED { ", …" } else { "" }
            ));
        }
        dead.len() as u64
    }
}

fn packages(data: &catalog::Catalog, selected: Selected) -> BTreeMap<String, Package> {
    let packages = selected.into_iter().map(|(name, channels)| {
        let package = data.packages.get(&name);
        let default_channel = package.map(|package| package.default_channel.clone());
        let package = Package {
            default_channel: default_channel.unwrap_or_default(),
            channels,
        };
        (name, package)
    });
    packages.collect()
}

/// Everything that a filtered catalogue holds was selected.
fn everything(data: &catalog::Catalog) -> Selected {
    let packages = data.packages.iter();
    packages
        .map(|(name, package)| {
            let channels = package.channels.iter().map(|(channel, entries)| {
                let names = entries.iter().map(|entry| entry.name.clone());
                (channel.clone(), names.collect())
            });
            (name.clone(), channels.collect())
        })
        .collect()
}

fn is_in(package: &catalog::Package, bundle: &str, range: &Range) -> bool {
    if range.is_open() {
        return true;
    }
    let bound = |text: &Option<Text>| text.as_ref().and_then(|text| catalog::version(text));
    let version = package
        .bundles
        .get(bundle)
        .and_then(|bundle| bundle.version.as_ref());
    version.is_some_and(|version| {
        bound(&range.min).is_none_or(|min| version.cmp_precedence(&min).is_ge())
            && bound(&range.max).is_none_or(|max| version.cmp_precedence(&max).is_le())
    })
}

fn range_place(range: &Range) -> Option<Place> {
    range
        .min
        .as_ref()
        .or(range.max.as_ref())
        .map(|text| text.at)
}

fn within(range: &Range) -> String {
    match (&range.min, &range.max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" from {min} on"),
        (None, Some(max)) => format!(" up to {max}"),
        (None, None) => String::new(),
    }
}

/// The last component of a catalogue's name, without tag and digest: its folder in the working directory.
fn last_component(name: &str) -> &str {
    let plain = name.split_once('@').map_or(name, |(name, _)| name);
    let last = plain.rsplit('/').next().unwrap_or(plain);
    last.split_once(':').map_or(last, |(name, _)| name)
}
