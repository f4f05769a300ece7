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
            return Entry::judge(&self.archive, self.generation, path, &header, start..end)
                .map(Some);
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

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::*;
    use crate::failure::{ErrorId, Fault as _};

    #[test]
    fn a_record_counts_its_own_length() {
        for size in (0..200).chain(900..1100).chain(9900..10_100) {
            let record = record("path", &"v".repeat(size)).unwrap();
            let (length, _) = record.split_once(' ').unwrap();
            assert_eq!(length, record.len().to_string());
        }
    }

    #[test]
    fn path_and_size_count_and_owners_are_passed_over() {
        let parse = |records: &[(&str, &str)]| {
            let text: String = records
                .iter()
                .filter_map(|(key, value)| record(key, value))
                .collect();
            parse_extended(text.as_bytes())
        };
        let largest = limits::NUMBER.to_string();
        let all = [
            ("path", "a/b"),
            ("size", &largest),
            ("uid", "1000660000"),
            ("gid", "1"),
            ("uname", "someone"),
            ("gname", ""),
        ];
        let extended = parse(&all).unwrap();
        assert_eq!(extended.path.as_deref(), Some("a/b"));
        assert_eq!(extended.size, Some(limits::NUMBER));
        let nothing = parse(&all[2..]).unwrap();
        assert_eq!((nothing.path, nothing.size), (None, None));
        let longest = "v".repeat(limits::ARCHIVE_PATH);
        assert!(parse(&[("uname", &longest)]).is_some());
        let longer = longest.clone() + "v";
        let beyond = (limits::NUMBER + 1).to_string();
        for wrong in [
            &[("uname", longer.as_str())][..],
            &[("uname", "a"), ("uname", "a")],
            &[("size", beyond.as_str())],
            &[("size", "")],
            &[("size", "+1")],
            &[("size", "1 ")],
            &[("uid", "-1")],
            &[("gid", "")],
            &[("linkpath", "a")],
            &[("mtime", "1")],
            &[("", "a")],
        ] {
            assert!(parse(wrong).is_none(), "{wrong:?}");
        }
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..13].copy_from_slice(b"working-dir/x");
        header.set_size(size);
        header.set_mode(0o644);
        header.set_entry_type(kind);
        header.set_cksum();
        header
    }

    /// A header before that many bytes.
    fn before(kind: EntryType, data: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, data.len() as u64).as_bytes().to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn headers(bytes: Vec<u8>) -> Headers<Cursor<Vec<u8>>> {
        Headers::new("x", Generation::V2, Cursor::new(bytes)).unwrap()
    }

    fn problem(error: &ArchiveError) -> &'static str {
        match error {
            ArchiveError::Damaged { problem, .. } => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn more_entries_than_any_archive_has_are_refused() {
        let three = [
            before(EntryType::Regular, b""),
            before(EntryType::Regular, b""),
            before(EntryType::Regular, b""),
        ];
        let mut headers = headers(three.concat());
        assert!(headers.next_entry().unwrap().is_some());
        headers.entries += limits::ARCHIVE_ENTRIES - 2;
        assert!(headers.next_entry().unwrap().is_some());
        let error = headers.next_entry().unwrap_err();
        assert_eq!(problem(&error), "has too many entries");
    }

    #[test]
    fn an_extended_header_is_bounded_before_it_is_read() {
        let longest = usize::try_from(limits::PAX_SIZE).unwrap();
        let of = |length| {
            let bytes = before(EntryType::XHeader, &vec![b'x'; length]);
            problem(&headers(bytes).next_entry().unwrap_err())
        };
        assert!(of(longest).contains("does not write"));
        assert!(of(longest + 1).contains("too long"));
    }

    #[test]
    fn an_archive_ends_with_two_blocks_of_zeros_after_an_entry() {
        let entry = before(EntryType::Regular, b"{}");
        let extended = before(EntryType::XHeader, b"9 size=2\n");
        let zeros = |blocks: usize| vec![0; blocks * 512];
        let end = |parts: &[&[u8]]| {
            let mut headers = headers(parts.concat());
            assert_eq!(headers.archive(), "x");
            assert_eq!(headers.size(), parts.concat().len() as u64);
            loop {
                match headers.next_entry() {
                    Ok(Some(entry)) => assert_eq!(entry.size(), 2),
                    Ok(None) => return "",
                    Err(error) => return problem(&error),
                }
            }
        };
        assert_eq!(end(&[&entry, &zeros(2)]), "");
        assert_eq!(end(&[&zeros(2)]), "");
        assert_eq!(end(&[&extended, &entry, &zeros(2)]), "");
        assert_eq!(end(&[&entry, &zeros(1)]), "ends without its end marker");
        assert_eq!(end(&[&entry]), "ends without its end marker");
        assert_eq!(end(&[&entry, &zeros(3)]), "goes on after its end marker");
        assert_eq!(
            end(&[&entry, &zeros(2), &entry]),
            "goes on after its end marker"
        );
        assert_eq!(
            end(&[&entry, &zeros(1), &entry, &zeros(2)]),
            "has a single block of zeros between its entries"
        );
        assert_eq!(
            end(&[&extended, &zeros(2)]),
            "ends after an extended header"
        );
        assert_eq!(
            end(&[&extended, &extended, &entry, &zeros(2)]),
            "has two extended headers in a row"
        );
        let cut = before(EntryType::Regular, &[b'x'; 600]);
        assert_eq!(end(&[&cut[..1024]]), "ends in the middle of an entry");
        let foreign = |change: fn(&mut [u8]), sum: bool| {
            let mut header = header(EntryType::Regular, 0);
            change(header.as_mut_bytes());
            if sum {
                header.set_cksum();
            }
            end(&[header.as_bytes(), &zeros(2)])
        };
        let checksum = "has a header whose checksum is wrong";
        for at in [0, 147, 156, 511] {
            let mut bytes = entry.clone();
            bytes[at] ^= 1;
            assert_eq!(end(&[&bytes, &zeros(2)]), checksum, "{at}");
        }
        assert_eq!(foreign(|header| header[156] = b'L', false), checksum);
        assert_eq!(
            foreign(
                |header| header[257..265].copy_from_slice(b"ustar  \0"),
                true
            ),
            "has a header that is not ustar"
        );
    }

    #[test]
    fn a_path_is_joined_from_prefix_and_name() {
        let mut header = header(EntryType::Regular, 0);
        assert_eq!(ustar_path(&header).as_deref(), Some("working-dir/x"));
        let ustar = header.as_ustar_mut().unwrap();
        ustar.prefix[..3].copy_from_slice(b"a/b");
        assert_eq!(ustar_path(&header).as_deref(), Some("a/b/working-dir/x"));
        header.as_old_mut().name = [b'n'; 100];
        let full = format!("a/b/{}", "n".repeat(100));
        assert_eq!(ustar_path(&header), Some(full));
        header.as_old_mut().name[0] = 0xff;
        assert_eq!(ustar_path(&header), None);
    }

    #[test]
    fn large_entries_alone_are_cut_on_their_own() {
        let large = usize::try_from(limits::CUT_SIZE).unwrap();
        let bytes = [
            before(EntryType::Regular, &vec![b'x'; large - 1]),
            before(EntryType::Regular, &vec![b'x'; large]),
            vec![0; 1024],
        ];
        let start = bytes[0].len() as u64 + 512;
        let ranges = data_ranges(headers(bytes.concat())).unwrap();
        let only = start..start + limits::CUT_SIZE;
        assert_eq!(ranges, [only]);
    }

    /// A disk that fails.
    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(4096)
        }
    }

    #[test]
    fn a_disk_that_fails_is_no_damage() {
        let mut headers = Headers::new("x", Generation::V2, Failing).unwrap();
        assert_eq!(headers.next_entry().unwrap_err().id(), ErrorId::Io);
    }

    #[test]
    fn the_data_of_an_entry_ends_with_it() {
        let entries = ["one", "four"].map(|data| before(EntryType::Regular, data.as_bytes()));
        let mut headers = headers([entries.concat(), vec![0; 1024]].concat());
        for expected in ["one", "four"] {
            let entry = headers.next_entry().unwrap().unwrap();
            let mut data = String::new();
            headers
                .data(&entry)
                .unwrap()
                .read_to_string(&mut data)
                .unwrap();
            assert_eq!(data, expected);
        }
    }
}
