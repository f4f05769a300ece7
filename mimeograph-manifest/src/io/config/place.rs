//! Where in a YAML text a field stands: the text is read again up to it, and the parser says where it is.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// A step from a value to one that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A field's place in the file: `trust.keys[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field(Vec<Step>);

impl Field {
    /// From names with dots between.
    pub(super) fn named(dotted: &str) -> Self {
        Self(
            dotted
                .split('.')
                .map(|key| Step::Key(key.to_owned()))
                .collect(),
        )
    }

    /// The value below this under `key`, whatever the key holds.
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The element `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// As `serde_path_to_error` found it.
    pub(super) fn of(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        Self(path.iter().map_while(step).collect())
    }

    /// The last name.
    pub(super) fn last(&self) -> &str {
        match self.0.last() {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    /// Whether this is the whole file.
    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The value there.
    pub(super) fn find<'v>(&self, root: &'v serde_yaml::Value) -> Option<&'v serde_yaml::Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get(key.as_str()),
            Step::Index(index) => value.get(index),
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{}", key.escape_debug())?,
                Step::Key(key) => write!(f, ".{}", key.escape_debug())?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    pub(super) fn of(error: &serde_yaml::Error) -> Option<Self> {
        error.location().map(|at| Self {
            line: at.line(),
            column: at.column(),
        })
    }
}

/// Where the field's key stands (of an element of a list: the element).
pub(super) fn locate(text: &str, field: &Field) -> Option<Position> {
    let found = Cell::new(false);
    let probe = Probe {
        steps: &field.0,
        found: &found,
    };
    let error = probe
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    found.get().then(|| Position::of(&error)).flatten()
}

/// Reads on to the field and fails right there: the error knows its position.
#[derive(Clone, Copy)]
struct Probe<'a> {
    steps: &'a [Step],
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            self.found.set(true);
            return deserializer.deserialize_any(Stop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what leads to the field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_next) = map.next_key_seed(KeyProbe(self))? {
            if is_next {
                let steps = &self.steps[1..];
                return map.next_value_seed(Self { steps, ..self });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(Step::Index(index)) = self.steps.first() else {
            return Err(A::Error::custom("a list"));
        };
        for _ in 0..*index {
            list.next_element::<IgnoredAny>()?;
        }
        let steps = &self.steps[1..];
        list.next_element_seed(Self { steps, ..self })?;
        Ok(())
    }
}

/// Whether a key is the next step; at the last one the search ends on the key itself.
struct KeyProbe<'a>(Probe<'a>);

impl<'de> DeserializeSeed<'de> for KeyProbe<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyProbe<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        match self.0.steps {
            [Step::Key(key)] if key == name => {
                self.0.found.set(true);
                Err(E::custom("here"))
            }
            [Step::Key(key), ..] => Ok(key == name),
            _ => Ok(false),
        }
    }
}

/// Accepts nothing.
struct Stop;

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_block_and_flow_style_and_after_comments() {
        let text = "# top\na: 1\nb:\n  # inner\n  c: &x [p, q]\n  d: { e: 1, f: 'g: h' }\ni: *x\n\"j\": |\n  c: 5\nk:\n- l\n- m: n\n";
        for (field, at) in [
            (Field::named("a"), Some((2, 1))),
            (Field::named("b.c"), Some((5, 3))),
            (Field::named("b.c").index(1), Some((5, 13))),
            (Field::named("b.d.f"), Some((6, 14))),
            (Field::named("j"), Some((8, 1))),
            (Field::named("j.c"), None),
            (Field::named("k").index(1).key("m"), Some((12, 3))),
            (Field::named("k").index(2), None),
            (Field::named("b.absent"), None),
        ] {
            let found = locate(text, &field).map(|at| (at.line, at.column));
            assert_eq!(found, at, "{field}");
        }
    }
}
