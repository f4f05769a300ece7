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
    #[serde(default, rename = "type")]
    kind: String,
}

pub(super) fn resolve(
    question: &Question<'_>,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Result<Vec<Chart>, WishError> {
    let mut charts = Vec::new();
    for repository in &question.imageset.mirror.helm.repositories {
        for (at, name, version) in named(repository, evidence, found)? {
            let Some(packed) = packed(&name, &version, evidence)? else {
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
                from: without_login(&repository.url),
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

/// A chart's archive. Repositories differ on whether its name has the `v` of the version.
fn packed(
    name: &str,
    version: &str,
    evidence: &mut dyn Evidence,
) -> Result<Option<Vec<u8>>, WishError> {
    let plain = version.strip_prefix('v').unwrap_or(version);
    for version in [plain.to_owned(), format!("v{plain}")] {
        let path = format!("helm/charts/{name}-{version}.tgz");
        if let Some(packed) = read(evidence, &path, limits::CHART_SIZE)? {
            return Ok(Some(packed));
        }
    }
    Ok(None)
}

/// An address without user and password: it is shown and signed.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// The charts of a repository: those that are named, or all that its index lists.
fn named<'a>(
    repository: &'a ChartRepository,
    evidence: &mut dyn Evidence,
    found: &mut Vec<Finding>,
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
    let bytes = read(evidence, &path, limits::CHART_SIZE)?;
    let index = bytes.and_then(|bytes| index(&bytes));
    let Some(index) = index else {
        found.push(Finding::new(
            repository.name.at,
            format!(
                "the index of chart repository `{}` is not there, or cannot be read",
                repository.name
            ),
            "look for the repository in the log; correct its `url`",
        ));
        return Ok(Vec::new());
    };
    let charts = index.entries.into_iter().flat_map(|(name, entries)| {
        // As `oc-mirror`, which takes no libraries.
        let entries = entries.into_iter().filter(|entry| entry.kind != "library");
        entries.map(move |entry| (&repository.name, name.clone(), entry.version))
    });
    Ok(charts.collect())
}

fn index(bytes: &[u8]) -> Option<Index> {
    if chart::is_too_large(bytes) {
        return None;
    }
    serde_yaml::from_slice(bytes).ok()
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

/// Whether an image is a release itself, the base of the graph image, or what else comes with releases.
fn is_of_release(question: &Question<'_>, repository: &str) -> bool {
    question.imageset.mirror.platform.is_some()
        && (repository.starts_with("openshift-release-dev/")
            || repository.starts_with("openshift/")
            || repository == "ubi9/ubi"
            || repository == "ubi8/ubi")
}

/// Whether it is an additional image or a catalogue, which are judged by themselves: those can lie under other names than
/// their own, and catalogues are copied by digest.
fn is_asked_for(question: &Question<'_>, name: &str) -> bool {
    let plain = |name| str::strip_prefix(name, "docker://").unwrap_or(name);
    let repository = |name| {
        let name = plain(name);
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let end = name[last..].find(':').map_or(name.len(), |at| last + at);
        &name[..end]
    };
    let mirror = &question.imageset.mirror;
    let mut images = mirror.additional_images.iter();
    let mut catalogs = mirror.operators.iter();
    images.any(|image| plain(&image.name) == plain(name))
        || catalogs.any(|one| repository(&one.catalog) == repository(name))
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
        if question.has_failed(name) || is_asked_for(question, name) {
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
            None if reference
                .digest
                .is_some_and(|digest| explained.contains(&digest))
                || is_of_release(question, &reference.repository) => {}
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
