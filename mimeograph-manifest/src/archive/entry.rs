//! One entry of an archive, and what its path says that it is.

use std::ops::Range;

use tar::{EntryType, Header};

use super::ArchiveError;
use crate::digest::Digest;
use crate::limits;
use crate::manifest::Generation;

/// An entry that `oc-mirror` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as it stands in the archive.
    pub path: String,
    /// What it is.
    pub what: What,
    /// Where its data lies in the archive.
    pub data: Range<u64>,
}

/// What an entry is, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A blob: layers, configs and image manifests alike.
    Blob(Digest),
    /// v2: `…/_manifests/tags/<tag>/current/link`; its data is a digest.
    Tag {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// v1: `v2/<repository>/manifests/<tag>`, a symbolic link to a digest.
    TagLink {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// The digest.
        digest: Digest,
    },
    /// A manifest of a repository, by digest: v2 a link (`…/_manifests/revisions/…`), v1 the manifest itself.
    Revision {
        /// The repository.
        repository: String,
        /// The digest.
        digest: Digest,
    },
    /// v2's other links (`_layers`, a tag's index): they say nothing that the above do not.
    Link,
    /// v2: what an upload that was broken off left in the cache.
    Upload,
    /// v2: a copy of the image set configuration.
    Imageset,
    /// v2 `working-dir/…`, v1 `publish/.metadata.json`, `charts/…`, `release-signatures/…`, and v1's folders.
    Working,
}

impl Entry {
    pub(super) fn new(
        archive: &str,
        generation: Generation,
        path: String,
        header: &Header,
        data: Range<u64>,
    ) -> Result<Self, ArchiveError> {
        let entry = Self {
            what: What::Working,
            path,
            data,
        };
        let refused = |problem| {
            Err(ArchiveError::Refused {
                archive: archive.into(),
                path: printable(&entry.path),
                problem,
            })
        };
        let kind = header.entry_type();
        let is_folder = generation == Generation::V1 && kind == EntryType::Directory;
        let plain = if is_folder {
            entry.path.strip_suffix('/').unwrap_or(&entry.path)
        } else {
            &entry.path
        };
        if !is_contained(plain) {
            return refused("whose path is absolute, too long, or leaves its folder");
        }
        match octal(&header.as_old().mode) {
            Some(mode) if mode & 0o7000 == 0 => {}
            _ => return refused("which has setuid, setgid or sticky bits"),
        }
        let what = match (generation, kind) {
            (Generation::V2, EntryType::Regular) => in_v2(plain),
            (Generation::V1, EntryType::Regular) => in_v1(plain),
            (Generation::V1, EntryType::Directory) if entry.data.is_empty() => Some(What::Working)
                .filter(|_| {
                    matches!(
                        plain.split('/').next(),
                        Some("charts" | "release-signatures" | "publish")
                    )
                }),
            (Generation::V1, EntryType::Symlink) if entry.data.is_empty() => {
                link_in_v1(plain, header)
            }
            _ => return refused("which is not a regular file"),
        };
        match what {
            Some(what) => Ok(Self { what, ..entry }),
            None => refused("an entry that `oc-mirror` does not write"),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.data.end - self.data.start
    }
}

/// Relative, and staying below wherever it is joined to.
fn is_contained(path: &str) -> bool {
    path.len() <= limits::ARCHIVE_PATH
        && !path.chars().any(|c| c.is_control() || c == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// As `oc-mirror` v2 writes it (contract §3.1, "entries"; main: archive/archive.go).
fn in_v2(path: &str) -> Option<What> {
    if let Some(rest) = path.strip_prefix("docker/registry/v2/") {
        if let Some(blob) = rest.strip_prefix("blobs/sha256/") {
            let (two, hex) = blob.strip_suffix("/data")?.split_once('/')?;
            let digest = hex.parse().ok()?;
            return (two == &hex[..2]).then_some(What::Blob(digest));
        }
        return in_repository(rest.strip_prefix("repositories/")?);
    }
    if path
        .strip_prefix("isc_")
        .is_some_and(|time| !time.contains('/'))
    {
        return Some(What::Imageset);
    }
    // Cluster resources are made where archives are loaded. What an archive brought would be taken for them.
    path.strip_prefix("working-dir/")
        .filter(|inside| !inside.starts_with("cluster-resources/"))
        .map(|_| What::Working)
}

fn in_repository(path: &str) -> Option<What> {
    if let Some((_, inside)) = path.split_once("/_uploads/") {
        return (!inside.is_empty()).then_some(What::Upload);
    }
    if let Some((repository, inside)) = path.split_once("/_layers/sha256/") {
        return (!repository.is_empty() && is_digest_link(inside)).then_some(What::Link);
    }
    let (repository, inside) = path.split_once("/_manifests/")?;
    let repository = Some(repository.to_owned()).filter(|name| is_repository(name))?;
    if let Some(link) = inside.strip_prefix("revisions/sha256/") {
        let digest = link.strip_suffix("/link")?.parse().ok()?;
        return Some(What::Revision { repository, digest });
    }
    let (tag, link) = inside.strip_prefix("tags/")?.split_once('/')?;
    let tag = Some(tag.to_owned()).filter(|tag| is_tag(tag))?;
    match link {
        "current/link" => Some(What::Tag { repository, tag }),
        _ => is_digest_link(link.strip_prefix("index/sha256/")?).then_some(What::Link),
    }
}

/// As `oc-mirror` v1 writes it (contract §3.1).
fn in_v1(path: &str) -> Option<What> {
    if let Some(blob) = path.strip_prefix("blobs/") {
        return Digest::from_oci(blob).ok().map(What::Blob);
    }
    if let Some(rest) = path.strip_prefix("v2/") {
        let (repository, digest) = rest.split_once("/manifests/")?;
        let digest = Digest::from_oci(digest).ok()?;
        return is_repository(repository).then(|| What::Revision {
            repository: repository.into(),
            digest,
        });
    }
    let known = [
        "publish/",
        "charts/",
        "release-signatures/",
        "catalogs/",
        "cincinnati/",
    ];
    known
        .iter()
        .any(|folder| path.starts_with(folder))
        .then_some(What::Working)
}

fn link_in_v1(path: &str, header: &Header) -> Option<What> {
    let (repository, tag) = path.strip_prefix("v2/")?.split_once("/manifests/")?;
    let target = header.link_name_bytes()?;
    let digest = Digest::from_oci(std::str::from_utf8(&target).ok()?).ok()?;
    (is_repository(repository) && is_tag(tag)).then(|| What::TagLink {
        repository: repository.into(),
        tag: tag.into(),
        digest,
    })
}

fn is_digest_link(text: &str) -> bool {
    text.strip_suffix("/link")
        .is_some_and(|hex| hex.parse::<Digest>().is_ok())
}

/// The OCI distribution specification's grammar of a repository's name, loosely.
fn is_repository(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b))
}

/// The OCI distribution specification's grammar of a tag.
fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A path from outside, safe to print.
fn printable(path: &str) -> String {
    path.chars()
        .take(200)
        .flat_map(char::escape_default)
        .collect()
}

/// Octal digits, then spaces or NULs to the end; no base-256 form.
pub(super) fn octal(field: &[u8]) -> Option<u64> {
    let digits = field
        .iter()
        .take_while(|b| (b'0'..=b'7').contains(*b))
        .count();
    let (number, rest) = field.split_at(digits);
    if digits == 0 || !rest.iter().all(|b| matches!(b, 0 | b' ')) {
        return None;
    }
    number.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}
