//! The whole way, with the real programs.

mod commands;
mod face;
mod input;
mod lab;
mod random_user;
mod round_trip;
mod travelling;
mod user;
