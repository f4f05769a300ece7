//! Tar as Go's `archive/tar` writes it: ustar, with a PAX record only for what does not fit.

use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

const BLOCK: usize = 512;
/// The largest number in seven octal digits.
const LARGEST_ID: u64 = 0o7_777_777;

/// The type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink(String),
}

/// What a header says.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) seconds: i64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
}

impl Header {
    pub(crate) fn of(name: String, metadata: &Metadata) -> Self {
        Self {
            name,
            kind: Kind::File,
            mode: metadata.mode() & 0o777,
            size: metadata.len(),
            seconds: metadata.mtime(),
            uid: metadata.uid().into(),
            gid: metadata.gid().into(),
        }
    }
}

/// A tar on its way out. Only `finish` writes the end marker.
#[derive(Debug)]
pub(crate) struct TarWriter<W: Write> {
    out: W,
    written: u64,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Write an entry; the body must have the size that the header states.
    pub(crate) fn append(&mut self, header: &Header, body: &mut impl Read) -> io::Result<()> {
        let records = pax_records(header);
        if !records.is_empty() {
            self.pax(header, &records)?;
        }
        let block = block_of(header, !records.is_empty());
        self.put(&block)?;
        let copied = io::copy(&mut body.take(header.size), &mut self.out)?;
        if copied != header.size {
            return Err(io::Error::other("archive/tar: missed writing bytes"));
        }
        self.written += copied;
        self.pad(header.size)
    }

    /// Write the end marker.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        self.abandon()
    }

    /// Stop without an end marker.
    pub(crate) fn abandon(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Write bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pax(&mut self, header: &Header, records: &str) -> io::Result<()> {
        let (dir, file) = header.name.rsplit_once('/').unwrap_or(("", &header.name));
        let name = format!(
            "{dir}{}PaxHeaders.0/{file}",
            if dir.is_empty() { "" } else { "/" }
        );
        let mut block = [0; BLOCK];
        text(&mut block[..100], &name);
        numbers(&mut block, (0, 0, 0), records.len() as u64, 0);
        block[156] = b'x';
        seal(&mut block);
        self.put(&block)?;
        self.put(records.as_bytes())?;
        self.pad(records.len() as u64)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = usize::try_from(size % BLOCK as u64).map_err(io::Error::other)?;
        if rest > 0 {
            self.put(&[0; BLOCK][rest..])
        } else {
            Ok(())
        }
    }
}

/// `LENGTH KEY=VALUE\n` for what has no room in a ustar header.
fn pax_records(header: &Header) -> String {
    let numbers = [("gid", header.gid), ("uid", header.uid)];
    let large: Vec<(&str, String)> = numbers
        .into_iter()
        .filter(|(_, id)| *id > LARGEST_ID)
        .map(|(key, id)| (key, id.to_string()))
        .collect();
    let long = header.name.len() > 100;
    let path = long && (!large.is_empty() || split(&header.name).is_none());
    let mut records = large;
    if path {
        records.push(("path", header.name.clone()));
    }
    records.sort();
    records
        .iter()
        .map(|(key, value)| record(key, value))
        .collect()
}

/// The length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    format!("{length} {key}={value}\n")
}

fn block_of(header: &Header, pax: bool) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    match split(&header.name).filter(|_| !pax && header.name.len() > 100) {
        Some((prefix, name)) => {
            text(&mut block[..100], name);
            text(&mut block[345..500], prefix);
        }
        None => text(&mut block[..100], &header.name),
    }
    let id = |id: u64| if id > LARGEST_ID { 0 } else { id };
    numbers(
        &mut block,
        (header.mode.into(), id(header.uid), id(header.gid)),
        header.size,
        header.seconds,
    );
    block[156] = match &header.kind {
        Kind::File => b'0',
        Kind::Directory => b'5',
        Kind::Symlink(target) => {
            text(&mut block[157..257], target);
            b'2'
        }
    };
    text(&mut block[265..297], &name_of("/etc/passwd", header.uid));
    text(&mut block[297..329], &name_of("/etc/group", header.gid));
    seal(&mut block);
    block
}

fn numbers(block: &mut [u8; BLOCK], (mode, uid, gid): (u64, u64, u64), size: u64, seconds: i64) {
    octal(&mut block[100..108], mode);
    octal(&mut block[108..116], uid);
    octal(&mut block[116..124], gid);
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], u64::try_from(seconds).unwrap_or(0));
    octal(&mut block[329..337], 0);
    octal(&mut block[337..345], 0);
}

fn seal(block: &mut [u8; BLOCK]) {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
}

fn octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    text(field, &format!("{number:0width$o}"));
}

/// What does not fit is cut off, as in Go.
fn text(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// The longest prefix that leaves a name which fits.
fn split(name: &str) -> Option<(&str, &str)> {
    let end = name.len().min(156);
    let at = name.get(..end)?.rfind('/').filter(|at| *at > 0)?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (!rest.is_empty() && rest.len() <= 100).then_some((prefix, rest))
}

fn name_of(file: &str, id: u64) -> String {
    let wanted = id.to_string();
    let all = fs::read_to_string(file).unwrap_or_default();
    let found = all.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == wanted).then(|| name.to_owned())
    });
    found.unwrap_or_default()
}
