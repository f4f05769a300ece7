//! What one bundle holds that another does not, by name, version and size.

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::named::{diff, diff_files, in_words};

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
    let (before, after) = (show(store, ours, before)?, show(store, ours, after)?);
    let mut changes = diff_files(Some(&before), &after);
    changes.extend(diff(
        &inventory(store, &before)?,
        &inventory(store, &after)?,
    ));
    Ok(Report::new("done", in_words(&changes)).with(&changes)?)
}

pub(crate) fn inventory(store: &dyn Fetch, bundle: &Manifest) -> Result<Inventory, Failure> {
    let mut files = bundle.files.iter();
    let file = files
        .find(|file| file.role == Role::Inventory)
        .ok_or(Nothing(bundle.sequence))?;
    Ok(Inventory::from_bytes(&fetched::small_file(store, file)?)?)
}
