//! What `fetch` hands to `load` on disk: all that it read of the store besides the files that it verified and staged, in the
//! form of a store. `load` does all that `run` does, with that in the store's place: it believes nothing of it unseen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::store::{Fetch, Listed, StoreError};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::late::Waiting;

/// Below `bundleDir`.
const FOLDER: &str = "handover";
/// The same while it is being written.
const DRAFT: &str = "handover.new";
const STORE: &str = "store";
const NOTE: &str = "note.json";
/// A message of ours, and what it quotes.
const NOTE_SIZE: u64 = 1 << 20;

/// What `fetch` has to say besides.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Note {
    /// The bundles that are staged: those that are merged, and those that are loaded.
    pub staged: BTreeSet<Sequence>,
    /// What is loaded last.
    pub last: Option<Sequence>,
    /// What is waited for.
    pub waiting: Option<Waiting>,
    /// What was wrong all the same: `load` ends with it, once it has loaded what it can.
    pub failure: Option<Told>,
}

/// A failure of another process.
#[derive(Clone, Debug, Deserialize, Serialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Told {
    error_id: String,
    message: String,
    hint: Option<String>,
}

impl Told {
    /// The words of a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        Self {
            error_id: failure.id().as_str().to_owned(),
            message: chain(failure.as_error()),
            hint: failure.hint(),
        }
    }
}

impl Fault for Told {
    fn id(&self) -> ErrorId {
        ErrorId::named(&self.error_id).unwrap_or(ErrorId::Bug)
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// What is handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandoverError {
    /// Nothing was.
    #[error("nothing was handed over: there is no `{}`", .0.display())]
    Absent(PathBuf),
    /// The note beside it is none.
    #[error("`{}` cannot be read", path.display())]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// What was staged is not what it was.
    #[error(
        "bundle {0} was fetched and verified, and is not whole any more: nothing of it was loaded"
    )]
    Changed(Sequence),
}

impl Fault for HandoverError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Absent(_) => ErrorId::InputMissing,
            Self::Damaged { .. } => ErrorId::StateDamaged,
            Self::Changed(_) => ErrorId::Incomplete,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Absent(_) => "run `mimeograph-populator fetch` first, with the same `artefacts.bundleDir`",
                Self::Damaged { .. } => "run `mimeograph-populator fetch` again: it writes all of it anew",
                Self::Changed(_) => {
                    "run `mimeograph-populator fetch` again, which brings what is missing; find out what wrote to `artefacts.bundleDir`"
                }
            }
            .into(),
        )
    }
}

/// A handover that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    draft: PathBuf,
}

impl Draft {
    /// Begins one. What was handed over before is dropped: a `fetch` that fails leaves nothing to be loaded.
    pub(crate) fn begin(bundle_dir: &Path) -> Result<Self, Failure> {
        let (folder, draft) = (bundle_dir.join(FOLDER), bundle_dir.join(DRAFT));
        for old in [&folder, &draft] {
            disk::remove(old).map_err(|source| DiskError::new(Action::Remove, old, source))?;
        }
        disk::create_folder(&draft.join(STORE), 0o700)?;
        Ok(Self { folder, draft })
    }

    /// The store; what is read of it is written down.
    pub(crate) fn record(&self, store: Arc<dyn Fetch>) -> Result<Box<dyn Fetch>, Failure> {
        let to = DirStore::open(&self.draft.join(STORE))?;
        Ok(Box::new(Recorder { store, to }))
    }

    /// From here on `load` finds it.
    pub(crate) fn finish(self, note: &Note) -> Result<(), Failure> {
        let path = self.draft.join(NOTE);
        let bytes = serde_json::to_vec(note).map_err(|source| HandoverError::Damaged {
            path: path.clone(),
            source,
        })?;
        disk::write_durably(&path, &bytes, 0o600)?;
        disk::rename(&self.draft, &self.folder)
            .map_err(|source| DiskError::new(Action::Write, &self.folder, source))?;
        Ok(())
    }
}

/// Opens what was handed over last.
pub(crate) fn open(bundle_dir: &Path) -> Result<(Box<dyn Fetch>, Note), Failure> {
    let folder = bundle_dir.join(FOLDER);
    let path = folder.join(NOTE);
    let Some(bytes) = disk::read_if_there(&path, NOTE_SIZE)? else {
        return Err(HandoverError::Absent(folder).into());
    };
    let note =
        serde_json::from_slice(&bytes).map_err(|source| HandoverError::Damaged { path, source })?;
    Ok((Box::new(DirStore::open(&folder.join(STORE))?), note))
}

/// A store, and what was read of it.
struct Recorder {
    store: Arc<dyn Fetch>,
    to: DirStore,
}

impl Fetch for Recorder {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.store.list(prefix, each)
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        let found = self.store.get(key, limit, into)?;
        // Of what is too long only a part was read.
        if found && into.len() as u64 <= limit {
            self.to.write_name(&key.to_string(), into)?;
        }
        Ok(found)
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.clock()
    }
}
