//! How often something was tried again, in all: progress lines tell how often while they ran.

use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Something is tried again.
pub fn note() {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

/// How often that was, since the program began.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}
