//! Tags in the target that nothing names any more -> a proposal for `oc-mirror delete`, and never more.
//!
//! Only what a load of this stream placed is proposed, where it is still what was placed, and where nothing else needs
//! it: deleting a tag deletes its digest. What other streams name is theirs.

mod live;
mod peers;
mod proposal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::console::Report;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::manifest::Generation;
use mimeograph_manifest::name::Sequence;
use serde::Serialize;

use crate::ledger::{Ledger, SetBack};
use crate::placed::{Placed, Spot};
use crate::registry::{ASKED_AT_ONCE, Registry, Wanted};

/// What came of looking.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Retired {
    /// The bundle that is applied.
    applied: u64,
    /// What is proposed, with the digest and the bundle that placed it last.
    tags: Vec<Gone>,
    /// What no applied inventory names either, and why it is not proposed.
    kept: Vec<Kept>,
    /// Places that we may not look at: a stream that keeps its state there is not known.
    unseen: Vec<String>,
    /// Where the proposal is.
    proposal: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gone {
    repository: String,
    tag: String,
    digest: String,
    placed_by: u64,
    #[serde(skip)]
    wanted: Wanted,
}

#[derive(Debug, Serialize)]
struct Kept {
    repository: String,
    tag: String,
    because: String,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
enum RetiredError {
    /// Nothing was applied.
    #[error("nothing was applied here yet, so nothing was retired")]
    NothingApplied,
    /// v1.
    #[error("bundle {0} is `oc-mirror` v1's, which prunes the target itself")]
    V1(Sequence),
    /// The record is of another load.
    #[error("what bundle {0} placed is not recorded")]
    NotRecorded(Sequence),
    /// What it holds is not what was applied last.
    #[error("{0}")]
    SetBack(SetBack),
    /// What is left out may be wanted.
    #[error(
        "bundle {0} lacks images, by its own word: what it does not name may still be asked for"
    )]
    Partial(Sequence),
    /// Something is there.
    #[error("`{}` is there already, and is not overwritten", .0.display())]
    There(PathBuf),
}

impl Fault for RetiredError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NothingApplied => ErrorId::InputMissing,
            Self::V1(_) => ErrorId::Usage,
            Self::NotRecorded(_) => ErrorId::Incomplete,
            Self::SetBack(_) => ErrorId::Rollback,
            Self::Partial(_) => ErrorId::Partial,
            Self::There(_) => ErrorId::CannotCreate,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NothingApplied => "run `mimeograph-populator run` first",
                Self::V1(_) => "see its `--dry-run`, and `mirror.ocMirror.extraArgs`",
                Self::NotRecorded(_) => "ask again after the next bundle was applied",
                Self::SetBack(_) => "ask again after that",
                Self::Partial(_) => "ask again after a whole bundle was applied",
                Self::There(_) => "name another file with `--to`",
            }
            .into(),
        )
    }
}

/// Looks for retired tags and, where `to` names a file, writes the proposal. The caller holds the lock.
pub fn retired(config: &Config, to: Option<&Path>) -> Result<Report, Failure> {
    if let Some(there) = to.filter(|to| to.exists()) {
        return Err(RetiredError::There(there.to_owned()).into());
    }
    let placed = placed(config)?;
    let mut found = look(config, &placed)?;
    if let Some(to) = to.filter(|_| !found.tags.is_empty()) {
        disk::write_durably(
            to,
            proposal::of(config.target()?, &found)?.as_bytes(),
            0o644,
        )?;
        found.proposal = Some(to.to_owned());
    }
    let outcome = if found.tags.is_empty() {
        "nothing retired"
    } else {
        "retired"
    };
    Ok(Report::new(outcome, text(&found)).with(&found)?)
}

/// What was placed, if it is known of the bundle that is applied.
fn placed(config: &Config) -> Result<Placed, Failure> {
    let metadata = &config.artefacts.metadata_dir;
    let ledger = Ledger::read(metadata)?;
    let mark = ledger.mark().ok_or(RetiredError::NothingApplied)?;
    if let Some(set_back) = ledger.set_back() {
        return Err(RetiredError::SetBack(set_back).into());
    }
    let bundle = &ledger.bundles[&mark];
    if bundle.generation == Generation::V1 {
        return Err(RetiredError::V1(mark).into());
    }
    let is_current = |placed: &Placed| {
        Some(&placed.stream) == ledger.stream.as_ref()
            && placed.last.sequence == mark
            && placed.last.sha256 == bundle.sha256
    };
    let placed = Placed::read(metadata)?.filter(is_current);
    let placed = placed.ok_or(RetiredError::NotRecorded(mark))?;
    if placed.is_partial {
        return Err(RetiredError::Partial(mark).into());
    }
    Ok(placed)
}

