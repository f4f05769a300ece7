//! Lines from a pipe, of bounded length, whatever the bytes.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::SyncSender;

/// Longest line in bytes; the rest of a longer one is dropped.
pub const LINE_SIZE: usize = 16 << 10;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it came from.
    pub pipe: Pipe,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Sends each line of `from` to `to`, in a thread of its own. Reads on to the end even when no one listens any
/// more, so that the child never meets a closed pipe.
pub(super) fn pass_on(from: impl Read + Send + 'static, pipe: Pipe, to: SyncSender<Line>) {
    std::thread::spawn(move || {
        let mut from = BufReader::with_capacity(64 << 10, from);
        let mut line = Vec::new();
        while read_line(&mut from, &mut line) {
            let text = String::from_utf8_lossy(&line).into_owned();
            let _ = to.send(Line { pipe, text });
        }
    });
}

/// Reads one line into `line` (emptied first), at most [`LINE_SIZE`] bytes of it; `false` at the end.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> bool {
    line.clear();
    let mut any = false;
    loop {
        let bytes = match from.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => &[],
        };
        if bytes.is_empty() {
            return any;
        }
        any = true;
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        line.extend_from_slice(&part[..part.len().min(LINE_SIZE - line.len())]);
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_their_bound_and_the_last_needs_no_end() {
        let mut bytes = vec![b'x'; 3 * LINE_SIZE];
        bytes.extend_from_slice(b"\nshort\r\n\n\xff\xfelast");
        let mut from = BufReader::with_capacity(7, &bytes[..]);
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read_line(&mut from, &mut line) {
            lines.push(line.clone());
        }
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].len(), LINE_SIZE);
        assert_eq!(lines[1..], [&b"short"[..], b"", b"\xff\xfelast"]);
    }
}
