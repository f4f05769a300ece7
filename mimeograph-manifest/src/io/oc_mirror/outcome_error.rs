//! An outcome as an error with a name.

use crate::failure::{ErrorId, Fault};
use crate::io::process::Status;

use super::image::{Category, FailedImage};
use super::nature::is_login;
use super::outcome::{Failed, Outcome, Partial};

/// References that are named in one line.
const NAMED: usize = 5;

/// What went wrong in a run of `oc-mirror`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// It failed as a whole.
    #[error("`oc-mirror` {how}: {reason}")]
    Failed {
        /// How it ended.
        how: String,
        /// Why.
        reason: String,
        /// Its name.
        id: ErrorId,
    },
    /// Images are missing.
    #[error("`oc-mirror` did not mirror {what}")]
    Partial {
        /// What is missing.
        what: String,
        /// Its name.
        id: ErrorId,
    },
    /// What the image set asks for was left out with a warning.
    #[error("`oc-mirror` left out what the image set asks for: {what}")]
    LeftOut {
        /// Its warnings.
        what: String,
        /// Its name.
        id: ErrorId,
    },
    /// We were told to stop.
    #[error("interrupted while `oc-mirror` was running")]
    Interrupted,
    /// Its time was up.
    #[error("`oc-mirror` did not end in its time")]
    TimedOut,
}

impl Outcome {
    /// The error that it is, for one that is neither clean nor idle.
    pub fn error(&self) -> Option<OutcomeError> {
        match self {
            Self::Clean | Self::NothingToDo => None,
            Self::Partial(partial) => Some(OutcomeError::of_partial(partial)),
            Self::Failed(failed) => Some(OutcomeError::of_failed(failed)),
            Self::Interrupted => Some(OutcomeError::Interrupted),
            Self::TimedOut => Some(OutcomeError::TimedOut),
        }
    }
}

impl OutcomeError {
    fn of_failed(failed: &Failed) -> Self {
        let id = if failed.no_space {
            ErrorId::NoSpace
        } else if failed.retryable {
            ErrorId::OcMirrorUnfinished
        } else {
            ErrorId::OcMirrorFailed
        };
        Self::Failed {
            how: how(failed.status, &failed.categories),
            reason: failed.reason.clone(),
            id,
        }
    }

    fn of_partial(partial: &Partial) -> Self {
        if !partial.lost.is_empty() {
            return Self::LeftOut {
                what: some(partial.lost.iter().map(String::as_str), partial.lost.len()),
                id: if partial.retryable {
                    ErrorId::OcMirrorUnfinished
                } else {
                    ErrorId::ImagesetUnsatisfied
                },
            };
        }
        let listed = partial.failed.len();
        let all = listed.max(usize::try_from(partial.missing).unwrap_or(usize::MAX));
        let references = partial.failed.iter().map(
            |FailedImage {
                 reference, error, ..
             }| { (reference.as_str(), error.as_str()) },
        );
        let named: Vec<String> = references
            .take(NAMED)
            .map(|(reference, error)| format!("`{reference}` ({error})"))
            .collect();
        Self::Partial {
            id: if partial.retryable {
                ErrorId::OcMirrorUnfinished
            } else {
                ErrorId::Partial
            },
            what: match all.saturating_sub(named.len()) {
                0 => named.join(", "),
                more if named.is_empty() => format!("{more} images"),
                more => format!("{}, and {more} more", named.join(", ")),
            },
        }
    }
}

fn some<'a>(texts: impl Iterator<Item = &'a str>, all: usize) -> String {
    let named: Vec<String> = texts.take(NAMED).map(|text| format!("`{text}`")).collect();
    match all.saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{}, and {more} more", named.join(", ")),
    }
}

fn how(status: Status, categories: &[Category]) -> String {
    match status {
        Status::Killed(signal) => format!("was killed by signal {signal}"),
        Status::Exited(status) => {
            let names: Vec<&str> = categories
                .iter()
                .map(|category| category.as_str())
                .collect();
            if names.is_empty() {
                format!("failed (status {status})")
            } else {
                format!("failed (status {status}: {})", names.join(", "))
            }
        }
    }
}

impl Fault for OutcomeError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Failed { id, .. } | Self::Partial { id, .. } | Self::LeftOut { id, .. } => *id,
            Self::Interrupted => ErrorId::Interrupted,
            Self::TimedOut => ErrorId::OcMirrorUnfinished,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { reason, .. } if reason.contains(".sig in localhost:") => Some(
                "an image has no cosign signature at its source: `mirror.ocMirror.removeSignatures: ifMissing` mirrors such \
                 releases without any"
                    .into(),
            ),
            Self::Failed {
                id: ErrorId::NoSpace,
                ..
            } => Some("free space where `artefacts.bundleDir` and `artefacts.cacheDir` lie".into()),
            Self::Failed { reason: text, .. } | Self::Partial { what: text, .. } if is_login(text) => Some(
                "check the registry's entry in `mirror.ocMirror.authFile`; `check` says where credentials are read from"
                    .into(),
            ),
            Self::Partial {
                id: ErrorId::Partial,
                ..
            } => Some(
                "where they were to be mirrored: correct what asks for them, or take it out, or, where `oc-mirror` writes an \
                 archive all the same (4.17), publish it with `mimeograph-bundler run --allow-partial`; where they were to be \
                 loaded: see the log for what the target says, and run again"
                    .into(),
            ),
            Self::LeftOut {
                id: ErrorId::ImagesetUnsatisfied,
                ..
            } => Some(
                "correct what asks for it in the image set; if it is right, look in the log why it was passed over"
                    .into(),
            ),
            Self::LeftOut { .. } => Some("look whether their registry answers".into()),
            Self::TimedOut => Some(
                "its cache keeps what it has copied, so that the next run gets further; raise \
                 `mirror.ocMirror.timeout` if that is not enough"
                    .into(),
            ),
            Self::Failed { .. } | Self::Partial { .. } | Self::Interrupted => None,
        }
    }
}