fn look(config: &Config, placed: &Placed) -> Result<Retired, Failure> {
    let mut found = Retired {
        applied: placed.last.sequence.number(),
        ..Retired::default()
    };
    let candidates = candidates(placed);
    let repositories = candidates.iter().map(|tag| tag.repository.as_str());
    let peers = peers::read(config, &placed.stream, &repositories.collect())?;
    let registry = Registry::of(config)?;
    let namespace = config.target()?.namespace();
    let mut ours = Vec::new();
    for tag in &candidates {
        if proposal::path_below(namespace, &tag.repository).is_none() {
            found.keep(tag, "it is not below `mirror.targetRegistryURI` any more");
        } else if peers.repositories.contains(&tag.repository) {
            found.keep(tag, "another stream names this repository");
        } else {
            ours.push(tag.clone());
        }
    }
    found.unseen = peers.unseen;
    let still = found.still_there(&registry, ours)?;
    found.set_apart_needed(&registry, still)?;
    Ok(found)
}

fn candidates(placed: &Placed) -> Vec<Gone> {
    let tag = |(place, spot): (&str, &Spot)| {
        let (repository, tag) = place.rsplit_once(':')?;
        Some(Gone {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: spot.digest.to_oci(),
            placed_by: spot.sequence.number(),
            wanted: Wanted {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
                digest: spot.digest,
            },
        })
    };
    placed.unnamed().filter_map(tag).collect()
}

impl Retired {
    fn keep(&mut self, tag: &Gone, because: impl Into<String>) {
        self.kept.push(Kept {
            repository: tag.repository.clone(),
            tag: tag.tag.clone(),
            because: because.into(),
        });
    }

    /// Those that are still what was placed. What is gone needs no word.
    fn still_there(&mut self, registry: &Registry, tags: Vec<Gone>) -> Result<Vec<Gone>, Failure> {
        let asked = tags.iter().map(|tag| tag.wanted.clone());
        let there = registry.confirm(asked, ASKED_AT_ONCE)?;
        for moved in there.mismatches.iter().filter(|one| one.found().is_some()) {
            self.kept.push(Kept {
                repository: moved.wanted().repository.clone(),
                tag: moved.wanted().tag.clone(),
                because: "it is not what was placed there any more".into(),
            });
        }
        let there: BTreeSet<_> = there.there.into_iter().collect();
        Ok(tags
            .into_iter()
            .filter(|tag| there.contains(&tag.wanted))
            .collect())
    }

    /// A digest that any other tag of the repository needs stays.
    fn set_apart_needed(&mut self, registry: &Registry, tags: Vec<Gone>) -> Result<(), Failure> {
        let mut by_repository: BTreeMap<String, Vec<Gone>> = BTreeMap::new();
        for tag in tags {
            let of = by_repository.entry(tag.repository.clone()).or_default();
            of.push(tag);
        }
        for (repository, tags) in by_repository {
            let is_going = |name: &str| tags.iter().any(|tag| tag.tag == name);
            let live = registry.live(&repository, is_going, ASKED_AT_ONCE)?;
            for tag in tags {
                match (&live.unreadable, live.needed.get(&tag.wanted.digest)) {
                    (Some(other), _) => {
                        self.keep(
                            &tag,
                            format!("what tag `{other}` beside it needs cannot be told"),
                        );
                    }
                    (None, Some(other)) => {
                        self.keep(
                            &tag,
                            format!("tag `{other}` beside it needs the same digest"),
                        );
                    }
                    (None, None) => self.tags.push(tag),
                }
            }
        }
        Ok(())
    }
}

fn text(found: &Retired) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = match found.tags.len() {
        0 => writeln!(
            text,
            "nothing is retired: bundle {} is applied",
            found.applied
        ),
        count => writeln!(
            text,
            "{count} tags are retired: bundle {} is applied, and does not name them",
            found.applied
        ),
    };
    for tag in &found.tags {
        let _ = writeln!(
            text,
            "  {}:{}  {}, placed by bundle {}",
            tag.repository, tag.tag, tag.digest, tag.placed_by
        );
    }
    for kept in &found.kept {
        let _ = writeln!(
            text,
            "kept: {}:{}: {}",
            kept.repository, kept.tag, kept.because
        );
    }
    for place in &found.unseen {
        let _ = writeln!(
            text,
            "not looked at: {place} (the registry does not let us): make sure that no other stream fills the same repositories"
        );
    }
    if let Some(path) = &found.proposal {
        let _ = writeln!(
            text,
            "the proposal is in {}: it says what to do with it; nothing was deleted",
            path.display()
        );
    }
    text
}
