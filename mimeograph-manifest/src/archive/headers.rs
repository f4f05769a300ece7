//! Headers of a tar, one after the other, by seeking over the data.
//!
//! Go's `archive/tar`, which `oc-mirror` uses, writes ustar headers and, where a value does not fit,
//! a PAX extended header (`x`) before them (POSIX.1-2017, pax, "ustar Interchange Format"). Nothing
//! else is accepted, so there is one way to read an archive.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Take};
use std::ops::Range;

use tar::{EntryType, Header, PaxExtensions};

use super::ArchiveError;
use super::entry::{Entry, octal};
use crate::limits;
use crate::manifest::Generation;

const BLOCK: u64 = 512;
const ZEROS: [u8; 512] = [0; 512];

/// Walks an archive's entries.
#[derive(Debug)]
pub struct Headers<R> {
    archive: String,
    generation: Generation,
    source: R,
    /// Where the next header begins.
    next: u64,
    size: u64,
    entries: u64,
}

/// What PAX may override.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    size: Option<u64>,
}

impl<R: Read + Seek> Headers<R> {
    /// Begins at the start of `source`; `archive` is its name for messages.
    pub fn new(archive: &str, generation: Generation, mut source: R) -> Result<Self, ArchiveError> {
        let archive = archive.to_owned();
        match source.seek(SeekFrom::End(0)) {
            Ok(size) => Ok(Self {
                archive,
                generation,
                source,
                next: 0,
                size,
                entries: 0,
            }),
            Err(source) => Err(ArchiveError::Read { archive, source }),
        }
    }

    /// The next entry, or `None` at a proper end: two blocks of zeros and nothing after them.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut before: Option<Extended> = None;
        loop {
            let Some(header) = self.header()? else {
                if before.is_some() {
                    return Err(self.damaged("ends after an extended header"));
                }
                self.check_end()?;
                return Ok(None);
            };
            let is_extended = header.entry_type() == EntryType::XHeader;
            if is_extended && before.is_some() {
                // Readers differ on what the first means for the second.
                return Err(self.damaged("has two extended headers in a row"));
            }
            let extended = before.take().unwrap_or_default();
            // Even where another size replaces it: readers that look at it first would refuse it.
            let own = octal(&header.as_old().size)
                .ok_or_else(|| self.damaged("has a header whose size cannot be read"))?;
            let size = extended.size.unwrap_or(own);
            let start = self.next + BLOCK;
            let end = start.checked_add(size).filter(|end| *end <= self.size);
            let end = end.ok_or_else(|| self.damaged("ends in the middle of an entry"))?;
            self.next = end.next_multiple_of(BLOCK);
            if is_extended {
                before = Some(self.extended(start, size)?);
                continue;
            }
            let path = match extended.path {
                Some(path) => path,
                None => ustar_path(&header)
                    .ok_or_else(|| self.damaged("has a path that is not UTF-8"))?,
            };
            return Entry::new(&self.archive, self.generation, path, &header, start..end).map(Some);
        }
    }

    /// The data of an entry.
    pub fn data(&mut self, entry: &Entry) -> Result<Take<&mut R>, ArchiveError> {
        self.source
            .seek(SeekFrom::Start(entry.data.start))
            .map_err(|source| ArchiveError::Read {
                archive: self.archive.clone(),
                source,
            })?;
        Ok((&mut self.source).take(entry.data.end - entry.data.start))
    }

    /// The archive's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The archive's name.
    pub fn archive(&self) -> &str {
        &self.archive
    }

    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        self.entries += 1;
        if self.entries > limits::ARCHIVE_ENTRIES {
            return Err(self.damaged("has too many entries"));
        }
        let mut block = ZEROS;
        self.read_at(self.next, &mut block)?;
        if block == ZEROS {
            return Ok(None);
        }
        let mut header = Header::new_ustar();
        header.as_mut_bytes().copy_from_slice(&block);
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|b| u32::from(*b))
            .sum::<u32>()
            + 8 * 32;
        if octal(&header.as_old().cksum) != Some(u64::from(sum)) {
            return Err(self.damaged("has a header whose checksum is wrong"));
        }
        if block[257..265] != *b"ustar\x0000" {
            return Err(self.damaged("has a header that is not ustar"));
        }
        Ok(Some(header))
    }

    fn extended(&mut self, start: u64, size: u64) -> Result<Extended, ArchiveError> {
        if size > limits::PAX_SIZE {
            return Err(self.damaged("has an extended header that is too long"));
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read_at(start, &mut data)?;
        parse_extended(&data)
            .ok_or_else(|| self.damaged("has an extended header that `oc-mirror` does not write"))
    }

    fn check_end(&mut self) -> Result<(), ArchiveError> {
        let mut second = ZEROS;
        self.read_at(self.next + BLOCK, &mut second)?;
        if second != ZEROS {
            return Err(self.damaged("has a single block of zeros between its entries"));
        }
        if self.next + 2 * BLOCK != self.size {
            return Err(self.damaged("goes on after its end marker"));
        }
        Ok(())
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), ArchiveError> {
        let read = self
            .source
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.source.read_exact(into));
        match read {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(self.damaged("ends without its end marker"))
            }
            Err(source) => Err(ArchiveError::Read {
                archive: self.archive.clone(),
                source,
            }),
        }
    }

    fn damaged(&self, problem: &'static str) -> ArchiveError {
        ArchiveError::Damaged {
            archive: self.archive.clone(),
            at: self.next,
            problem,
        }
    }
}

