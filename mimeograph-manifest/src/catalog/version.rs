//! Versions and ranges, as the two libraries read them that `oc-mirror` compares them with.

use semver::Version;

use crate::imageset::model::{Range, Text};

/// The longest version that is read, in bytes (Masterminds/semver, `MaxVersionLen`).
const LENGTH: usize = 256;

/// A range of an image set as `oc-mirror` from 4.18 on understands it (Masterminds/semver 3.5).
#[derive(Clone, Debug)]
pub(super) enum Interval {
    /// Both ends are the same text: that version and no other.
    Exactly(Version),
    /// What lies between.
    Between {
        /// The lowest.
        min: Option<Version>,
        /// The highest.
        max: Option<Highest>,
    },
}

/// An upper end. One that is cut short covers all that begins with it: `1.2` covers 1.2.9.
#[derive(Clone, Debug)]
pub(super) struct Highest {
    version: Version,
    parts: usize,
}

impl Interval {
    /// Reads a range; the error is the text that is no version.
    pub(super) fn of(range: &Range) -> Result<Self, String> {
        let read = |text: &Option<Text>| {
            let text = text.as_ref().filter(|text| !text.is_empty());
            text.map(|text| loose(text).ok_or_else(|| text.value.clone()))
                .transpose()
        };
        let (min, max) = (read(&range.min)?, read(&range.max)?);
        Ok(match (min, max) {
            (Some((version, _)), Some(_)) if range.min.as_deref() == range.max.as_deref() => {
                Self::Exactly(version)
            }
            (min, max) => Self::Between {
                min: min.map(|(version, _)| version),
                max: max.map(|(version, parts)| Highest { version, parts }),
            },
        })
    }

    /// Whether a version lies in it. A pre-release does only where an end is one itself.
    pub(super) fn has(&self, version: &Version) -> bool {
        match self {
            Self::Exactly(wanted) => version.cmp_precedence(wanted).is_eq(),
            Self::Between { min, max } => {
                let highest = max.as_ref().map(|max| &max.version);
                let ends = min.iter().chain(highest);
                let is_asked = ends.into_iter().any(|end| !end.pre.is_empty());
                (version.pre.is_empty() || is_asked)
                    && min
                        .as_ref()
                        .is_none_or(|min| version.cmp_precedence(min).is_ge())
                    && max.as_ref().is_none_or(|max| max.covers(version))
            }
        }
    }
}

impl Highest {
    fn covers(&self, version: &Version) -> bool {
        let end = &self.version;
        match self.parts {
            1 => version.major <= end.major,
            2 => (version.major, version.minor) <= (end.major, end.minor),
            _ => version.cmp_precedence(end).is_le(),
        }
    }
}

/// A version of a bundle's `olm.package` property (Masterminds/semver, `StrictNewVersion`).
pub(super) fn strict(text: &str) -> Option<Version> {
    (text.len() <= LENGTH)
        .then(|| Version::parse(text).ok())
        .flatten()
}

/// A version of an image set, and how many of its three numbers are given (`NewVersion`).
fn loose(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let numbers: Vec<&str> = numbers.split('.').collect();
    if numbers.len() > 3 || !numbers.iter().all(is_number) {
        return None;
    }
    Some((filled(&numbers, rest)?, numbers.len()))
}

/// A version in a bundle's name or an image set as `oc-mirror` up to 4.17 reads it
/// (blang/semver, `ParseTolerant`).
pub(super) fn tolerant(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let (last, numbers) = parts.split_last()?;
    let (number, rest) = last.split_at(last.find(['-', '+']).unwrap_or(last.len()));
    if parts.len() < 3 && !rest.is_empty() {
        return None;
    }
    let numbers: Vec<&str> = numbers.iter().copied().chain([number]).collect();
    numbers
        .iter()
        .all(is_number)
        .then(|| filled(&numbers, rest))
        .flatten()
}

fn is_number(part: &&str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without leading zeros, and with what is missing of the three numbers.
fn filled(numbers: &[&str], rest: &str) -> Option<Version> {
    let number = |index: usize| match numbers.get(index) {
        None => Some(0),
        Some(digits) => digits.parse::<u64>().ok(),
    };
    let plain = Version::new(number(0)?, number(1)?, number(2)?);
    Version::parse(&format!("{plain}{rest}")).ok()
}

/// The version in the name of a channel's entry, `name.v1.2.3`.
pub(super) fn of_name(name: &str) -> Option<Version> {
    let (_, version) = name.split_once('.')?;
    if name.split('.').count() < 4 {
        return None;
    }
    tolerant(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: &str, max: &str) -> Range {
        let end = |value: &str| {
            let value = value.to_owned();
            (!value.is_empty()).then(|| Text {
                value,
                ..Text::default()
            })
        };
        Range {
            min: end(min),
            max: end(max),
        }
    }

    #[test]
    fn ranges_hold_what_the_real_library_says() {
        // Answers of Masterminds/semver 3.5.0: min, max, version, whether it is in.
        for (min, max, version, expected) in [
            ("1.1.0", "", "1.1.0", true),
            ("1.1.0", "", "1.0.9", false),
            ("", "1.1.0", "1.1.1", false),
            ("", "1.1", "1.1.9", true),
            ("", "1", "1.9.9", true),
            ("", "1", "2.0.0", false),
            ("1.1", "1.2", "1.2.7", true),
            ("v1.1.0", "", "1.1.0", true),
            ("01.1.0", "", "1.1.0", true),
            ("4.10.0", "", "4.10.0-202204090935", false),
            ("4.10.0", "", "4.11.0-202204090935", false),
            ("4.10.0-0", "", "4.11.0-202204090935", true),
            ("4.10.0-0", "4.12.0", "4.11.0-202204090935", true),
            ("1.0.0", "1.0.0", "1.0.0+5", true),
            ("1.0.0", "1.0.0", "1.0.1", false),
            ("1.0.0+1", "", "1.0.0", true),
        ] {
            let interval = Interval::of(&range(min, max)).unwrap();
            let found = interval.has(&strict(version).unwrap());
            assert_eq!(found, expected, "{min}..{max} {version}");
        }
    }

    #[test]
    fn what_is_no_version_is_an_error() {
        for text in ["1.x", "latest", "1.2.3.4", "1.2.3-", "1..2", ">1", " 1.0.0"] {
            assert_eq!(Interval::of(&range(text, "")).unwrap_err(), text);
        }
    }

    #[test]
    fn versions_are_found_in_names() {
        for (name, expected) in [
            ("alpha.v1.2.3", Some("1.2.3")),
            ("alpha.4.10.0-202204090935", Some("4.10.0-202204090935")),
            ("alpha.v1.02.3+7", Some("1.2.3+7")),
            ("alpha.v1.2", None),
            ("alpha.operator.v1.2.3", None),
            ("alpha", None),
        ] {
            let found = of_name(name).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}
