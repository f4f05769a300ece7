//! Standard output and standard error, either of which may be closed by whoever listened.

use std::io::{self, Write as _};

/// Writes to standard output. That nobody reads any more is no error; a full disk behind it is.
pub(super) fn to_stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    forgive(written)
}

/// A reader that went away has seen what it wanted.
fn forgive(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes to standard error; there is nowhere to complain if that fails.
pub(super) fn to_stderr(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

/// Whether the user has not asked for a life without colours (no-color.org).
pub(super) fn may_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// One line: control characters, which a terminal or a log would act on, become visible or blank.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_forgiven_and_a_full_disk_is_not() {
        assert!(forgive(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive(Err(io::ErrorKind::StorageFull.into())).is_err());
    }

    #[test]
    fn a_line_stays_a_line_and_escapes_show() {
        assert_eq!(one_line("a\nb\u{1b}[31m\té\n"), "a b\\u{1b}[31m é");
    }
}
