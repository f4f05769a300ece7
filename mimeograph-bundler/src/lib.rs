//! The connected side.

mod buffers;
mod head;
mod journal;
mod mirror;
mod oc_mirror;
mod outbox;
mod seal;
mod ship;
mod travelling;
mod v1;
