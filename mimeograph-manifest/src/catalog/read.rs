//! Reads the files of a catalogue: JSON objects in a row, or YAML documents.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::objects::{
    BundleObject, ChannelObject, Header, PackageObject, PackageProperty, Property,
};
use super::{Bundle, Catalog, Entry, Package};
use crate::failure::{ErrorId, Fault};
use crate::limits;
use crate::yaml::expanded_size;

/// Why a catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// More than [`limits::CATALOG_SIZE`], [`limits::CATALOG_OBJECT_SIZE`] or
    /// [`limits::CATALOG_ITEMS`].
    #[error("`{file}`: the operator catalogue has more than {limit} {unit}")]
    TooLarge {
        /// The file.
        file: String,
        /// The most that may be.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Not JSON, or a field of the wrong type.
    #[error("`{file}`: not an operator catalogue")]
    Json {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Not YAML.
    #[error("`{file}`: not an operator catalogue")]
    Yaml {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: serde_yaml::Error,
    },
    /// A field that is needed is missing, or is no sensible text.
    #[error(
        "`{file}`: the `{field}` of an `{schema}` is missing, too long or has control characters"
    )]
    Field {
        /// The file.
        file: String,
        /// The `schema` of the object.
        schema: String,
        /// The field.
        field: &'static str,
    },
    /// The same object twice. OLM refuses such a catalogue.
    #[error("`{file}`: a second {schema} `{name}` of package `{package}`")]
    Twice {
        /// The file with the second.
        file: String,
        /// The `schema` of both.
        schema: &'static str,
        /// The package.
        package: String,
        /// The name of both.
        name: String,
    },
}

impl Fault for CatalogError {
    fn id(&self) -> ErrorId {
        ErrorId::ImagesetUnsatisfied
    }
}

/// Reads a catalogue, file by file, in any order.
#[derive(Debug, Default)]
pub struct Reader {
    catalog: Catalog,
    size: usize,
    items: usize,
}

impl Reader {
    /// Adds one file; its name, in any form, is for errors. Objects of other schemas than
    /// `olm.package`, `olm.channel` and `olm.bundle` are passed over.
    ///
    /// The form is found as `oc-mirror` finds it: JSON where the first character is `{`.
    pub fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), CatalogError> {
        self.size = self.size.saturating_add(bytes.len());
        within(self.size, limits::CATALOG_SIZE, "bytes", file)?;
        let json = |source| CatalogError::Json {
            file: file.to_owned(),
            source,
        };
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            for object in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
                self.object(file, object.map_err(json)?.get())?;
            }
            return Ok(());
        }
        for document in documents(bytes) {
            within(expanded_size(document), OBJECT.0, OBJECT.1, file)?;
            let value: serde_yaml::Value =
                serde_yaml::from_slice(document).map_err(|source| CatalogError::Yaml {
                    file: file.to_owned(),
                    source,
                })?;
            if !value.is_null() {
                self.object(file, &serde_json::to_string(&value).map_err(json)?)?;
            }
        }
        Ok(())
    }

    /// The catalogue that was read.
    pub fn finish(self) -> Catalog {
        self.catalog
    }

    fn object(&mut self, file: &str, text: &str) -> Result<(), CatalogError> {
        within(text.len(), OBJECT.0, OBJECT.1, file)?;
        self.count(file, 1)?;
        let header: Header = parse(file, text)?;
        match header.schema.as_deref() {
            None | Some("") => Err(field(file, "object", "schema")),
            Some("olm.package") => self.package(file, parse(file, text)?),
            Some("olm.channel") => self.channel(file, parse(file, text)?),
            Some("olm.bundle") => self.bundle(file, parse(file, text)?),
            Some(_) => Ok(()),
        }
    }

    fn package(&mut self, file: &str, object: PackageObject) -> Result<(), CatalogError> {
        let schema = "olm.package";
        let name = named(file, schema, "name", object.name)?;
        let default = optional(file, schema, "defaultChannel", object.default_channel)?;
        let package = self.in_package(&name);
        if package.default_channel.is_some() {
            return Err(twice(file, schema, &name, name.clone()));
        }
        package.default_channel = Some(default.unwrap_or_default());
        Ok(())
    }

    fn channel(&mut self, file: &str, object: ChannelObject) -> Result<(), CatalogError> {
        let schema = "olm.channel";
        let package = named(file, schema, "package", object.package)?;
        let name = named(file, schema, "name", object.name)?;
        let mut entries = Vec::new();
        for entry in object.entries.unwrap_or_default() {
            let skips = entry.skips.unwrap_or_default();
            self.count(file, 1 + skips.len())?;
            entries.push(Entry {
                name: named(file, schema, "entries", entry.name)?,
                replaces: optional(file, schema, "replaces", entry.replaces)?,
                skips: texts(file, schema, "skips", skips)?,
                skip_range: optional(file, schema, "skipRange", entry.skip_range)?,
            });
        }
        let channels = &mut self.in_package(&package).channels;
        if channels.contains_key(&name) {
            return Err(twice(file, schema, &package, name));
        }
        channels.insert(name, entries);
        Ok(())
    }

    fn bundle(&mut self, file: &str, object: BundleObject) -> Result<(), CatalogError> {
        let schema = "olm.bundle";
        let package = named(file, schema, "package", object.package)?;
        let name = named(file, schema, "name", object.name)?;
        let version = version(file, object.properties.unwrap_or_default())?;
        let related = object.related_images.unwrap_or_default();
        self.count(file, related.len())?;
        let images = related.into_iter().filter_map(|related| related.image);
        let bundle = Bundle {
            image: optional(file, schema, "image", object.image)?.unwrap_or_default(),
            version: optional(file, schema, "version", version)?.unwrap_or_default(),
            related_images: texts(file, schema, "relatedImages", images.collect())?,
        };
        let bundles = &mut self.in_package(&package).bundles;
        if bundles.contains_key(&name) {
            return Err(twice(file, schema, &package, name));
        }
        bundles.insert(name, bundle);
        Ok(())
    }

    fn in_package(&mut self, name: &str) -> &mut Package {
        self.catalog.packages.entry(name.to_owned()).or_default()
    }

    fn count(&mut self, file: &str, items: usize) -> Result<(), CatalogError> {
        self.items = self.items.saturating_add(items);
        within(self.items, limits::CATALOG_ITEMS, "items", file)
    }
}

