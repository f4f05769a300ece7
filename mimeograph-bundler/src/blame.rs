//! Images that could not be mirrored -> the lines of the image set that ask for them.

use mimeograph_manifest::imageset::model::Operator;
use mimeograph_manifest::imageset::{ImageSet, Place};
use mimeograph_manifest::io::oc_mirror::image::{FailedImage, Role};

/// Most that are told, one a line.
const TOLD: usize = 50;

/// Says of each failed image which line asks for it, as far as that is known.
pub(crate) fn tell(imageset: &ImageSet, failed: &[FailedImage]) {
    for image in failed
        .iter()
        .filter(|image| !image.is_consequence())
        .take(TOLD)
    {
        if let Some(at) = place(imageset, image) {
            tracing::error!(
                "image set, {at}: `{}` could not be mirrored: {}",
                image.reference,
                image.error
            );
        }
    }
}

fn place(imageset: &ImageSet, image: &FailedImage) -> Option<Place> {
    let mirror = &imageset.mirror;
    let mut additional = mirror.additional_images.iter();
    let named = additional.find(|one| bare(&one.name) == bare(&image.reference));
    if let Some(named) = named {
        return Some(named.name.at);
    }
    let mut catalogs = mirror.operators.iter();
    if let Some(catalog) = catalogs.find(|one| bare(&one.catalog) == bare(&image.reference)) {
        return Some(catalog.catalog.at);
    }
    if let Some(operators) = &image.operators {
        let is_of = |package: &str| {
            let mut words = operators.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)));
            words.any(|word| word == package)
        };
        let mut packages = mirror.operators.iter().flat_map(Operator::packages);
        let package = packages.find(|package| is_of(&package.name));
        let whole = mirror.operators.first().map(|catalog| catalog.catalog.at);
        return package.map(|package| package.name.at).or(whole);
    }
    match image.role? {
        Role::Release => mirror.platform.as_ref().map(|platform| platform.at),
        Role::Helm => {
            let helm = &mirror.helm;
            let repository = helm.repositories.first().map(|one| one.name.at);
            repository.or_else(|| helm.local.first().map(|chart| chart.at))
        }
        _ => None,
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix("docker://").unwrap_or(name)
}
