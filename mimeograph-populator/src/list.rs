//! What lies in the store, and what became of it here.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use serde::Serialize;

use crate::ledger::LedgerError;
use crate::standing::{self, Here, Judge, Judged, Standing};

/// A bundle on one line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    here: &'static str,
    /// Of what was accepted here, else of what lies in the store.
    sha256: String,
    /// Why what lies in the store would not be accepted today.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    says: String,
}

impl From<Standing> for Row {
    fn from(standing: Standing) -> Self {
        let Standing {
            sequence,
            here,
            sha256,
            manifest,
            today: Judged { error_id, says },
            ..
        } = standing;
        let manifest = manifest.as_deref();
        Self {
            sequence: sequence.number(),
            kind: manifest.map(|manifest| manifest.kind.as_str()),
            created: manifest.map(|manifest| manifest.created.to_string()),
            bytes: manifest.map(Manifest::size),
            here: match (here, error_id) {
                (Here::New, Some(ErrorId::PendingApproval | ErrorId::Incomplete)) => "waits",
                (Here::New, Some(_)) => "refused",
                _ => here.as_str(),
            },
            sha256: sha256.to_string(),
            error_id,
            says,
        }
    }
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

/// All bundles of the store and of the ledger, verified or not, and as a table.
pub(crate) fn list(store: &dyn Fetch, judge: Judge<'_>) -> Result<(Vec<Row>, String), Failure> {
    let mut rows: Vec<Row> = Vec::new();
    standing::each(store, judge, |standing| rows.push(standing.into()))?;
    let mut table = format!(
        "{:>10}  {:<9}  {:<20}  {:>15}  {:<8}  {:<64}  NOTE\n",
        "BUNDLE", "KIND", "CREATED", "BYTES", "HERE", "MANIFEST SHA-256"
    );
    for row in &rows {
        let bytes = row.bytes.map(|bytes| bytes.to_string());
        let note = match row.error_id {
            Some(id) => format!("  [{id}] {}", row.says),
            None => String::new(),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "{:>10}  {:<9}  {:<20}  {:>15}  {:<8}  {}{note}",
            row.sequence,
            row.kind.unwrap_or("-"),
            row.created.as_deref().unwrap_or("-"),
            bytes.as_deref().unwrap_or("-"),
            row.here,
            row.sha256,
        );
    }
    if let Some(set_back) = judge.side.ledger.set_back() {
        let _ = writeln!(table, "{set_back}");
    }
    if rows.is_empty() {
        table = format!("no bundles yet in {}\n", store.describe());
    }
    Ok((rows, table))
}

/// One manifest that was verified: today, or when it was accepted here.
pub(crate) fn show(
    store: &dyn Fetch,
    judge: Judge<'_>,
    sequence: Sequence,
) -> Result<Verified<Manifest>, Failure> {
    let listing = Listing::of(store)?;
    let found = standing::one(store, &listing, judge, sequence)?;
    let standing = found.ok_or(NoSuchBundle(sequence))?;
    let signed = standing.signed.ok_or(NoSuchBundle(sequence))?;
    if signed.digest() != standing.sha256 {
        return Err(LedgerError::Fork(sequence).into());
    }
    let Some(manifest) = standing.manifest else {
        return Ok(signed.verify(judge.trusted)?);
    };
    if let Some(id) = standing.today.error_id {
        tracing::warn!("[{id}] {}", standing.today.says);
    }
    Ok(manifest)
}
