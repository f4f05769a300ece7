//! What an attacker tries, and what must come of it: one folder per case in `cases`, named
//! `WHAT_IT_TRIES__OUTCOME`, with one `case.yaml` (its members are those of [`case::Case`], its steps those of
//! [`step::Step`]).
//!
//! Each case is judged five times over a copy of the same two sides: by `verify`, of the store as a directory and of the
//! same objects in a bucket, by `run`, by `import`, and by `by-hand.sh`, which knows nothing but `openssl`, `sed` and
//! `sha256sum`. Where something is refused, `oc-mirror` was not started, and target, state and store are byte for byte what
//! they were; what `import` brings is signed and whole.
//!
//! `MIMEOGRAPH_ATTACKS=PART,PART` runs the cases alone whose names hold one of these.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod at_once;
mod bytes;
mod case;
mod chunks;
mod forge;
mod ground;
mod judge;
mod left;
mod step;
mod store;
mod sweep;
mod tarball;

use case::Case;
use ground::Ground;

/// No fewer than these.
const CASES: usize = 120;

#[test]
fn every_attack_gets_its_outcome_and_changes_nothing() {
    let mut cases = Case::all();
    assert!(cases.len() >= CASES, "{} cases alone", cases.len());
    if let Ok(parts) = std::env::var("MIMEOGRAPH_ATTACKS") {
        cases.retain(|case| parts.split(',').any(|part| case.name.contains(part)));
    }
    let ground = Ground::new();
    at_once::at_once(&cases, |case| {
        judge::judge(&ground, case).map_err(|why| format!("{}: {why}", case.name))
    });
}

/// What SECURITY.md says is stopped is tried here.
#[test]
fn security_md_names_cases_that_there_are() {
    let text = include_str!("../../mimeograph-manifest/SECURITY.md");
    let names: Vec<_> = Case::all().into_iter().map(|case| case.name).collect();
    let quoted = text.split('`').skip(1).step_by(2);
    let cited: Vec<_> = quoted.filter(|word| word.contains("__")).collect();
    assert!(cited.len() > 30, "{} cases are named", cited.len());
    let unknown: Vec<_> = cited
        .iter()
        .filter(|cited| !names.iter().any(|name| name == *cited))
        .collect();
    assert!(unknown.is_empty(), "no such cases: {unknown:?}");
}
