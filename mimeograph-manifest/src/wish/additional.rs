//! Additional images (contract §13.3): tag and digest as they are written, both.

use super::{Question, Resolved};
use crate::imageset::model::AdditionalImage;
use crate::imageset::{Finding, Reference};
use crate::manifest::Generation;

/// Where each additional image lies.
pub(super) fn resolve(
    question: &Question<'_>,
    found: &mut Vec<Finding>,
    hints: &mut Vec<String>,
) -> Vec<Resolved> {
    let mut resolved = Vec::new();
    for image in &question.imageset.mirror.additional_images {
        let name = &image.name;
        if let Some(blocked) = question.blocks(name) {
            let (asks, takes) = (name.at.line, blocked.at.line);
            hints.push(format!(
                "line {asks}: `{name}` is left out by `blockedImages` (line {takes})"
            ));
            continue;
        }
        if question.has_failed(name) {
            continue;
        }
        match one(question, image) {
            Ok(image) => resolved.push(image),
            Err(finding) => found.push(finding),
        }
    }
    resolved
}

fn one(question: &Question<'_>, image: &AdditionalImage) -> Result<Resolved, Finding> {
    let name = &image.name;
    let finding = |problem: String, remedy: &str| Finding::new(name.at, problem, remedy);
    let Some(reference) = Reference::of_image(image, question.style()) else {
        return Err(finding(
            format!("`{name}` is not the name of an image"),
            "correct it",
        ));
    };
    let place = format!("{}:{}", reference.repository, reference.tag);
    match question
        .structure
        .resolve(&reference.repository, &reference.tag)
    {
        Some(digest) if reference.digest.is_none_or(|wanted| wanted == digest) => Ok(Resolved {
            reference: name.value.clone(),
            repository: reference.repository,
            tag: reference.tag,
            digest,
        }),
        Some(digest) => Err(finding(
            format!("`{name}` is not there: `{place}` is {}", digest.to_oci()),
            "the tag was moved at its source; correct the digest, or the tag",
        )),
        None => known(question, name).ok_or_else(|| {
            finding(
                format!("image `{name}` is not there"),
                "look for its name in the log; correct it, or take it out",
            )
        }),
    }
}

/// v1 archives hold only what is new; v2 archives hold every link.
fn known(question: &Question<'_>, name: &str) -> Option<Resolved> {
    let earlier = question.before.wish();
    let earlier = earlier.filter(|_| question.imageset.generation == Generation::V1)?;
    let mut images = earlier.images.iter();
    images.find(|known| known.reference == name).cloned()
}
