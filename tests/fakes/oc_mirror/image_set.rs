//! Reading an image set configuration as strictly as the real one does.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_yaml::{Mapping, Value};

use crate::failure::Failure;
use crate::release::Release;

/// One entry of `additionalImages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Additional {
    pub(crate) name: String,
    pub(crate) target_repo: Option<String>,
    pub(crate) target_tag: Option<String>,
}

/// What of an image set the stand-in plays.
#[derive(Debug)]
pub(crate) struct ImageSet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) images: Vec<Additional>,
    pub(crate) blocked: Vec<String>,
    /// GiB
    pub(crate) archive_size: Option<u64>,
    /// v1's `storageConfig.local.path`
    pub(crate) storage: Option<PathBuf>,
}

/// Which command line reads the image set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V1,
    V2,
}

impl ImageSet {
    pub(crate) fn read(path: &Path, dialect: Dialect, release: Release) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(|_| {
            Failure::new(
                1,
                format!("open {}: no such file or directory", path.display()),
            )
        })?;
        let document: Value = serde_yaml::from_slice(&bytes)
            .map_err(|error| Failure::new(1, format!("yaml: {error}")))?;
        check_kind(&document, dialect, release)?;
        check_fields(&document, dialect, release)?;
        let mirror = &document["mirror"];
        for category in ["platform", "operators", "helm"] {
            let given = &mirror[category];
            let empty = given.as_mapping().is_some_and(Mapping::is_empty)
                || given.as_sequence().is_some_and(Vec::is_empty);
            if !given.is_null() && !empty {
                return Err(Failure::new(
                    1,
                    format!("the stand-in mirrors additionalImages alone, not `{category}`"),
                ));
            }
        }
        let set = Self {
            images: entries(&mirror["additionalImages"])
                .map(additional)
                .collect(),
            blocked: entries(&mirror["blockedImages"])
                .filter_map(|entry| text(&entry["name"]))
                .collect(),
            archive_size: document["archiveSize"].as_u64(),
            storage: text(&document["storageConfig"]["local"]["path"]).map(PathBuf::from),
            bytes,
        };
        set.check_patterns(release)?;
        Ok(set)
    }

    /// Whether `blockedImages` names this: exactly in the oldest release, by pattern in the others.
    pub(crate) fn blocks(&self, name: &str, release: Release) -> bool {
        if release == Release::V4_17 {
            return self.blocked.iter().any(|blocked| blocked == name);
        }
        self.blocked
            .iter()
            .filter_map(|pattern| Regex::new(pattern).ok())
            .any(|pattern| pattern.is_match(name))
    }

    fn check_patterns(&self, release: Release) -> Result<(), Failure> {
        let bad = self
            .blocked
            .iter()
            .find(|pattern| Regex::new(pattern).is_err());
        match bad {
            Some(bad) if release == Release::V5_2 => Err(Failure::new(
                1,
                format!(
                    "invalid configuration: blocked image {bad:?}: invalid regular expression: \
                     error parsing regexp: missing argument to repetition operator: `*`"
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn check_kind(document: &Value, dialect: Dialect, release: Release) -> Result<(), Failure> {
    let kind_fits = document["kind"] == "ImageSetConfiguration";
    let expected = match dialect {
        Dialect::V1 => "mirror.openshift.io/v1alpha2",
        Dialect::V2 => "mirror.openshift.io/v2alpha1",
    };
    // newer releases never look at the apiVersion
    let version_fits =
        document["apiVersion"] == expected || dialect == Dialect::V2 && release.is_strict();
    if kind_fits && version_fits {
        Ok(())
    } else {
        Err(Failure::new(1, "config GVK not recognized: "))
    }
}

fn check_fields(document: &Value, dialect: Dialect, release: Release) -> Result<(), Failure> {
    let mut top = vec!["kind", "apiVersion", "mirror", "archiveSize"];
    if dialect == Dialect::V1 {
        top.push("storageConfig");
    }
    known(document, &top)?;
    known(
        &document["mirror"],
        &[
            "platform",
            "operators",
            "additionalImages",
            "helm",
            "blockedImages",
            "samples",
        ],
    )?;
    let targets = dialect == Dialect::V2 && release == Release::V5_2;
    let image: &[&str] = if targets {
        &["name", "targetRepo", "targetTag"]
    } else {
        &["name"]
    };
    entries(&document["mirror"]["additionalImages"]).try_for_each(|entry| known(entry, image))?;
    entries(&document["mirror"]["blockedImages"]).try_for_each(|entry| known(entry, &["name"]))
}

fn known(value: &Value, fields: &[&str]) -> Result<(), Failure> {
    let names = value
        .as_mapping()
        .into_iter()
        .flat_map(Mapping::keys)
        .filter_map(Value::as_str);
    let mut unknown = names.filter(|name| !fields.contains(name));
    unknown.next().map_or(Ok(()), |name| {
        Err(Failure::new(
            1,
            format!("decode ImageSetConfiguration: json: unknown field {name:?}"),
        ))
    })
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

fn additional(entry: &Value) -> Additional {
    Additional {
        name: text(&entry["name"]).unwrap_or_default(),
        target_repo: text(&entry["targetRepo"]),
        target_tag: text(&entry["targetTag"]),
    }
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
