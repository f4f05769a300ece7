//! SHA-256 digests: hex in, hex out, and readers and writers that compute them.

use std::fmt;
use std::io::{self, Write};
use std::iter;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest (FIPS 180-4), written as 64 lower-case hexadecimal digits and in no other way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes themselves.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 hexadecimal digits, as they stand in the names of signatures.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(16);
        hex
    }

    /// `sha256:…`, as the OCI image specification writes it (descriptor.md, "Digests").
    pub fn to_oci(&self) -> String {
        format!("sha256:{self}")
    }

    /// Reads `sha256:…`; other algorithms are refused.
    pub fn from_oci(text: &str) -> Result<Self, DigestError> {
        text.strip_prefix("sha256:").ok_or(DigestError)?.parse()
    }
}

/// Not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest of 64 lower-case hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

crate::text::as_text!(Digest);

/// Computes a digest from bytes as they pass.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    sha: Sha256,
    /// Bytes since the last whole block.
    beyond: usize,
}

impl Hasher {
    /// Bytes of a block (FIPS 180-4, section 5.2.1).
    const BLOCK: usize = 64;

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.beyond = (self.beyond + bytes.len()) % Self::BLOCK;
    }

    /// Both take the same bytes: block by block in turn, so that a processor with instructions for SHA-256, which mostly
    /// wait for each other within one digest, computes both at once. That takes 1.5 times as long as one rather than twice,
    /// unless the two stand at different places of a block.
    pub fn update_both(&mut self, other: &mut Self, bytes: &[u8]) {
        if self.beyond != other.beyond {
            self.update(bytes);
            other.update(bytes);
            return;
        }
        let to_block = (Self::BLOCK - self.beyond) % Self::BLOCK;
        let (first, blocks) = bytes.split_at(to_block.min(bytes.len()));
        for part in iter::once(first).chain(blocks.chunks(Self::BLOCK)) {
            self.sha.update(part);
            other.sha.update(part);
        }
        self.beyond = (self.beyond + bytes.len()) % Self::BLOCK;
        other.beyond = self.beyond;
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_input_has_its_published_digest() {
        // FIPS 180-4 example, NIST CAVP SHA256ShortMsg, Len = 0.
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), hex);
        assert_eq!(hex.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn upper_case_short_and_long_are_refused() {
        let hex = Digest::of(b"x").to_string();
        for wrong in [
            hex.to_uppercase(),
            hex[1..].to_owned(),
            format!("{hex}0"),
            format!("{} ", &hex[1..]),
        ] {
            assert_eq!(wrong.parse::<Digest>(), Err(DigestError), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_written_whole_short_and_as_oci_has_it() {
        let digest = Digest::of(b"x");
        let hex = digest.to_string();
        assert_eq!(digest.short(), hex[..16]);
        assert_eq!(digest.to_oci(), format!("sha256:{hex}"));
        assert_eq!(Digest::from_oci(&digest.to_oci()), Ok(digest));
        for wrong in [
            hex.clone(),
            format!("sha512:{hex}"),
            format!(" sha256:{hex}"),
        ] {
            assert_eq!(Digest::from_oci(&wrong), Err(DigestError), "{wrong}");
        }
        assert_eq!(digest.as_bytes()[..2], [0x2d, 0x71]);
    }

    #[test]
    fn a_hasher_takes_every_byte() {
        let mut hasher = Hasher::default();
        for part in [&b"a"[..], b"", b"bc"] {
            assert_eq!(hasher.write(part).unwrap(), part.len());
        }
        hasher.flush().unwrap();
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn two_hashers_take_the_same_bytes_wherever_they_stand() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for before in [&b""[..], b"a", &[7; 63], &[7; 64], &[7; 130]] {
            for ahead in [0, 1, 63, 64, 130] {
                for size in [0, 1, 63, 64, 65, 200] {
                    let (mut one, mut other) = (Hasher::default(), Hasher::default());
                    one.update(before);
                    other.update(&bytes[..ahead]);
                    for piece in bytes[ahead..].chunks(size.max(1)) {
                        one.update_both(&mut other, piece);
                    }
                    assert_eq!(other.finish(), Digest::of(&bytes), "{ahead} {size}");
                    let all = [before, &bytes[ahead..]].concat();
                    assert_eq!(one.finish(), Digest::of(&all), "{before:?} {size}");
                }
            }
        }
    }
}
