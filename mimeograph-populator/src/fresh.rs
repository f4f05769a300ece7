//! Silence is an alarm: the newest bundle or heartbeat that was accepted may not be older than `trust.maxAge`. And what
//! will end soon is told in time.

use jiff::SignedDuration;
use mimeograph_manifest::failure::{ErrorId, Fault};
use mimeograph_manifest::io::config::{Period, Trust};
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::{KeyRole, TrustedKeys};

/// Nothing new has come for too long.
#[derive(Debug, thiserror::Error)]
#[error(
    "the newest bundle or heartbeat that was accepted is of {latest}, and it is {now}: more than `trust.maxAge`, {most}, ago"
)]
pub(crate) struct TooOld {
    latest: Timestamp,
    now: Timestamp,
    most: Period,
}

impl Fault for TooOld {
    fn id(&self) -> ErrorId {
        ErrorId::Stale
    }

    fn hint(&self) -> Option<String> {
        Some(
            "look whether the bundler still runs, and whether what it publishes is carried over"
                .into(),
        )
    }
}

/// Whether the latest `created` that was accepted is young enough.
pub(crate) fn check(
    trust: &Trust,
    latest: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), TooOld> {
    match (latest, trust.max_age) {
        (Some(latest), Some(most)) if now.since(latest) > most.signed() => {
            Err(TooOld { latest, now, most })
        }
        _ => Ok(()),
    }
}

/// A key is changed by people, in two places.
const KEY_NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A bundle that expires is replaced by the next run of the bundler.
const BUNDLE_NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What ends soon, or has ended; and roles that nothing asks for.
pub(crate) fn notes(
    trusted: &TrustedKeys,
    newest: Option<&Manifest>,
    now: Timestamp,
) -> Vec<String> {
    let mut told = Vec::new();
    let policy = trusted.policy();
    let has_approver = trusted
        .keys()
        .iter()
        .any(|key| key.role == KeyRole::Approver);
    if has_approver && policy.bundlers + policy.approvers == 0 {
        told.push(
            "keys have the role `approver`, but `trust.require` asks for none: any key counts for any other; \
             `require: { bundler: 1, approver: 1 }` asks for both"
                .to_owned(),
        );
    }
    for key in trusted.keys() {
        let (id, role, window) = (key.key.id(), key.role, key.window);
        if let Some(begins) = window.not_before.filter(|begins| now < *begins) {
            told.push(format!(
                "key {id} ({role}) does not count yet, but from {begins} on"
            ));
        }
        match window.not_after {
            Some(ended) if ended < now => told.push(format!(
                "the window of key {id} ({role}) ended at {ended}: it signs nothing that is made now"
            )),
            Some(ends) if ends.since(now) < KEY_NOTICE => told.push(format!(
                "key {id} ({role}) signs nothing that is made after {ends}: another must be trusted by then"
            )),
            _ => {}
        }
    }
    told.extend(newest.and_then(|newest| note_of_bundle(newest, now)));
    told
}

/// Of the newest bundle, that it expires soon, or has expired.
pub(crate) fn note_of_bundle(newest: &Manifest, now: Timestamp) -> Option<String> {
    let Manifest {
        sequence, expires, ..
    } = newest;
    if *expires < now {
        Some(format!(
            "bundle {sequence}, the newest, expired at {expires}: the bundler must run again"
        ))
    } else if expires.since(now) < BUNDLE_NOTICE {
        Some(format!(
            "bundle {sequence}, the newest, expires at {expires}: the bundler must have run by then"
        ))
    } else {
        None
    }
}
