//! Wishes from the texts of image sets, each value with its place.

use mimeograph_manifest::imageset::model::{
    Channel, InstancePlatform, Operator, Package, Place, Range, Text,
};
use serde_json::Value;

/// Finds the places of values that are asked for in the order of the text.
struct Places<'a> {
    text: &'a str,
    from: usize,
}

impl Places<'_> {
    fn text(&mut self, value: &Value) -> Option<Text> {
        let value = value.as_str()?.to_owned();
        let found = self.text[self.from..].find(&value);
        let at = found.map_or_else(Place::default, |found| {
            let start = self.from + found;
            self.from = start + value.len();
            let before = &self.text[..start];
            let line = before.matches('\n').count() + 1;
            let column = start - before.rfind('\n').map_or(0, |end| end + 1) + 1;
            Place { line, column }
        });
        Some(Text { value, at })
    }

    fn range(&mut self, value: &Value) -> Range {
        Range {
            min: self.text(&value["minVersion"]),
            max: self.text(&value["maxVersion"]),
        }
    }

    fn package(&mut self, value: &Value) -> Package {
        let name = self.text(&value["name"]).unwrap();
        let channels = list(&value["channels"]).iter().map(|channel| Channel {
            name: self.text(&channel["name"]).unwrap(),
            range: self.range(channel),
        });
        Package {
            name,
            channels: channels.collect(),
            default_channel: self.text(&value["defaultChannel"]),
            range: self.range(value),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One of `operators`; places are those of `text`.
pub fn wish(value: &Value, text: &str) -> Operator {
    let mut places = Places { text, from: 0 };
    let catalog = places.text(&value["catalog"]).unwrap();
    let packages = value["packages"].as_array();
    let platforms = list(&value["platforms"])
        .iter()
        .map(|platform| InstancePlatform {
            os: places.text(&platform["os"]).unwrap(),
            architecture: places.text(&platform["architecture"]).unwrap(),
        })
        .collect();
    Operator {
        catalog,
        target_catalog: places.text(&value["targetCatalog"]),
        target_tag: places.text(&value["targetTag"]),
        full: value["full"] == true,
        skip_dependencies: value["skipDependencies"] == true,
        packages: packages.map(|all| all.iter().map(|one| places.package(one)).collect()),
        platforms,
        ..Operator::default()
    }
}

/// The first of `operators` of an image set.
pub fn of_imageset(text: &str) -> Operator {
    let value: Value = serde_yaml::from_str(text).unwrap();
    wish(&value["mirror"]["operators"][0], text)
}
