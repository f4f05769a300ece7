//! The stand-in against what the real one left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod additional;
mod environment;
mod first;
mod lab;
mod misdeeds;
mod recorded;
mod series;
