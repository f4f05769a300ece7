//! Whether everything is fit for a run, one line each, without changing anything.

use std::fmt::Write as _;

use mimeograph_manifest::failure::{Failure, chain};
use mimeograph_manifest::io::checks::Checks;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, keys};

use crate::approvals;
use crate::copy::{Copies, Found};
use crate::fresh;
use crate::late::Patience;
use crate::ledger::Ledger;
use crate::open::{self, Gate};
use crate::receipt::Receipts;

/// Looks at keys, `oc-mirror`, folders, state, store and clock.
pub(crate) fn check(config: &Config, location: Result<StoreLocation, Failure>) -> Checks {
    let mut checks = Checks::default();
    checks.note("config", &config.file().display().to_string());
    let trusted = checks.run("trusted keys", || {
        let trusted = keys::trusted(config)?;
        let ids: Vec<_> = trusted.ids().iter().map(ToString::to_string).collect();
        let mut says = format!("{} ({})", ids.join(", "), trusted.policy());
        for note in fresh::notes(&trusted, None, clock::now()) {
            says.push_str("; ");
            says.push_str(&note);
        }
        for path in config.overlooked_keys() {
            let _ = write!(says, "; `{}` is no `*.pem`, and no key", path.display());
        }
        Ok((says, trusted))
    });
    if let Some(folder) = &config.trust.approvals_dir {
        let says = if folder.is_dir() {
            ""
        } else {
            ", which is not there: nothing was approved yet"
        };
        checks.note("approvals", &format!("{}{says}", folder.display()));
    }
    checks.run("target", || Ok((config.target()?.as_str().to_owned(), ())));
    checks.oc_mirror(config, None);
    checks.credentials(config);
    checks.folders(config);
    let ledger = checks.run("state", || {
        let metadata = &config.artefacts.metadata_dir;
        let ledger = match &trusted {
            Some(trusted) => Ledger::read_by(metadata, trusted)?,
            None => Ledger::read(metadata)?,
        };
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
    let store = checks.run("store", || {
        let store = approvals::with(location?.open_to_read()?, Some(config))?;
        let listing = Listing::of(&*store)?;
        let newest = listing.newest().map_or("no bundles yet".to_owned(), |n| {
            format!("newest bundle {n}")
        });
        let says = format!("{}, {newest}", store.describe());
        Ok((says, (store, listing)))
    });
    if let (Some((store, listing)), Some(trusted), Some(ledger)) = (&store, &trusted, &ledger) {
        let gate = Gate {
            config,
            trusted,
            ledger,
        };
        checks.run("stream", || Ok((stream(&**store, listing, &gate)?, ())));
    }
    checks.run("clock", || {
        let now = clock::now();
        open::accept(
            &[],
            None,
            &config.trust,
            ledger.as_ref().and_then(|ledger| ledger.latest),
            now,
        )?;
        Ok((now.to_string(), ()))
    });
    checks
}

/// What lies in the store, as a run would judge it.
fn stream(store: &dyn Fetch, listing: &Listing, gate: &Gate<'_>) -> Result<String, Failure> {
    let Gate { config, ledger, .. } = gate;
    let from = ledger.mark().or(ledger.begins.map(|link| link.sequence));
    let opened = gate.open(store, listing, from)?;
    let now = clock::now();
    let newest = opened.manifests.last();
    let latest = newest.map(|newest| newest.created).max(ledger.latest);
    fresh::check(&config.trust, latest, now)?;
    let mut says = match newest {
        Some(newest) => format!(
            "{}, newest accepted {} of {}, good until {}",
            newest.stream, newest.sequence, newest.created, newest.expires
        ),
        None => "nothing that could be accepted".to_owned(),
    };
    let patience = Patience::of(config);
    for (sequence, error) in opened.arriving {
        if Some(sequence) > ledger.mark() {
            let waiting = patience.wait(ledger, now, sequence, chain(&error))?;
            let _ = write!(says, "; waiting for {sequence}: {}", waiting.because);
        }
    }
    if let Some(note) = newest.and_then(|newest| fresh::note_of_bundle(newest, now)) {
        let _ = write!(says, "; {note}");
    }
    Ok(says)
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
