//! The two trees on disk.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "real-tools")]
use serde::Deserialize as _;
use serde_yaml::Value;

/// A side of the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Connected,
    Disconnected,
}

pub(crate) const SIDES: [Side; 2] = [Side::Connected, Side::Disconnected];

impl Side {
    pub(crate) fn folder(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        root.join(match self {
            Self::Connected => "deploy-connected",
            Self::Disconnected => "deploy-disconnected",
        })
    }

    /// All files below the folder with this name.
    pub(crate) fn files(self, name: &str) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(|found| found == name) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

pub(crate) fn read(path: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[cfg(feature = "real-tools")]
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// The value at a path of keys and numbers, `a.b.0.c`; null where there is none.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    const NULL: &Value = &Value::Null;
    path.split('.').fold(value, |value, step| {
        let found = match step.parse::<usize>() {
            Ok(index) if value.is_sequence() => value.get(index),
            _ => value.get(step),
        };
        found.unwrap_or(NULL)
    })
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
