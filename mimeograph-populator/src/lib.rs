//! The disconnected side: store -> verified manifest -> turn -> verified bundle -> `oc-mirror` -> registry.
//!
//! ```text
//!      store
//!        |  open       list, read bounded, verify signatures over the exact bytes, then parse
//!        v
//!  Verified<Manifest>
//!        |  ledger     stream, chain, fork, rollback, gap: whose turn is it
//!        v
//!       Turn
//!        |  verified   image set and inventory first; room; then every chunk: bound, hash, decompress,
//!        |             hash; every archive read to its end, compared with the signed inventory, and judged
//!        v
//!  VerifiedBundle
//!        |  load       oc-mirror, disk to mirror, in a folder that holds this and nothing else;
//!        |             judged; every destination asked for its signed digest
//!        v
//!      state           recorded last
//! ```

// the stages, in the order in which data flows
mod open;

mod ledger;

mod fetch;

mod wished;

pub mod verified;

mod deliver;

mod load;

mod resources;

// what holds them together, and what they stand on
pub mod artifact;
pub mod copy;
mod oc_mirror;
pub mod populate;
mod read;
pub mod registries;
pub mod registry;

// the other commands
pub mod check;
pub mod cli;
pub mod list;
pub mod unpack;
pub mod verify;
