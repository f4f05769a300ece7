//! The whole way, with the real programs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod client;
mod commands;
mod face;
mod full;
#[cfg(feature = "real-images")]
mod images;
mod input;
mod lab;
mod media;
mod metrics;
mod papers;
mod parts;
mod random_user;
mod rights;
mod round_trip;
mod tamper;
mod travelling;
mod trouble;
mod user;
mod wish;
