//! Whether everything is fit for a run, one line each, without changing anything.

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::checks::Checks;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_manifest::io::{clock, keys};

use crate::copy::{Copies, Found};
use crate::fresh;
use crate::ledger::Ledger;
use crate::open;
use crate::receipt::Receipts;

/// Looks at keys, `oc-mirror`, folders, state, store and clock.
pub fn check(config: &Config, location: Result<StoreLocation, Failure>) -> Checks {
    let mut checks = Checks::default();
    checks.note("config", &config.file().display().to_string());
    checks.run("trusted keys", || {
        let trusted = keys::trusted(config)?;
        let ids: Vec<_> = trusted.ids().iter().map(ToString::to_string).collect();
        let mut says = format!("{} ({})", ids.join(", "), trusted.policy());
        for note in fresh::notes(&trusted, None, clock::now()) {
            says.push_str("; ");
            says.push_str(&note);
        }
        Ok((says, ()))
    });
    checks.run("target", || Ok((config.target()?.as_str().to_owned(), ())));
    checks.oc_mirror(config, None);
    checks.credentials(config);
    checks.folders(config);
    let ledger = checks.run("state", || {
        let ledger = Ledger::read(&config.artefacts.metadata_dir)?;
        let says = ledger
            .mark()
            .map_or("nothing applied yet".to_owned(), |mark| {
                format!("bundle {mark} is applied")
            });
        let set_back = ledger.set_back();
        let set_back = set_back.map_or_else(String::new, |set_back| format!("; {set_back}"));
        Ok((says + &set_back, ledger))
    });
    checks.run("state copy", || state_copy(config, ledger.as_ref()));
    if config.receipts.key_file.is_some() {
        checks.run("receipts", || {
            let receipts = Receipts::open(config)?;
            let says = receipts.map(|receipts| receipts.describe());
            Ok((says.unwrap_or_default(), ()))
        });
    }
    checks.run("store", || {
        let store = location?.open_to_read()?;
        let listing = Listing::of(&*store)?;
        let newest = listing.newest().map_or("no bundles yet".to_owned(), |n| {
            format!("newest bundle {n}")
        });
        Ok((format!("{}, {newest}", store.describe()), ()))
    });
    checks.run("clock", || {
        let now = clock::now();
        open::accept(
            &[],
            None,
            &config.trust,
            ledger.and_then(|ledger| ledger.latest),
            now,
        )?;
        Ok((now.to_string(), ()))
    });
    checks
}

/// Where the second copy of the state is, and whether it can be read. That it can be written is seen before a load.
fn state_copy(config: &Config, ledger: Option<&Ledger>) -> Result<(String, ()), Failure> {
    let Some(copies) = Copies::open(config)? else {
        return Ok((
            "none: a lost volume cannot be told from a first run".into(),
            (),
        ));
    };
    let stream = ledger.and_then(|ledger| ledger.stream.as_ref());
    let Some(stream) = stream.or(config.trust.stream.as_ref()) else {
        let count = copies.streams()?.len();
        return Ok((format!("{copies}, with copies of {count} streams"), ()));
    };
    let says = match copies.read(stream, &keys::trusted(config)?)? {
        Found::Absent => "not there yet".to_owned(),
        Found::Unverified { why } => format!("it does not count: {why}"),
        Found::Verified(copy) => format!("bundle {} is applied", copy.content.sequence),
    };
    Ok((format!("{}, {says}", copies.place(stream)), ()))
}
