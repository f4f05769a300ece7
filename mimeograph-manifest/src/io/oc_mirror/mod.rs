//! `oc-mirror` as it is: what the installed one can do, where it may run, and what a run really did. The argument
//! lists stand elsewhere, one file per side.

pub mod attempts;
pub mod auth;
pub mod environment;
pub mod error_files;
pub mod flags;
pub mod history;
pub mod image;
pub mod log;
pub mod mapping;
mod nature;
pub mod outcome;
pub mod outcome_error;
pub mod port;
pub mod private;
pub mod probe;
pub mod residue;
pub mod summary;

pub use crate::manifest::Generation;
