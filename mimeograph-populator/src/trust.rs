//! `trust`: who is trusted with what, what of the store a run would accept or refuse, and what a change would.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault as _};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, keys};
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::{KeyRole, TrustedKeys, Window};
use serde::Serialize;

use crate::fresh;
use crate::standing::{self, Here, Judge, Judged, Standing};

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    policy: String,
    keys: Vec<KeyRow>,
    /// After the change, where one is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_after: Option<Vec<KeyRow>>,
    bundles: Vec<BundleRow>,
    /// What ends soon, and what is there to no purpose.
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes_after: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
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
    /// Whether it was accepted here, and stays so whatever is trusted by now.
    stays: bool,
    now: Judged,
    /// After the change, where one is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Judged>,
}

/// Says it of every bundle in the store, and of those that were accepted here; with `after`, also what those keys would make
/// of it.
pub(crate) fn trust(
    store: &dyn Fetch,
    now: Judge<'_>,
    after: Option<Judge<'_>>,
) -> Result<Report, Failure> {
    let (mut bundles, mut newest) = (Vec::new(), None);
    standing::each(store, now, |standing| {
        let Standing {
            sequence,
            here,
            manifest,
            today,
            signed,
            is_newest,
            ..
        } = standing;
        let is_fork = today.error_id == Some(ErrorId::Fork);
        let after = after.filter(|_| !is_fork).zip(signed);
        bundles.push(BundleRow {
            sequence: sequence.number(),
            here: here.as_str(),
            stays: matches!(here, Here::Accepted(_)),
            after: after.map(|(judge, signed)| judge.judge(signed, is_newest)),
            now: today,
        });
        newest = manifest.or_else(|| newest.take());
    })?;
    let told = Told {
        policy: now.trusted.policy().to_string(),
        keys: rows(now.trusted),
        keys_after: after.map(|after| rows(after.trusted)),
        bundles,
        notes: notes(now, newest.as_deref(), ""),
        notes_after: after.map(|after| notes(after, newest.as_deref(), "after the change: ")),
    };
    Ok(Report::new("done", text(&told)).with(&told)?)
}

/// What ends soon, what is there to no purpose, and a policy that nobody can meet.
fn notes(judge: Judge<'_>, newest: Option<&Manifest>, when: &str) -> Vec<String> {
    let mut notes = fresh::notes(judge.trusted, newest, clock::now());
    if let Err(error) = keys::check_enough(judge.trusted) {
        let hint = error.hint().unwrap_or_default();
        notes.push(format!(
            "every run ends with [{}]: {error}; {hint}",
            error.id()
        ));
    }
    let config = judge.side.config.as_ref();
    let overlooked = config.map(Config::overlooked_keys).unwrap_or_default();
    for path in overlooked {
        notes.push(format!(
            "`{}` is no key to us: keys are files called `*.pem`",
            path.display()
        ));
    }
    notes.iter().map(|note| format!("{when}{note}")).collect()
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
    let mut text = table(&told.keys);
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{}; a heartbeat needs bundlers alone", told.policy);
    if let Some(keys) = told.keys_after.as_ref().filter(|keys| **keys != told.keys) {
        let _ = write!(text, "after the change:\n{}", table(keys));
    }
    for bundle in &told.bundles {
        let BundleRow {
            sequence,
            here,
            stays,
            now,
            after,
        } = bundle;
        let stays = if *stays { ", and stays so" } else { "" };
        let _ = writeln!(
            text,
            "bundle {sequence} ({here} here{stays}): {}: {}",
            now.word(),
            now.says
        );
        if let Some(after) = after.as_ref().filter(|after| *after != now) {
            let _ = writeln!(text, "  after the change: {}: {}", after.word(), after.says);
        }
    }
    let after = told.notes_after.iter().flatten();
    for note in told.notes.iter().chain(after) {
        let _ = writeln!(text, "note  {note}");
    }
    text
}

fn table(keys: &[KeyRow]) -> String {
    let mut text = format!("{:<64}  {:<8}  {:<20}  UNTIL\n", "KEY", "ROLE", "FROM");
    let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.to_string());
    for key in keys {
        let role = key
            .role
            .map_or("REVOKED".to_owned(), |role| role.to_string());
        let (from, until) = (time(key.window.not_before), time(key.window.not_after));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{}  {role:<8}  {from:<20}  {until}", key.id);
    }
    text
}
