//! Local files -> chunks that the store lacks or has damaged: cut out again where the manifest says, hashed and encoded
//! again, and sent only where they are what was signed.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use bytes::Bytes;
use mimeograph_manifest::chunk::{self, Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::listing::{self, is_listed};
use mimeograph_manifest::io::store::{Fetch, Shelve};
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{self, Manifest, Role};

use crate::travelling;

/// Where the files of a bundle lie on this host, for as long as they do.
#[derive(Clone, Debug)]
pub(crate) struct Local<'a> {
    /// Archives, and what we made beside them.
    pub folder: PathBuf,
    /// Says where the others lie.
    pub config: &'a Config,
}

impl Local<'_> {
    fn find(&self, file: &manifest::File) -> Option<File> {
        let name = file.name.as_str();
        let path = match file.role {
            Role::Local => self.config.mirror.local_dir.join(name),
            Role::Extra => {
                let paths = travelling::extra_paths(self.config).ok()?;
                let extra = travelling::extra_files(&paths).ok()?;
                extra
                    .into_iter()
                    .find(|extra| extra.name == file.name)?
                    .path
            }
            _ => self.folder.join(name),
        };
        File::open(path).ok()
    }
}

/// The chunks of a bundle that a listing of the store does not show, or with another size.
pub(crate) fn unlisted(store: &dyn Fetch, bundle: &Manifest) -> Result<BTreeSet<Digest>, Failure> {
    let listed = listing::chunks(store)?;
    let missing = bundle.chunks().filter(|chunk| !is_listed(&listed, chunk));
    Ok(missing.map(|chunk| chunk.stored).collect())
}

/// Sends those of the bundle's chunks that are `wanted` and that local files still hold. Returns the others.
pub(crate) fn mend(
    store: &dyn Shelve,
    bundle: &Manifest,
    mut wanted: BTreeSet<Digest>,
    local: &Local<'_>,
) -> Result<BTreeSet<Digest>, Failure> {
    for file in &bundle.files {
        if !file.chunks.iter().any(|one| wanted.contains(&one.stored)) {
            continue;
        }
        let Some(opened) = local.find(file) else {
            continue;
        };
        let mut offset = 0;
        for chunk in &file.chunks {
            if wanted.contains(&chunk.stored)
                && let Some(body) = cut(&opened, offset, chunk)
            {
                let key = Key::Chunk(chunk.stored);
                store.replace(&key, body, &chunk.stored)?;
                wanted.remove(&chunk.stored);
                tracing::info!(object = %key, file = %file.name, "sent again");
            }
            offset += chunk.raw_size;
        }
    }
    Ok(wanted)
}

/// The stored bytes of a chunk; `None` where the file is no longer what it was, or compresses to other bytes now.
fn cut(file: &File, offset: u64, chunk: &Chunk) -> Option<Bytes> {
    let mut raw = vec![0; usize::try_from(chunk.raw_size).ok()?];
    file.read_exact_at(&mut raw, offset).ok()?;
    if Digest::of(&raw) != chunk.raw {
        return None;
    }
    let stored = match chunk.encoding {
        Encoding::None => raw,
        Encoding::Zstd => chunk::compress(&raw).ok()??,
    };
    (Digest::of(&stored) == chunk.stored).then(|| stored.into())
}
