//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod clock;
pub mod disk;
pub mod random;
pub mod store;
