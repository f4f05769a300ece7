//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod dir;
pub mod location;
#[cfg(feature = "s3")]
pub mod s3;
pub mod store;
