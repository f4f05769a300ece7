//! The disconnected side: store -> verified manifest -> turn -> verified bundle -> `oc-mirror` -> registry.
//!
//! ```text
//!      store
//!        |  open       list, read bounded, verify signatures over the exact bytes, then parse
//!        v
//!  Verified<Manifest>
//!        |  ledger     stream, chain, fork, rollback: what became of every bundle here
//!        v
//!      Course         the newest that can be applied, and what must be in the cache before it; or GAP
//!        |  verified   image set and inventory first; room; then every chunk: bound, hash, decompress,
//!        |             hash; every archive read to its end, compared with the signed inventory, and judged
//!        v
//!  VerifiedBundle
//!        |  merge      older ones give their blobs to oc-mirror's cache
//!        |  load       oc-mirror, disk to mirror, in a folder that holds this and nothing else;
//!        |             judged; every destination asked for its signed digest
//!        v
//!      state           recorded last, here and in a second copy
//! ```

// the stages, in the order in which data flows
mod open;

mod ledger;

mod origin;

mod course;

pub mod fetch;

mod wished;

pub mod verified;

mod deliver;

mod merge;

mod load;

mod resources;

mod placed;

mod receipt;

// what holds them together, and what they stand on
mod apply;
mod approvals;
mod cache;
pub mod copy;
mod fresh;
mod gather;
mod handover;
mod known;
mod late;
mod oc_mirror;
pub mod populate;
mod read;
mod record;
pub mod registries;
pub mod registry;
mod standing;
mod told;

// the other commands
mod adopt;
mod approve;
pub mod check;
pub mod cli;
pub mod import;
pub mod list;
mod plan;
pub mod prune;
mod retired;
mod trim;
mod trust;
pub mod unpack;
pub mod verify;
mod whereabouts;

#[cfg(test)]
mod sample;
