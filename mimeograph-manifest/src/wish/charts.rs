//! Helm charts (contract §13.2): the charts that travel, and the images that `oc-mirror` found in them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::evidence::Evidence;
use super::{Chart, Question, Resolved, Wish, WishError, read};
use crate::chart;
use crate::imageset::model::{ChartRepository, Text};
use crate::imageset::{Finding, Reference};
use crate::limits;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    version: String,
}

pub(super) fn resolve(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<Chart>, WishError> {
    let mut charts = Vec::new();
    for repository in &question.imageset.mirror.helm.repositories {
        for (at, name, version) in named(repository, evidence)? {
            let path = format!("helm/charts/{name}-{version}.tgz");
            let Some(packed) = read(evidence, &path, limits::CHART_SIZE)? else {
                found.push(Finding::new(
                    at.at,
                    format!(
                        "chart `{name}` {version} of repository `{}` is not there",
                        repository.name
                    ),
                    "look for it in the log; correct its name and version",
                ));
                continue;
            };
            let wishes = repository.charts.iter();
            let wishes = wishes.filter(|chart| *chart.name == *name);
            let paths = wishes.flat_map(|chart| &chart.image_paths).cloned();
            let paths: Vec<_> = paths.collect();
            match chart::Chart::unpack(&packed) {
                Ok(chart) => hints.extend(overlooked(&chart, question.copied, &paths)),
                Err(error) => {
                    hints.push(format!(
                        "chart `{name}` {version} was not looked into: {error}"
                    ));
                }
            }
            charts.push(Chart {
                name,
                version,
                from: repository.url.value.clone(),
            });
        }
    }
    for local in &question.imageset.mirror.helm.local {
        charts.push(Chart {
            name: local.name.value.clone(),
            version: local
                .version
                .as_ref()
                .map(|one| one.value.clone())
                .unwrap_or_default(),
            from: local
                .path
                .as_ref()
                .map(|one| one.value.clone())
                .unwrap_or_default(),
        });
    }
    Ok(charts)
}

/// The charts of a repository: those that are named, or all that its index lists.
fn named<'a>(
    repository: &'a ChartRepository,
    evidence: &mut dyn Evidence,
) -> Result<Vec<(&'a Text, String, String)>, WishError> {
    if !repository.charts.is_empty() {
        let charts = repository.charts.iter().filter_map(|chart| {
            let version = chart.version.as_ref()?.value.clone();
            Some((&chart.name, chart.name.value.clone(), version))
        });
        return Ok(charts.collect());
    }
    let url = repository.url.trim_end_matches('/');
    let plain = url.split_once("://").map_or(url, |(_, plain)| plain);
    let path = format!("helm/indexes/{plain}/index.yaml");
    let bytes = read(evidence, &path, limits::CHART_SIZE)?.unwrap_or_default();
    let index: Option<Index> = serde_yaml::from_slice(&bytes).ok();
    let entries = index.into_iter().flat_map(|index| index.entries);
    let charts = entries.flat_map(|(name, entries)| {
        let versions = entries.into_iter().map(|entry| entry.version);
        versions.map(move |version| (&repository.name, name.clone(), version))
    });
    Ok(charts.collect())
}

/// Hints at the images of a chart that were not among those copied, with the `imagePaths` that would catch them.
pub fn overlooked(chart: &chart::Chart, copied: &[String], image_paths: &[Text]) -> Vec<String> {
    let plain = |name| str::strip_prefix(name, "docker://").unwrap_or(name);
    let mirrored = copied.iter().map(|name| plain(name)).collect();
    let paths: Vec<_> = image_paths.iter().map(|path| &**path).collect();
    let found = chart::overlooked(chart, &mirrored, &paths).into_iter();
    let tell = |one| {
        let (name, version) = (&chart.name, &chart.version);
        format!("chart `{name}` {version}: not mirrored, by its text: {one}")
    };
    found.map(tell).collect()
}

/// The images that were copied and that nothing else in the image set explains.
pub(super) fn images(
    question: &Question<'_>,
    wish: &Wish,
    found: &mut Vec<Finding>,
) -> Vec<Resolved> {
    let helm = &question.imageset.mirror.helm;
    let Some(at) = helm
        .repositories
        .first()
        .map(|repository| repository.name.at)
        .or_else(|| helm.local.first().map(|chart| chart.at))
    else {
        return Vec::new();
    };
    let mut explained = wish.digests();
    explained.extend(wish.operators.iter().map(|catalog| catalog.source));
    let mut images = Vec::new();
    for name in question.copied {
        if question.has_failed(name) {
            continue;
        }
        let Some(reference) = Reference::parse(name, None, None, question.style()) else {
            continue;
        };
        match question
            .structure
            .resolve(&reference.repository, &reference.tag)
        {
            Some(digest) if explained.contains(&digest) => {}
            Some(digest) if reference.digest.is_none_or(|wanted| wanted == digest) => {
                images.push(Resolved {
                    reference: name.clone(),
                    repository: reference.repository,
                    tag: reference.tag,
                    digest,
                });
            }
            // Releases go by other names in the archives, and are judged by themselves.
            None if question.imageset.mirror.platform.is_some() => {}
            _ => found.push(Finding::new(
                at,
                format!("image `{name}` of a chart is not there"),
                "look for it in the log; correct it in the chart's values",
            )),
        }
    }
    images.sort_by(|one, other| one.reference.cmp(&other.reference));
    images.dedup();
    images
}
