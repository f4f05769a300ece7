//! The receipt of what was applied: one signed line in `metadataDir`, for the connected side.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::{clock, disk, keys};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::manifest::Link;
use mimeograph_manifest::receipt::Receipt;

use crate::ledger::Ledger;

/// Who signs receipts here.
#[derive(Debug)]
pub struct Receipts {
    key: SigningKey,
    enclave: String,
}

impl Receipts {
    /// As the configuration has it; `None` where it wants no receipts.
    pub fn open(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(key) = keys::receipt(config)? else {
            return Ok(None);
        };
        let enclave = config.enclave()?.as_str().to_owned();
        Ok(Some(Self { key, enclave }))
    }

    /// Who signs, for people.
    pub fn describe(&self) -> String {
        format!(
            "enclave {}, key id {}",
            self.enclave,
            self.key.public().id()
        )
    }

    /// Writes the receipt of the newest applied bundle, if it is not there yet. What a person adopted was not seen to be
    /// applied, so it gets none.
    pub fn write(&self, metadata: &Path, ledger: &Ledger) -> Result<Option<PathBuf>, Failure> {
        let applied = ledger
            .mark()
            .and_then(|mark| ledger.bundles.get_key_value(&mark));
        let (Some((sequence, bundle)), Some(stream)) = (applied, &ledger.stream) else {
            return Ok(None);
        };
        let bundle = Link {
            sequence: *sequence,
            sha256: bundle.sha256,
        };
        let folder = metadata.join("receipts");
        let path = folder.join(format!("{stream}-{}.receipt", sequence.padded()));
        if path.exists()
            || ledger
                .adopted
                .iter()
                .any(|adopted| adopted.bundle == bundle)
        {
            return Ok(None);
        }
        let receipt = Receipt::new(&self.enclave, stream.clone(), bundle, clock::now());
        disk::create_folder(&folder, 0o755)?;
        disk::write_durably(&path, receipt.sign(&self.key)?.as_bytes(), 0o644)?;
        Ok(Some(path))
    }
}
