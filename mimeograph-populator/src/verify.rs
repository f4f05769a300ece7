//! `verify`: everything that can be checked of a store without changing anything, here or there.

use std::fmt::Write as _;

use mimeograph_manifest::archive::{ArchiveError, Headers, inspect};
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory::{Before, Inventory, check_closure};
use mimeograph_manifest::io::console::{Progress, Report};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::{File, Kind, Link, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use serde::Serialize;

use crate::read::ChunkReader;

/// What was found out about one bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    sequence: u64,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    signed_by: Vec<String>,
    files: usize,
    bytes: u64,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<ErrorId>,
}

/// A bundle did not pass.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {total} bundles did not pass; the first: {first}")]
struct NotPassed {
    failed: usize,
    total: usize,
    first: String,
    id: ErrorId,
    hint: Option<String>,
}

impl Fault for NotPassed {
    fn id(&self) -> ErrorId {
        self.id
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// There is nothing to verify.
#[derive(Debug, thiserror::Error)]
#[error("there is no bundle{which} in {place}")]
struct Nothing {
    which: String,
    place: String,
}

impl Fault for Nothing {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("`mimeograph-populator list` shows what there is".into())
    }
}

/// What came before the bundle that is looked at, as far as this store holds it.
#[derive(Default)]
struct Chain {
    last: Option<Link>,
    content: Option<Link>,
    before: Option<Before>,
}

/// Verifies every bundle of a store, or one of them.
pub fn verify(
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    only: Option<Sequence>,
) -> Result<Report, Failure> {
    let listing = Listing::of_everything(store, |_, _| ())?;
    let sequences: Vec<_> = listing
        .sequences()
        .filter(|sequence| only.is_none_or(|only| only == *sequence))
        .collect();
    if sequences.is_empty() {
        let which = only.map(|only| format!(" {only}")).unwrap_or_default();
        return Err(Nothing {
            which,
            place: store.describe(),
        }
        .into());
    }
    let (mut rows, mut text, mut first) = (Vec::new(), String::new(), None);
    let mut chain_so_far = Chain::default();
    for sequence in sequences {
        let row = match one(store, &listing, trusted, sequence, &mut chain_so_far) {
            Ok(row) => row,
            Err(failure) => {
                chain_so_far = Chain::default();
                let row = Row {
                    sequence: sequence.number(),
                    verified: false,
                    kind: None,
                    signed_by: Vec::new(),
                    files: 0,
                    bytes: 0,
                    says: chain(failure.as_error()),
                    error_id: Some(failure.id()),
                };
                first.get_or_insert((row.says.clone(), failure.id(), failure.hint()));
                row
            }
        };
        let mark = if row.verified { "ok  " } else { "FAIL" };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{mark}  bundle {}: {}", row.sequence, row.says);
        rows.push(row);
    }
    if listing.foreign_count > 0 {
        let _ = writeln!(
            text,
            "note  {} objects are not ours and were not looked at: {}",
            listing.foreign_count,
            listing.foreign.join(", ")
        );
    }
    let ids: Vec<_> = trusted.ids().iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "note  trusted keys: {} (threshold {})",
        ids.join(", "),
        trusted.threshold()
    );
    let failed = rows.iter().filter(|row| !row.verified).count();
    let total = rows.len();
    let report = |outcome| Report::new(outcome, &text).with(&rows);
    match first {
        None => Ok(report("verified")?),
        Some((first, id, hint)) => Ok(report("not verified")?.but(NotPassed {
            failed,
            total,
            first,
            id,
            hint,
        })),
    }
}

fn one(
    store: &dyn Fetch,
    listing: &Listing,
    trusted: &TrustedKeys,
    sequence: Sequence,
    so_far: &mut Chain,
) -> Result<Row, Failure> {
    let signed = listing.open(store, sequence)?;
    let manifest = match signed {
        Some(signed) => signed.verify(trusted)?,
        None => {
            return Err(Nothing {
                which: format!(" {sequence}"),
                place: store.describe(),
            }
            .into());
        }
    };
    check_links(&manifest, so_far)?;
    let mut says = if manifest.kind == Kind::Heartbeat {
        "heartbeat, nothing changed".to_owned()
    } else {
        contents(store, &manifest, so_far)?
    };
    let signed_by: Vec<_> = manifest.signers().iter().map(ToString::to_string).collect();
    let _ = write!(says, "; signed by {}", signed_by.join(", "));
    for lack in &manifest.incomplete {
        let _ = write!(says, "; PARTIAL: {} is missing from it", lack.reference);
    }
    let link = Link {
        sequence,
        sha256: manifest.digest(),
    };
    so_far.last = Some(link);
    if manifest.kind != Kind::Heartbeat {
        so_far.content = Some(link);
    }
    Ok(Row {
        sequence: sequence.number(),
        verified: true,
        kind: Some(manifest.kind.as_str()),
        signed_by,
        files: manifest.files.len(),
        bytes: manifest.size(),
        says,
        error_id: None,
    })
}

