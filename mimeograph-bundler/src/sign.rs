//! `sign`: a second signature, after a look at what the bundle changes.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::approval::{Candidate, Unknown};
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::keys;
use mimeograph_manifest::io::store::Shelve;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::trust::TrustedKeys;

use crate::seal;

/// Shows the bundle, and adds a signature by `key` unless it is only to be shown.
pub fn sign(
    store: &dyn Shelve,
    trusted: TrustedKeys,
    sequence: Sequence,
    key: Option<&Path>,
) -> Result<Report, Failure> {
    let key = key.map(|key| keys::private(PathBuf::from(key)));
    let key = key.transpose()?;
    // What the same person has signed before was let pass.
    let trusted = match &key {
        Some(key) => trusted.and_approver(key.public()),
        None => trusted,
    };
    let candidate = Candidate::read(store, &trusted, &Unknown, sequence)?;
    let result = serde_json::json!({
        "sha256": candidate.manifest.digest(),
        "before": candidate.before,
        "changes": candidate.changes,
    });
    let text = candidate.text();
    let Some(key) = key else {
        return Ok(Report::new("shown", text).with(&result)?);
    };
    let text = match &candidate.before {
        Some(before) if !before.signers.contains(&key.public().id()) => format!(
            "{text}\nnote: bundle {} itself is not signed by this key: look at it, too",
            before.sequence
        ),
        _ => text,
    };
    let (name, signature) = candidate.sign(&key);
    seal::put_signature(store, &name, &signature)?;
    let text = format!("{text}\nsigned with key {}: {name}", key.public().id());
    Ok(Report::new("signed", text).with(&result)?)
}
