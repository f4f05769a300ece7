//! How many chunks are worked on at a time.

use std::num::NonZeroUsize;
use std::str::FromStr;

use super::Mistake;

/// How many chunks are worked on at a time: `auto`, or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallel {
    /// From the number of cores.
    #[default]
    Auto,
    /// So many.
    Fixed(NonZeroUsize),
}

/// Each takes a buffer of a chunk's size; more than this only takes memory.
const MOST: usize = 64;

impl Parallel {
    /// How many chunks are shipped at once: each is in memory.
    pub fn count(self) -> usize {
        self.or(4)
    }

    /// How many are fetched at once: they are written as they arrive. More than these are no faster, near or far, and take
    /// more processor time.
    pub fn fetches(self) -> usize {
        self.or(8)
    }

    fn or(self, auto: usize) -> usize {
        match self {
            Self::Auto => auto,
            Self::Fixed(count) => count.get(),
        }
    }
}

impl FromStr for Parallel {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse()
            .ok()
            .filter(|number: &NonZeroUsize| number.get() <= MOST)
            .map(Self::Fixed)
            .ok_or(Mistake::new(
                "which is neither `auto` nor a number from 1 to 64",
                "write `auto`, or a number from 1 to 64",
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_too_many_are_refused() {
        assert_eq!("auto".parse(), Ok(Parallel::Auto));
        for number in [1, 64] {
            let fixed = Parallel::Fixed(NonZeroUsize::new(number).unwrap());
            assert_eq!(number.to_string().parse(), Ok(fixed));
        }
        for wrong in ["0", "65", "-1", "Auto", ""] {
            assert!(wrong.parse::<Parallel>().is_err(), "{wrong}");
        }
    }
}
