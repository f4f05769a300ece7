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
    pub(super) fn judge(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::of(b"x")
    }

    /// Its digits, and the first two of them.
    fn hex() -> (String, String) {
        let hex = digest().to_string();
        (hex.clone(), hex[..2].to_owned())
    }

    #[test]
    fn a_number_is_octal_digits_and_then_spaces_or_nuls() {
        for (field, number) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"755 \0", Some(0o755)),
            (b"7", Some(7)),
            (b"1777777777777777777777", Some(u64::MAX)),
            (b"2000000000000000000000", None),
            (b"", None),
            (b"\0\0", None),
            (b"  7", None),
            (b"64\x001", None),
            (b"8", None),
            (b"/7", None),
            (b"-7", None),
            (b"\x80\0\x07", None),
        ] {
            assert_eq!(octal(field), number, "{field:?}");
        }
    }

    #[test]
    fn a_path_stays_below_wherever_it_is_joined_to() {
        let longest = "a/".repeat(limits::ARCHIVE_PATH / 2 - 1) + "ab";
        assert_eq!(longest.len(), limits::ARCHIVE_PATH);
        for path in ["a", "a/b", "..a/b..", ".a", "é", &longest] {
            assert!(is_contained(path), "{path}");
        }
        let longer = longest.clone() + "c";
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "a/.", "./a", "..", "../a", "a/../b", "a\\b", "a\nb",
            "a\0", "\u{7f}", &longer,
        ] {
            assert!(!is_contained(path), "{path:?}");
        }
    }

    #[test]
    fn what_v2_writes_is_known_by_its_path() {
        let (hex, two) = hex();
        let blobs = "docker/registry/v2/blobs/sha256";
        let of = |inside: &str| in_v2(&format!("docker/registry/v2/repositories/{inside}"));
        let (repository, digest) = ("a/b-c.d_1".to_owned(), digest());
        let tag = "V_1.0-x".to_owned();

        let blob = Some(What::Blob(digest));
        assert_eq!(in_v2(&format!("{blobs}/{two}/{hex}/data")), blob);
        for wrong in [
            format!("{blobs}/00/{hex}/data"),
            format!("{blobs}/{two}/{hex}"),
            format!("{blobs}/{hex}/data"),
            format!("{blobs}/{two}/{two}/data"),
            format!("docker/registry/v2/{hex}"),
        ] {
            assert_eq!(in_v2(&wrong), None, "{wrong}");
        }
        assert_eq!(
            of(&format!("a/b-c.d_1/_manifests/tags/{tag}/current/link")),
            Some(What::Tag {
                repository: repository.clone(),
                tag
            })
        );
        assert_eq!(
            of(&format!("a/b-c.d_1/_manifests/revisions/sha256/{hex}/link")),
            Some(What::Revision { repository, digest })
        );
        for link in [
            format!("a/_manifests/tags/v1/index/sha256/{hex}/link"),
            format!("a/_layers/sha256/{hex}/link"),
        ] {
            assert_eq!(of(&link), Some(What::Link), "{link}");
        }
        assert_eq!(of("a/_uploads/1/data"), Some(What::Upload));
        for wrong in [
            format!("a/_manifests/tags/v1/index/sha256/{hex}"),
            format!("a/_manifests/tags/v1/index/sha256/{two}/link"),
            "a/_manifests/tags/v1/other/link".to_owned(),
            "a/_manifests/tags/v:1/current/link".to_owned(),
            "a/_manifests/tags//current/link".to_owned(),
            "A/_manifests/tags/v1/current/link".to_owned(),
            "/_manifests/tags/v1/current/link".to_owned(),
            format!("a/_manifests/revisions/sha256/{hex}"),
            format!("A/_manifests/revisions/sha256/{hex}/link"),
            format!("a/_layers/sha256/{hex}/data"),
            format!("a/_layers/sha256/{two}/link"),
            format!("/_layers/sha256/{hex}/link"),
            "a/_uploads/".to_owned(),
            "a/other".to_owned(),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        assert_eq!(in_v2("isc_2026-11-24"), Some(What::Imageset));
        assert_eq!(in_v2("isc_2026/x"), None);
        assert_eq!(in_v2("working-dir/x/y"), Some(What::Working));
        assert_eq!(in_v2("working-dir/cluster-resources/idms.yaml"), None);
        assert_eq!(in_v2("elsewhere/x"), None);
    }

    #[test]
    fn what_v1_writes_is_known_by_its_path() {
        let (repository, digest) = ("a/b".to_owned(), digest());
        let oci = digest.to_oci();
        assert_eq!(in_v1(&format!("blobs/{oci}")), Some(What::Blob(digest)));
        assert_eq!(
            in_v1(&format!("v2/a/b/manifests/{oci}")),
            Some(What::Revision { repository, digest })
        );
        for folder in [
            "publish",
            "charts",
            "release-signatures",
            "catalogs",
            "cincinnati",
        ] {
            assert_eq!(
                in_v1(&format!("{folder}/x")),
                Some(What::Working),
                "{folder}"
            );
            assert_eq!(in_v1(folder), None, "{folder}");
        }
        for wrong in [
            "blobs/x".to_owned(),
            format!("blobs/{oci}/x"),
            format!("v2/A/manifests/{oci}"),
            format!("v2//manifests/{oci}"),
            "v2/a/manifests/v1".to_owned(),
            format!("v2/a/{oci}"),
            format!("x/charts/{oci}"),
        ] {
            assert_eq!(in_v1(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_tag_has_up_to_128_characters() {
        let longest = "t".repeat(128);
        for tag in ["v1", "A_b-c.1", "0", &longest] {
            assert!(is_tag(tag), "{tag}");
        }
        let longer = longest.clone() + "t";
        for tag in ["", "a:b", "a b", "a/b", "é", &longer] {
            assert!(!is_tag(tag), "{tag}");
        }
    }

    fn judge(
        generation: Generation,
        path: &str,
        size: u64,
        change: impl FnOnce(&mut Header),
    ) -> Option<What> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        change(&mut header);
        let judged = Entry::judge("x", generation, path.to_owned(), &header, 512..512 + size);
        judged.ok().map(|entry| {
            assert_eq!((entry.path.as_str(), entry.size()), (path, size));
            entry.what
        })
    }

    #[test]
    fn no_entry_brings_setuid_setgid_or_sticky_bits() {
        let with = |mode: &[u8; 8]| {
            judge(Generation::V2, "working-dir/x", 2, |header| {
                header.as_old_mut().mode = *mode;
            })
        };
        assert_eq!(with(b"0000777\0"), Some(What::Working));
        assert_eq!(with(b"0100644\0"), Some(What::Working));
        for mode in [
            b"0001755\0",
            b"0002755\0",
            b"0004755\0",
            b"0007000\0",
            b"\x80\0\0\0\0\0\0\0",
        ] {
            assert_eq!(with(mode), None, "{mode:?}");
        }
    }

    #[test]
    fn folders_and_links_are_v1s_where_v1_writes_them_and_have_no_data() {
        let (v1, v2) = (Generation::V1, Generation::V2);
        let folder = |generation, path, size| {
            judge(generation, path, size, |header| {
                header.set_entry_type(EntryType::Directory);
            })
        };
        for path in ["charts", "charts/", "release-signatures/x/", "publish"] {
            assert_eq!(folder(v1, path, 0), Some(What::Working), "{path}");
            assert_eq!(folder(v1, path, 1), None, "{path}");
            assert_eq!(folder(v2, path, 0), None, "{path}");
        }
        for path in ["other", "charts//", "/charts", "x/charts", "blobs/"] {
            assert_eq!(folder(v1, path, 0), None, "{path}");
        }
        assert_eq!(judge(v1, "charts/x/", 0, |_| {}), None);
        assert_eq!(judge(v1, "charts/x", 0, |_| {}), Some(What::Working));
        assert_eq!(judge(v2, "working-dir/x/", 0, |_| {}), None);

        let link = |generation, path, target: &str, size| {
            judge(generation, path, size, |header| {
                header.set_entry_type(EntryType::Symlink);
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            })
        };
        let (path, target) = ("v2/a/manifests/v1", digest().to_oci());
        let what = What::TagLink {
            repository: "a".to_owned(),
            tag: "v1".to_owned(),
            digest: digest(),
        };
        assert_eq!(link(v1, path, &target, 0), Some(what));
        assert_eq!(link(v1, path, &target, 1), None);
        assert_eq!(link(v2, path, &target, 0), None);
        assert_eq!(link(v1, path, "../evil", 0), None);
        assert_eq!(link(v1, path, &target[7..], 0), None);
        assert_eq!(link(v1, "v2/A/manifests/v1", &target, 0), None);
        assert_eq!(link(v1, "v2/a/manifests/v:1", &target, 0), None);
        assert_eq!(link(v1, "charts/x", &target, 0), None);
        let other = |kind| judge(v1, "charts/x", 0, |header| header.set_entry_type(kind));
        for kind in [
            EntryType::Link,
            EntryType::Char,
            EntryType::Block,
            EntryType::Fifo,
        ] {
            assert_eq!(other(kind), None, "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_shows_the_path_as_it_can_be_printed() {
        let header = Header::new_ustar();
        let path = "a\x1b[2J".to_owned();
        let refused = Entry::judge("x", Generation::V2, path, &header, 0..0).unwrap_err();
        assert!(refused.to_string().contains("`a\\u{1b}[2J`"), "{refused}");
        assert_eq!(printable(&"a".repeat(300)).len(), 200);
    }
}
