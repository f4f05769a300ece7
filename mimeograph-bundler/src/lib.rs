//! The connected side: configuration -> `oc-mirror` -> archives -> chunks in the store -> signed manifest.
//!
//! ```text
//!  ImageSetConfiguration
//!          |  mirror     oc-mirror, mirror to disk; judged; archives read to their end
//!          v
//!      archives --------- outbox: out of oc-mirror's reach at once
//!          |  inspect    inventory, closure, the wish
//!          v
//!      inventory
//!          |  ship       cut, hash, compress where it pays, put what the store lacks
//!          v
//!       chunks
//!          |  seal       sign; signature, then manifest, last of all
//!          v
//!       bundle
//! ```
//!
//! Whatever `oc-mirror` recorded as shipped is shipped, or its record is set back: the journal says
//! how far the last run came, and a run begins by finishing that.

mod buffers;
mod bundle;
pub mod check;
pub mod cli;
mod head;
mod history;
mod inspect;
mod journal;
pub mod keygen;
pub mod list;
mod mirror;
mod oc_mirror;
mod outbox;
mod seal;
mod ship;
mod travelling;
mod v1;

pub use bundle::{Bundled, Request, bundle};
pub use mirror::PartialRuns;
