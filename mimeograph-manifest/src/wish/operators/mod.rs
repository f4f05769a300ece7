//! Operator catalogues (contract §12, "wish rule").
//!
//! From 4.18 on the filtered catalogue in the working directory is what the cluster will be offered; up to 4.17, and for
//! `full` without packages, it is the whole one, and what travels of it is computed by `oc-mirror`'s own rule.

mod source;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::evidence::Evidence;
use super::plan::PlannedCatalog;
use super::{Catalog, Question, WishError};
use crate::catalog::{self, Lack, Rule, SelectError, Selected, Unmet, select, unmet};
use crate::digest::Digest;
use crate::imageset::model::{Operator, Place};
use crate::imageset::{Finding, Reference, TagStyle};
use source::Published;

/// Dead packages that are named in a hint.
const NAMED: usize = 5;

/// What is known of one catalogue.
struct Search<'a> {
    question: &'a Question<'a>,
    wish: &'a Operator,
    found: &'a mut Vec<Finding>,
    hints: &'a mut Vec<String>,
}

pub(super) fn resolve(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<Catalog>, WishError> {
    each(question, found, hints, |search| search.catalog(evidence))
}

/// What a dry run selected of each catalogue.
pub(super) fn planned(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<PlannedCatalog>, WishError> {
    each(question, found, hints, |search| search.planned(evidence))
}

/// Looks at each catalogue that is asked for.
fn each<T>(
    question: &Question<'_>,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
    mut look: impl FnMut(&mut Search<'_>) -> Result<Option<T>, WishError>,
) -> Result<Vec<T>, WishError> {
    let wishes = question.imageset.mirror.operators.iter();
    let looked = wishes.map(|wish| {
        look(&mut Search {
            question,
            wish,
            found,
            hints,
        })
    });
    looked.filter_map(Result::transpose).collect()
}

impl Search<'_> {
    fn planned(
        &mut self,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<PlannedCatalog>, WishError> {
        let Some(published) = self.rehearsed(evidence)? else {
            return Ok(None);
        };
        let selected = self.selected(&published);
        Ok(Some(PlannedCatalog {
            reference: self.wish.catalog.value.clone(),
            source: published.digest,
            packages: Selected::of(&selected).packages,
            dead_packages: self.dead_packages(&published, &selected),
        }))
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
        self.lost_in_filtering(&published, source, evidence)?;
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

    fn rule(&self) -> Rule {
        if self.is_new() {
            Rule::Filtered
        } else {
            Rule::Whole
        }
    }

    /// What travels, after saying which wishes come to nothing.
    fn selected<'a>(&mut self, published: &'a Published) -> Cow<'a, catalog::Catalog> {
        let (data, rule) = (&published.data, self.rule());
        let (selected, lacks) = if published.is_selection {
            (Cow::Borrowed(data), unmet(data, self.wish, rule))
        } else {
            match select(data, self.wish, rule) {
                Ok(selected) => (Cow::Owned(selected), unmet(data, self.wish, rule)),
                Err(SelectError::Unmet(lacks)) => (Cow::default(), lacks),
                Err(error) => {
                    let name = &self.wish.catalog;
                    let problem = format!("of catalogue `{name}` nothing can be selected: {error}");
                    self.find(name.at, problem, "correct its packages");
                    (Cow::default(), Vec::new())
                }
            }
        };
        let lacks = lacks.iter().map(|unmet| self.lack(unmet));
        let lacks: Vec<_> = lacks.collect();
        self.found.extend(lacks);
        selected
    }

    /// What `oc-mirror` should have left in a filtered catalogue, and did not: the head of a channel, for instance. Its way
    /// of choosing is known for certain from 4.22 on.
    fn lost_in_filtering(
        &mut self,
        published: &Published,
        source: Digest,
        evidence: &mut dyn Evidence,
    ) -> Result<(), WishError> {
        let is_known = self
            .question
            .producer
            .minor()
            .is_none_or(|minor| minor >= (4, 22));
        if !published.is_selection || !is_known {
            return Ok(());
        }
        let Some(whole) = self.data(&self.whole(&source), evidence)? else {
            return Ok(());
        };
        let Ok(expected) = select(&whole, self.wish, self.rule()) else {
            return Ok(());
        };
        for (package, bundle, _) in expected.bundles() {
            let there = published.data.packages.get(package);
            if there.is_some_and(|there| there.bundles.contains_key(bundle)) {
                continue;
            }
            let wish = self
                .wish
                .packages()
                .iter()
                .find(|wish| *wish.name == *package);
            let at = wish.map_or(self.wish.catalog.at, |wish| wish.name.at);
            self.find(
                at,
                format!(
                    "bundle `{bundle}` of package `{package}` is not in the filtered catalogue"
                ),
                "run it again; if it stays so, name its version by a range",
            );
        }
        Ok(())
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
            // `oc-mirror` passes over empty ones (OCPBUGS-31622).
            let images_of_bundle = bundle.related_images.iter().chain([&bundle.image]);
            for image in images_of_bundle.filter(|image| !image.is_empty()) {
                if !asked.insert(image) || self.question.has_failed(image) {
                    continue;
                }
                if let Some(blocked) = self.question.blocks(image) {
                    self.hints.push(format!(
                        "line {}: image `{image}` of bundle `{name}` is left out by `blockedImages`",
                        blocked.at.line
                    ));
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
