//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod fetched;
pub mod listing;
pub mod interrupt;
pub mod oc_mirror;
pub mod process;
pub mod store;
