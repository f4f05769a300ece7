//! `oc-mirror` as it is: what the installed one can do, where it may run, and what a run really did. The argument
//! lists stand elsewhere, one file per side.

pub mod auth;
pub mod environment;
pub mod flags;
pub mod port;
pub mod private;
pub mod probe;

pub use crate::manifest::Generation;
