//! `trust`: who is trusted with what, what of the store that accepts or refuses, and what a change would.

use std::fmt::Write as _;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::{KeyRole, TrustedKeys, Window};
use serde::Serialize;

use crate::fresh;
use crate::ledger::Ledger;

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    policy: String,
    keys: Vec<KeyRow>,
    bundles: Vec<BundleRow>,
    /// What ends soon, and what is there to no purpose.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyRow {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<KeyRole>,
    #[serde(flatten)]
    window: Window,
    revoked: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleRow {
    sequence: u64,
    here: &'static str,
    now: Judged,
    /// After the change, where one is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Judged>,
}

/// What becomes of a bundle by its signatures.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged {
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    says: String,
}

impl Judged {
    fn word(&self) -> &'static str {
        match self.error_id {
            None => "accepted",
            Some(ErrorId::PendingApproval | ErrorId::Incomplete) => "waits",
            Some(_) => "REFUSED",
        }
    }
}

/// Says it of every bundle in the store; with `after`, also what those keys would make of it.
pub(crate) fn trust(
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    after: Option<&TrustedKeys>,
    ledger: &Ledger,
) -> Result<Report, Failure> {
    let listing = Listing::of(store)?;
    let (mut bundles, mut newest) = (Vec::new(), None);
    for sequence in listing.sequences() {
        let Some(signed) = listing.open(store, sequence, trusted)? else {
            continue;
        };
        let after = after.map(|keys| judge(signed.clone().verify(keys)).0);
        let (now, manifest) = judge(signed.verify(trusted));
        newest = manifest.or(newest);
        bundles.push(BundleRow {
            sequence: sequence.number(),
            here: here(ledger, sequence),
            now,
            after,
        });
    }
    let told = Told {
        policy: trusted.policy().to_string(),
        keys: rows(trusted),
        bundles,
        notes: fresh::notes(trusted, newest.as_deref(), clock::now()),
    };
    Ok(Report::new("done", text(&told)).with(&told)?)
}

fn judge<E: Fault>(
    verified: Result<Verified<Manifest>, E>,
) -> (Judged, Option<Verified<Manifest>>) {
    match verified {
        Ok(manifest) => {
            let signers = manifest.signers().iter().map(Digest::short);
            let judged = Judged {
                error_id: None,
                says: format!("signed by {}", signers.collect::<Vec<_>>().join(", ")),
            };
            (judged, Some(manifest))
        }
        Err(error) => {
            let judged = Judged {
                error_id: Some(error.id()),
                says: chain(&error),
            };
            (judged, None)
        }
    }
}

fn here(ledger: &Ledger, sequence: Sequence) -> &'static str {
    let known = ledger.bundles.get(&sequence);
    known.map_or("new", |bundle| bundle.fate.as_str())
}

fn rows(trusted: &TrustedKeys) -> Vec<KeyRow> {
    let keys = trusted.keys().iter().map(|one| KeyRow {
        id: one.key.id().to_string(),
        role: Some(one.role),
        window: one.window,
        revoked: false,
    });
    let revoked = trusted.revoked().iter().map(|key| KeyRow {
        id: key.id().to_string(),
        role: None,
        window: Window::default(),
        revoked: true,
    });
    keys.chain(revoked).collect()
}

fn text(told: &Told) -> String {
    let mut text = format!("{:<64}  {:<8}  {:<20}  UNTIL\n", "KEY", "ROLE", "FROM");
    let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.to_string());
    // Writing to a text cannot fail.
    for key in &told.keys {
        let role = key
            .role
            .map_or("REVOKED".to_owned(), |role| role.to_string());
        let (from, until) = (time(key.window.not_before), time(key.window.not_after));
        let _ = writeln!(text, "{}  {role:<8}  {from:<20}  {until}", key.id);
    }
    let _ = writeln!(text, "{}; a heartbeat needs bundlers alone", told.policy);
    for bundle in &told.bundles {
        let BundleRow {
            sequence,
            here,
            now,
            after,
        } = bundle;
        let _ = writeln!(
            text,
            "bundle {sequence} ({here} here): {}: {}",
            now.word(),
            now.says
        );
        if let Some(after) = after.as_ref().filter(|after| *after != now) {
            let _ = writeln!(text, "  after the change: {}: {}", after.word(), after.says);
        }
    }
    for note in &told.notes {
        let _ = writeln!(text, "note  {note}");
    }
    text
}
