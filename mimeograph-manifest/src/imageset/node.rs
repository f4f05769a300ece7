//! YAML with the place of everything, read field by field: what was not asked for is known at the end.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Marker, Parser};

use super::model::{Place, Text};

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct ReadError {
    /// Where.
    pub at: Place,
    /// What, and what would be right.
    pub problem: String,
}

impl ReadError {
    fn new(at: Place, problem: impl Into<String>) -> Self {
        Self {
            at,
            problem: problem.into(),
        }
    }
}

/// Deepest nesting; the model's own is 8.
const DEPTH: usize = 64;

/// The loader calls itself for each level of a block: no file may make it go deeper than the stack.
fn check_depth(text: &str) -> Result<(), ReadError> {
    let mut depth = 0_usize;
    // What is wrong with the file otherwise, the loader says.
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(ReadError::new(place(span.start), "nested too deeply"));
        }
    }
    Ok(())
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A value somewhere in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'n>(&'n MarkedYaml<'n>);

/// Reads `text`, which must be one document, and hands its root on.
pub(super) fn with_root<T>(
    text: &str,
    read: impl FnOnce(Node<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    check_depth(text)?;
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| ReadError::new(place(*error.marker()), error.info()))?;
    let Some((root, rest)) = documents.split_first() else {
        return Err(ReadError::new(
            Place { line: 1, column: 1 },
            "the file is empty",
        ));
    };
    // A `---` at the end begins nothing.
    match rest.iter().find(|other| !Node(other).is_null()) {
        None => read(Node(root)),
        Some(second) => Err(ReadError::new(
            Node(second).at(),
            "a second document begins here; `oc-mirror` reads only the first",
        )),
    }
}

impl<'n> Node<'n> {
    pub(super) fn at(self) -> Place {
        place(self.0.span.start)
    }

    fn is_null(self) -> bool {
        matches!(self.0.data, YamlData::Value(Scalar::Null))
    }

    fn what(self) -> String {
        match &self.0.data {
            YamlData::Value(Scalar::Null) => "nothing".into(),
            YamlData::Value(Scalar::Boolean(value)) => format!("`{value}`"),
            YamlData::Value(Scalar::Integer(value)) => format!("the number `{value}`"),
            YamlData::Value(Scalar::FloatingPoint(value)) => format!("the number `{value}`"),
            YamlData::Value(Scalar::String(value)) => format!("`{}`", value.escape_default()),
            YamlData::Sequence(_) => "a list".into(),
            YamlData::Mapping(_) => "a group of fields".into(),
            _ => "something else".into(),
        }
    }

    fn must_be(self, path: &str, expected: &str) -> ReadError {
        let what = match path {
            "" => "the file".to_owned(),
            path => format!("`{path}`"),
        };
        ReadError::new(
            self.at(),
            format!("{what} must be {expected}, not {}", self.what()),
        )
    }

    /// The fields of a mapping that stands at `path`.
    pub(super) fn fields(self, path: &str) -> Result<Fields<'n>, ReadError> {
        let YamlData::Mapping(mapping) = &self.0.data else {
            return Err(self.must_be(path, "a group of fields"));
        };
        let mut entries = Vec::with_capacity(mapping.len());
        for (key, value) in mapping {
            let YamlData::Value(Scalar::String(name)) = &key.data else {
                return Err(Node(key).must_be(path, "a group of named fields"));
            };
            entries.push((name.as_ref(), Node(key).at(), Node(value)));
        }
        Ok(Fields {
            path: path.to_owned(),
            at: self.at(),
            entries,
            asked: Vec::new(),
        })
    }

    fn text(self, path: &str) -> Result<Text, ReadError> {
        match &self.0.data {
            YamlData::Value(Scalar::String(value)) => Ok(Text {
                value: value.to_string(),
                at: self.at(),
            }),
            // `minVersion: 4.20` is the number 4.2.
            YamlData::Value(Scalar::Integer(_) | Scalar::FloatingPoint(_) | Scalar::Boolean(_)) => {
                Err(self.must_be(path, "a text: put it in quotes"))
            }
            _ => Err(self.must_be(path, "a text")),
        }
    }

    fn flag(self, path: &str) -> Result<bool, ReadError> {
        match &self.0.data {
            YamlData::Value(Scalar::Boolean(value)) => Ok(*value),
            // Of YAML 1.1, which `oc-mirror` reads.
            YamlData::Value(Scalar::String(value)) => match value.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Ok(true),
                "no" | "off" | "n" => Ok(false),
                _ => Err(self.must_be(path, "`true` or `false`")),
            },
            _ => Err(self.must_be(path, "`true` or `false`")),
        }
    }

    fn items(self, path: &str) -> Result<impl Iterator<Item = (String, Node<'n>)>, ReadError> {
        let YamlData::Sequence(items) = &self.0.data else {
            return Err(self.must_be(path, "a list"));
        };
        let path = path.to_owned();
        Ok(items
            .iter()
            .enumerate()
            .map(move |(index, item)| (format!("{path}[{index}]"), Node(item))))
    }
}

