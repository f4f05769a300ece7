//! Operator catalogues in file-based form: what they offer, and what a wish selects of it.
//!
//! `olm.package`, `olm.channel` and `olm.bundle` as the Operator Lifecycle Manager has them
//! (<https://olm.operatorframework.io/docs/reference/file-based-catalogs/>); other schemas are passed over.

mod filter_id;
mod select;

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;

pub use filter_id::{filter_id, pinned};
pub use select::{Rule, Selected, select};

/// A catalogue's packages, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The packages.
    pub packages: BTreeMap<String, Package>,
}

/// A package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Whether there is an `olm.package` of that name.
    pub is_declared: bool,
    /// The channel that is followed where none is named.
    pub default_channel: String,
    /// The entries of each channel.
    pub channels: BTreeMap<String, Vec<Entry>>,
    /// The bundles, by name.
    pub bundles: BTreeMap<String, Bundle>,
}

/// An entry of a channel: a bundle and what it comes after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// The bundle's name.
    pub name: String,
    /// The bundle that it replaces.
    #[serde(default)]
    pub replaces: Option<String>,
    /// Bundles that are passed over.
    #[serde(default)]
    pub skips: Vec<String>,
}

/// A bundle: one version of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Its version, by its `olm.package` property.
    pub version: Option<Version>,
    /// Every image that it names, its own among them.
    pub images: Vec<String>,
}

/// A file of a catalogue that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue's file `{file}` cannot be read: {problem}")]
pub struct CatalogError {
    /// The file.
    pub file: String,
    /// Why.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    default_channel: String,
    #[serde(default)]
    entries: Vec<Entry>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    properties: Vec<Property>,
    #[serde(default)]
    related_images: Vec<RelatedImage>,
}

#[derive(Deserialize)]
struct Property {
    r#type: String,
    #[serde(default)]
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct RelatedImage {
    image: String,
}

/// Documents of other schemas may have other forms under the same names.
#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    schema: String,
}

const READ: [&str; 3] = ["olm.package", "olm.channel", "olm.bundle"];

impl Catalog {
    /// Adds what one file says: JSON objects in a row, or YAML documents.
    pub fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), CatalogError> {
        let wrong = |problem: String| CatalogError {
            file: file.to_owned(),
            problem,
        };
        let is_json = bytes.trim_ascii_start().first() == Some(&b'{');
        if is_json {
            let documents = serde_json::Deserializer::from_slice(bytes);
            for document in documents.into_iter::<&serde_json::value::RawValue>() {
                let text = document.map_err(|error| wrong(error.to_string()))?.get();
                let json = |error: serde_json::Error| wrong(error.to_string());
                let Schema { schema } = serde_json::from_str(text).map_err(json)?;
                if READ.contains(&&*schema) {
                    self.add(serde_json::from_str(text).map_err(json)?);
                }
            }
        } else {
            for document in serde_yaml::Deserializer::from_slice(bytes) {
                let yaml = |error: serde_yaml::Error| wrong(error.to_string());
                let value = serde_yaml::Value::deserialize(document).map_err(yaml)?;
                if value.is_null() {
                    continue;
                }
                let Schema { schema } = serde_yaml::from_value(value.clone()).map_err(yaml)?;
                if READ.contains(&&*schema) {
                    self.add(serde_yaml::from_value(value).map_err(yaml)?);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, document: Document) {
        match document.schema.as_str() {
            "olm.package" => {
                let package = self.packages.entry(document.name).or_default();
                package.is_declared = true;
                package.default_channel = document.default_channel;
            }
            "olm.channel" => {
                let package = self.packages.entry(document.package).or_default();
                package.channels.insert(document.name, document.entries);
            }
            _ => {
                let version = document
                    .properties
                    .iter()
                    .find(|property| property.r#type == "olm.package")
                    .and_then(|property| version(property.value.get("version")?.as_str()?));
                let related = document.related_images.into_iter().map(|image| image.image);
                let mut images: Vec<_> = related.chain([document.image]).collect();
                images.retain(|image| !image.is_empty());
                images.sort();
                images.dedup();
                let package = self.packages.entry(document.package).or_default();
                package
                    .bundles
                    .insert(document.name, Bundle { version, images });
            }
        }
    }
}

/// A version, as tolerantly as `oc-mirror` reads them: `v1.2` is 1.2.0.
pub fn version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let padded = match numbers.split('.').count() {
        1 => format!("{numbers}.0.0{rest}"),
        2 => format!("{numbers}.0{rest}"),
        _ => text.to_owned(),
    };
    Version::parse(&padded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = br#"{"schema":"olm.package","name":"a","defaultChannel":"s"}
            {"schema":"olm.channel","package":"a","name":"s","entries":[{"name":"a.v1","skips":["a.v0"]}]}
            {"schema":"olm.bundle","package":"a","name":"a.v1","image":"r/b@x","properties":[{"type":"olm.package","value":{"version":"1.0"}}],"relatedImages":[{"name":"","image":"r/b@x"},{"name":"o","image":"r/o@x"}]}
            {"schema":"olm.deprecations","package":"a","entries":[{"reference":{}}]}"#;
        let yaml = b"---\nschema: olm.package\nname: a\ndefaultChannel: s\n---\nschema: olm.channel\npackage: a\nname: s\nentries:\n- name: a.v1\n  skips: [a.v0]\n---\nschema: olm.bundle\npackage: a\nname: a.v1\nimage: r/b@x\nproperties:\n- type: olm.package\n  value: {version: '1.0'}\nrelatedImages:\n- {name: '', image: r/b@x}\n- {name: o, image: r/o@x}\n";
        let (mut one, mut other) = (Catalog::default(), Catalog::default());
        one.read("catalog.json", json).unwrap();
        other.read("catalog.yaml", yaml).unwrap();
        assert_eq!(one, other);
        let package = &one.packages["a"];
        assert_eq!(package.default_channel, "s");
        assert_eq!(package.bundles["a.v1"].images, ["r/b@x", "r/o@x"]);
        assert_eq!(package.bundles["a.v1"].version, Some(Version::new(1, 0, 0)));
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        for bytes in [
            &b"{\"schema\":"[..],
            b"{\"schema\":\"olm.bundle\",\"properties\":1}",
            b"\xff",
        ] {
            let error = Catalog::default()
                .read("x/catalog.json", bytes)
                .unwrap_err();
            assert!(error.to_string().contains("x/catalog.json"), "{error}");
        }
    }
}
