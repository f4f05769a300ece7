//! The whole way, with the real programs.

mod lab;
mod round_trip;
