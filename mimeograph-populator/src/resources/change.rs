//! What cluster resources change against those of the bundle that was applied before, and what that does to nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use serde::Serialize;
use serde_yaml::Value;

use super::object;

/// Beside the objects, for people; `oc apply -f DIR` takes no notice of it.
const FILE: &str = "CHANGES.txt";

/// One object that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceChange {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: What,
    /// Whether applying it drains and reboots nodes.
    pub rolls_nodes: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// It was not there.
    New,
    /// It says something else.
    Changed,
    /// It is not there any more; nobody deletes it.
    Gone,
}

impl ResourceChange {
    fn of(kind: &str, name: &str, change: What) -> Self {
        // The Machine Config Operator: a new ImageDigestMirrorSet is taken up without a drain; a tag mirror set never is, and
        // nor is anything that changes or goes (openshift-docs, "Image configuration resources").
        let rolls_nodes = match kind {
            "ImageDigestMirrorSet" => change != What::New,
            "ImageTagMirrorSet" | "ImageContentSourcePolicy" => true,
            _ => false,
        };
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            change,
            rolls_nodes,
        }
    }
}

impl fmt::Display for ResourceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            What::New => "new",
            What::Changed => "changed",
            What::Gone => "not among them any more",
        };
        write!(f, "{} {}: {change}", self.kind, self.name)?;
        if self.rolls_nodes {
            f.write_str(" (drains and reboots the nodes of every MachineConfigPool)")?;
        }
        Ok(())
    }
}

/// Compares a folder of resources, which is to lie at `place`, with that of the bundle that was applied before, and writes it
/// down beside them.
pub(super) fn note(folder: &Path, place: &Path) -> Result<Vec<ResourceChange>, Failure> {
    let before = match before(place)? {
        Some(before) => objects(&before)?,
        None => BTreeMap::new(),
    };
    let changes = compare(&before, &objects(folder)?);
    let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
    let text = if lines.is_empty() {
        "nothing has changed\n".to_owned()
    } else {
        format!("{}\n", lines.join("\n"))
    };
    disk::write_durably(&folder.join(FILE), text.as_bytes(), 0o644)?;
    Ok(changes)
}

/// The newest other folder beside this one: each is called by its bundle's number.
fn before(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some(all) = folder.parent() else {
        return Ok(None);
    };
    let failed = |source| DiskError::new(Action::Read, all, source);
    let mut newest = None;
    for entry in fs::read_dir(all).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_number = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if is_number && path != folder && path.is_dir() {
            newest = newest.max(Some(path));
        }
    }
    Ok(newest)
}

type Objects = BTreeMap<(String, String), Value>;

/// By kind and name, without what is another in each run.
fn objects(folder: &Path) -> Result<Objects, Failure> {
    let mut objects = BTreeMap::new();
    for (_, documents) in object::read(folder)? {
        for mut document in documents {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            let kind = text(document.get("kind"));
            let metadata = document.get_mut("metadata").and_then(Value::as_mapping_mut);
            let Some((kind, metadata)) = kind.zip(metadata) else {
                continue;
            };
            // `createdAt`, and the version of `oc-mirror`.
            metadata.remove("annotations");
            if let Some(name) = text(metadata.get("name")) {
                objects.insert((kind, name), sorted(document));
            }
        }
    }
    Ok(objects)
}

/// The order of sources in a mirror set is another in each run, and means nothing.
fn sorted(mut document: Value) -> Value {
    for list in super::LISTS {
        let entries = document.get_mut("spec").and_then(|spec| spec.get_mut(list));
        if let Some(entries) = entries.and_then(Value::as_sequence_mut) {
            entries.sort_by_key(|entry| {
                let source = entry.get("source").and_then(Value::as_str);
                source.unwrap_or_default().to_owned()
            });
        }
    }
    document
}

fn compare(before: &Objects, now: &Objects) -> Vec<ResourceChange> {
    let mut changes = Vec::new();
    for ((kind, name), object) in now {
        match before.get(&(kind.clone(), name.clone())) {
            None => changes.push(ResourceChange::of(kind, name, What::New)),
            Some(before) if before != object => {
                changes.push(ResourceChange::of(kind, name, What::Changed));
            }
            Some(_) => {}
        }
    }
    for (kind, name) in before.keys().filter(|key| !now.contains_key(*key)) {
        changes.push(ResourceChange::of(kind, name, What::Gone));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, number: &str, file: &str, text: &str) -> PathBuf {
        let folder = folder.join(number);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
        folder
    }

    fn idms(name: &str, sources: &[&str]) -> String {
        let sources: Vec<_> = sources
            .iter()
            .map(|source| format!("  - mirrors: [t/{source}]\n    source: {source}\n"))
            .collect();
        format!(
            "---\nkind: ImageDigestMirrorSet\nmetadata:\n  annotations: {{createdAt: now}}\n  name: {name}\nspec:\n  imageDigestMirrors:\n{}",
            sources.concat()
        )
    }

    #[test]
    fn what_changes_is_told_with_what_it_does_to_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let tags = "kind: ImageTagMirrorSet\nmetadata: {name: itms-0}\nspec: {}\n";
        put(
            folder.path(),
            "0000000001",
            "idms.yaml",
            &idms("a", &["x", "y"]),
        );
        put(
            folder.path(),
            "0000000001",
            "cs.yaml",
            "kind: CatalogSource\nmetadata: {name: c}\n",
        );
        // Neither the order of sources nor when it was made is a change.
        let again = idms("a", &["y", "x"]).replace("now", "later");
        let second = put(folder.path(), "0000000002", "idms.yaml", &again);
        put(
            folder.path(),
            "0000000002",
            "cs.yaml",
            "kind: CatalogSource\nmetadata: {name: c}\n",
        );
        assert_eq!(note(&second, &second).unwrap(), []);
        assert_eq!(
            fs::read_to_string(second.join(FILE)).unwrap(),
            "nothing has changed\n"
        );

        let third = put(folder.path(), "0000000003", "idms.yaml", &idms("a", &["x"]));
        put(
            folder.path(),
            "0000000003",
            "more.yaml",
            &format!("{}{}", idms("b", &["z"]), "---\n"),
        );
        put(folder.path(), "0000000003", "itms.yaml", tags);
        let changes = note(&third, &third).unwrap();
        let told: Vec<_> = changes
            .iter()
            .map(|one| {
                (
                    one.kind.as_str(),
                    one.name.as_str(),
                    one.change,
                    one.rolls_nodes,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("ImageDigestMirrorSet", "a", What::Changed, true),
                ("ImageDigestMirrorSet", "b", What::New, false),
                ("ImageTagMirrorSet", "itms-0", What::New, true),
                ("CatalogSource", "c", What::Gone, false),
            ]
        );
        let text = fs::read_to_string(third.join(FILE)).unwrap();
        assert!(
            text.contains("ImageTagMirrorSet itms-0: new (drains"),
            "{text}"
        );
    }
}
