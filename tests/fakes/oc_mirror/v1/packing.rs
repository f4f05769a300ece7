//! Writing the archive of one sequence.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::pack::plain;
use crate::tar_writer::{Header, Kind, TarWriter};
use crate::v1::listing::Listed;
use crate::v1::metadata::{FILE, Metadata};
use crate::v1::{Run, result};

/// An image that was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) listed: Listed,
    pub(super) manifest: Vec<u8>,
}

/// Write the archive of one sequence.
pub(super) fn pack(
    run: &Run<'_>,
    out: &Path,
    workspace: &Path,
    metadata: &Metadata,
    fetched: &[Fetched],
) -> Result<(), Failure> {
    let path = out.join(format!(
        "mirror_seq{}_000000.tar",
        metadata.past_mirror.sequence
    ));
    result(&format!("Creating archive {}", path.display()));
    let mut archive = Packing {
        run,
        tar: TarWriter::new(BufWriter::new(File::create(&path)?)),
        middle: 0,
    };
    let bytes = metadata.bytes()?;
    archive.bytes(FILE, 0o640, &bytes)?;
    for dir in ["charts/", "release-signatures/"] {
        archive.entry(dir, Kind::Directory, 0o755, 0, &mut std::io::empty())?;
    }
    let mut packed = BTreeSet::new();
    for Fetched { listed, manifest } in fetched {
        let image = &listed.image;
        let mut blobs: Vec<(&str, Option<u64>)> = listed
            .blobs
            .iter()
            .map(|(digest, size)| (digest.as_str(), Some(*size)))
            .collect();
        blobs.push((&image.id, None));
        blobs.sort_unstable();
        for (digest, size) in blobs
            .into_iter()
            .filter(|(digest, _)| packed.insert((*digest).to_owned()))
        {
            let name = format!("blobs/{digest}");
            match size {
                Some(size) => {
                    let path = blob_path(workspace, &image.path, digest);
                    archive.entry(&name, Kind::File, 0o600, size, &mut File::open(&path)?)?;
                    // as in the real one, what is packed is gone
                    fs::remove_file(path)?;
                }
                None => archive.bytes(&name, 0o600, manifest)?,
            }
        }
        let dir = format!("v2/{}/manifests", image.path);
        archive.bytes(&format!("{dir}/{}", image.id), 0o600, manifest)?;
        if !image.tag_symlink.is_empty() {
            let link = Kind::Symlink(image.id.clone());
            archive.entry(
                &format!("{dir}/{}", image.tag_symlink),
                link,
                0o777,
                0,
                &mut std::io::empty(),
            )?;
        }
    }
    archive.finish(&path)
}

/// The archive that is being written.
#[derive(Debug)]
struct Packing<'a> {
    run: &'a Run<'a>,
    tar: TarWriter<BufWriter<File>>,
    middle: u64,
}

impl Packing<'_> {
    fn bytes(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
        self.entry(
            name,
            Kind::File,
            mode,
            bytes.len() as u64,
            &mut Cursor::new(bytes),
        )
    }

    fn entry(
        &mut self,
        name: &str,
        kind: Kind,
        mode: u32,
        size: u64,
        body: &mut impl Read,
    ) -> Result<(), Failure> {
        let mut header = Header {
            kind,
            mode,
            ..plain(name, size)?
        };
        if self.run.settings.does("random-uid") {
            (header.uid, header.gid) = (1_000_660_000, 1_000_660_000);
        }
        self.tar.append(&header, body)?;
        if size > 1 {
            self.middle = self.tar.written() - size.next_multiple_of(512) + size / 2;
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<(), Failure> {
        let settings = self.run.settings;
        for (misdeed, name) in [
            ("traversal-entry", "v2/../../evil"),
            ("foreign-entry", "foreign.txt"),
        ] {
            if settings.does(misdeed) {
                self.bytes(
                    settings.get("ENTRY").unwrap_or(name),
                    0o600,
                    b"not from oc-mirror\n",
                )?;
            }
        }
        if settings.does("no-end-marker") {
            self.tar.abandon()?;
        } else {
            self.tar.finish()?;
        }
        if settings.does("truncated") {
            File::options()
                .write(true)
                .open(path)?
                .set_len(self.middle)?;
        }
        Ok(())
    }
}

/// Where a fetched blob waits to be packed.
pub(super) fn blob_path(workspace: &Path, repo: &str, digest: &str) -> PathBuf {
    workspace.join("v2").join(repo).join("blobs").join(digest)
}
