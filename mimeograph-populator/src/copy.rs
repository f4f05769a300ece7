//! The second copy of the state: what tells a lost volume from a first run.
//!
//! It lies outside `metadataDir` (`state.copy`): in the target registry, as `<namespace>/mimeograph-state:<stream id>`,
//! or in a folder. It counts by its own signatures alone. That it is absent is believed only where the registry says so
//! itself, or where the folder is there and the file is not.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::config::{Config, StateCopy};
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::limits;
use mimeograph_manifest::name::StreamId;
pub use mimeograph_manifest::state::{Document, StateError, VerifiedCopy};
use mimeograph_manifest::trust::TrustedKeys;

use crate::registry::artifact::Pulled;
use crate::registry::{Registry, RegistryError};

/// The repository's last component.
pub const REPOSITORY: &str = "mimeograph-state";
/// What the names of files end with.
const SUFFIX: &str = ".mimeograph-state";

/// Where the copies of this target's streams are.
#[derive(Debug)]
pub enum Copies {
    /// In the target registry.
    Registry {
        /// The registry.
        registry: Arc<Registry>,
        /// The repository, without the host.
        repository: String,
    },
    /// In a folder.
    Folder(PathBuf),
}

/// What was found for a stream.
#[derive(Debug)]
pub enum Found {
    /// Nothing, for sure.
    Absent,
    /// Something that does not count, and why.
    Unverified {
        /// Why.
        why: String,
    },
    /// A copy that counts.
    Verified(Box<VerifiedCopy>),
}

/// Why a copy can be neither read nor written.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The folder is not there.
    #[error("there is no folder `{}` for the state's copy (`state.copy`)", .0.display())]
    NoFolder(PathBuf),
    /// Its disk failed.
    #[error("failed to keep the state's copy")]
    Disk(#[source] DiskError),
    /// The registry does not answer, or refuses.
    #[error("failed to keep the state's copy `{place}`")]
    Registry {
        /// Where it is.
        place: String,
        /// What the registry said.
        source: RegistryError,
    },
    /// It cannot be understood, or not be made.
    #[error("failed to keep the state's copy `{place}`")]
    Document {
        /// Where it is.
        place: String,
        /// Why.
        source: StateError,
    },
}

impl Fault for CopyError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoFolder(_) => ErrorId::InputMissing,
            Self::Disk(error) => error.id(),
            Self::Registry { source, .. } => source.id(),
            Self::Document { source, .. } => source.id(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFolder(_) => Some("create it or mount it; a lost volume could not be told from a first run without it".into()),
            Self::Disk(error) => error.hint(),
            Self::Registry { source, .. } if source.id() == ErrorId::RegistryForbidden => Some(
                "let the credentials in `mirror.ocMirror.authFile` pull and push this repository (some registries want it to be \
                 made first), or keep the copy elsewhere: `state.copy: PATH` on another volume than `artefacts.metadataDir`, or \
                 `state.copy: none`"
                    .into(),
            ),
            Self::Registry { source, .. } => source.hint(),
            Self::Document { source, .. } => source.hint(),
        }
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry {
                registry,
                repository,
            } => write!(f, "{}/{repository}", registry.host()),
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

impl Copies {
    /// Where the configuration has them; `None` where it wants none.
    pub fn open(config: &Config) -> Result<Option<Self>, Failure> {
        Ok(match &config.state.copy {
            StateCopy::Registry => Some(Self::Registry {
                registry: Arc::new(Registry::of(config)?),
                repository: repository_in(config.target()?.namespace(), REPOSITORY),
            }),
            StateCopy::Folder(folder) => Some(Self::Folder(folder.to_path_buf())),
            StateCopy::None => None,
        })
    }

    /// Those of another namespace of the same registry; a folder has none.
    pub fn in_namespace(&self, namespace: &str) -> Option<Self> {
        match self {
            Self::Registry { registry, .. } => Some(Self::Registry {
                registry: Arc::clone(registry),
                repository: repository_in(namespace, REPOSITORY),
            }),
            Self::Folder(_) => None,
        }
    }

    /// What is there for a stream, judged by `trusted`.
    pub fn read(&self, stream: &StreamId, trusted: &TrustedKeys) -> Result<Found, Failure> {
        let bytes = match self.bytes(stream)? {
            Pulled::Absent => return Ok(Found::Absent),
            Pulled::Strange(why) => return Ok(Found::Unverified { why }),
            Pulled::Files(parts) => parts.concat(),
        };
        let document = Document::from_bytes(&bytes);
        // It is no more than a floor, and may be older than what was asked of signers since.
        let ever_trusted = trusted.as_floor();
        match document.and_then(|document| document.verify(stream, &ever_trusted)) {
            Ok(copy) => Ok(Found::Verified(Box::new(copy))),
            Err(source @ StateError::Newer(_)) => {
                let place = self.place(stream);
                Err(CopyError::Document { place, source }.into())
            }
            Err(error) => Ok(Found::Unverified { why: chain(&error) }),
        }
    }

