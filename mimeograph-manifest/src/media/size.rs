//! How much goes onto a volume.

use std::fmt;
use std::str::FromStr;

/// How much a volume holds: `4GiB-1`, `64GB`, `dvd`, `bd`, `fat32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeSize {
    bytes: u64,
    /// What a file is rounded up to, and what its name takes.
    sector: u64,
    entry: u64,
    /// What the file system itself takes.
    fixed: u64,
}

/// Not a size of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the size of a volume: write `dvd` (4700372992 bytes), `bd` (25025314816), `fat32` (4GiB-1, one file there), or a number \
     with a unit, B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB, perhaps with bytes to spare: `4GiB-1`"
)]
pub struct VolumeSizeError;

/// Sectors of optical discs (ECMA-119, section 6.1.1).
const SECTOR: u64 = 2048;
/// A file's records in both trees of names, Rock Ridge and Joliet, at their longest for names of 64 letters.
const ENTRY: u64 = 512;
/// System area, descriptors, path tables and what writers append (150 sectors by default).
const FIXED: u64 = 1 << 20;

impl VolumeSize {
    /// A disc of so many bytes.
    const fn disc(bytes: u64) -> Self {
        Self {
            bytes,
            sector: SECTOR,
            entry: ENTRY,
            fixed: FIXED,
        }
    }

    /// So many bytes of files.
    const fn plain(bytes: u64) -> Self {
        Self {
            bytes,
            sector: 1,
            entry: 0,
            fixed: 0,
        }
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes for files.
    pub fn room(&self) -> u64 {
        self.bytes.saturating_sub(self.fixed)
    }

    /// Bytes that a file of that size takes.
    pub fn takes(&self, size: u64) -> u64 {
        size.div_ceil(self.sector) * self.sector + self.entry
    }
}

impl FromStr for VolumeSize {
    type Err = VolumeSizeError;

    fn from_str(text: &str) -> Result<Self, VolumeSizeError> {
        match text.to_lowercase().as_str() {
            // DVD+R and DVD-R of one layer: 2,295,104 sectors fit both (ECMA-349 has a few more).
            "dvd" => return Ok(Self::disc(4_700_372_992)),
            "bd" => return Ok(Self::disc(25_025_314_816)),
            // The longest file on FAT32: whoever packs a volume into one file.
            "fat32" => return Ok(Self::plain((1 << 32) - 1)),
            _ => {}
        }
        let (size, spared) = text.split_once('-').unwrap_or((text, "0"));
        let spared: u64 = spared.parse().map_err(|_| VolumeSizeError)?;
        let bytes = number(size).and_then(|bytes| bytes.checked_sub(spared));
        let bytes = bytes.filter(|bytes| *bytes > 0 && *bytes <= 1 << 50);
        bytes.map(Self::plain).ok_or(VolumeSizeError)
    }
}

fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let unit: u64 = match &text[end..] {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(unit)
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_media_have() {
        for (text, bytes) in [
            ("4GiB-1", 4_294_967_295),
            ("fat32", 4_294_967_295),
            ("64GB", 64_000_000_000),
            ("dvd", 4_700_372_992),
            ("BD", 25_025_314_816),
            ("700MiB", 734_003_200),
        ] {
            assert_eq!(text.parse::<VolumeSize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in [
            "",
            "64",
            "GB",
            "0B",
            "4GiB-",
            "1B-1",
            "1B-2",
            "-1",
            "99999999TiB",
            "4 GiB",
        ] {
            assert_eq!(text.parse::<VolumeSize>(), Err(VolumeSizeError), "{text}");
        }
    }

    #[test]
    fn a_disc_has_sectors_and_names() {
        let disc: VolumeSize = "dvd".parse().unwrap();
        assert_eq!(disc.takes(1), 2048 + 512);
        assert_eq!(disc.takes(2049), 4096 + 512);
        assert_eq!(disc.room(), disc.bytes() - (1 << 20));
        let plain: VolumeSize = "1GB".parse().unwrap();
        assert_eq!((plain.takes(7), plain.room()), (7, 1_000_000_000));
    }
}
