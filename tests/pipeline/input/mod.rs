//! What a user gets wrong is named: file, field and value, and what to do. Nothing is lost by it, and nothing
//! half-written is left.

mod config;
mod disk;
mod imageset;
mod keys;
