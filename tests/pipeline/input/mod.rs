//! What a user gets wrong is named: file, field and value, and what to do. Nothing is lost by it, and nothing
//! half-written is left.

mod config;
mod disk;
mod imageset;
mod keys;
mod oc_mirror;
mod servers;

use crate::lab::Lab;
use crate::user::names;

/// The manifests in the directory store: what is published.
fn published(lab: &Lab) -> Vec<String> {
    let mut files = names(&lab.path("store"));
    files.retain(|name| name.strip_suffix(".json").is_some());
    files
}
