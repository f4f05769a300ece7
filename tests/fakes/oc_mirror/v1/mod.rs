//! The older command line: sequences instead of a cache, and statuses 0 and 1.

mod archive;
mod bring;
mod fetch;
mod listing;
mod metadata;
mod packing;

use std::path::Path;

use crate::client::{Client, Tls};
use crate::failure::Failure;
use crate::flags::Flags;
use crate::log::print;
use crate::settings::Settings;

/// The folder in the current directory that disk-to-mirror writes to.
const WORKSPACE: &str = "oc-mirror-workspace";

/// One run of v1.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    settings: &'a Settings,
    flags: &'a Flags,
}

/// Run v1 with these flags; gives the exit status.
pub(crate) fn run(settings: &Settings, flags: &Flags) -> u8 {
    let outcome = dispatch(&Run { settings, flags });
    outcome.map_or_else(
        |failure| {
            if !failure.text.is_empty() {
                print(false, &format!("error: {}\n", failure.text));
            }
            failure.status
        },
        |()| 0,
    )
}

fn dispatch(run: &Run<'_>) -> Result<(), Failure> {
    let [destination] = run.flags.arguments.as_slice() else {
        return Err(Failure::new(
            1,
            "must specify exactly one registry or directory",
        ));
    };
    match (
        destination.split_once("://"),
        run.flags.get("config"),
        run.flags.get("from"),
    ) {
        (Some(("file", out)), Some(config), None) => {
            fetch::run(run, Path::new(config), Path::new(out))
        }
        (Some(("docker", target)), None, Some(from)) => bring::run(run, Path::new(from), target),
        (Some(("docker", _)), Some(_), None) => {
            Err(Failure::new(1, "the stand-in does not mirror to mirror"))
        }
        _ => Err(Failure::new(
            1,
            "must specify a configuration file with --config or a source with --from",
        )),
    }
}

impl Run<'_> {
    fn client(&self, side: &str) -> Client {
        let plain = self.flags.has(&format!("{side}-use-http"));
        let tls = if plain {
            Tls::MayBePlain
        } else {
            Tls::Required
        };
        Client::new(tls, None, None, self.settings.get("RESOLVE"))
    }
}

/// Progress, which goes to stderr.
fn progress(text: &str) {
    print(false, &format!("{text}\n"));
}

/// Results, which go to stdout.
fn result(text: &str) {
    print(true, &format!("{text}\n"));
}
