//! The whole way, with the real programs.

mod input;
mod lab;
mod round_trip;
mod user;
