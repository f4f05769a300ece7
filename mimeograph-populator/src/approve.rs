//! `approve`: a signature by someone on this side, after a look at what the bundle changes.

use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::approval::{Accepted, Candidate};
use mimeograph_manifest::io::config::{Config, EnclaveName};
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, disk, keys};
use mimeograph_manifest::manifest::Link;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::VerifyError;
use mimeograph_manifest::trust::{TrustedKeys, Uncounted};

use crate::approvals::path_of;
use crate::ledger::Ledger;
use crate::open::accept;

/// Why nothing is approved.
#[derive(Debug, thiserror::Error)]
enum ApproveError {
    /// Nowhere to put it.
    #[error("`trust.approvalsDir` is not set: there is no place for approvals")]
    NoPlace,
    /// It would change nothing.
    #[error("the key {0} is not among `trust.keys`: its signature would not count here")]
    NotTrusted(Digest),
    /// It would change nothing, for when the bundle was made, or by our clock.
    #[error("a signature by the key {id} would not count for bundle {sequence}")]
    OutOfWindow {
        id: Digest,
        sequence: Sequence,
        source: Uncounted,
    },
}

impl Fault for ApproveError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoPlace => ErrorId::ConfigInvalid,
            Self::NotTrusted(_) | Self::OutOfWindow { .. } => ErrorId::KeyInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NoPlace => "name a folder that `run` reads, too",
                Self::OutOfWindow { .. } => "sign with a key that is valid now: `mimeograph-populator trust` shows them",
                Self::NotTrusted(_) => {
                    "put its public half into a folder of `trust.keys`, with its role in the `keys.yaml` there"
                }
            }
            .into(),
        )
    }
}

/// What was accepted on this side.
struct Here<'a> {
    ledger: &'a Ledger,
    metadata: &'a Path,
}

impl Accepted for Here<'_> {
    fn has(&self, bundle: Link) -> bool {
        self.ledger.has(Some(bundle))
    }

    fn applied(&self) -> Result<Option<(Sequence, Inventory)>, Failure> {
        let Some(mark) = self.ledger.mark() else {
            return Ok(None);
        };
        let inventory = Ledger::inventory(self.metadata, mark)?;
        Ok(inventory.map(|inventory| (mark, inventory)))
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
    let metadata = &config.artefacts.metadata_dir;
    let ledger = Ledger::read_by(metadata, trusted)?;
    let here = Here {
        ledger: &ledger,
        metadata,
    };
    let candidate = Candidate::read(store, trusted, &here, sequence)?;
    // What `run` would refuse all the same is not worth a signature.
    let manifests = std::slice::from_ref(&candidate.manifest);
    ledger.check_places(config.trust.stream.as_ref(), manifests)?;
    let enclave = config.enclave.as_ref().map(EnclaveName::as_str);
    accept(
        manifests,
        enclave,
        &config.trust,
        ledger.latest,
        clock::now(),
    )?;
    let mut result = serde_json::json!({
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
    trusted
        .would_count(&key.public(), candidate.manifest.created)
        .map_err(|source| ApproveError::OutOfWindow {
            id,
            sequence,
            source,
        })?;
    let lacks = match candidate.signed_by(&key).verify(trusted) {
        Ok(_) => None,
        Err(pending @ VerifyError::Pending { .. }) => Some(chain(&pending)),
        Err(error) => return Err(error.into()),
    };
    result["keyId"] = serde_json::json!(id);
    result["role"] = serde_json::json!(known.role);
    result["lacks"] = serde_json::json!(lacks);
    let standing = lacks.as_deref();
    let standing = standing.unwrap_or("all signatures that it needs are there");
    let (name, signature) = candidate.sign(&key);
    let path = path_of(folder, &name);
    disk::create_folder(folder, 0o755)?;
    disk::write_durably(&path, &signature, 0o644)?;
    let text = format!(
        "{text}\nsigned with key {id} ({}): {}\n{standing}",
        known.role,
        path.display()
    );
    Ok(Report::new("approved", text).with(&result)?)
}
