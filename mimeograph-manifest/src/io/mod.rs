//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod clock;
pub mod config;
pub mod console;
pub mod disk;
pub mod location;
pub mod random;
pub mod store;
