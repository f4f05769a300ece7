//! What one bundle holds that another does not, by name and version.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::Role;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::wish::named::{Change, diff};

use crate::list::show;

/// It has no inventory.
#[derive(Debug, thiserror::Error)]
#[error("bundle {0} is a heartbeat: it holds nothing")]
struct Nothing(Sequence);

impl Fault for Nothing {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("compare full or delta bundles; `list` shows which they are".into())
    }
}

/// Compares the inventories of two bundles in the store.
pub fn report(
    store: &dyn Fetch,
    ours: &TrustedKeys,
    [before, after]: [Sequence; 2],
) -> Result<Report, Failure> {
    let changes = diff(
        &inventory(store, ours, before)?,
        &inventory(store, ours, after)?,
    );
    Ok(Report::new("done", text(&changes)).with(&changes)?)
}

fn inventory(
    store: &dyn Fetch,
    ours: &TrustedKeys,
    sequence: Sequence,
) -> Result<Inventory, Failure> {
    let bundle = show(store, ours, sequence)?;
    let mut files = bundle.files.iter();
    let file = files
        .find(|file| file.role == Role::Inventory)
        .ok_or(Nothing(sequence))?;
    Ok(Inventory::from_bytes(&fetched::small_file(store, file)?)?)
}

fn text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "they hold the same".to_owned();
    }
    let mut text = String::new();
    // Writing to a text cannot fail.
    for change in changes.iter().filter(|change| !change.is_of_digest()) {
        let _ = writeln!(text, "{change}");
    }
    let by_digest = || changes.iter().filter(|change| change.is_of_digest());
    let new = by_digest().filter(|change| change.before.is_none()).count();
    let gone = by_digest().count() - new;
    if new + gone > 0 {
        let _ = writeln!(
            text,
            "and tags made of digests: {new} new, {gone} gone (`--output json` names them)"
        );
    }
    text
}
