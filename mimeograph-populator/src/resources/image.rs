//! The cluster resources of what is applied, as an image in the target registry: GitOps tools that take OCI images as a source find
//! them there, and nobody needs a right in the cluster for that.

use std::fs;
use std::path::Path;

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::name::Sequence;

use super::{FILE_SIZE, object};
use crate::copy::repository_in;
use crate::ledger::Ledger;
use crate::registry::Registry;
use crate::registry::artifact::tar_of_all;

/// Puts the resources of the bundle that the target stands at under the stream's tag, and under one of the bundle's own, where
/// `artefacts.resourcesImage` asks for it. What is there already is not sent again, so this is done after every run: one that
/// failed is made up for by the next.
pub(crate) fn hand_on(config: &Config, ledger: &Ledger) -> Result<(), Failure> {
    let Some(name) = &config.artefacts.resources_image else {
        return Ok(());
    };
    let set_back = ledger.set_back().map(|set_back| set_back.to);
    let Some(sequence) = set_back.or_else(|| ledger.mark()) else {
        return Ok(());
    };
    let Some(files) = files(&config.artefacts.resources_dir, sequence)? else {
        tracing::warn!(
            "the cluster resources of bundle {sequence} are not in `artefacts.resourcesDir`: the image in the target stays as it is"
        );
        return Ok(());
    };
    let registry = Registry::of(config)?;
    let repository = repository_in(config.target()?.namespace(), name.as_str());
    let Some(stream) = object::stream_of(&files) else {
        return Ok(());
    };
    let layer = tar_of_all(&files);
    // No stream's name has a dot.
    for tag in [format!("{stream}.{sequence}"), stream] {
        registry.push_layers(&repository, &tag, [layer.clone()])?;
    }
    Ok(())
}

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// What a bundle's folder holds for a cluster; `None` where it has none.
fn files(resources: &Path, sequence: Sequence) -> Result<Option<Files>, Failure> {
    let folder = resources.join(sequence.padded());
    if !folder.is_dir() {
        return Ok(None);
    }
    let failed = |source| DiskError::new(Action::Read, &folder, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link might lead to what is nobody else's to see.
        let is_file = entry.file_type().map_err(failed)?.is_file();
        let is_object = is_file && path.extension().is_some_and(|end| end == "yaml");
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|_| is_object) {
            files.push((name.to_owned(), disk::read_bounded(&path, FILE_SIZE)?));
        }
    }
    files.sort();
    Ok((!files.is_empty()).then_some(files))
}
