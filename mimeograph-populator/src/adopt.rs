//! `adopt`: the deliberate way out of a lost state. A person says which bundle was applied last; it is written down.

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Kind, Link, Role};
use mimeograph_manifest::trust::TrustedKeys;

use crate::cache::Cache;
use crate::copy::{Copies, Document, Found};
use crate::known::Known;
use crate::ledger::{Adopted, Ledger, LedgerError};
use crate::origin::{self, OriginError};
use crate::told;

/// Takes a bundle of the store for applied, without loading it. The caller holds the lock.
pub fn adopt(
    config: &Config,
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    bundle: Link,
) -> Result<Report, Failure> {
    let metadata = &config.artefacts.metadata_dir;
    let mut ledger = Ledger::read(metadata)?;
    let Link { sequence, sha256 } = bundle;
    let signed = Listing::of(store)?.open(store, sequence, trusted)?;
    let manifest = signed
        .ok_or(OriginError::Missing(sequence))?
        .verify(trusted)?;
    origin::check_named(&manifest, sha256)?;
    if manifest.kind == Kind::Heartbeat {
        return Err(LedgerError::NoContent(sequence).into());
    }
    let copies = Copies::open(config)?;
    let known = match &copies {
        Some(copies) => match copies.read(&manifest.stream, trusted)? {
            Found::Verified(copy) => Some(copy.content.sequence),
            Found::Absent | Found::Unverified { .. } => None,
        },
        None => None,
    };
    if let Some(mark) = ledger.mark().max(known).filter(|mark| sequence < *mark) {
        return Err(LedgerError::Older {
            asked: sequence,
            mark,
        }
        .into());
    }
    ledger.check(
        config.trust.stream.as_ref(),
        config.upkeep,
        std::slice::from_ref(&manifest),
        None,
    )?;
    let file = manifest.files(Role::Inventory).next();
    let file = file.ok_or(LedgerError::NoContent(sequence))?;
    let inventory_bytes = fetched::small_file(store, file)?;
    let inventory = Inventory::from_bytes(&inventory_bytes)?;
    let known = Known {
        manifest: &manifest,
        inventory: &inventory,
        inventory_bytes: &inventory_bytes,
    };
    known.accept(metadata, &Cache::of(config), &mut ledger)?;
    ledger.adopted.push(Adopted {
        bundle,
        at: clock::now(),
    });
    ledger.floor = None;
    ledger.copied = None;
    let document = Document::new(&manifest, &inventory_bytes, None, Vec::new())?;
    told::keep(metadata, &document)?;
    ledger.write(metadata)?;
    told::tell(config, metadata, &[], &mut ledger)?;
    tracing::warn!(
        "bundle {sequence} ({sha256}) counts as applied from now on, because a person said so; the target was not asked"
    );
    let text = format!("bundle {sequence} counts as applied; nothing below it is loaded any more");
    Ok(Report::new("adopted", text).with(&serde_json::json!({ "sha256": sha256 }))?)
}
