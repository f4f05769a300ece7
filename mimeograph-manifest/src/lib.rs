#![doc = include_str!("../FORMAT.md")]

pub mod archive;
pub mod catalog;
pub mod chart;
pub mod chunk;
pub mod digest;
pub mod failure;
pub mod form;
pub mod imageset;
pub mod inventory;
pub mod key;
pub mod layout;
pub mod limits;
pub mod manifest;
pub mod media;
pub mod name;
pub mod pruned;
pub mod receipt;
pub mod release;
pub mod signed;
pub mod state;
mod text;
pub mod time;
pub mod trust;
pub mod wish;
mod yaml;

#[cfg(feature = "io")]
pub mod io;
