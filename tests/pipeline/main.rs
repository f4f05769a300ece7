//! The whole way, with the real programs.

mod client;
mod full;
mod lab;
mod round_trip;
