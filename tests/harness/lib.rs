//! The harness.

pub mod s3;
