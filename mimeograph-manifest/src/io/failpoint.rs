//! Points at which a test ends the process or has a step fail: one before each step that changes a disk or a store.
//!
//! Only the tests turn the feature `failpoints` on; without it nothing of this is left in a program. With it:
//!
//! | variable | meaning |
//! |---|---|
//! | `MIMEOGRAPH_FAILPOINT` | `NAME:N:WHAT`: what becomes of the N-th point of this name (`*`: of any) that is reached, counted from 1: `kill` (SIGKILL), `stop` (SIGSTOP: it goes on after SIGCONT), `eio`, `enospc` |
//! | `MIMEOGRAPH_FAILPOINTS_REACHED` | a file that gets a line for each point that is reached: its name, and what the step changes |

use std::io;
use std::path::Path;

#[cfg(feature = "failpoints")]
mod strike;

/// A step `name` is about to change `what`; an error is the step's own.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str, what: impl AsRef<Path>) -> io::Result<()> {
    strike::reach(name, what.as_ref())
}

/// A step `name` is about to change `what`.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn reach(_name: &str, _what: impl AsRef<Path>) -> io::Result<()> {
    Ok(())
}

/// Writes `bytes` to `what` by `write`, which gets them with their place among all; where points are reached, in two
/// halves, so that only one of them may be written.
pub fn write(
    what: impl AsRef<Path>,
    bytes: &[u8],
    mut write: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let what = what.as_ref();
    reach("write", what)?;
    if cfg!(not(feature = "failpoints")) {
        return write(bytes, 0);
    }
    let (first, second) = bytes.split_at(bytes.len() / 2);
    write(first, 0)?;
    reach("write-half", what)?;
    write(second, first.len() as u64)
}
