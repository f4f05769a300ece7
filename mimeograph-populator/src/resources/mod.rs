//! Generated cluster resources -> those that a cluster may be given, and those that would mislead it, apart.

mod change;
mod image;
mod object;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::resource_name;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::wish::Wish;
use serde_yaml::Value;

pub use self::change::ResourceChange;
pub(crate) use self::image::hand_on;
use crate::deliver;

/// A file of them, in bytes: Kubernetes takes objects of 1.5 MiB, and a file may hold many.
const FILE_SIZE: u64 = 64 << 20;
/// Where what no cluster should be given is kept, below the resources.
const APART: &str = "apart";

/// The cluster resources of a load.
#[derive(Debug, Default)]
pub struct Published {
    /// Where they are.
    pub folder: Option<PathBuf>,
    /// What of them is kept apart, because it would mislead a cluster.
    pub kept_apart: Vec<String>,
    /// What they change.
    pub changes: Vec<ResourceChange>,
}

/// Puts the resources of a confirmed load in place of what lay there, under names that are this stream's alone, and says what
/// is kept apart and what they change.
pub fn publish(
    generated: &Path,
    to: &Path,
    wish: &Wish,
    manifest: &Manifest,
) -> Result<Published, Failure> {
    // Under its name it is there as a whole, or not at all.
    let draft = to.with_extension("new");
    if deliver::keep_resources(generated, &draft)?.is_none() {
        return Ok(Published::default());
    }
    let kept_apart = keep_apart(&draft, wish)?;
    object::make_unique(&draft, manifest)?;
    let changes = change::note(&draft, to)?;
    remove(to)?;
    disk::rename(&draft, to).map_err(|source| DiskError::new(Action::Create, to, source))?;
    for one in changes.iter().filter(|one| one.rolls_nodes) {
        tracing::warn!("cluster resources: {one}");
    }
    Ok(Published {
        folder: Some(to.to_owned()),
        kept_apart,
        changes,
    })
}

fn keep_apart(to: &Path, wish: &Wish) -> Result<Vec<String>, Failure> {
    let mut reports = Vec::new();
    let entries = fs::read_dir(to).map_err(|source| DiskError::new(Action::Read, to, source))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
    {
        let bytes = disk::read_bounded(file, FILE_SIZE)?;
        let Some(judged) = judge(&bytes, wish) else {
            continue;
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        set_apart(to, &name, &bytes)?;
        match judged.rest {
            Some(rest) => disk::write_durably(file, rest.as_bytes(), 0o644)?,
            None => remove(file)?,
        }
        reports.push(format!(
            "`{name}`: {} (as it was: `{APART}/{name}`)",
            judged.why
        ));
    }
    for (shared, catalogs) in shared_names(wish) {
        for name in [format!("cs-{shared}.yaml"), format!("cc-{shared}.yaml")] {
            let file = to.join(&name);
            if !file.exists() {
                continue;
            }
            set_apart(to, &name, &disk::read_bounded(&file, FILE_SIZE)?)?;
            remove(&file)?;
            reports.push(format!(
                "`{name}` is of only one of {}: give them different `targetTag`s or `targetCatalog`s (it is kept as \
                 `{APART}/{name}`)",
                catalogs.join(", ")
            ));
        }
    }
    for report in &reports {
        tracing::warn!("cluster resources: {report}");
    }
    Ok(reports)
}

/// What is wrong with a file, and what is left of it.
struct Judged {
    why: String,
    rest: Option<String>,
}

fn judge(bytes: &[u8], wish: &Wish) -> Option<Judged> {
    let Some(mut documents) = object::documents(bytes) else {
        return Some(Judged {
            why: "it is no YAML that can be read".to_owned(),
            rest: None,
        });
    };
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
    Some(Judged {
        why: why.join("; "),
        rest: (!documents.is_empty()).then(|| object::text(&documents)),
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

fn set_apart(resources: &Path, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let apart = resources.join(APART);
    disk::create_folder(&apart, 0o755)?;
    disk::write_durably(&apart.join(name), bytes, 0o644)
}

fn remove(file: &Path) -> Result<(), DiskError> {
    disk::remove(file).map_err(|source| DiskError::new(Action::Remove, file, source))
}

/// Catalogues whose resources would have one name: a second one is not written (contract §12).
fn shared_names(wish: &Wish) -> BTreeMap<String, Vec<&str>> {
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for catalog in &wish.operators {
        let name = resource_name(&catalog.repository, &catalog.tag);
        by_name.entry(name).or_default().push(&catalog.reference);
    }
    by_name.retain(|_, catalogs| catalogs.len() > 1);
    by_name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mimeograph_manifest::digest::Digest;
    use mimeograph_manifest::wish::Catalog;

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
    fn what_cannot_be_read_is_kept_apart() {
        let judged = judge(b"kind: A\nkind: B\n", &Wish::default()).unwrap();
        assert!(judged.rest.is_none() && judged.why.contains("no YAML"));
    }

    #[test]
    fn resources_of_two_catalogues_with_one_name_are_kept_apart() {
        let catalog = |repository: &str, tag: &str| Catalog {
            reference: format!("r.io/{repository}:{tag}"),
            repository: repository.into(),
            tag: tag.into(),
            source: Digest::of(b"s"),
            digest: Digest::of(b"d"),
            filter: None,
            packages: BTreeMap::new(),
            dead_packages: 0,
            images: BTreeSet::new(),
        };
        let wish = Wish {
            operators: vec![
                catalog("a/index", "v4.20"),
                catalog("b/index", "v4.20"),
                catalog("a/index", "v2"),
            ],
            ..Wish::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let (generated, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&generated).unwrap();
        for name in [
            "cs-index-v4-20.yaml",
            "cc-index-v4-20.yaml",
            "cs-index-v2.yaml",
        ] {
            fs::write(generated.join(name), format!("kind: {name}\n")).unwrap();
        }
        let manifest = crate::open::tests::manifest(2, &[]);
        let published = publish(&generated, &to, &wish, &manifest).unwrap();
        let reports = published.kept_apart;
        assert_eq!((published.folder, reports.len()), (Some(to.clone()), 2));
        assert!(
            reports[0].contains("r.io/a/index:v4.20, r.io/b/index:v4.20"),
            "{reports:?}"
        );
        for name in ["cs-index-v4-20.yaml", "cc-index-v4-20.yaml"] {
            assert!(!to.join(name).exists(), "{name}");
            let kept = fs::read_to_string(to.join(APART).join(name)).unwrap();
            assert_eq!(kept, format!("kind: {name}\n"));
        }
        assert!(to.join("cs-index-v2.yaml").exists());
    }

    #[test]
    fn what_is_right_stays_as_it_is() {
        let right = MIXED.split("  - mirrors: [t/a]").next().unwrap();
        assert!(judge(right.as_bytes(), &Wish::default()).is_none());
    }
}
