//! Instants as the format writes them: UTC, whole seconds.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp as Instant};

use crate::text::as_text;

/// An instant, written `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339) and in no other way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Instant);

impl Timestamp {
    /// From seconds since 1970; beyond the years 1970 to 9999 it stays at the end.
    pub fn from_unix(seconds: i64) -> Self {
        let seconds = seconds.clamp(0, 253_402_207_200);
        Self(Instant::from_second(seconds).unwrap_or(Instant::UNIX_EPOCH))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0.as_second()
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, duration: SignedDuration) -> Self {
        Self::from_unix(self.unix().saturating_add(duration.as_secs()))
    }

    /// The time from `earlier` to this, negative where it is the other way round.
    pub fn since(self, earlier: Self) -> SignedDuration {
        SignedDuration::from_secs(self.unix() - earlier.unix())
    }
}

/// Not `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time as `2026-01-31T23:59:59Z`")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parsed = Self::from_unix(
            text.parse::<Instant>()
                .map_err(|_| TimestampError)?
                .as_second(),
        );
        // One instant, one spelling.
        (parsed.to_string() == text)
            .then_some(parsed)
            .ok_or(TimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}
as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_has_one_spelling() {
        assert_eq!(
            "2026-11-24T01:49:38Z".parse::<Timestamp>().unwrap().unix(),
            1_795_484_978
        );
        for wrong in [
            "2026-11-24T01:49:38.0Z",
            "2026-11-24T01:49:38+00:00",
            "2026-11-24 01:49:38Z",
            "2026-11-24T01:49Z",
            "2026-13-24T01:49:38Z",
            "1969-01-01T00:00:00Z",
        ] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(TimestampError), "{wrong}");
        }
    }

    #[test]
    fn times_are_counted_in_seconds_both_ways() {
        let at = Timestamp::from_unix;
        assert_eq!(at(1000).unix(), 1000);
        assert_eq!(at(1000).since(at(400)).as_secs(), 600);
        assert_eq!(at(400).since(at(1000)).as_secs(), -600);
        assert_eq!(at(400).plus(SignedDuration::from_secs(600)), at(1000));
        assert_eq!(at(-1), at(0));
        assert_eq!(at(i64::MAX), at(253_402_207_200));
    }
}
