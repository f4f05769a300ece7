//! Generated cluster resources -> those that a cluster may be given, and those that would mislead it, apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::limits;
use mimeograph_manifest::wish::Wish;
use serde::Deserialize as _;
use serde_yaml::Value;

use crate::deliver;

/// Where what no cluster should be given is kept, below the resources.
const APART: &str = "apart";

/// Puts the resources of a confirmed load in place of what lay there, and says what is kept apart.
pub fn publish(
    generated: &Path,
    to: &Path,
    wish: &Wish,
) -> Result<(Option<PathBuf>, Vec<String>), Failure> {
    let Some(to) = deliver::keep_resources(generated, to)? else {
        return Ok((None, Vec::new()));
    };
    let mut reports = Vec::new();
    let entries = fs::read_dir(&to).map_err(|source| DiskError::new(Action::Read, &to, source))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
    {
        let bytes = disk::read_bounded(file, limits::IMAGESET_SIZE)?;
        let Some(judged) = judge(&bytes, wish) else {
            continue;
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let apart = to.join(APART);
        disk::create_folder(&apart, 0o755)?;
        disk::write_durably(&apart.join(&*name), &bytes, 0o644)?;
        match judged.rest {
            Some(rest) => disk::write_durably(file, rest.as_bytes(), 0o644)?,
            None => fs::remove_file(file)
                .map_err(|source| DiskError::new(Action::Remove, file, source))?,
        }
        reports.push(format!(
            "`{name}`: {} (as it was: `{APART}/{name}`)",
            judged.why
        ));
    }
    reports.extend(lost_catalogs(&files, wish));
    for report in &reports {
        tracing::warn!("cluster resources: {report}");
    }
    Ok((Some(to), reports))
}

/// What is wrong with a file, and what is left of it.
struct Judged {
    why: String,
    rest: Option<String>,
}

fn judge(bytes: &[u8], wish: &Wish) -> Option<Judged> {
    let documents = serde_yaml::Deserializer::from_slice(bytes);
    // One that is not YAML is `oc-mirror`'s own, and no worse for us.
    let mut documents: Vec<Value> = documents
        .map(Value::deserialize)
        .collect::<Result<_, _>>()
        .ok()?;
    let (mut why, before) = (Vec::new(), documents.len());
    documents.retain(|document| {
        let misleads = document.get("kind").and_then(Value::as_str) == Some("UpdateService")
            && wish.graph.is_none();
        if misleads {
            why.push("it names an image of the update graph that was not mirrored".to_owned());
        }
        !misleads
    });
    for document in &mut documents {
        let gone = drop_sources_without_a_registry(document);
        if !gone.is_empty() {
            why.push(format!(
                "no cluster can have {} as a source of images",
                gone.join(", ")
            ));
        }
    }
    if why.is_empty() && before == documents.len() {
        return None;
    }
    documents.retain(|document| mirrors(document).is_none_or(|list| !list.is_empty()));
    let rest: Vec<_> = documents
        .iter()
        .filter_map(|document| serde_yaml::to_string(document).ok())
        .collect();
    Some(Judged {
        why: why.join("; "),
        rest: (!rest.is_empty()).then(|| format!("---\n{}", rest.join("---\n"))),
    })
}

const LISTS: [&str; 2] = ["imageTagMirrors", "imageDigestMirrors"];

fn mirrors(document: &Value) -> Option<&Vec<Value>> {
    let spec = document.get("spec")?;
    LISTS.iter().find_map(|list| spec.get(list)?.as_sequence())
}

/// `oci:///a/b` becomes the source `/a/b` (contract §13.3), which the API refuses.
fn drop_sources_without_a_registry(document: &mut Value) -> Vec<String> {
    let mut gone = Vec::new();
    let Some(spec) = document.get_mut("spec") else {
        return gone;
    };
    for list in LISTS {
        let Some(entries) = spec.get_mut(list).and_then(Value::as_sequence_mut) else {
            continue;
        };
        entries.retain(|entry| {
            let source = entry
                .get("source")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_wrong = source.starts_with('/') || source.is_empty();
            if is_wrong {
                gone.push(format!("`{source}`"));
            }
            !is_wrong
        });
    }
    gone
}

/// A second catalogue whose CatalogSource has the same name is not written (contract §12).
fn lost_catalogs(files: &[PathBuf], wish: &Wish) -> Vec<String> {
    let names: BTreeSet<_> = files
        .iter()
        .filter_map(|file| file.file_name()?.to_str())
        .collect();
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for catalog in &wish.operators {
        let last = catalog.repository.rsplit('/').next().unwrap_or_default();
        let tag: String = catalog.tag.chars().take(12).collect();
        by_name
            .entry(format!("cs-{last}-{tag}.yaml"))
            .or_default()
            .push(&catalog.reference);
    }
    let lost = by_name.into_iter().filter_map(|(name, catalogs)| match catalogs.as_slice() {
        [_] | [] => None,
        [_, ..] if names.contains(name.as_str()) => Some(format!(
            "`{name}` is the CatalogSource of only one of {}: give them different `targetTag`s or `targetCatalog`s",
            catalogs.join(", ")
        )),
        _ => None,
    });
    lost.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "---\nkind: ImageTagMirrorSet\nspec:\n  imageTagMirrors:\n  - mirrors: [t/tiny]\n    source: s/tiny\n  - mirrors: [t/a]\n    source: /a/b\n";

    #[test]
    fn a_source_without_a_registry_is_taken_out_and_the_rest_stays() {
        let judged = judge(MIXED.as_bytes(), &Wish::default()).unwrap();
        assert!(judged.why.contains("`/a/b`"), "{}", judged.why);
        let rest = judged.rest.unwrap();
        assert!(rest.contains("s/tiny") && !rest.contains("/a/b"), "{rest}");
    }

    #[test]
    fn an_update_service_without_its_image_is_kept_apart() {
        let judged = judge(b"kind: UpdateService\n", &Wish::default()).unwrap();
        assert!(judged.rest.is_none());
    }

    #[test]
    fn what_is_right_stays_as_it_is() {
        let right = MIXED.split("  - mirrors: [t/a]").next().unwrap();
        assert!(judge(right.as_bytes(), &Wish::default()).is_none());
    }
}
