//! A receipt -> what is known of its enclave: verified, compared with what is published, and recorded.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::keys;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::limits;
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::receipt::{Receipt, ReceiptError, VerifiedReceipt};
use mimeograph_manifest::trust::TrustedKeys;

use crate::acknowledged::{self, Recorded};
use crate::head::Published;

/// Why a receipt that is signed as it must be is not recorded.
#[derive(Debug, thiserror::Error)]
enum AckError {
    /// It is of another stream.
    #[error("the receipt is of stream {found}, and the store holds stream {ours}")]
    OtherStream { found: StreamId, ours: StreamId },
    /// There is no such bundle.
    #[error("the receipt is for bundle {0}, which is not in the store")]
    NotPublished(Sequence),
    /// There is another one with this number.
    #[error("the receipt is for another bundle {0} than the one in the store")]
    OtherBundle(Sequence),
    /// The bundle is not for this enclave.
    #[error("the receipt is of enclave `{enclave}`, which bundle {sequence} is not for")]
    OtherAudience { enclave: String, sequence: Sequence },
}

impl Fault for AckError {
    fn id(&self) -> ErrorId {
        match self {
            Self::OtherStream { .. } => ErrorId::WrongStream,
            Self::NotPublished(_) => ErrorId::InputMissing,
            Self::OtherBundle(_) => ErrorId::Fork,
            Self::OtherAudience { .. } => ErrorId::WrongAudience,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::OtherStream { .. } => "name the store of its stream: `s3.bucket.subDir`, `store.directory` or `--store`",
                Self::NotPublished(_) => "name the store that it was published in; a later receipt of the enclave does as well",
                Self::OtherBundle(_) => {
                    "two bundlers have written to one stream, or the enclave applies another: compare `list` on both sides"
                }
                Self::OtherAudience { .. } => "compare its `enclave` with `stream.audience`; nothing was recorded",
            }
            .into(),
        )
    }
}

/// Reads a receipt from a file or, for `-`, from standard input; checks it, and records it.
pub fn ack(
    config: &Config,
    store: &dyn Fetch,
    ours: &TrustedKeys,
    place: &Path,
) -> Result<Report, Failure> {
    let trusted = keys::receipts_trusted(config)?;
    let receipt = Receipt::verify(&read(place)?, &trusted)?;
    check_published(&receipt, &Published::read(store, ours)?)?;
    let recorded = acknowledged::record(&config.artefacts.metadata_dir, &receipt)?;
    let Receipt {
        enclave, sequence, ..
    } = &*receipt;
    let (outcome, text) = match recorded {
        Recorded::Newest => (
            "recorded",
            format!(
                "enclave {enclave} has applied bundle {sequence}, at {}",
                receipt.applied
            ),
        ),
        Recorded::Known(known) if known == receipt.bundle() => (
            "nothing to do",
            format!("nothing to do: that enclave {enclave} has applied bundle {sequence} is known"),
        ),
        Recorded::Known(known) => (
            "nothing to do",
            format!(
                "nothing is changed: this receipt of enclave {enclave} is for bundle {sequence}, and it has applied bundle {} since",
                known.sequence
            ),
        ),
    };
    let result = serde_json::json!({
        "enclave": enclave,
        "sequence": sequence,
        "sha256": receipt.sha256,
        "applied": receipt.applied,
        "keyId": receipt.signer(),
    });
    Ok(Report::new(outcome, text).with(&result)?)
}

/// A signed receipt may still be of another stream, or of one that went another way.
fn check_published(receipt: &VerifiedReceipt, published: &Published) -> Result<(), AckError> {
    let sequence = receipt.sequence;
    if let Some(head) = published
        .head()
        .filter(|head| head.stream != receipt.stream)
    {
        return Err(AckError::OtherStream {
            found: receipt.stream.clone(),
            ours: head.stream.clone(),
        });
    }
    let bundle = published
        .bundle(sequence)
        .ok_or(AckError::NotPublished(sequence))?;
    if bundle.digest() != receipt.sha256 {
        return Err(AckError::OtherBundle(sequence));
    }
    if bundle.audience.is_empty() || bundle.audience.contains(&receipt.enclave) {
        return Ok(());
    }
    let enclave = receipt.enclave.clone();
    Err(AckError::OtherAudience { enclave, sequence })
}

fn read(place: &Path) -> Result<String, Failure> {
    let bytes = if place == Path::new("-") {
        let mut bytes = Vec::new();
        let failed = |source: io::Error| {
            DiskError::new(Action::Read, &PathBuf::from("standard input"), source)
        };
        io::stdin()
            .lock()
            .take(limits::RECEIPT_SIZE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        bytes
    } else {
        disk::read_bounded(place, limits::RECEIPT_SIZE)?
    };
    Ok(String::from_utf8(bytes).map_err(|_| ReceiptError::NotOne)?)
}
