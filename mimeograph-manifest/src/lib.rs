//! What both sides of the gap agree on.

pub mod digest;
pub mod failure;
pub mod layout;
pub mod limits;
pub mod name;
mod text;
pub mod time;

#[cfg(feature = "io")]
pub mod io;
