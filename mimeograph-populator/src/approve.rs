//! `approve`: a signature by someone on this side, after a look at what the bundle changes.

use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::approval::Candidate;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{disk, keys};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::trust::TrustedKeys;

use crate::approvals::path_of;

/// Why nothing is approved.
#[derive(Debug, thiserror::Error)]
enum ApproveError {
    /// Nowhere to put it.
    #[error("`trust.approvalsDir` is not set: there is no place for approvals")]
    NoPlace,
    /// It would change nothing.
    #[error("the key {0} is not among `trust.keys`: its signature would not count here")]
    NotTrusted(Digest),
}

impl Fault for ApproveError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoPlace => ErrorId::ConfigInvalid,
            Self::NotTrusted(_) => ErrorId::KeyInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NoPlace => "name a folder that `run` reads, too",
                Self::NotTrusted(_) => {
                    "put its public half into a folder of `trust.keys`, with its role in the `keys.yaml` there"
                }
            }
            .into(),
        )
    }
}

/// Shows the bundle, and adds a signature by `key` unless it is only to be shown.
pub fn approve(
    config: &Config,
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    sequence: Sequence,
    key: Option<&Path>,
) -> Result<Report, Failure> {
    let folder = config.trust.approvals_dir.as_ref();
    let folder = folder.ok_or(ApproveError::NoPlace)?;
    let candidate = Candidate::read(store, trusted, sequence)?;
    let result = serde_json::json!({
        "sha256": candidate.manifest.digest(),
        "before": candidate.before,
        "changes": candidate.changes,
    });
    let text = candidate.text();
    let Some(key) = key else {
        return Ok(Report::new("shown", text).with(&result)?);
    };
    let key = keys::private(PathBuf::from(key))?;
    let id = key.public().id();
    let known = trusted.get(&id).ok_or(ApproveError::NotTrusted(id))?;
    let (name, signature) = candidate.sign(&key);
    let path = path_of(folder, &name);
    disk::create_folder(folder, 0o755)?;
    disk::write_durably(&path, &signature, 0o644)?;
    let text = format!(
        "{text}\nsigned with key {id} ({}): {}",
        known.role,
        path.display()
    );
    Ok(Report::new("approved", text).with(&result)?)
}
