//! `check`: whether everything is fit for a run, one line each.

use std::fmt::Write as _;

use serde::Serialize;

use super::config::{Config, Versions};
use super::console::Report;
use super::disk;
use super::interrupt;
use super::oc_mirror::auth::Credentials;
use super::oc_mirror::environment::Surroundings;
use super::oc_mirror::probe::OcMirror;
use crate::failure::{ErrorId, Failure, Fault, chain};
use crate::manifest::Generation;

/// What was looked at, in order.
#[derive(Debug, Default)]
pub struct Checks {
    lines: Vec<Line>,
    first: Option<ErrorId>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    what: &'static str,
    fit: bool,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Something is not fit.
#[derive(Debug, thiserror::Error)]
#[error("not fit for a run: {what}")]
struct Unfit {
    what: String,
    id: ErrorId,
}

impl Fault for Unfit {
    fn id(&self) -> ErrorId {
        self.id
    }
}

impl Checks {
    /// Notes something that is as it is.
    pub fn note(&mut self, what: &'static str, says: &str) {
        self.lines.push(Line {
            what,
            fit: true,
            says: says.to_owned(),
            error_id: None,
            hint: None,
        });
    }

    /// Looks at one thing; hands on what later ones need of it.
    pub fn run<T>(
        &mut self,
        what: &'static str,
        look: impl FnOnce() -> Result<(String, T), Failure>,
    ) -> Option<T> {
        match look() {
            Ok((says, found)) => {
                self.note(what, &says);
                Some(found)
            }
            Err(failure) => {
                self.first.get_or_insert(failure.id());
                self.lines.push(Line {
                    what,
                    fit: false,
                    says: chain(failure.as_error()),
                    error_id: Some(failure.id()),
                    hint: failure.hint(),
                });
                None
            }
        }
    }

    /// `oc-mirror`: where, which, and whether it offers what is needed.
    pub fn oc_mirror(
        &mut self,
        config: &Config,
        generation: Option<Generation>,
    ) -> Option<OcMirror> {
        self.run("oc-mirror", || {
            let scratch = tempfile::tempdir().map_err(|source| {
                disk::DiskError::new(disk::Action::Create, &std::env::temp_dir(), source)
            })?;
            let interrupt = interrupt::watch()?;
            let found = OcMirror::probe(&config.mirror.oc_mirror.path, scratch.path(), &interrupt)?;
            if let Some(generation) = generation {
                found.require(generation)?;
            }
            let offers: Vec<_> = [Generation::V1, Generation::V2]
                .into_iter()
                .filter(|generation| found.offers(*generation))
                .map(Generation::as_str)
                .collect();
            let lax = match config.mirror.oc_mirror.versions {
                Versions::MustFit => "",
                Versions::MayDiffer => ", versions may differ",
            };
            Ok((
                format!(
                    "{}, {}, offers {}{lax}",
                    found.path.display(),
                    found.version,
                    offers.join(" and ")
                ),
                found,
            ))
        })
    }

    /// The credentials for registries: where they come from, and whether they can be read.
    pub fn credentials(&mut self, config: &Config) {
        self.run("credentials", || {
            let named = config.auth_file()?.map(|file| &**file);
            let found = Credentials::find(named, &Surroundings::of_this_process())?;
            let places: Vec<_> = found
                .sources()
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let says = match places.as_slice() {
                [] => "none for any registry".to_owned(),
                places => places.join(", "),
            };
            Ok((says, ()))
        });
    }

    /// The folders that are written to, and their free space.
    pub fn folders(&mut self, config: &Config) {
        let folders = [
            ("bundleDir", Some(&config.artefacts.bundle_dir)),
            ("metadataDir", Some(&config.artefacts.metadata_dir)),
            ("cacheDir", config.artefacts.cache_dir.as_ref()),
        ];
        for (what, folder) in folders {
            let Some(folder) = folder else { continue };
            self.run(what, || {
                disk::check_writable(folder)?;
                let free = disk::free_space(folder)?;
                Ok((format!("{}, {} MiB free", folder.display(), free >> 20), ()))
            });
        }
    }

    /// The table; a failure with the first error's id where something is not fit.
    pub fn report(self) -> Result<Report, Failure> {
        let mut table = String::new();
        for line in &self.lines {
            let mark = if line.fit { "ok  " } else { "FAIL" };
            // Writing to a text cannot fail.
            let _ = write!(table, "{mark}  {:<12} {}", line.what, line.says);
            let _ = match &line.hint {
                Some(hint) if !line.fit => writeln!(table, "  ({hint})"),
                _ => writeln!(table),
            };
        }
        let Some(id) = self.first else {
            return Ok(Report::new("fit", table).with(&self.lines)?);
        };
        let unfit = self
            .lines
            .iter()
            .filter(|line| !line.fit)
            .map(|line| line.what);
        let what = unfit.collect::<Vec<_>>().join(", ");
        Ok(Report::new("unfit", table)
            .with(&self.lines)?
            .but(Unfit { what, id }))
    }
}
