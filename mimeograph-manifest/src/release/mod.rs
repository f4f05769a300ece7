//! OpenShift releases: which ones an update graph offers, who signed them, and what they consist of (contract §13.1).

mod components;
mod graph;
mod signature;

pub use components::{ComponentsError, components};
pub use graph::{Graph, GraphError, Node, Wanted};
pub use signature::{ReleaseKeys, SignatureError, Signed};

/// An architecture as the tags of releases have it: `x86_64` for `amd64`.
pub fn architecture(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}
