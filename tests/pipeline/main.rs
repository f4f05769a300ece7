//! The whole way, with the real programs.

mod commands;
mod face;
mod input;
mod lab;
mod round_trip;
mod user;
