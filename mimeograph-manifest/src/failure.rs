//! Failures have names: each outcome has one stable error id and one exit status, the same in both programs.

use std::error::Error;
use std::fmt;

use serde::Serialize;

macro_rules! error_ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $exit:ident;)+) => {
        /// The stable name of a failure. Scripts and alarms may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorId { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorId {
            /// Every id, for the table in the README and the test that holds it.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The id as it is printed, `CHUNK_DAMAGED` for instance.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The id that is printed so.
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|id| id.as_str() == text)
            }

            /// The exit status that goes with it.
            pub fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit,)+ }
            }
        }
    };
}

error_ids! {
    /// The command line is wrong.
    Usage = "USAGE", Usage;
    /// A chunk has its full length and another digest than signed.
    ChunkDamaged = "CHUNK_DAMAGED", Damaged;
    /// A signed manifest is not in the one form that the format allows.
    ManifestMalformed = "MANIFEST_MALFORMED", Damaged;
    /// An archive ends early, has no end marker, or a blob differs from its name.
    ArchiveDamaged = "ARCHIVE_DAMAGED", Damaged;
    /// An archive holds an entry that `oc-mirror` does not write.
    ArchiveEntryRefused = "ARCHIVE_ENTRY_REFUSED", Damaged;
    /// What the archives hold is not what the signed inventory says.
    InventoryMismatch = "INVENTORY_MISMATCH", Damaged;
    /// An image needs a blob that neither this bundle nor those before it carry.
    NotClosed = "NOT_CLOSED", Damaged;
    /// A state, journal or history file of our own cannot be read.
    StateDamaged = "STATE_DAMAGED", Damaged;
    /// Something that a stream names is missing from its store, or damaged there.
    StoreDamaged = "STORE_DAMAGED", Damaged;
    /// No configuration file at any of its places.
    ConfigMissing = "CONFIG_MISSING", MissingInput;
    /// A file, directory, bucket or bundle that was named is not there.
    InputMissing = "INPUT_MISSING", MissingInput;
    /// No signing or trusted key at its place.
    KeyMissing = "KEY_MISSING", MissingInput;
    /// No `oc-mirror` to run.
    OcMirrorMissing = "OC_MIRROR_MISSING", MissingInput;
    /// The store does not answer, after our own tries.
    StoreUnreachable = "STORE_UNREACHABLE", Unavailable;
    /// The target registry does not answer, after our own tries.
    RegistryUnreachable = "REGISTRY_UNREACHABLE", Unavailable;
    /// A fault in this program.
    Bug = "BUG", Bug;
    /// Not enough space for what the run needs.
    NoSpace = "NO_SPACE", CannotCreate;
    /// A file or directory cannot be created.
    CannotCreate = "CANNOT_CREATE", CannotCreate;
    /// Reading or writing failed.
    Io = "IO", Io;
    /// Another run holds the lock.
    Locked = "LOCKED", NotNow;
    /// Stopped by SIGTERM or SIGINT.
    Interrupted = "INTERRUPTED", NotNow;
    /// The last run has to be finished first.
    Unfinished = "UNFINISHED", NotNow;
    /// The bundle is still arriving.
    Incomplete = "INCOMPLETE", NotNow;
    /// Too few of several required signatures are there yet.
    PendingApproval = "PENDING_APPROVAL", NotNow;
    /// The format is newer than this program.
    TooNew = "TOO_NEW", TooNew;
    /// No trusted signature covers these bytes.
    Untrusted = "UNTRUSTED", Untrusted;
    /// The bundle belongs to another stream than the one that is followed.
    WrongStream = "WRONG_STREAM", Untrusted;
    /// The bundle is for other enclaves.
    WrongAudience = "WRONG_AUDIENCE", Untrusted;
    /// The newest manifest has expired.
    Expired = "EXPIRED", Untrusted;
    /// The store refuses our credentials or the operation.
    StoreForbidden = "STORE_FORBIDDEN", Untrusted;
    /// The registry refuses our credentials.
    RegistryForbidden = "REGISTRY_FORBIDDEN", Untrusted;
    /// The configuration is invalid.
    ConfigInvalid = "CONFIG_INVALID", Config;
    /// A key file is not what it must be.
    KeyInvalid = "KEY_INVALID", Config;
    /// The configuration is for the other program.
    WrongOperation = "WRONG_OPERATION", Config;
    /// The image set cannot be used.
    ImagesetInvalid = "IMAGESET_INVALID", Config;
    /// The two sides run versions of `oc-mirror` that do not fit.
    VersionMismatch = "VERSION_MISMATCH", Config;
    /// `mirror.localDir` differs between the two sides.
    LocalDirDiffers = "LOCAL_DIR_DIFFERS", Config;
    /// Nothing fresh, or a bundle incomplete, for too long.
    Stale = "STALE", Stale;
    /// A bundle that is needed first is missing.
    Gap = "GAP", Gap;
    /// Older than what was accepted before.
    Rollback = "ROLLBACK", Rollback;
    /// Two different manifests claim one place in the stream.
    Fork = "FORK", Fork;
    /// Our own state is gone, or the store is not the one we wrote to.
    StateLost = "STATE_LOST", StateLost;
    /// `oc-mirror` failed, and trying again will not help.
    OcMirrorFailed = "OC_MIRROR_FAILED", OcMirror;
    /// The bundle would not hold what the image set asks for.
    ImagesetUnsatisfied = "IMAGESET_UNSATISFIED", OcMirror;
    /// The target registry does not answer with the signed digests.
    TargetMismatch = "TARGET_MISMATCH", OcMirror;
    /// `oc-mirror` failed in a way that may pass.
    OcMirrorUnfinished = "OC_MIRROR_UNFINISHED", OcMirrorRetry;
    /// Some images failed, so nothing is published.
    Partial = "PARTIAL", Partial;
    /// A clock is wrong.
    Clock = "CLOCK", Clock;
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Exit statuses. 64 to 78 follow sysexits.h where it has a word for the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, nothing to do, or waiting: the result says which.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Damaged or mismatching content.
    Damaged = 65,
    /// A named input is missing.
    MissingInput = 66,
    /// Store or registry unreachable after our own tries.
    Unavailable = 69,
    /// A bug, panics included.
    Bug = 70,
    /// No space, cannot create.
    CannotCreate = 73,
    /// Input/output error.
    Io = 74,
    /// Not now: lock held, SIGTERM, still arriving, approval pending.
    NotNow = 75,
    /// Format newer than this program.
    TooNew = 76,
    /// Not trusted, or forbidden.
    Untrusted = 77,
    /// Configuration invalid, or versions that do not fit.
    Config = 78,
    /// Stale.
    Stale = 79,
    /// Gap.
    Gap = 80,
    /// Rollback.
    Rollback = 81,
    /// Fork.
    Fork = 82,
    /// Own state lost.
    StateLost = 83,
    /// oc-mirror failed, and trying again will not help; image set unsatisfied.
    OcMirror = 84,
    /// oc-mirror failed, worth another try.
    OcMirrorRetry = 85,
    /// Partial mirror, not published.
    Partial = 86,
    /// Clock.
    Clock = 87,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether the same command may succeed later with nothing changed by a person.
    pub fn is_worth_retrying(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Io | Self::NotNow | Self::OcMirrorRetry
        )
    }
}

/// An error that knows its name. Each module's error enum implements it.
pub trait Fault: Error + Send + Sync + 'static {
    /// Its stable name.
    fn id(&self) -> ErrorId;

    /// What the operator can do about it, where that is known.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Any module's error, on its way to the command line.
#[derive(Debug)]
pub struct Failure(Box<dyn Fault>);

impl Failure {
    /// The stable name.
    pub fn id(&self) -> ErrorId {
        self.0.id()
    }

    /// The hint.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl<F: Fault> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self(Box::new(fault))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The whole chain on one line, cause after cause.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl Failure {
    /// The error itself, to walk its causes.
    pub fn as_error(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_failures_share_a_name() {
        let names: HashSet<_> = ErrorId::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(names.len(), ErrorId::ALL.len());
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retried() {
        let retried: HashSet<_> = ErrorId::ALL
            .iter()
            .filter(|id| id.exit().is_worth_retrying())
            .map(|id| id.exit().code())
            .collect();
        assert_eq!(retried, HashSet::from([69, 74, 75, 85]));
    }
}
