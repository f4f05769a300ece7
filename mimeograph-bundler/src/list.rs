//! What is published: all bundles on a line each, or one of them whole.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::acknowledged::Acknowledged;
use crate::head::Published;

/// There is no such bundle.
#[derive(Debug, thiserror::Error)]
#[error("there is no bundle {0} in the store that our key verifies")]
struct NoSuchBundle(Sequence);

impl Fault for NoSuchBundle {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("`mimeograph-bundler list` shows what there is".into())
    }
}

/// A bundle on one line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    sequence: u64,
    kind: &'static str,
    created: String,
    expires: String,
    files: usize,
    bytes: u64,
    chunks: usize,
    incomplete: usize,
    sha256: String,
    /// The enclaves that have applied this one last, by their receipts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enclaves: Vec<String>,
}

impl Row {
    fn of(bundle: &Verified<Manifest>, acknowledged: Option<&Acknowledged>) -> Self {
        let at = acknowledged.map(|acknowledged| acknowledged.at(bundle.link()));
        Self {
            sequence: bundle.sequence.number(),
            kind: bundle.kind.as_str(),
            created: bundle.created.to_string(),
            expires: bundle.expires.to_string(),
            files: bundle.files.len(),
            bytes: bundle.size(),
            chunks: bundle.chunks().count(),
            incomplete: bundle.incomplete.len(),
            sha256: bundle.digest().to_string(),
            enclaves: at.into_iter().flatten().map(str::to_owned).collect(),
        }
    }
}

/// All bundles, oldest first, and as a table.
pub fn list(
    store: &dyn Fetch,
    ours: &TrustedKeys,
    acknowledged: Option<&Acknowledged>,
) -> Result<(Vec<Row>, String), Failure> {
    let published = Published::read(store, ours)?;
    let rows = published.bundles.iter();
    let rows: Vec<_> = rows.map(|bundle| Row::of(bundle, acknowledged)).collect();
    let mut table = format!(
        "{:>10}  {:<9}  {:<20}  {:>15}  {:>8}  MANIFEST SHA-256\n",
        "BUNDLE", "KIND", "CREATED", "BYTES", "CHUNKS"
    );
    for row in &rows {
        let partial = if row.incomplete > 0 { "  PARTIAL" } else { "" };
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "{:>10}  {:<9}  {:<20}  {:>15}  {:>8}  {}{partial}",
            row.sequence, row.kind, row.created, row.bytes, row.chunks, row.sha256
        );
    }
    if rows.is_empty() {
        table = format!("no bundles yet in {}\n", store.describe());
    }
    for (enclave, applied) in acknowledged.iter().flat_map(|kept| &kept.enclaves) {
        let (bundle, at) = (applied.bundle.sequence, applied.applied);
        let _ = writeln!(
            table,
            "enclave {enclave} has applied bundle {bundle}, at {at}"
        );
    }
    Ok((rows, table))
}

/// One bundle: its manifest's exact bytes.
pub fn show(
    store: &dyn Fetch,
    ours: &TrustedKeys,
    sequence: Sequence,
) -> Result<Verified<Manifest>, Failure> {
    let bundles = Published::read(store, ours)?.bundles;
    bundles
        .into_iter()
        .find(|bundle| bundle.sequence == sequence)
        .ok_or_else(|| NoSuchBundle(sequence).into())
}
