//! Sizes with units.

use std::fmt;
use std::str::FromStr;

use super::Mistake;
use crate::limits;

/// The largest size of a chunk, from 1 MiB to 32 MiB, written with its unit: `32MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkSize(u32);

const REMEDY: &str = "write a size from `1MiB` to `32MiB`, with the unit KiB or MiB";
const SMALLEST: u64 = 1 << 20;

impl ChunkSize {
    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.0.into()
    }
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self(32 << 20)
    }
}

impl FromStr for ChunkSize {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Mistake::new("which has no unit", REMEDY));
        }
        let bytes = bytes(text).ok_or(Mistake::new("which is not a size", REMEDY))?;
        u32::try_from(bytes)
            .ok()
            .filter(|_| (SMALLEST..=limits::CHUNK_SIZE).contains(&bytes))
            .map(Self)
            .ok_or(Mistake::new("which is out of bounds", REMEDY))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let unit: u64 = match &text[end..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(unit)
}

/// Bytes a second, written with their unit: `200MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth(u64);

const RATE_REMEDY: &str = "write a rate from `64KiB/s` on, with the unit KiB/s, MiB/s or GiB/s";
const SLOWEST: u64 = 64 << 10;

impl Bandwidth {
    /// Bytes a second.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Bandwidth {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let rate = text.strip_suffix("/s").and_then(bytes);
        let rate = rate.ok_or(Mistake::new("which is not a rate", RATE_REMEDY))?;
        Some(rate)
            .filter(|rate| *rate >= SLOWEST)
            .map(Self)
            .ok_or(Mistake::new("which is out of bounds", RATE_REMEDY))
    }
}

impl fmt::Display for ChunkSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(unit, _)| self.0.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_written_back() {
        for (text, bytes) in [
            ("32MiB", 32 << 20),
            ("1MiB", 1 << 20),
            ("1500KiB", 1_536_000),
        ] {
            let size: ChunkSize = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("2048KiB".parse::<ChunkSize>().unwrap().to_string(), "2MiB");
    }

    #[test]
    fn what_is_no_size_or_out_of_bounds_is_refused() {
        for (text, problem) in [
            ("33554432", "which has no unit"),
            ("32MB", "which is not a size"),
            ("32 MiB", "which is not a size"),
            ("MiB", "which is not a size"),
            ("", "which is not a size"),
            ("99999999999999GiB", "which is not a size"),
            ("33MiB", "which is out of bounds"),
            ("1GiB", "which is out of bounds"),
            ("1023KiB", "which is out of bounds"),
            ("33554433B", "which is out of bounds"),
        ] {
            assert_eq!(
                text.parse::<ChunkSize>().unwrap_err().problem,
                problem,
                "{text}"
            );
        }
    }
}