const OBJECT: (usize, &str) = (limits::CATALOG_OBJECT_SIZE, "bytes in one object");

fn within(found: usize, limit: usize, unit: &'static str, file: &str) -> Result<(), CatalogError> {
    if found <= limit {
        return Ok(());
    }
    let file = file.to_owned();
    Err(CatalogError::TooLarge { file, limit, unit })
}

fn parse<'a, T: Deserialize<'a>>(file: &str, text: &'a str) -> Result<T, CatalogError> {
    serde_json::from_str(text).map_err(|source| CatalogError::Json {
        file: file.to_owned(),
        source,
    })
}

/// The version in the first `olm.package` property.
fn version(file: &str, properties: Vec<Property>) -> Result<Option<String>, CatalogError> {
    let is_package = |property: &Property| property.r#type.as_deref() == Some("olm.package");
    let value = properties
        .into_iter()
        .find(is_package)
        .and_then(|found| found.value);
    let Some(value) = value else { return Ok(None) };
    let PackageProperty { version } = parse(file, value.get())?;
    Ok(version)
}

fn field(file: &str, schema: &str, field: &'static str) -> CatalogError {
    CatalogError::Field {
        file: file.to_owned(),
        schema: schema.to_owned(),
        field,
    }
}

fn twice(file: &str, schema: &'static str, package: &str, name: String) -> CatalogError {
    CatalogError::Twice {
        file: file.to_owned(),
        schema,
        package: package.to_owned(),
        name,
    }
}

fn is_sensible(text: &str) -> bool {
    text.len() <= limits::TEXT_LENGTH && !text.chars().any(char::is_control)
}

/// A text that must be there.
fn named(
    file: &str,
    schema: &str,
    what: &'static str,
    text: Option<String>,
) -> Result<String, CatalogError> {
    let text = optional(file, schema, what, text)?;
    text.ok_or_else(|| field(file, schema, what))
}

/// A text that may be left out; an empty one is.
fn optional(
    file: &str,
    schema: &str,
    what: &'static str,
    text: Option<String>,
) -> Result<Option<String>, CatalogError> {
    match text {
        Some(text) if !is_sensible(&text) => Err(field(file, schema, what)),
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

fn texts(
    file: &str,
    schema: &str,
    what: &'static str,
    texts: Vec<String>,
) -> Result<Vec<String>, CatalogError> {
    if texts.iter().all(|text| is_sensible(text)) {
        return Ok(texts);
    }
    Err(field(file, schema, what))
}

/// Cuts YAML at its `---` lines, so that each document is bounded before it is parsed.
fn documents(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let is_cut =
                line.starts_with(b"---") && line.get(3).is_none_or(u8::is_ascii_whitespace);
            if is_cut && at > 0 {
                let (document, later) = text.split_at(at);
                rest = Some(later);
                return Some(document);
            }
            at += line.len();
        }
        rest = None;
        Some(text)
    })
}
