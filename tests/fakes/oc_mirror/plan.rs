//! From the image set to the images that are copied: which, under what name, and what is said about them.

use crate::failure::Failure;
use crate::image_set::{Additional, ImageSet};
use crate::log::Log;
use crate::reference::{Reference, is_repository};
use crate::release::Release;

/// Which way the images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    MirrorToDisk,
    DiskToMirror,
}

/// One image, and the name that it has in the cache and behind the target's host and namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) source: Reference,
    pub(crate) repo: String,
    pub(crate) tag: String,
}

/// Collect the additional images. `Err` is a collection error: nothing is mirrored.
pub(crate) fn collect(
    set: &ImageSet,
    way: Way,
    port: u16,
    log: &Log,
    release: Release,
) -> Result<Vec<Planned>, Failure> {
    let mut planned = Vec::new();
    for image in &set.images {
        if set.blocks(&image.name, release) {
            continue;
        }
        match plan(image, way, port, log, release) {
            Ok(found) => planned.push(found),
            Err(why) if release == Release::V5_2 => {
                return Err(Failure::new(8, format!("collection error: {why}")));
            }
            Err(_) => {}
        }
    }
    if release.is_strict() {
        // 4.17 counts a duplicate twice
        let mut distinct: Vec<Planned> = Vec::new();
        planned.retain(|found| {
            let new = !distinct.contains(found);
            distinct.extend(new.then(|| found.clone()));
            new
        });
    }
    Ok(planned)
}

fn plan(
    image: &Additional,
    way: Way,
    port: u16,
    log: &Log,
    release: Release,
) -> Result<Planned, String> {
    let name = &image.name;
    let newest = release == Release::V5_2;
    if let Some(repo) = image
        .target_repo
        .as_deref()
        .filter(|repo| !is_repository(repo))
    {
        let why = format!("invalid targetRepo {repo} for image {name}");
        log.warn(&format!("{why} : SKIPPING"));
        return Err(why);
    }
    let source = Reference::parse(name).map_err(|why| {
        let why = format!("{name} unable to parse image correctly : {why}");
        log.warn(&format!("{why} : SKIPPING"));
        format!("parse image \"{name}\": {why}")
    })?;
    let both = source.seems_to_have_both(newest);
    if both {
        let said = match way {
            Way::MirrorToDisk => "using digest to pull, but tag only for mirroring",
            Way::DiskToMirror => "using tag only",
        };
        log.warn(&format!(
            "[AdditionalImagesCollector] {name} has both tag and digest : {said}"
        ));
    }
    let repo = image
        .target_repo
        .clone()
        .unwrap_or_else(|| source.path.clone());
    let tag = match (&image.target_tag, &source.tag, &source.digest) {
        (Some(tag), _, _) | (None, Some(tag), _) => tag.clone(),
        (None, None, Some(digest)) if !both => release.tag_of(digest),
        _ => {
            let destination = format!("localhost:{port}/{repo}");
            let why = format!(
                "{destination}: unable to parse image correctly : tag and digest are empty"
            );
            log.error(&format!("[AdditionalImagesCollector] {why}"));
            return Err(format!("parse destination \"{destination}:\": {why}"));
        }
    };
    Ok(Planned { source, repo, tag })
}
