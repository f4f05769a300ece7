//! What a far side asks to have carried over once more: small enough to be typed.

use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::name::StreamId;

/// Its usual name.
pub const FILE: &str = "repair-request.json";
/// Its longest form, in bytes: whoever lacks so much asks for the volume.
pub const SIZE: u64 = 1 << 20;
const TYPE: &str = "application/vnd.mimeograph.repair-request.v1+json";

/// Chunks, by the first 16 digits of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairRequest {
    r#type: String,
    /// The stream.
    pub stream: StreamId,
    /// The chunks.
    pub chunks: Vec<String>,
}

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be read.
    #[error("not a request for repair")]
    Json(#[source] serde_json::Error),
    /// It is something else.
    #[error("`type` is `{0}`, not `{TYPE}`")]
    Type(String),
    /// A chunk's name that is none.
    #[error("`{0}` in `chunks` is not the first 16 hexadecimal digits of a chunk's name")]
    Name(String),
}

impl RepairRequest {
    /// Asks for these.
    pub fn new<'a>(stream: StreamId, chunks: impl IntoIterator<Item = &'a Chunk>) -> Self {
        let mut chunks: Vec<_> = chunks
            .into_iter()
            .map(|chunk| chunk.stored.short())
            .collect();
        chunks.sort_unstable();
        chunks.dedup();
        Self {
            r#type: TYPE.to_owned(),
            stream,
            chunks,
        }
    }

    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, RepairError> {
        let request: Self = serde_json::from_slice(bytes).map_err(RepairError::Json)?;
        if request.r#type != TYPE {
            return Err(RepairError::Type(request.r#type));
        }
        let is_short = |name: &&String| {
            name.len() == 16
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match request.chunks.iter().find(|name| !is_short(name)) {
            Some(name) => Err(RepairError::Name(name.clone())),
            None => Ok(request),
        }
    }

    /// Whether it asks for a chunk.
    pub fn asks_for(&self, chunk: &Chunk) -> bool {
        self.chunks.contains(&chunk.stored.short())
    }

    /// One name a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Encoding;
    use crate::digest::Digest;

    #[test]
    fn it_is_read_as_it_was_written_and_slips_of_typing_are_named() {
        let chunk = |bytes: &[u8]| Chunk {
            stored: Digest::of(bytes),
            stored_size: 1,
            encoding: Encoding::None,
            raw: Digest::of(bytes),
            raw_size: 1,
        };
        let (one, other) = (chunk(b"a"), chunk(b"b"));
        let request = RepairRequest::new(StreamId::from_bytes([1; 16]), [&one, &one]);
        let text = String::from_utf8(request.to_bytes()).unwrap();
        assert!(text.lines().count() < 8, "{text}");
        let read = RepairRequest::parse(text.as_bytes()).unwrap();
        assert_eq!(read, request);
        assert!(read.asks_for(&one) && !read.asks_for(&other));
        let slip = text.replace(&one.stored.short(), "ca978112ca1bbdcO");
        let error = RepairRequest::parse(slip.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("ca978112ca1bbdcO"), "{error}");
        let other = text.replace("repair-request", "receipt");
        assert!(RepairRequest::parse(other.as_bytes()).is_err());
        assert!(RepairRequest::parse(b"{").is_err());
    }
}
