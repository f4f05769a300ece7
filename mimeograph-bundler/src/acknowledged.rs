//! What the enclaves have said that they applied: the last receipt of each, in `metadataDir`.
//!
//! It only ever goes forward: an older receipt changes nothing. A key speaks for one enclave, so that no enclave can say
//! for another that it has what it lacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::{Config, EnclaveName};
use mimeograph_manifest::io::disk::{self, DiskError, Lock};
use mimeograph_manifest::manifest::Link;
use mimeograph_manifest::name::StreamId;
use mimeograph_manifest::receipt::VerifiedReceipt;
use mimeograph_manifest::time::Timestamp;
use serde::{Deserialize, Serialize};

const FILE: &str = "acknowledged.json";
/// About 300 bytes for each enclave.
const SIZE: u64 = 16 << 20;

/// The last receipt of each enclave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged {
    /// The stream.
    pub stream: StreamId,
    /// By enclave.
    pub enclaves: BTreeMap<String, Applied>,
}

/// What one enclave has applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Applied {
    /// The bundle.
    pub bundle: Link,
    /// When.
    pub applied: Timestamp,
    /// Whose receipt says so.
    pub key_id: Digest,
}

/// What the enclave that is furthest behind has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowest {
    /// The enclave.
    pub enclave: String,
    /// The bundle.
    pub bundle: Link,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is the newest of its enclave now.
    Newest,
    /// A newer one, or this one, was recorded before.
    Known(Link),
}

/// Why receipts cannot be kept or relied on.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgedError {
    /// The file cannot be read or written.
    #[error("failed to keep what was acknowledged")]
    Disk(#[source] DiskError),
    /// It is not one.
    #[error("`{}` cannot be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It is of another stream.
    #[error("the receipt is of stream {found}, and those that were recorded are of stream {kept}")]
    OtherStream {
        /// The stream of the file.
        kept: StreamId,
        /// The receipt's.
        found: StreamId,
    },
    /// A key that speaks for another enclave.
    #[error("the key {key_id} has signed for enclave `{before}`, and now for `{now}`")]
    OtherEnclave {
        /// The key.
        key_id: Digest,
        /// The enclave that it spoke for.
        before: String,
        /// The enclave that it speaks for now.
        now: String,
    },
    /// Nothing is known of an enclave that the stream is for.
    #[error("there is no receipt yet of {0}, which the stream is for (`stream.audience`)")]
    Silent(String),
    /// Nothing is known of any.
    #[error("there is no receipt yet of any enclave")]
    None,
}

impl Fault for AcknowledgedError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Disk(error) => error.id(),
            Self::Damaged { .. } => ErrorId::StateDamaged,
            Self::OtherStream { .. } => ErrorId::WrongStream,
            Self::OtherEnclave { .. } => ErrorId::Untrusted,
            Self::Silent(_) | Self::None => ErrorId::InputMissing,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Disk(error) => return error.hint(),
            Self::Damaged { .. } => {
                "restore `artefacts.metadataDir` from a copy, or move the file away and record each enclave's last receipt \
                 again (`mimeograph-bundler ack`)"
                    .into()
            }
            Self::OtherStream { .. } => {
                "correct `s3.bucket.subDir` (or `store.directory`) or `artefacts.metadataDir`: each stream has its own".into()
            }
            Self::OtherEnclave { .. } => "give each enclave a receipt key of its own (`mimeograph-populator keygen`)".into(),
            Self::Silent(_) | Self::None => {
                "record its last receipt (`mimeograph-bundler ack`), or say yourself what is there: `--since-sequence K`, `--full`".into()
            }
        })
    }
}

impl Acknowledged {
    /// Reads it; `None` where no receipt was ever recorded.
    pub fn read(metadata: &Path) -> Result<Option<Self>, AcknowledgedError> {
        let path = metadata.join(FILE);
        let bytes = disk::read_if_there(&path, SIZE).map_err(AcknowledgedError::Disk)?;
        let read = bytes.map(|bytes| serde_json::from_slice(&bytes));
        read.transpose()
            .map_err(|source| AcknowledgedError::Damaged { path, source })
    }

    fn write(&self, metadata: &Path) -> Result<(), AcknowledgedError> {
        let path = metadata.join(FILE);
        let bytes = serde_json::to_vec(self).map_err(|source| AcknowledgedError::Damaged {
            path: path.clone(),
            source,
        })?;
        disk::write_durably(&path, &bytes, 0o600).map_err(AcknowledgedError::Disk)
    }

