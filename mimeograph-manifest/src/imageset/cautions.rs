//! What is worth knowing of an image set before it is mirrored, and no reason to refuse it.

use std::collections::BTreeMap;

use super::finding::{Finding, Findings};
use super::names::{Reference, TagStyle};
use super::traps::Around;
use super::{ImageSet, model::Text};
use crate::manifest::Generation;

/// Looks for it.
pub fn cautions(imageset: &ImageSet, around: Around<'_>) -> Findings {
    if imageset.generation == Generation::V1 {
        return Findings::default();
    }
    let style = TagStyle::of(imageset.generation, around.minor);
    let images = imageset.mirror.additional_images.iter();
    let ambiguous = images.filter_map(|image| {
        let reference = Reference::of_image(image, style)?;
        ambiguous_tag(&image.name, &reference)
    });
    let mut found: Vec<_> = ambiguous.collect();
    let mut named: BTreeMap<String, &Text> = BTreeMap::new();
    for operator in &imageset.mirror.operators {
        let Some(reference) = Reference::of_catalog(operator, style) else {
            continue;
        };
        let catalog = &operator.catalog;
        let name = resource_name(&reference.repository, &reference.tag);
        match named.get(&name) {
            Some(first) => found.push(Finding::new(
                catalog.at,
                format!(
                    "the CatalogSources of `{catalog}` and `{first}` (line {}) would have one name, and only one be written",
                    first.at.line
                ),
                "give them different `targetTag`s or `targetCatalog`s",
            )),
            None => {
                named.insert(name, catalog);
            }
        }
    }
    Findings::new(found)
}

/// What the CatalogSource of a catalogue is called, without `cs-` (contract §12).
pub fn resource_name(repository: &str, tag: &str) -> String {
    let last = repository.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '-') => c,
        _ => '-',
    };
    let tag: String = tag.chars().take(12).map(plain).collect();
    format!("{last}-{tag}").replace('.', "-")
}

/// `oc-mirror` replaces the first occurrence of the tag in `localhost:<port>/<repository>:<tag>` to find the signature:
/// another port helps where it is found in the port, nothing where it is found elsewhere (contract §0).
fn ambiguous_tag(name: &Text, reference: &Reference) -> Option<Finding> {
    let tag = &*reference.tag;
    let within = if "localhost".contains(tag) {
        "localhost"
    } else if reference.repository.contains(tag) {
        &*reference.repository
    } else {
        return None;
    };
    Some(Finding::new(
        name.at,
        format!(
            "the tag of `{name}` also occurs in `{within}`: `oc-mirror` looks for its cosign signature under a wrong name, and \
             leaves it behind"
        ),
        "if it must have its signature in the target, give it another `targetRepo` or `targetTag` (from 4.22 on)",
    ))
}
