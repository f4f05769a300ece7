//! The door to disk, network and processes. Nothing in the core may name what lies behind it.

pub mod age;
pub mod approval;
pub mod archives;
pub mod checks;
pub mod clock;
pub mod config;
pub mod console;
pub mod dir;
pub mod disk;
pub mod failpoint;
pub mod fetched;
pub mod imageset;
pub mod interrupt;
pub mod keygen;
pub mod keys;
pub mod landing;
pub mod listing;
pub mod location;
pub mod locks;
pub mod oc_mirror;
mod open;
pub mod paper;
pub mod process;
pub mod random;
pub mod release_keys;
pub mod retries;
#[cfg(feature = "s3")]
pub mod s3;
pub mod store;
pub mod throttle;
pub mod volumes;
pub mod workers;
pub mod working_dir;
