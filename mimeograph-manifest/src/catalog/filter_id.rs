//! The name that `oc-mirror` gives to a selection, from 4.18 on: the rebuilt catalogue's tag in its cache and archives.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::digest::Digest;
use crate::imageset::model::{InstancePlatform, Operator, Range, Text};

/// The MD5 of the selection as compact JSON (contract §12; main: operator/filtered_collector.go, `digestOfFilter`).
///
/// `catalog` is the image set's own string up to 4.21, and [`pinned`] from 4.22 on.
pub fn filter_id(operator: &Operator, catalog: &str) -> String {
    let mut json = Json("{\"packages\":".to_owned());
    match &operator.packages {
        None => json.0.push_str("null"),
        Some(packages) => json.list(packages, |json, package| {
            json.0.push('{');
            json.member("name", &package.name);
            if !package.channels.is_empty() {
                json.0.push_str(",\"channels\":");
                json.list(&package.channels, |json, channel| {
                    json.0.push('{');
                    json.member("name", &channel.name);
                    json.range(&channel.range);
                    json.0.push('}');
                });
            }
            json.optional("defaultChannel", package.default_channel.as_ref());
            json.range(&package.range);
            json.0.push('}');
        }),
    }
    json.0.push(',');
    json.member("catalog", catalog);
    for (name, flag) in [
        ("full", operator.full),
        ("skipDependencies", operator.skip_dependencies),
    ] {
        if flag {
            // Writing to a text cannot fail.
            let _ = write!(json.0, ",\"{name}\":true");
        }
    }
    if !operator.platforms.is_empty() {
        json.0.push_str(",\"platforms\":");
        json.list(&operator.platforms, |json, platform: &InstancePlatform| {
            json.0.push('{');
            json.member("os", &platform.os);
            json.0.push(',');
            json.member("architecture", &platform.architecture);
            json.0.push('}');
        });
    }
    json.0.push('}');
    let hash = Md5::digest(json.0.as_bytes());
    hash.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A catalogue's name with its digest instead of its tag.
pub fn pinned(catalog: &str, digest: &Digest) -> String {
    let plain = catalog.split_once('@').map_or(catalog, |(name, _)| name);
    let after_slash = plain.rfind('/').map_or(0, |at| at + 1);
    let name = match plain[after_slash..].find(':') {
        Some(at) => &plain[..after_slash + at],
        None => plain,
    };
    let name = name.strip_prefix("docker://").unwrap_or(name);
    format!("{name}@{}", digest.to_oci())
}

/// JSON as Go's `encoding/json` writes it.
struct Json(String);

impl Json {
    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            write(self, item);
        }
        self.0.push(']');
    }

    fn range(&mut self, range: &Range) {
        self.optional("minVersion", range.min.as_ref());
        self.optional("maxVersion", range.max.as_ref());
    }

    fn optional(&mut self, name: &str, value: Option<&Text>) {
        if let Some(value) = value {
            self.0.push(',');
            self.member(name, value);
        }
    }

    fn member(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, "\"{name}\":\"");
        for character in value.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{c}' => self.0.push_str("\\f"),
                // Go escapes these for the sake of HTML and JavaScript.
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(character));
                }
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}
