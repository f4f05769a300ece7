//! This machine's clock.

use crate::time::Timestamp;

/// Now, in whole seconds.
pub fn now() -> Timestamp {
    Timestamp::from_unix(jiff::Timestamp::now().as_second())
}

#[cfg(test)]
mod tests {
    #[test]
    fn now_is_after_this_was_written() {
        assert!(super::now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }
}
