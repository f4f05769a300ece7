//! Killed, out of space, or refused by the disk at every step that changes something: the next run ends where an
//! undisturbed one does. And a stream under everything that may happen to it.
//!
//! `cargo test` takes a few of the many cases. `MIMEOGRAPH_CRASH=full` before it takes all of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod end;
mod form;
mod ground;
mod matrix;
mod meanwhile;
mod oc_mirror;
mod random;
mod scenario;
mod small_disk;
mod sources;
mod stream;
mod v1;
