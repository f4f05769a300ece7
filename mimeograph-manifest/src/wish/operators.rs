//! Operator catalogues (contract §12, "wish rule").
//!
//! From 4.18 on the filtered catalogue in the working directory is what the cluster will be offered; up to 4.17, and for
//! `full` without packages, it is the whole one, and what travels of it is computed by `oc-mirror`'s own rule.

use std::collections::BTreeSet;

use super::evidence::Evidence;
use super::plan::PlannedCatalog;
use super::{Catalog, Question, WishError, read};
use crate::catalog::{
    self, FilterOf, Lack, Reader, Rule, SelectError, Selected, Unmet, filter_id, select, unmet,
};
use crate::digest::Digest;
use crate::imageset::model::{Operator, Place};
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
            let filters = [FilterOf::Digest(source), FilterOf::Name];
            let filters = filters.map(|of| filter_id(self.wish, of));
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
        let dead_packages = self.dead_packages(&published, &selected);
        Ok(Some(PlannedCatalog {
            reference: name.value,
            source,
            packages: Selected::of(&selected).packages,
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
        let images = self.images(&selected);
        let packages = Selected::of(&selected).packages;
        let dead_packages = self.dead_packages(&published, &selected);
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
        for of in [FilterOf::Digest(&source), FilterOf::Name] {
            let filter = filter_id(self.wish, of);
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
        let mut reader = Reader::default();
        let files = evidence.files(folder);
        let is_data = |path: &str| {
            [".json", ".yaml", ".yml"]
                .iter()
                .any(|end| path.ends_with(end))
        };
        for path in files.iter().filter(|path| is_data(path)) {
            let Some(bytes) = read(evidence, path, limits::CATALOG_SIZE as u64)? else {
                continue;
            };
            if let Err(error) = reader.read(path, &bytes) {
                self.find(
                    self.wish.catalog.at,
                    format!("catalogue `{}` cannot be read: {error}", self.wish.catalog),
                    "ask whoever publishes the catalogue",
                );
                return Ok(None);
            }
        }
        let data = reader.finish();
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

    fn rule(&self) -> Rule {
        if self.is_new() {
            Rule::Filtered
        } else {
            Rule::Whole
        }
    }

    /// What travels, after saying which wishes come to nothing.
    fn selected(&mut self, published: &Published) -> catalog::Catalog {
        let data = &published.data;
        let lacks = |list: &[Unmet]| {
            list.iter()
                .map(|unmet| self.lack(unmet))
                .collect::<Vec<_>>()
        };
        if self.is_filtered() {
            let found = lacks(&unmet(data, self.wish, self.rule()));
            self.found.extend(found);
            return data.clone();
        }
        match select(data, self.wish, self.rule()) {
            Ok(selected) => {
                let found = lacks(&unmet(data, self.wish, self.rule()));
                self.found.extend(found);
                selected
            }
            Err(SelectError::Unmet(list)) => {
                let found = lacks(&list);
                self.found.extend(found);
                catalog::Catalog::default()
            }
            Err(error) => {
                let problem = format!(
                    "of catalogue `{}` nothing can be selected: {error}",
                    self.wish.catalog
                );
                self.find(self.wish.catalog.at, problem, "correct its packages");
                catalog::Catalog::default()
            }
        }
    }

    fn lack(&self, unmet: &Unmet) -> Finding {
        let remedy = match &unmet.lack {
            Lack::Everything | Lack::Package { .. } => {
                format!("compare its name with those in `{}`", self.wish.catalog)
            }
            Lack::Channel { .. } => "correct its name, or take it out".to_owned(),
            Lack::Range { .. } => "correct the range, or the channel's name".to_owned(),
            Lack::Entries { .. } => {
                "name the channels that have the version, each with its own range".to_owned()
            }
            Lack::DefaultChannel { .. } => {
                "add it to the package's channels, or name another as `defaultChannel`".to_owned()
            }
            Lack::Bundle { .. } => "ask whoever publishes the catalogue".to_owned(),
        };
        Finding::new(unmet.at, unmet.lack.to_string(), remedy)
    }

    /// The images of the selected bundles, each by tag and digest.
    fn images(&mut self, selected: &catalog::Catalog) -> BTreeSet<Digest> {
        let (mut images, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for (package, name, bundle) in selected.bundles() {
            let own = Some(&bundle.image).filter(|image| !image.is_empty());
            for image in bundle.related_images.iter().chain(own) {
                if !asked.insert(image) || self.is_left_out(image) {
                    continue;
                }
                if let Some(digest) = self.image(image) {
                    images.insert(digest);
                    continue;
                }
                let wishes = self.wish.packages();
                let wish = wishes.iter().find(|wish| *wish.name == *package);
                self.find(
                    wish.map_or(self.wish.catalog.at, |wish| wish.name.at),
                    format!("image `{image}` of bundle `{name}` is not there"),
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
    fn dead_packages(&mut self, published: &Published, selected: &catalog::Catalog) -> u64 {
        if self.is_new() {
            return 0;
        }
        let dead = published.data.dead_packages(selected);
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

/// The last component of a catalogue's name, without tag and digest: its folder in the working directory.
fn last_component(name: &str) -> &str {
    let plain = name.split_once('@').map_or(name, |(name, _)| name);
    let last = plain.rsplit('/').next().unwrap_or(plain);
    last.split_once(':').map_or(last, |(name, _)| name)
}
