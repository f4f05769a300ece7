//! Whether everything is fit for a run, one line each, without changing anything.

use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::io::checks::Checks;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::imageset::{self, ImageSetFile};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::{clock, keys};

use crate::head::Published;
use crate::journal::Journal;
use crate::{inspect, seal, travelling};

/// Looks at image set, key, `oc-mirror`, folders, store and clock.
pub fn check(config: &Config, location: Result<StoreLocation, Failure>) -> Checks {
    let mut checks = Checks::default();
    checks.note("config", &format!("{}", config.file().display()));
    let imageset = checks.run("image set", || imageset(config));
    checks.run("signing key", || {
        let key = keys::signing(config)?;
        Ok((format!("key id {}", key.public().id()), ()))
    });
    let generation = imageset.as_ref().map(|imageset| imageset.generation);
    let oc_mirror = checks.oc_mirror(config, generation);
    if let (Some(imageset), Some(oc_mirror)) = (&imageset, &oc_mirror) {
        checks.run("traps", || {
            let cautions = inspect::refuse_traps(config, imageset, oc_mirror)?;
            let text = if cautions.is_empty() {
                "none that is known".to_owned()
            } else {
                format!("none that must be mended; {cautions}")
            };
            Ok((text, ()))
        });
    }
    checks.credentials(config);
    checks.run("travelling", || travelling(config, imageset.as_ref()));
    checks.folders(config);
    let store = checks.run("store", || {
        let store = location?.open_to_read()?;
        let listing = Listing::of(&*store)?;
        let newest = listing.newest().map_or("no bundles yet".to_owned(), |n| {
            format!("newest bundle {n}")
        });
        Ok((format!("{}, {newest}", store.describe()), store))
    });
    if let Some(store) = &store {
        checks.run("stream", || stream(config, &**store));
    }
    checks.run("clock", || {
        let now = clock::now();
        let theirs = store.as_deref().map(Fetch::clock).transpose()?.flatten();
        seal::check_clock(now, None, theirs)?;
        Ok((
            format!(
                "{now}{}",
                if theirs.is_some() {
                    ", as the store's"
                } else {
                    ""
                }
            ),
            (),
        ))
    });
    checks
}

/// The journal must be readable, and the store the one that it is of.
fn stream(config: &Config, store: &dyn Fetch) -> Result<(String, ()), Failure> {
    let journal = Journal::read(&config.artefacts.metadata_dir)?;
    let ours = keys::own(config)?;
    let adopted = Published::read(store, &ours)?.adopt(store, journal, config.upkeep)?;
    let says = match adopted {
        None => "none yet: the next run begins one".to_owned(),
        Some(journal) => format!(
            "{}, the next bundle is {}",
            journal.stream,
            journal.next_sequence()
        ),
    };
    Ok((says, ()))
}

/// What travels beside the archives must be there.
fn travelling(config: &Config, imageset: Option<&ImageSet>) -> Result<(String, ()), Failure> {
    let local = match imageset {
        Some(imageset) => travelling::local_files(imageset, &config.mirror.local_dir)?.len(),
        None => 0,
    };
    let extra = travelling::extra_files(&travelling::extra_paths(config)?)?.len();
    Ok((format!("{local} local and {extra} extra files"), ()))
}

fn imageset(config: &Config) -> Result<(String, ImageSet), Failure> {
    let ImageSetFile { path, imageset, .. } = imageset::read(config)?;
    Ok((
        format!("{}, {}", path.display(), imageset.generation),
        imageset,
    ))
}
