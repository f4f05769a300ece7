//! What `oc-mirror` takes of a whole catalogue for a wish.

use super::unmet::Unmet;
use super::{Catalog, Rule, filtered, whole};
use crate::failure::{ErrorId, Fault};
use crate::imageset::model::{Operator, Package, Place};

/// Why `oc-mirror` takes nothing at all of a catalogue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The image set combines what does not go together.
    #[error("{at}: package `{package}` has {what}")]
    Mixed {
        /// The package.
        package: String,
        /// What is combined.
        what: &'static str,
        /// Where it stands.
        at: Place,
    },
    /// An end of a range is no version.
    #[error("{at}: `{text}` is not a version")]
    Version {
        /// What stands there.
        text: String,
        /// The package or channel.
        at: Place,
    },
    /// The catalogue has a bundle without a version that can be read.
    #[error("the catalogue's bundle `{bundle}` of package `{package}` has no semantic version")]
    Bundle {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
    },
    /// The catalogue has a channel without a sound upgrade graph.
    #[error("the catalogue's channel `{channel}` of package `{package}` is unsound: {reason}")]
    Channel {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// Why.
        reason: &'static str,
    },
    /// A default channel that would be missing or empty, or a version that is nowhere. The list
    /// is all that of the wish comes to nothing, in the order of the file.
    #[error("the image set asks for what is not in the catalogue: {}", list(.0))]
    Unmet(Vec<Unmet>),
}

fn list(unmet: &[Unmet]) -> String {
    let texts: Vec<String> = unmet.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl Fault for SelectError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Mixed { .. } | Self::Version { .. } => ErrorId::ImagesetInvalid,
            _ => ErrorId::ImagesetUnsatisfied,
        }
    }
}

/// What `oc-mirror` takes of a whole catalogue for a wish: the filtered catalogue, or for
/// [`Rule::Whole`] what of the whole one is mirrored.
///
/// A wish that `oc-mirror` passes over in silence is not in the result and is no error: ask
/// [`unmet()`] for it. Errors are what it ends on.
pub fn select(catalog: &Catalog, wish: &Operator, rule: Rule) -> Result<Catalog, SelectError> {
    match rule {
        Rule::Whole => whole::select(catalog, wish),
        Rule::Filtered if wish.full && wish.packages().is_empty() => Ok(catalog.clone()),
        Rule::Filtered => filtered::select(catalog, wish),
    }
}

pub(super) fn mixed(wanted: &Package, what: &'static str, at: Place) -> SelectError {
    let package = wanted.name.value.clone();
    SelectError::Mixed { package, what, at }
}
