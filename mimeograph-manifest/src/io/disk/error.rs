//! What goes wrong with files, and what it is called.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{ErrorId, Fault};

/// What was tried with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opening or reading what should be there.
    Read,
    /// Making a file, a folder or a name.
    Create,
    /// Writing into what is open, or making it last.
    Write,
    /// Removing.
    Remove,
    /// Locking.
    Lock,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

/// What goes wrong with files and folders.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system said no.
    #[error("failed to {action} `{path}`")]
    Failed {
        /// What was tried.
        action: Action,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More bytes than such a file may have.
    #[error("`{path}` is longer than {limit} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What it may have.
        limit: u64,
    },
    /// Another run holds the lock.
    #[error("another run holds the lock `{path}`: {holder}")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as written in the file.
        holder: String,
    },
}

impl DiskError {
    /// A system error, with what was tried and on what.
    pub fn new(action: Action, path: &Path, source: io::Error) -> Self {
        Self::Failed {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// The name of what the system said when `action` was tried. Only what may pass by itself is [`ErrorId::Io`].
pub fn id_of(action: Action, source: &io::Error) -> ErrorId {
    use io::ErrorKind as Kind;
    match (source.kind(), action) {
        (Kind::StorageFull | Kind::QuotaExceeded, _) => ErrorId::NoSpace,
        // sysexits.h, EX_NOINPUT: "did not exist or was not readable". A folder lies where podman was to
        // mount a file that was not there.
        (
            Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::PermissionDenied,
            Action::Read,
        ) => ErrorId::InputMissing,
        (
            Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotFound
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::AlreadyExists,
            _,
        ) => ErrorId::CannotCreate,
        _ => ErrorId::Io,
    }
}

/// What to do about what may not be reached.
pub(crate) fn closed_to_us() -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!(
        "check the owner and the permissions of it and of the folders above it: they are closed to uid {uid}, which this runs as"
    )
}

impl Fault for DiskError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Failed { action, source, .. } => id_of(*action, source),
            Self::TooLong { .. } => ErrorId::StateDamaged,
            Self::Locked { .. } => ErrorId::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { .. } => Some(
                "wait for it to end; the lock goes with its process, and the file may stay".into(),
            ),
            Self::Failed { source, action, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room there, then run the same command again".into())
                }
                io::ErrorKind::PermissionDenied => Some(closed_to_us()),
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("it lies on a read-only file system: mount it so that it can be written to, or name another place".into())
                }
                io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::AlreadyExists
                    if *action != Action::Read =>
                {
                    Some("something else lies there: move it away, or name another place".into())
                }
                _ => None,
            },
            Self::TooLong { .. } => None,
        }
    }
}
