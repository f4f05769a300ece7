//! The objects in a folder of cluster resources, and names for them that no other stream gives.
//!
//! `oc-mirror` calls its mirror sets, and much else, the same in every run (`idms-release-0`): two streams that are applied to one
//! cluster would overwrite each other's (contract §12).

use std::fs;
use std::path::Path;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::manifest::Manifest;
use serde::Deserialize as _;
use serde_yaml::Value;

use super::FILE_SIZE;

/// What Kubernetes allows as a label, and so as the name of what makes Pods.
const LONGEST: usize = 63;
/// Says which stream an object is of.
const LABEL: &str = "mimeograph.io/stream";

/// The objects of a folder, of files that YAML can read: JSON is YAML. What is none is `oc-mirror`'s own, and no worse for us.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, Vec<Value>)>, Failure> {
    let failed = |source| DiskError::new(Action::Read, folder, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_one = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "json");
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|_| is_one) {
            let bytes = disk::read_bounded(&path, FILE_SIZE)?;
            files.push((name.to_owned(), documents(&bytes).unwrap_or_default()));
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(files)
}

/// The documents of a YAML or JSON text; `None` where it is neither.
pub(super) fn documents(bytes: &[u8]) -> Option<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_slice(bytes);
    documents
        .map(Value::deserialize)
        .collect::<Result<_, _>>()
        .ok()
}

/// The text of documents.
pub(super) fn text(documents: &[Value]) -> String {
    let texts = documents
        .iter()
        .filter_map(|document| serde_yaml::to_string(document).ok());
    format!("---\n{}", texts.collect::<Vec<_>>().join("---\n"))
}

/// Gives every object in a folder a name that ends with its stream's.
pub(super) fn make_unique(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let stream = label_of(manifest);
    for (file, mut documents) in read(folder)? {
        let mut changed = false;
        for document in &mut documents {
            changed |= rename(document, &stream);
        }
        if !changed {
            continue;
        }
        let text = match (
            Path::new(&file)
                .extension()
                .is_some_and(|end| end == "json"),
            &documents[..],
        ) {
            (true, [one]) => serde_json::to_string(one).unwrap_or_default(),
            _ => text(&documents),
        };
        disk::write_durably(&folder.join(file), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// The stream that files of objects are of, as their labels have it.
pub(super) fn stream_of(files: &[(String, Vec<u8>)]) -> Option<String> {
    let all = files
        .iter()
        .flat_map(|(_, bytes)| documents(bytes).unwrap_or_default());
    let label = |document: Value| {
        let label = document.get("metadata")?.get("labels")?.get(LABEL)?;
        Some(shortened(&part_of_a_name(label.as_str()?)))
    };
    all.filter_map(label).find(|name| !name.is_empty())
}

/// The stream's name as a part of Kubernetes names: what people call it, else the beginning of its id.
fn label_of(manifest: &Manifest) -> String {
    let name = part_of_a_name(&manifest.name);
    if name.is_empty() {
        manifest.stream.to_string().chars().take(8).collect()
    } else {
        name
    }
}

/// In lower case, with `-` for all but letters and digits.
pub(super) fn part_of_a_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = text.to_ascii_lowercase().chars().map(plain).collect();
    name.trim_matches('-').to_owned()
}

fn rename(document: &mut Value, stream: &str) -> bool {
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_mapping_mut) else {
        return false;
    };
    let Some(name) = metadata.get("name").and_then(Value::as_str) else {
        return false;
    };
    let unique = unique(name, stream);
    metadata.insert("name".into(), unique.into());
    let labels = metadata
        .entry("labels".into())
        .or_insert_with(|| Value::Mapping(serde_yaml::Mapping::default()));
    if let Some(labels) = labels.as_mapping_mut() {
        labels.insert(LABEL.into(), shortened(stream).into());
    }
    true
}

fn unique(name: &str, stream: &str) -> String {
    shortened(&format!("{name}-{stream}"))
}

/// As it is, or its beginning and eight digits of its digest.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    let kept = name.floor_char_boundary(LONGEST - 9);
    let begin = name[..kept].trim_end_matches(['-', '.']);
    format!("{begin}-{}", &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_with_its_stream_and_is_never_too_long() {
        assert_eq!(
            unique("idms-release-0", "production"),
            "idms-release-0-production"
        );
        let (a, b) = (
            unique("cs-index", &"a".repeat(80)),
            unique("cs-index", &"a".repeat(81)),
        );
        assert_eq!((a.len(), b.len()), (LONGEST, LONGEST));
        assert_ne!(a, b);
    }

    #[test]
    fn objects_are_renamed_and_labelled_and_nothing_else_of_them_changes() {
        let text =
            "kind: ImageDigestMirrorSet\nmetadata:\n  name: idms-release-0\nspec: {a: [1]}\n";
        let mut document: Value = serde_yaml::from_str(text).unwrap();
        assert!(rename(&mut document, "s"));
        let expected = "kind: ImageDigestMirrorSet\nmetadata:\n  name: idms-release-0-s\n  labels: {mimeograph.io/stream: s}\nspec: {a: [1]}\n";
        assert_eq!(document, serde_yaml::from_str::<Value>(expected).unwrap());
        for none in ["kind: x", "metadata: {}", "[]", "metadata: {name: [a]}"] {
            let mut document: Value = serde_yaml::from_str(none).unwrap();
            assert!(!rename(&mut document, "s"), "{none}");
        }
    }
}
