//! A limit on what crosses the network in a second. Whole chunks wait for their turn, so that it holds over a few of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes a second, shared by all that move them; or none.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Bytes a second; 0 for no limit.
    rate: u64,
    /// When what has been let through is through.
    free: Mutex<Option<Instant>>,
}

impl Throttle {
    /// So many bytes a second; `None` for no limit.
    pub fn new(rate: Option<u64>) -> Self {
        Self {
            rate: rate.unwrap_or_default(),
            free: Mutex::new(None),
        }
    }

    /// Waits until so many bytes may be moved.
    pub fn wait_for(&self, bytes: u64) {
        let pause = self.turn(Instant::now(), bytes);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }

    /// How long it is until the turn of so many bytes, which is theirs from then on.
    fn turn(&self, now: Instant, bytes: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free.unwrap_or(now).max(now);
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        *free = begins.checked_add(takes);
        begins - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_for_those_before_it_and_nobody_saves_up() {
        let throttle = Throttle::new(Some(100));
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(throttle.turn(now, 200), Duration::ZERO);
        assert_eq!(throttle.turn(now, 100), Duration::from_secs(2));
        assert_eq!(throttle.turn(at(1), 100), Duration::from_secs(2));
        // After a pause there is no more than there would have been.
        assert_eq!(throttle.turn(at(60), 500), Duration::ZERO);
        assert_eq!(throttle.turn(at(60), 1), Duration::from_secs(5));
        let none = Throttle::new(None);
        none.turn(now, u64::MAX);
        assert_eq!(none.turn(now, 1), Duration::ZERO);
    }
}
