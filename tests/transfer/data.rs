//! Archives as `oc-mirror` writes them: layers of real content, a catalogue's worth of JSON, and 50,000 links.
//!
//! Layers are gzip of what lies below `/usr` here, Debian's own packages. They are put together from members (RFC 1952,
//! section 2.2) in ever another order, so that no two hold the same 32 MiB, and yet nothing is compressed twice.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use mimeograph_manifest::digest::{Digest, Hasher};
use mimeograph_manifest::io::workers;

/// Content that is read, in bytes.
const CONTENT: usize = 384 << 20;
const MEMBER: usize = 1 << 20;
/// An archive has no more, as `archiveSize: 1` makes them.
const ARCHIVE: u64 = 1 << 30;
const LINKS: usize = 50_000;
/// Files of the catalogue, and bytes of each.
const CATALOGUE: (usize, usize) = (64, 1 << 20);

/// Layer sizes, as often as they come: many small ones, most bytes in few.
const SIZES: [u64; 12] = [
    40 << 10,
    300 << 10,
    800 << 10,
    2 << 20,
    2 << 20,
    6 << 20,
    12 << 20,
    25 << 20,
    25 << 20,
    45 << 20,
    80 << 20,
    190 << 20,
];

/// As registries have them.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Members of gzip that layers are made of.
struct Content {
    members: Vec<Vec<u8>>,
}

impl Content {
    /// Reads and compresses what this machine has.
    fn of_this_machine() -> Result<Self> {
        let (mut pieces, mut piece, mut size) = (Vec::new(), Vec::new(), 0);
        let mut folders = vec![PathBuf::from("/usr")];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                }
                if kind.is_file()
                    && size < CONTENT
                    && let Ok(bytes) = fs::read(entry.path())
                {
                    size += bytes.len();
                    piece.extend_from_slice(&bytes);
                    while piece.len() >= MEMBER {
                        let rest = piece.split_off(MEMBER);
                        pieces.push(std::mem::replace(&mut piece, rest));
                    }
                }
            }
            if size >= CONTENT {
                break;
            }
        }
        ensure!(
            pieces.len() > 16,
            "there is too little below /usr to make layers of"
        );
        let members = workers::each(&pieces, 2, |piece| gzip(piece))?;
        Ok(Self { members })
    }

    /// A layer of about this size that no other number gives: a short member of its own, and some of the others.
    fn layer(&self, number: u64, size: u64) -> Vec<&[u8]> {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (mut parts, mut left) = (Vec::new(), size);
        while left > 0 {
            let member = &self.members[random.below(self.members.len())];
            let part = &member[..member
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX))];
            left -= part.len() as u64;
            parts.push(part);
        }
        parts
    }
}

/// xorshift64 (Marsaglia 2003)
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % end
    }
}

/// Archives in a folder.
pub(crate) struct Archives {
    folder: PathBuf,
    archive: Option<(BufWriter<File>, u64)>,
    count: u32,
    bytes: u64,
}

/// Writes archives of about `size` bytes into `folder`. Of every hundred layers the first `new` are others than those of
/// `generation` 0.
pub(crate) fn write(folder: &Path, size: u64, generation: u64) -> Result<()> {
    fs::create_dir_all(folder)?;
    let content = Content::of_this_machine()?;
    let mut archives = Archives {
        folder: folder.to_owned(),
        archive: None,
        count: 0,
        bytes: 0,
    };
    archives.catalogue()?;
    let (mut number, mut new, mut layers) = (0, 0, Vec::new());
    while archives.bytes < size {
        let layer_size = SIZES[usize::try_from(number).unwrap_or_default() % SIZES.len()];
        // One in a hundred bytes is of another generation.
        let is_new = generation > 0 && new * 100 <= archives.bytes && layer_size < size / 100;
        new += if is_new { layer_size } else { 0 };
        let salt = if is_new { generation << 32 } else { 0 };
        let own = gzip(format!("{number} {salt}").as_bytes())?;
        let mut parts = content.layer(number + salt, layer_size);
        parts.insert(0, &own);
        layers.push(archives.blob(&parts)?);
        if layers.len() == 8 {
            archives.image(number, &std::mem::take(&mut layers))?;
        }
        number += 1;
    }
    archives.links()?;
    archives.end()
}

