//! Categories of images, and those that failed.

use std::fmt;

use super::log::cut;

/// Longest reference and longest error text that are kept, in bytes.
const TEXT_SIZE: usize = 2 << 10;

/// What `oc-mirror` counts apart, and has a bit of the exit status for (from late 4.18 builds on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Anything else (bit 1).
    Generic,
    /// Releases, their components, the graph image (bit 2).
    Release,
    /// Catalogues, bundles, the images they relate to (bit 4).
    Operator,
    /// Additional images (bit 8).
    Additional,
    /// Images of charts (bit 16).
    Helm,
}

impl Category {
    const ALL: [Self; 5] = [
        Self::Generic,
        Self::Release,
        Self::Operator,
        Self::Additional,
        Self::Helm,
    ];

    /// Those whose bits are set in an exit status; none where it has other bits too.
    pub fn of_status(status: i32) -> Vec<Self> {
        if !(1..32).contains(&status) {
            return Vec::new();
        }
        Self::ALL
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| status >> bit & 1 == 1)
            .map(|(_, category)| category)
            .collect()
    }

    /// The word of a results line; 4.16 and 4.17 misspell one.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "release" => Some(Self::Release),
            "operator" => Some(Self::Operator),
            "additional" | "addtional" => Some(Self::Additional),
            "helm" => Some(Self::Helm),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Release => "release",
            Self::Operator => "operator",
            Self::Additional => "additional",
            Self::Helm => "helm",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an image is to the image set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A release, a component of one, the graph image.
    Release,
    /// An operator catalogue.
    Catalogue,
    /// An operator's bundle.
    Bundle,
    /// An image that an operator's bundle relates to.
    Related,
    /// An additional image.
    Additional,
    /// An image of a chart.
    Helm,
}

impl Role {
    /// The word of `Failed to copy <word> <reference>`.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "ocpRelease" | "ocpReleaseContent" | "cincinnatiGraph" => Some(Self::Release),
            "operatorCatalog" => Some(Self::Catalogue),
            "operatorBundle" => Some(Self::Bundle),
            "operatorRelatedImage" => Some(Self::Related),
            "generic" => Some(Self::Additional),
            "helmImage" => Some(Self::Helm),
            _ => None,
        }
    }

    /// The category that it is counted in.
    pub fn category(self) -> Category {
        match self {
            Self::Release => Category::Release,
            Self::Catalogue | Self::Bundle | Self::Related => Category::Operator,
            Self::Additional => Category::Additional,
            Self::Helm => Category::Helm,
        }
    }
}

/// An image that was not mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedImage {
    /// Its reference at the source, without `docker://`.
    pub reference: String,
    /// What it is, as far as `oc-mirror` says so.
    pub role: Option<Role>,
    /// The operators that need it, as `oc-mirror` writes them.
    pub operators: Option<String>,
    /// What went wrong.
    pub error: String,
}

impl FailedImage {
    /// Reads `error mirroring image <origin> error: <text>`, where the origin may be followed by
    /// `(Operator bundles: [..] - Operators: [..])`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("error mirroring image ")?;
        let (origin, error) = text.split_once(" error: ")?;
        let (reference, operators) = match origin.split_once(" (") {
            Some((reference, needed)) => (
                reference,
                Some(cut(needed.trim_end_matches(')'), TEXT_SIZE).to_owned()),
            ),
            None => (origin, None),
        };
        Some(Self {
            reference: bare(reference).to_owned(),
            role: operators.as_ref().map(|_| Role::Related),
            operators,
            error: cut(error.trim(), TEXT_SIZE).to_owned(),
        })
    }

    /// Whether it failed only because another one did.
    pub fn is_consequence(&self) -> bool {
        self.error
            .contains("because one of its related images failed")
    }
}

/// A reference without `docker://`.
pub(super) fn bare(reference: &str) -> &str {
    let reference = reference.trim();
    let reference = reference.strip_prefix("docker://").unwrap_or(reference);
    cut(reference, TEXT_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_failed_image_are_read() {
        let plain = FailedImage::parse(
            "error mirroring image r:5100/tiny/absent:v9 error: initializing source: error: manifest unknown",
        )
        .unwrap();
        assert_eq!(plain.reference, "r:5100/tiny/absent:v9");
        assert_eq!(plain.error, "initializing source: error: manifest unknown");
        assert_eq!((plain.role, plain.operators), (None, None));
        let operator = FailedImage::parse(
            "error mirroring image docker://r/ops/a@sha256:e4 (Operator bundles: [b.v1 c.v2] - Operators: [b c]) error: no",
        )
        .unwrap();
        assert_eq!(operator.reference, "r/ops/a@sha256:e4");
        assert_eq!(operator.role, Some(Role::Related));
        let needed = operator.operators.unwrap();
        assert_eq!(needed, "Operator bundles: [b.v1 c.v2] - Operators: [b c]");
    }

    #[test]
    fn the_bits_of_a_status_have_names() {
        use Category::{Additional, Generic, Helm, Operator, Release};
        for (status, expected) in [
            (0, vec![]),
            (1, vec![Generic]),
            (2, vec![Release]),
            (10, vec![Release, Additional]),
            (28, vec![Operator, Additional, Helm]),
            (137, vec![]),
        ] {
            assert_eq!(Category::of_status(status), expected, "{status}");
        }
    }
}
