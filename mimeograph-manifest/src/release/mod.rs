//! OpenShift releases: which ones an update graph offers, who signed them, and what they consist of (contract §13.1).

mod components;
mod graph;
mod signature;

pub use components::{ComponentsError, Part, parts, parts_in, version_in};
pub use graph::{Graph, GraphError, Node, Wanted};
pub use signature::{ReleaseKeys, SignatureError, Signed};

/// The digest of the release that a signature is for, by the signature's file name: `<tag>-sha256-<hex>`, up to 4.17
/// `<hex>`.
pub fn signed_by_name(path: &str) -> Option<crate::digest::Digest> {
    let hex = path.get(path.len().checked_sub(64)?..)?;
    hex.parse().ok()
}

/// An architecture as the tags of releases have it: `x86_64` for `amd64`.
pub fn architecture(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}
