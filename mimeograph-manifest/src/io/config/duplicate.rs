//! A field that stands twice: where the second one is, which the YAML library does not say.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::place::{Field, Position};

/// The first field that stands twice in one group, and where it stands for the second time.
pub(super) fn find(text: &str) -> Option<(Field, Position)> {
    let found = RefCell::new(None);
    let unique = Unique {
        at: &Field::default(),
        found: &found,
    };
    let error = unique
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    Some((found.take()?, Position::of(&error)?))
}

/// Reads everything, and fails on a key that was there before.
#[derive(Clone, Copy)]
struct Unique<'a> {
    at: &'a Field,
    found: &'a RefCell<Option<Field>>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! pass {
    ($($visit:ident: $type:ty,)+) => {
        $(fn $visit<E>(self, _: $type) -> Result<(), E> { Ok(()) })+
    };
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    pass! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_f64: f64,
        visit_str: &str,
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let at = self.at.index(index);
            if list
                .next_element_seed(Unique {
                    at: &at,
                    found: self.found,
                })?
                .is_none()
            {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Fresh(self, &seen))? {
            let at = self.at.key(&key);
            map.next_value_seed(Unique {
                at: &at,
                found: self.found,
            })?;
            seen.insert(key);
        }
        Ok(())
    }
}

/// A key that was not there before.
struct Fresh<'a>(Unique<'a>, &'a HashSet<String>);

impl<'de> DeserializeSeed<'de> for Fresh<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Fresh<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.1.contains(key) {
            self.0.found.replace(Some(self.0.at.key(key)));
            return Err(E::custom("a second time"));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_second_of_two_is_found_wherever_it_is() {
        let text = "a: [1, 2.5, ~, true, x]\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n";
        let (field, at) = super::find(text).unwrap();
        assert_eq!(
            (field.to_string().as_str(), at.line, at.column),
            ("b.c", 5, 3)
        );
        assert!(super::find("a: 1\nb: { a: 1 }\n").is_none());
    }
}
