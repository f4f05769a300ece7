//! The objects of a catalogue's files, as far as they are read. What is absent may also be `null`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What every object has.
#[derive(Deserialize)]
pub(super) struct Header<'a> {
    #[serde(borrow, default)]
    pub(super) schema: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PackageObject {
    pub(super) name: Option<String>,
    pub(super) default_channel: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ChannelObject {
    pub(super) package: Option<String>,
    pub(super) name: Option<String>,
    pub(super) entries: Option<Vec<EntryObject>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EntryObject {
    pub(super) name: Option<String>,
    pub(super) replaces: Option<String>,
    pub(super) skips: Option<Vec<String>>,
    pub(super) skip_range: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BundleObject<'a> {
    pub(super) package: Option<String>,
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    #[serde(borrow)]
    pub(super) properties: Option<Vec<Property<'a>>>,
    pub(super) related_images: Option<Vec<ImageObject>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Property<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Cow<'a, str>>,
    /// Read for one type alone; some of the others are large.
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PackageProperty {
    pub(super) version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageObject {
    pub(super) image: Option<String>,
}
