//! The connected side: configuration -> `oc-mirror` -> archives -> chunks in the store -> signed manifest.
//!
//! ```text
//!  ImageSetConfiguration
//!          |  mirror     oc-mirror, mirror to disk; judged; archives read, but for what is large
//!          v
//!      archives --------- outbox: out of oc-mirror's reach at once
//!          |  inspect    inventory, closure, the wish
//!          v
//!      inventory
//!          |  ship       cut, hash, hold blobs against their names, compress where it pays, put what the store lacks
//!          v
//!       chunks
//!          |  seal       sign; signature, then manifest, last of all
//!          v
//!       bundle
//! ```
//!
//! Whatever `oc-mirror` recorded as shipped is shipped, or its record is set back: the journal says
//! how far the last run came, and a run begins by finishing that.

// the stages, in the order in which data flows
mod head;

mod travelling;

mod mirror;

mod outbox;

mod inspect;

pub mod ship;

mod describe;

mod seal;

// what holds them together, and what they stand on
mod base;
mod blame;
mod buffers;
mod bundle;
mod charts;
pub mod held;
mod history;
mod journal;
mod kept;
mod mend;
mod oc_mirror;
mod restore;
mod resume;
mod unchanged;
mod update_service;
mod v1;

// the other commands
pub mod ack;
pub mod acknowledged;
mod check;
pub mod check_store;
pub mod cli;
pub mod diff;
pub mod export;
pub mod list;
pub mod plan;
pub mod prune;
mod sign;

pub use bundle::{Bundled, Request, bundle};
pub use mirror::PartialRuns;