    /// Puts a stream's copy in place of what is there.
    pub fn write(&self, stream: &StreamId, document: &Document) -> Result<(), Failure> {
        let place = || self.place(stream);
        let parts = document.to_parts().map_err(|source| CopyError::Document {
            place: place(),
            source,
        })?;
        match self {
            Self::Registry {
                registry,
                repository,
            } => {
                // A heartbeat alone leaves the first layer as it is: the registry has it.
                let names = ["content", "heartbeat"];
                let parts = parts.iter().map(Vec::as_slice);
                let files: Vec<_> = names.into_iter().zip(parts).collect();
                let pushed = registry.push_files(repository, &stream.to_string(), &files);
                pushed.map_err(|source| CopyError::Registry {
                    place: place(),
                    source,
                })?;
            }
            Self::Folder(folder) => {
                check_folder(folder)?;
                disk::write_durably(&folder.join(file_name(stream)), &parts.concat(), 0o644)
                    .map_err(CopyError::Disk)?;
            }
        }
        Ok(())
    }

    /// Whether [`Copies::write`] would be let, before anything is loaded that it is to record.
    pub fn check_writable(&self) -> Result<(), Failure> {
        match self {
            Self::Registry {
                registry,
                repository,
            } => Ok(registry
                .try_to_push(repository)
                .map_err(|source| CopyError::Registry {
                    place: self.to_string(),
                    source,
                })?),
            Self::Folder(folder) => {
                check_folder(folder)?;
                Ok(disk::check_writable(folder).map_err(CopyError::Disk)?)
            }
        }
    }

    /// The streams that have a copy here.
    pub fn streams(&self) -> Result<Vec<StreamId>, Failure> {
        let names = match self {
            Self::Registry {
                registry,
                repository,
            } => registry
                .tags(repository)
                .map_err(|source| CopyError::Registry {
                    place: self.to_string(),
                    source,
                })?
                .into_iter()
                .collect(),
            Self::Folder(folder) => files(folder)?,
        };
        // Signatures and the like may lie beside them.
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// A stream's copy, as people would name it.
    pub fn place(&self, stream: &StreamId) -> String {
        match self {
            Self::Registry { .. } => format!("{self}:{stream}"),
            Self::Folder(folder) => folder.join(file_name(stream)).display().to_string(),
        }
    }

    fn bytes(&self, stream: &StreamId) -> Result<Pulled, CopyError> {
        match self {
            Self::Registry {
                registry,
                repository,
            } => registry
                .pull_files(repository, &stream.to_string(), limits::STATE_STORED_SIZE)
                .map_err(|source| CopyError::Registry {
                    place: self.place(stream),
                    source,
                }),
            Self::Folder(folder) => {
                check_folder(folder)?;
                read_file(&folder.join(file_name(stream)))
            }
        }
    }
}

/// A repository of ours in a namespace of the registry.
pub fn repository_in(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

fn file_name(stream: &StreamId) -> String {
    format!("{stream}{SUFFIX}")
}

fn read_file(path: &Path) -> Result<Pulled, CopyError> {
    match disk::read_bounded(path, limits::STATE_STORED_SIZE) {
        Ok(bytes) => Ok(Pulled::Files(vec![bytes])),
        Err(DiskError::TooLong { .. }) => Ok(Pulled::Strange("it is too long".into())),
        Err(DiskError::Failed { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Pulled::Absent)
        }
        Err(error) => Err(CopyError::Disk(error)),
    }
}

fn check_folder(folder: &Path) -> Result<(), CopyError> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(CopyError::NoFolder(folder.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CopyError::NoFolder(folder.to_owned()))
        }
        Err(source) => Err(CopyError::Disk(DiskError::new(
            Action::Read,
            folder,
            source,
        ))),
    }
}

/// The names of the copies in a folder, without what they end with.
fn files(folder: &Path) -> Result<Vec<String>, CopyError> {
    check_folder(folder)?;
    let failed = |source| CopyError::Disk(DiskError::new(Action::Read, folder, source));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(stream) = name.to_string_lossy().strip_suffix(SUFFIX) {
            names.push(stream.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