    /// The enclaves whose last receipt is for this bundle.
    pub fn at(&self, bundle: Link) -> impl Iterator<Item = &str> {
        let there = move |(_, applied): &(&String, &Applied)| applied.bundle == bundle;
        self.enclaves
            .iter()
            .filter(there)
            .map(|(enclave, _)| enclave.as_str())
    }

    /// The lowest bundle that each of these enclaves has applied; of all that are known, where none is named.
    fn lowest_of(&self, audience: &[EnclaveName]) -> Result<Option<Lowest>, AcknowledgedError> {
        let enclaves: Vec<_> = if audience.is_empty() {
            self.enclaves.iter().collect()
        } else {
            let of = |enclave: &EnclaveName| {
                let applied = self.enclaves.get_key_value(enclave.as_str());
                applied.ok_or_else(|| AcknowledgedError::Silent(enclave.as_str().to_owned()))
            };
            audience.iter().map(of).collect::<Result<_, _>>()?
        };
        let lowest = enclaves
            .into_iter()
            .min_by_key(|(_, applied)| applied.bundle.sequence);
        Ok(lowest.map(|(enclave, applied)| Lowest {
            enclave: enclave.clone(),
            bundle: applied.bundle,
        }))
    }

    fn take(&mut self, receipt: &VerifiedReceipt) -> Result<Recorded, AcknowledgedError> {
        if receipt.stream != self.stream {
            return Err(AcknowledgedError::OtherStream {
                kept: self.stream.clone(),
                found: receipt.stream.clone(),
            });
        }
        let mut others = self.enclaves.iter();
        let other = others.find(|(enclave, applied)| {
            applied.key_id == receipt.signer() && **enclave != receipt.enclave
        });
        if let Some((before, _)) = other {
            return Err(AcknowledgedError::OtherEnclave {
                key_id: receipt.signer(),
                before: before.clone(),
                now: receipt.enclave.clone(),
            });
        }
        let applied = Applied {
            bundle: receipt.bundle(),
            applied: receipt.applied,
            key_id: receipt.signer(),
        };
        match self.enclaves.get(&receipt.enclave) {
            Some(known) if known.bundle.sequence >= receipt.sequence => {
                Ok(Recorded::Known(known.bundle))
            }
            known => {
                if known.is_some_and(|known| known.key_id != receipt.signer()) {
                    tracing::warn!(
                        enclave = receipt.enclave,
                        key = %receipt.signer(),
                        "this enclave signs with another key than before"
                    );
                }
                self.enclaves.insert(receipt.enclave.clone(), applied);
                Ok(Recorded::Newest)
            }
        }
    }
}

/// Records a receipt whose bundle was seen in the store, unless a newer one of its enclave is known.
pub fn record(metadata: &Path, receipt: &VerifiedReceipt) -> Result<Recorded, AcknowledgedError> {
    disk::create_folder(metadata, 0o755).map_err(AcknowledgedError::Disk)?;
    // A lock of its own: a receipt need not wait for a run of hours.
    let _lock =
        Lock::acquire(&metadata.join("acknowledged.lock")).map_err(AcknowledgedError::Disk)?;
    let mut acknowledged = Acknowledged::read(metadata)?.unwrap_or_else(|| Acknowledged {
        stream: receipt.stream.clone(),
        enclaves: BTreeMap::new(),
    });
    let recorded = acknowledged.take(receipt)?;
    if recorded == Recorded::Newest {
        acknowledged.write(metadata)?;
    }
    Ok(recorded)
}

/// The lowest bundle that all enclaves of the audience have applied, or all that are known where the stream is for any.
///
/// `None` where receipts are not used: none was ever recorded, and the configuration trusts no key for them. An enclave
/// of the audience that has not said anything is an error.
pub fn lowest(config: &Config) -> Result<Option<Lowest>, Failure> {
    let audience = &config.stream.audience;
    match Acknowledged::read(&config.artefacts.metadata_dir)? {
        Some(acknowledged) => Ok(acknowledged.lowest_of(audience)?),
        None if config.receipts.trusted_keys.is_empty() => Ok(None),
        None => match audience.first() {
            Some(enclave) => Err(AcknowledgedError::Silent(enclave.as_str().to_owned()).into()),
            None => Ok(None),
        },
    }
}

/// The same for a bundle that is to hold all that came after it: it must be known.
pub fn since(config: &Config) -> Result<Link, Failure> {
    Ok(lowest(config)?.ok_or(AcknowledgedError::None)?.bundle)
}
