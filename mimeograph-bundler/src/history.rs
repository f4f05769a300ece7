//! `oc-mirror`'s record of what was shipped, kept for each bundle in `metadataDir/history`.
//!
//! The record belongs to the bundle that it was shipped with, not to the directory that `oc-mirror`
//! writes it to: that one is made to agree before every attempt.

use std::path::{Path, PathBuf};

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::oc_mirror::history::{self, History};
use mimeograph_manifest::manifest::{Generation, Link};
use mimeograph_manifest::time::Timestamp;

use crate::kept::{self, Piece};
use crate::mirror::Base;
use crate::v1::Metadata;

/// A kept record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the kept history `{}` is not one", .0.display())]
struct Strange(PathBuf);

impl Fault for Strange {
    fn id(&self) -> ErrorId {
        ErrorId::StateDamaged
    }

    fn hint(&self) -> Option<String> {
        Some("move it away: the next run then ships everything anew as a full bundle".into())
    }
}

/// What was kept for `content`; [`Base::Nothing`] where there is none, so that the next bundle is full.
///
/// v2: one line with the file's time, then the file; v1: the metadata after an empty line.
pub(crate) fn base(
    metadata_dir: &Path,
    content: Option<Link>,
    generation: Generation,
) -> Result<Base, Failure> {
    let Some(content) = content else {
        return Ok(Base::Nothing);
    };
    let Some(bytes) = kept::read(metadata_dir, Piece::History, content.sequence)? else {
        return Ok(Base::Nothing);
    };
    let path = Piece::History.path(metadata_dir, content.sequence);
    let parts = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|at| (&bytes[..at], &bytes[at + 1..]));
    let time = |line: &[u8]| std::str::from_utf8(line).ok()?.parse::<Timestamp>().ok();
    match (parts, generation) {
        (Some((b"", metadata)), Generation::V1) => Ok(Base::Metadata(Metadata(metadata.to_vec()))),
        (Some((line, file)), Generation::V2) if !line.is_empty() => match time(line) {
            Some(time) => Ok(Base::History(History {
                time,
                bytes: file.to_vec(),
            })),
            None => Err(Strange(path).into()),
        },
        // The stream changed between v1 and v2: nothing to build on.
        (Some(_), _) => Ok(Base::Nothing),
        (None, _) => Err(Strange(path).into()),
    }
}

/// The record after a run, in the form in which it is kept and travels.
pub(crate) fn after_run(
    metadata_dir: &Path,
    output: &Path,
    generation: Generation,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(match generation {
        Generation::V1 => {
            Metadata::read(metadata_dir)?.map(|Metadata(bytes)| [b"\n".to_vec(), bytes].concat())
        }
        Generation::V2 => history::newest(output)?
            .map(|newest| [format!("{}\n", newest.time).into_bytes(), newest.bytes].concat()),
    })
}
