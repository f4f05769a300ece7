//! The whole way, with the real programs.

mod client;
mod lab;
mod round_trip;