/// The data ranges of all entries, for the chunk plan.
pub fn data_ranges<R: Read + Seek>(
    mut headers: Headers<R>,
) -> Result<Vec<Range<u64>>, ArchiveError> {
    let mut ranges = Vec::new();
    while let Some(entry) = headers.next_entry()? {
        if entry.data.end - entry.data.start >= limits::CUT_SIZE {
            ranges.push(entry.data);
        }
    }
    Ok(ranges)
}

fn ustar_path(header: &Header) -> Option<String> {
    let until_nul = |field: &[u8]| {
        let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
        String::from_utf8(field[..end].to_vec()).ok()
    };
    let ustar = header.as_ustar()?;
    let (prefix, name) = (until_nul(&ustar.prefix)?, until_nul(&ustar.name)?);
    Some(if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    })
}

/// `path` and `size` count; owner and group are ignored (archives made under OpenShift's random uids
/// carry them, since Go writes ids above 2097151 there). Any other key, or one twice, is refused, and
/// so is any other spelling of the records than Go's: readers differ on a blank line, a sign, and an end without a line feed.
fn parse_extended(data: &[u8]) -> Option<Extended> {
    let mut extended = Extended::default();
    let (mut seen, mut written) = (Vec::new(), String::new());
    for extension in PaxExtensions::new(data) {
        let extension = extension.ok()?;
        let (key, value) = (extension.key().ok()?.to_owned(), extension.value().ok()?);
        if seen.contains(&key) || value.len() > limits::ARCHIVE_PATH {
            return None;
        }
        written += &record(&key, value)?;
        match key.as_str() {
            "path" => extended.path = Some(value.to_owned()),
            "size" => extended.size = Some(decimal(value)?),
            "uid" | "gid" => drop(decimal(value)?),
            "uname" | "gname" => {}
            _ => return None,
        }
        seen.push(key);
    }
    (written.as_bytes() == data).then_some(extended)
}

/// A record as Go writes it, its length without sign or leading zero.
fn record(key: &str, value: &str) -> Option<String> {
    let text = format!(" {key}={value}\n");
    (1..=5)
        .map(|digits| text.len() + digits)
        .find(|length| length.to_string().len() + text.len() == *length)
        .map(|length| format!("{length}{text}"))
}

fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| *number <= limits::NUMBER)
}
