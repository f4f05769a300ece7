//! Listing a directory: only folders of ours are looked into, and nothing is followed.

use std::io;

use super::folder::{Entry, Folder, refused};
use crate::io::store::Listed;
use crate::layout::Key;
use crate::limits;
use crate::time::Timestamp;

/// A listing under way.
pub(super) struct Listing<'a> {
    prefix: &'a str,
    count: usize,
    each: &'a mut dyn FnMut(Listed),
}

impl<'a> Listing<'a> {
    pub(super) fn new(prefix: &'a str, each: &'a mut dyn FnMut(Listed)) -> Self {
        Self {
            prefix,
            count: 0,
            each,
        }
    }

    /// Lists `folder`, which lies at `at` (empty, or ending with `/`).
    pub(super) fn folder(&mut self, folder: &Folder, at: &str) -> io::Result<()> {
        for (name, entry) in folder.names(limits::OBJECTS)? {
            let path = format!("{at}{name}");
            match entry {
                Entry::File { .. } if is_folder_of_ours(&path) => return Err(misplaced(&path)),
                Entry::File { size, modified } => self.found(path, size, modified)?,
                Entry::Folder if is_folder_of_ours(&path) => {
                    let below = format!("{path}/");
                    if !below.starts_with(self.prefix) && !self.prefix.starts_with(&below) {
                        continue;
                    }
                    if let Some(folder) = folder.enter(&name)? {
                        self.folder(&folder, &below)?;
                    }
                }
                _ if Key::parse(&path).is_some() || is_folder_of_ours(&path) => {
                    return Err(misplaced(&path));
                }
                Entry::Folder => self.found(format!("{path}/"), 0, 0)?,
                Entry::Other => self.found(path, 0, 0)?,
            }
        }
        Ok(())
    }

    fn found(&mut self, name: String, size: u64, modified: i64) -> io::Result<()> {
        if name.starts_with(self.prefix) {
            self.count += 1;
            if self.count > limits::OBJECTS {
                let many = format!("there are more than {} objects", limits::OBJECTS);
                return Err(io::Error::new(io::ErrorKind::InvalidData, many));
            }
            (self.each)(Listed {
                name,
                size,
                modified: Timestamp::from_unix(modified),
            });
        }
        Ok(())
    }
}

fn misplaced(path: &str) -> io::Error {
    refused(
        path,
        "is a link, a folder or a special file where none belongs",
    )
}

/// Every folder that holds objects of ours.
pub(super) fn folders() -> impl Iterator<Item = String> {
    let shards = (0..=0xff_u8).map(|first| format!("chunks/{first:02x}"));
    shards.chain(["manifests".to_owned(), "pruned".to_owned()])
}

/// Whether a folder of that name holds objects of ours.
fn is_folder_of_ours(path: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    match path.strip_prefix("chunks/") {
        Some(first) => first.len() == 2 && first.bytes().all(hex),
        None => matches!(path, "manifests" | "chunks" | "pruned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::name::Sequence;

    #[test]
    fn every_key_lies_in_folders_that_are_listed() {
        let digest = Digest::of(b"x");
        for key in [
            Key::Manifest(Sequence::FIRST),
            Key::signature(Sequence::FIRST, &digest, &digest),
            Key::Chunk(digest),
            Key::Pruned(Sequence::FIRST),
            Key::pruned_signature(Sequence::FIRST, &digest, &digest),
            Key::Probe,
        ] {
            let name = key.to_string();
            for (end, _) in name.match_indices('/') {
                assert!(is_folder_of_ours(&name[..end]), "{name}");
            }
            if let Some((folder, _)) = name.rsplit_once('/') {
                assert!(folders().any(|one| one == folder), "{name}");
            }
        }
    }
}
