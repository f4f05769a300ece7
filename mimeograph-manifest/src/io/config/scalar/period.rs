//! Durations with units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::Mistake;

/// A length of time, written as numbers with units: `12h`, `90d`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u32);

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// A century: more is a slip, and sums with the present stay in range.
const LONGEST: u64 = 36_525 * 86_400;
const REMEDY: &str = "write numbers with the units d, h, m or s, such as `90d`, `12h` or `1h30m`";

impl Period {
    /// So many hours.
    pub(crate) const fn hours(hours: u32) -> Self {
        Self(hours * 3_600)
    }

    /// So many minutes.
    pub(crate) const fn minutes(minutes: u32) -> Self {
        Self(minutes * 60)
    }

    /// So many seconds; more than fit are the most.
    pub(crate) fn from_seconds(seconds: u64) -> Self {
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Whole seconds.
    pub fn seconds(self) -> u64 {
        self.0.into()
    }

    /// For time-outs.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// For sums with times of the format.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::from_secs(self.0.into())
    }
}

impl FromStr for Period {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Mistake::new("which has no unit", REMEDY));
        }
        let seconds = total(text).ok_or(Mistake::new("which is not a duration", REMEDY))?;
        u32::try_from(seconds)
            .ok()
            .filter(|_| seconds <= LONGEST)
            .map(Self)
            .ok_or(Mistake::new(
                "which is more than a century",
                "write a shorter duration",
            ))
    }
}

fn total(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let name = rest[end..].chars().next()?;
        // Each unit once, from the largest down.
        let (_, unit) = units.find(|(unit, _)| *unit == name)?;
        seconds = seconds.checked_add(number.checked_mul(*unit)?)?;
        rest = &rest[end + name.len_utf8()..];
    }
    (!text.is_empty()).then_some(seconds)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.seconds();
        for (name, unit) in UNITS {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        if self.0 == 0 {
            f.write_str("0s")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_and_written_back() {
        for (text, seconds) in [
            ("12h", 43_200),
            ("90d", 7_776_000),
            ("5m", 300),
            ("1h30m", 5_400),
            ("1d2h3m4s", 93_784),
            ("0s", 0),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.seconds(), seconds, "{text}");
            assert_eq!(period.to_string(), text);
        }
        assert_eq!("90m".parse::<Period>().unwrap().to_string(), "1h30m");
    }

    #[test]
    fn what_is_no_duration_says_how_to_write_one() {
        for (text, problem) in [
            ("12", "which has no unit"),
            ("", "which is not a duration"),
            ("h", "which is not a duration"),
            ("12 h", "which is not a duration"),
            ("12hours", "which is not a duration"),
            ("-5m", "which is not a duration"),
            ("1.5h", "which is not a duration"),
            ("30m1h", "which is not a duration"),
            ("1h1h", "which is not a duration"),
            ("5µ", "which is not a duration"),
            ("99999999999999999999d", "which is not a duration"),
            ("36526d", "which is more than a century"),
        ] {
            assert_eq!(
                text.parse::<Period>().unwrap_err().problem,
                problem,
                "{text}"
            );
        }
    }
}
