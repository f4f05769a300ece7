//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod dir;
pub mod location;
pub mod store;
