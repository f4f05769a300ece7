//! What FORMAT.md asks of two manifests, one after the other.

use mimeograph_manifest::manifest::{Kind, Manifest};

use super::LedgerError;

pub(super) fn check_series(before: &Manifest, after: &Manifest) -> Result<(), LedgerError> {
    let is_next = after.sequence == before.sequence.next();
    let names_heartbeat = after
        .requires
        .is_some_and(|link| link.sequence == before.sequence && before.kind == Kind::Heartbeat);
    let problem = if after.created < before.created {
        "it was made earlier"
    } else if is_next && after.kind != Kind::Full && after.audience != before.audience {
        "it is for other enclaves, which only a full bundle may be"
    } else if names_heartbeat {
        "it requires a heartbeat"
    } else {
        return Ok(());
    };
    Err(LedgerError::Series {
        sequence: after.sequence,
        problem,
    })
}