/// A neighbour that is known must be the one that is named.
fn check_links(manifest: &Verified<Manifest>, so_far: &Chain) -> Result<(), Failure> {
    for (named, known) in [
        (manifest.previous, so_far.last),
        (manifest.requires, so_far.content),
    ] {
        if let (Some(named), Some(known)) = (named, known)
            && named.sequence == known.sequence
            && named.sha256 != known.sha256
        {
            return Err(crate::ledger::LedgerError::Fork(known.sequence).into());
        }
    }
    Ok(())
}

/// Reads every chunk, every archive to its end, and compares with what was signed.
fn contents(store: &dyn Fetch, manifest: &Manifest, so_far: &mut Chain) -> Result<String, Failure> {
    let progress = Progress::begin(
        format!("verifying bundle {}", manifest.sequence),
        manifest.size(),
    );
    let add = |bytes| progress.add(bytes);
    let small = |role: Role| -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for file in manifest.files(role) {
            bytes = fetched::small_file(store, file)?;
            progress.add(file.size);
        }
        Ok(bytes)
    };
    let imageset = ImageSet::parse(&small(Role::Imageset)?)?;
    let inventory = Inventory::from_bytes(&small(Role::Inventory)?)?;
    archives(store, manifest, &inventory, &add)?;
    for file in &manifest.files {
        if !matches!(file.role, Role::Archive | Role::Imageset | Role::Inventory) {
            ChunkReader::new(store, file, &add).finish()?;
        }
    }
    progress.finish();
    let closure = closure(manifest, inventory, &imageset, so_far)?;
    Ok(format!(
        "{}, whole: {} files, {} bytes, archives read to their end{closure}",
        manifest.kind.as_str(),
        manifest.files.len(),
        manifest.size(),
    ))
}

fn archives(
    store: &dyn Fetch,
    manifest: &Manifest,
    inventory: &Inventory,
    add: &dyn Fn(u64),
) -> Result<(), Failure> {
    let files: Vec<&File> = manifest.files(Role::Archive).collect();
    let mut readers: Vec<_> = files
        .iter()
        .map(|file| ChunkReader::new(store, file, add))
        .collect();
    let generation = manifest.producer.generation;
    let headers = files
        .iter()
        .zip(&mut readers)
        .map(|(file, reader)| Headers::new(file.name.as_str(), generation, reader));
    let contents = inspect(headers, &mut |_| ());
    let contents = match contents {
        Ok(contents) => contents,
        Err(error @ ArchiveError::Read { .. }) => {
            // The chunk's own error says more than that reading failed.
            return Err(match readers.iter_mut().find_map(ChunkReader::failure) {
                Some(failure) => failure.into(),
                None => error.into(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    for reader in &mut readers {
        reader.finish()?;
    }
    Ok(inventory.matches(&contents.structure)?)
}

/// Where the chain is here from a full one on, images must be whole over it; else that is said.
fn closure(
    manifest: &Manifest,
    inventory: Inventory,
    imageset: &ImageSet,
    so_far: &mut Chain,
) -> Result<String, Failure> {
    let known = match manifest.requires {
        None => Some(Before::default()),
        Some(needed) if so_far.content == Some(needed) => so_far.before.take(),
        Some(_) => None,
    };
    let Some(mut before) = known else {
        let needed = manifest
            .requires
            .map(|link| link.sequence.to_string())
            .unwrap_or_default();
        return Ok(format!(
            ", needs bundle {needed} (closure not checked below it)"
        ));
    };
    let wanted = inventory.images.iter().map(|image| image.digest);
    check_closure(
        &inventory.structure,
        &before,
        wanted,
        imageset.index_members(),
    )?;
    let tags = inventory.structure.tags();
    before.add(inventory.structure);
    so_far.before = Some(before);
    Ok(format!(", {tags} tags, every image whole"))
}
