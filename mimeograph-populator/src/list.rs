//! What lies in the store, and what became of it here.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::ledger::Ledger;

/// A bundle on one line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    bytes: u64,
    here: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    says: String,
}

/// There is no such bundle.
#[derive(Debug, thiserror::Error)]
#[error("there is no bundle {0} in the store")]
struct NoSuchBundle(Sequence);

impl Fault for NoSuchBundle {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("`mimeograph-populator list` shows what there is".into())
    }
}

/// All manifests of the store, verified or not, and as a table.
pub fn list(
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    ledger: &Ledger,
) -> Result<(Vec<Row>, String), Failure> {
    let listing = Listing::of(store)?;
    let mut rows = Vec::new();
    for sequence in listing.sequences() {
        let Some(signed) = listing.open(store, sequence, trusted)? else {
            continue;
        };
        rows.push(match signed.verify(trusted) {
            Ok(manifest) => Row {
                sequence: sequence.number(),
                kind: Some(manifest.kind.as_str()),
                created: Some(manifest.created.to_string()),
                bytes: manifest.size(),
                here: fate(ledger, sequence),
                error_id: None,
                says: manifest.digest().to_string(),
            },
            Err(error) => Row {
                sequence: sequence.number(),
                kind: None,
                created: None,
                bytes: 0,
                here: match error.id() {
                    ErrorId::PendingApproval | ErrorId::Incomplete => "waits",
                    _ => "refused",
                },
                error_id: Some(error.id()),
                says: chain(&error),
            },
        });
    }
    let mut table = format!(
        "{:>10}  {:<9}  {:<20}  {:>15}  {:<8}  MANIFEST SHA-256\n",
        "BUNDLE", "KIND", "CREATED", "BYTES", "HERE"
    );
    for row in &rows {
        let (kind, created) = (
            row.kind.unwrap_or("-"),
            row.created.as_deref().unwrap_or("-"),
        );
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "{:>10}  {kind:<9}  {created:<20}  {:>15}  {:<8}  {}",
            row.sequence, row.bytes, row.here, row.says
        );
    }
    if let Some(set_back) = ledger.set_back() {
        let _ = writeln!(table, "{set_back}");
    }
    if rows.is_empty() {
        table = format!("no bundles yet in {}\n", store.describe());
    }
    Ok((rows, table))
}

fn fate(ledger: &Ledger, sequence: Sequence) -> &'static str {
    match ledger.bundles.get(&sequence).map(|bundle| bundle.fate) {
        Some(fate) => fate.as_str(),
        None if Some(sequence) < ledger.mark() => "skipped",
        None => "new",
    }
}

/// One verified manifest.
pub fn show(
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    sequence: Sequence,
) -> Result<Verified<Manifest>, Failure> {
    let signed = Listing::of(store)?
        .open(store, sequence, trusted)?
        .ok_or(NoSuchBundle(sequence))?;
    Ok(signed.verify(trusted)?)
}