/// The fields of one mapping. Whoever reads them asks for every one that there may be, then calls [`Fields::end`].
#[derive(Debug)]
pub(super) struct Fields<'n> {
    path: String,
    at: Place,
    entries: Vec<(&'n str, Place, Node<'n>)>,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    pub(super) fn at(&self) -> Place {
        self.at
    }

    /// The path of one of its fields.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A field's value; one that is empty or `null` counts as absent, as it does to `oc-mirror`.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Node<'n>> {
        self.asked.push(name);
        let found = self.entries.iter().find(|(field, ..)| *field == name);
        found
            .map(|(_, _, node)| *node)
            .filter(|node| !node.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<Text>, ReadError> {
        let path = self.path(name);
        let text = self.take(name).map(|node| node.text(&path)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<Text, ReadError> {
        let at = self.at;
        let path = self.path(name);
        if let Some(text) = self.text(name)? {
            return Ok(text);
        }
        let mut entries = self.entries.iter();
        let slip = entries.find(|(entry, ..)| *entry != name && is_meant(entry, name));
        Err(match slip {
            Some((entry, at, _)) => {
                let problem = format!("`{}` is no field; write `{name}`", self.path(entry));
                ReadError::new(*at, problem)
            }
            None => ReadError::new(at, format!("`{path}` is missing")),
        })
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, ReadError> {
        let path = self.path(name);
        let flag = self.take(name).map(|node| node.flag(&path)).transpose()?;
        Ok(flag.unwrap_or_default())
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<Text>, ReadError> {
        self.list(name, |path, node| node.text(path))
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(&str, Node<'n>) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        Ok(self.optional_list(name, read)?.unwrap_or_default())
    }

    pub(super) fn optional_list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&str, Node<'n>) -> Result<T, ReadError>,
    ) -> Result<Option<Vec<T>>, ReadError> {
        let path = self.path(name);
        let Some(node) = self.take(name) else {
            return Ok(None);
        };
        node.items(&path)?
            .map(|(path, item)| read(&path, item))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A mapping below this one.
    pub(super) fn group(&mut self, name: &'static str) -> Result<Option<Fields<'n>>, ReadError> {
        let path = self.path(name);
        self.take(name).map(|node| node.fields(&path)).transpose()
    }

    /// Judges the fields that nobody asked for: mistyped ones are errors, strange ones are told to `unknown`.
    pub(super) fn end(self, unknown: &mut Vec<ReadError>) -> Result<(), ReadError> {
        for (name, at, _) in &self.entries {
            if self.asked.contains(name) {
                continue;
            }
            let path = self.path(name);
            let meant = self.asked.iter().find(|known| is_meant(name, known));
            if let Some(meant) = meant {
                let problem = format!("`{path}` is no field; write `{meant}`");
                return Err(ReadError::new(*at, problem));
            }
            if let Some(place) = belongs_to(name) {
                let problem = format!("`{path}` is no field here; it belongs to {place}");
                return Err(ReadError::new(*at, problem));
            }
            let problem = format!("`{path}` is a field that this program does not know");
            unknown.push(ReadError::new(*at, problem));
        }
        Ok(())
    }
}

/// Other capitals, or a slip or two.
fn is_meant(name: &str, known: &str) -> bool {
    let slips = if known.len() < 6 { 1 } else { 2 };
    name.eq_ignore_ascii_case(known) || strsim::damerau_levenshtein(name, known) <= slips
}

/// Fields that are known, but not where they stand.
fn belongs_to(name: &str) -> Option<&'static str> {
    let place = match name {
        "<<" => "nothing: merge keys are not read, write the fields out",
        "apiVersion" | "kind" | "mirror" | "archiveSize" => "the top level",
        "platform" | "operators" | "additionalImages" | "helm" | "blockedImages" => "`mirror`",
        "graph" | "architectures" | "release" | "kubeVirtContainer" => "`mirror.platform`",
        "shortestPath" => "`mirror.platform.channels[]`",
        "channels" => "`mirror.platform` or `mirror.operators[].packages[]`",
        "minVersion" | "maxVersion" => {
            "`mirror.platform.channels[]`, `mirror.operators[].packages[]` or their `channels[]`"
        }
        "catalog"
        | "packages"
        | "targetCatalog"
        | "skipDependencies"
        | "targetCatalogSourceTemplate" => "`mirror.operators[]`",
        "defaultChannel" => "`mirror.operators[].packages[]`",
        "targetRepo" => "`mirror.additionalImages[]` of v2alpha1",
        "targetTag" => "`mirror.operators[]` or `mirror.additionalImages[]`",
        "repositories" | "local" => "`mirror.helm`",
        "charts" => "`mirror.helm.repositories[]`",
        "imagePaths" => "a chart",
        "storageConfig" | "targetName" | "minBundle" => {
            "`mirror.openshift.io/v1alpha2`; v2alpha1 has no such field"
        }
        _ => return None,
    };
    Some(place)
}
