//! The whole way, with the real programs.

mod client;
mod commands;
mod full;
mod input;
mod lab;
mod round_trip;
mod user;
