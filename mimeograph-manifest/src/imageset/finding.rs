//! What an image set asks for and does not get, with the line that asks and the remedy.

use std::fmt;

use serde::Serialize;

use super::model::Place;

/// One thing that is asked for and not there, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The line of the image set that asks for it.
    pub at: Place,
    /// What is missing or wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// A finding.
    pub fn new(at: Place, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            at,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.at, self.problem, self.remedy)
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut finding = serializer.serialize_struct("Finding", 4)?;
        finding.serialize_field("line", &self.at.line)?;
        finding.serialize_field("column", &self.at.column)?;
        finding.serialize_field("problem", &self.problem)?;
        finding.serialize_field("remedy", &self.remedy)?;
        finding.end()
    }
}

/// Several, in the order of the image set's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Puts them in order.
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort();
        findings.dedup();
        Self(findings)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Those that one line of a log can take.
        const SHOWN: usize = 5;
        for (index, finding) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{finding}", if index > 0 { " | " } else { "" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " | and {more} more"),
        }
    }
}
