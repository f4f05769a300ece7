//! The harness: what the tests of the whole way stand on.

pub mod faults;
pub mod gap;
pub mod registry;
pub mod s3;
pub mod servers;
pub mod wrap;
