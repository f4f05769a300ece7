//! What a command has to say when it succeeded.

use std::fmt;

use serde::Serialize;

use crate::failure::{ErrorId, Failure, Fault};

/// The result of a command that succeeded: one word for it, and itself for people and for programs.
#[derive(Debug)]
pub struct Report {
    pub(super) outcome: &'static str,
    pub(super) text: String,
    pub(super) result: Option<serde_json::Value>,
    pub(super) failure: Option<Failure>,
}

impl Report {
    /// A result of one word (`published`, `waiting`, `nothing to do`), and what is said to people.
    pub fn new(outcome: &'static str, text: impl fmt::Display) -> Self {
        Self {
            outcome,
            text: text.to_string(),
            result: None,
            failure: None,
        }
    }

    /// Makes it the result of a command that failed and has more to say than why.
    #[must_use]
    pub fn but(mut self, failure: impl Into<Failure>) -> Self {
        self.failure = Some(failure.into());
        self
    }

    /// Adds what `--output json` shows under `result`.
    pub fn with(mut self, result: &impl Serialize) -> Result<Self, ReportError> {
        self.result = Some(serde_json::to_value(result)?);
        Ok(self)
    }
}

/// A result that JSON cannot hold, for instance with keys that are not texts.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the result as JSON")]
pub struct ReportError(#[from] serde_json::Error);

impl Fault for ReportError {
    fn id(&self) -> ErrorId {
        ErrorId::Bug
    }
}
