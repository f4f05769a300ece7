//! SHA-256 digests as registries write them.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// `sha256:HEX`
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    name(Sha256::digest(bytes).as_slice())
}

/// Copy, and say what went through.
pub(crate) fn digest_of_copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(name(hash.finalize().as_slice())),
            read => {
                hash.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
            }
        }
    }
}

fn name(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |mut name, byte| {
        // a string takes all
        let _ = write!(name, "{byte:02x}");
        name
    })
}