impl Archives {
    fn entry(&mut self, path: &str, parts: &[&[u8]]) -> Result<()> {
        let size: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if self
            .archive
            .as_ref()
            .is_some_and(|(_, written)| written + size > ARCHIVE)
        {
            self.end()?;
        }
        if self.archive.is_none() {
            self.count += 1;
            let path = self.folder.join(format!("mirror_{:06}.tar", self.count));
            self.archive = Some((BufWriter::with_capacity(1 << 20, File::create(path)?), 0));
        }
        let Some((file, written)) = &mut self.archive else {
            return Ok(());
        };
        let mut header = tar::Header::new_ustar();
        header.set_path(path)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        file.write_all(header.as_bytes())?;
        for part in parts {
            file.write_all(part)?;
        }
        let padding = size.next_multiple_of(512) - size;
        file.write_all(&vec![0; usize::try_from(padding)?])?;
        *written += 512 + size + padding;
        self.bytes += 512 + size + padding;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if let Some((mut file, _)) = self.archive.take() {
            file.write_all(&[0; 1024])?;
            file.flush()?;
            self.bytes += 1024;
        }
        Ok(())
    }

    fn blob(&mut self, parts: &[&[u8]]) -> Result<Digest> {
        let mut hasher = Hasher::default();
        for part in parts {
            hasher.update(part);
        }
        let digest = hasher.finish();
        let hex = digest.to_string();
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        self.entry(&path, parts)?;
        Ok(digest)
    }

    /// An image manifest with a tag.
    fn image(&mut self, number: u64, layers: &[Digest]) -> Result<()> {
        let config = self.blob(&[format!("{{\"config\":{number}}}").as_bytes()])?;
        let descriptor = |digest: &Digest| format!("{{\"digest\":\"{}\"}}", digest.to_oci());
        let all: Vec<_> = layers.iter().map(descriptor).collect();
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{},\"layers\":[{}]}}",
            descriptor(&config),
            all.join(",")
        );
        let digest = self.blob(&[manifest.as_bytes()])?;
        let base = format!("docker/registry/v2/repositories/bench/image{number}/_manifests");
        let link = digest.to_oci();
        self.entry(&format!("{base}/tags/v1/current/link"), &[link.as_bytes()])?;
        self.entry(
            &format!("{base}/revisions/sha256/{digest}/link"),
            &[link.as_bytes()],
        )
    }

    /// What makes up most entries of a real archive, and nothing of its bytes.
    fn links(&mut self) -> Result<()> {
        for number in 0..LINKS {
            let digest = Digest::of(&number.to_le_bytes());
            let path = format!(
                "docker/registry/v2/repositories/r{}/_layers/sha256/{digest}/link",
                number % 100
            );
            self.entry(&path, &[digest.to_oci().as_bytes()])?;
        }
        Ok(())
    }

    fn catalogue(&mut self) -> Result<()> {
        let (files, size) = CATALOGUE;
        for number in 0..files {
            let mut text = String::new();
            let mut random = Random(number as u64 + 1);
            while text.len() < size {
                let (a, b) = (random.below(1 << 30), random.below(1 << 30));
                let _ = writeln!(
                    text,
                    "{{\"schema\":\"olm.bundle\",\"name\":\"operator-{number}.v{a}\",\"package\":\"operator-{number}\",\
                     \"image\":\"registry.example/operators/bundle@sha256:{}\",\"properties\":[{{\"type\":\"olm.gvk\",\
                     \"value\":{{\"group\":\"example.com\",\"kind\":\"Kind{b}\",\"version\":\"v1alpha1\"}}}}]}}",
                    Digest::of(&a.to_le_bytes())
                );
            }
            let path = format!("working-dir/operator-catalogs/catalog/{number}.json");
            self.entry(&path, &[text.as_bytes()])?;
        }
        Ok(())
    }
}
