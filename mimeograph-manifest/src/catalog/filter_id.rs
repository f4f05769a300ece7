//! The name of a filtered catalogue's folder and tag.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use serde::Serialize;

use crate::digest::Digest;
use crate::imageset::model::{self, Operator, Text};

/// Which of its two forms `oc-mirror` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterOf<'a> {
    /// Of the catalogue with this digest, however the image set names it: from 4.22 on.
    Digest(&'a Digest),
    /// Of the catalogue as the image set names it: 4.18 to 4.21. Later ones fall back to it where
    /// a folder of that name has a file `digest` and one of the other form has none.
    Name,
}

/// The fields that count, in the order of `oc-mirror`'s own types.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    packages: Option<Vec<Package<'a>>>,
    catalog: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    full: bool,
    #[serde(skip_serializing_if = "is_false")]
    skip_dependencies: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<Platform<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<Channel<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    default_channel: &'a str,
    #[serde(flatten)]
    range: Range<'a>,
}

#[derive(Serialize)]
struct Channel<'a> {
    name: &'a str,
    #[serde(flatten)]
    range: Range<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Range<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    min_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    max_version: &'a str,
}

#[derive(Serialize)]
struct Platform<'a> {
    os: &'a str,
    architecture: &'a str,
}

/// The id that `oc-mirror` from 4.18 on gives what it filters for a wish: 32 hexadecimal digits,
/// the MD5 of the wish as JSON (`digestOfFilter` in its `filtered_collector.go`).
pub fn filter_id(wish: &Operator, of: FilterOf) -> String {
    let pinned = match of {
        FilterOf::Digest(digest) => {
            repository(&wish.catalog).map(|name| format!("{name}@{}", digest.to_oci()))
        }
        FilterOf::Name => None,
    };
    let platforms = wish.platforms.iter().map(|platform| Platform {
        os: &platform.os,
        architecture: &platform.architecture,
    });
    let packages = wish.packages.as_ref();
    let filter = Filter {
        packages: packages.map(|packages| packages.iter().map(Package::of).collect()),
        catalog: pinned.as_deref().unwrap_or(&wish.catalog),
        full: wish.full,
        skip_dependencies: wish.skip_dependencies,
        platforms: platforms.collect(),
    };
    // Texts, truth values and lists alone: nothing that JSON could not hold.
    let json = serde_json::to_string(&filter).unwrap_or_default();
    let hash = Md5::digest(as_go(&json));
    let mut id = String::with_capacity(32);
    for byte in hash {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

impl<'a> Package<'a> {
    fn of(package: &'a model::Package) -> Self {
        let channels = package.channels.iter().map(|channel| Channel {
            name: &channel.name,
            range: Range::of(&channel.range),
        });
        Self {
            name: &package.name,
            channels: channels.collect(),
            default_channel: text(package.default_channel.as_ref()),
            range: Range::of(&package.range),
        }
    }
}

impl<'a> Range<'a> {
    fn of(range: &'a model::Range) -> Self {
        Self {
            min_version: text(range.min.as_ref()),
            max_version: text(range.max.as_ref()),
        }
    }
}

fn text(text: Option<&Text>) -> &str {
    text.map_or("", |text| text)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Go's encoding/json also escapes what HTML and old JavaScript would take amiss.
fn as_go(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text
}

/// A reference without transport, tag and digest; `None` for one that `oc-mirror` cannot read
/// (`ParseRef` in its `image.go`), and then takes as it is.
fn repository(reference: &str) -> Option<&str> {
    let (transport, rest) = match reference.split_once("://") {
        Some((_, rest)) if rest.contains("://") => return None,
        Some((transport, rest)) => (transport, rest),
        None => ("docker", reference),
    };
    let (name, digest) = match rest.split_once('@') {
        Some((name, digest)) => {
            let digest = digest.split('@').next().unwrap_or_default();
            (name, Some(Digest::from_oci(digest).ok()?))
        }
        None => (rest, None),
    };
    if transport != "docker" {
        return (!name.is_empty()).then_some(name);
    }
    // In front of a path stands a port.
    let tagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (name, tag) = tagged.unwrap_or((name, ""));
    let is_whole = !name.is_empty() && (digest.is_some() || !tag.is_empty());
    is_whole.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `oc-mirror` 5.2's `digestOfFilter` gives for a catalogue alone: with the digest below
    /// and without.
    const CATALOGUES: &[(&str, &str, &str)] = &[
        (
            "cat:v1",
            "e4b91a64b6be4753918d6f7805c51b14",
            "9760a76605bacb539c2b2ad14c09fac9",
        ),
        (
            "r.example/a/cat:v1",
            "962f5c256f6e8b40222bbaa20b4c802f",
            "beebb25e63080509d7e61055d7fea1e1",
        ),
        (
            "docker://r.example/cat:v1",
            "1177840e79358a248240dd7d0d6a086b",
            "b0d21ba1602a6f06ad8a9fe214c11eed",
        ),
        (
            "oci:///srv/cat",
            "ccc017cd70eb5828c943d877c8062772",
            "f1c4e9ca4f9182b81e325ef75586a20e",
        ),
        (
            "oci:///srv/cat:v1",
            "e21f61e990ea02d1355642c082b10d5d",
            "17a3cb183c3eea9b8c8f91f986650df3",
        ),
        // Named by the digest, with and without a tag.
        (
            "r.example:5000/a/cat@sha256:fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596",
            "2bffc0c464d617020dd0618affd31355",
            "2bffc0c464d617020dd0618affd31355",
        ),
        (
            "r.example:5000/a/cat:v1@sha256:fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596",
            "2bffc0c464d617020dd0618affd31355",
            "115cb17442a494b3a2f0187347279219",
        ),
        // What it cannot read stays as it is.
        (
            "localhost:5000/cat",
            "632618126445a33e52a4bdfa7bf74608",
            "632618126445a33e52a4bdfa7bf74608",
        ),
        (
            "r.example/a@sha256:12",
            "d82e2e878e37a2c2404d7766db769932",
            "d82e2e878e37a2c2404d7766db769932",
        ),
        (
            "a://b://c:v1",
            "b612e3b6b7e356a7d0eac82454284a11",
            "b612e3b6b7e356a7d0eac82454284a11",
        ),
        (
            "",
            "7a6d2013b81d9a9b0b2b604815a39f98",
            "7a6d2013b81d9a9b0b2b604815a39f98",
        ),
        // Everything that Go writes in its own way.
        (
            "r.example/a&b<c>\u{2028}\"\\\n\t\u{8}\u{c}\u{1}é:v1",
            "304052504925b48c75fb17dcda35f9f9",
            "921781b6fa96d5b3bcebbb733d500ad0",
        ),
    ];

    #[test]
    fn catalogues_have_the_ids_that_the_real_one_gives() {
        let hex = "fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596";
        let digest: Digest = hex.parse().unwrap();
        for (name, by_digest, by_name) in CATALOGUES {
            let mut wish = Operator::default();
            (*name).clone_into(&mut wish.catalog.value);
            assert_eq!(
                filter_id(&wish, FilterOf::Digest(&digest)),
                *by_digest,
                "{name}"
            );
            assert_eq!(filter_id(&wish, FilterOf::Name), *by_name, "{name}");
        }
    }
}
