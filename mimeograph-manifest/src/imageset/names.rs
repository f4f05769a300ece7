//! Names of images, taken apart as `oc-mirror` takes them.

use super::OCI;
use super::model::{AdditionalImage, Operator};
use crate::digest::Digest;
use crate::manifest::Generation;

/// How `oc-mirror` makes a tag for an image that has only a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagStyle {
    /// Up to 4.17: the digest's hexadecimal digits.
    Bare,
    /// From 4.18: `sha256-` before them.
    Algorithm,
    /// v1: the tag alone; digests are kept as digests.
    None,
}

impl TagStyle {
    /// That of an `oc-mirror`; one that does not know its version is new.
    pub fn of(generation: Generation, minor: Option<(u32, u32)>) -> Self {
        match (generation, minor) {
            (Generation::V1, _) => Self::None,
            (Generation::V2, Some(version)) if version < (4, 18) => Self::Bare,
            (Generation::V2, _) => Self::Algorithm,
        }
    }
}

/// An image's name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry; none: a folder on local disk (`oci://`).
    pub host: Option<String>,
    /// The repository, without the registry.
    pub repository: String,
    /// The tag: the image set's, or the one that `oc-mirror` makes up.
    pub tag: String,
    /// Whether the image set names a tag.
    pub has_tag: bool,
    /// The digest that the image set names.
    pub digest: Option<Digest>,
}

impl Reference {
    /// An additional image, as it lies in cache, archives and target.
    pub fn of_image(image: &AdditionalImage, style: TagStyle) -> Option<Self> {
        let (repo, tag) = (image.target_repo.as_deref(), image.target_tag.as_deref());
        Self::parse(&image.name, repo, tag, style)
    }

    /// A catalogue, likewise.
    pub fn of_catalog(operator: &Operator, style: TagStyle) -> Option<Self> {
        let repo = operator.target_catalog.as_deref();
        let tag = operator.target_tag.as_deref();
        // Of a local one only the last component counts.
        let local = operator.catalog.strip_prefix(OCI);
        let last = local.and_then(|path| path.trim_end_matches('/').rsplit('/').next());
        Self::parse(&operator.catalog, repo.or(last), tag, style)
    }

    /// Takes a name apart; `None` for one that is malformed.
    pub fn parse(
        name: &str,
        target_repo: Option<&str>,
        target_tag: Option<&str>,
        style: TagStyle,
    ) -> Option<Self> {
        let local = name
            .strip_prefix("oci://")
            .map(|path| path.trim_start_matches('/'));
        let plain = local.unwrap_or_else(|| name.strip_prefix("docker://").unwrap_or(name));
        let (plain, digest) = match plain.split_once('@') {
            Some((plain, digest)) => (plain, Some(Digest::from_oci(digest).ok()?)),
            None => (plain, None),
        };
        let after_slash = plain.rfind('/').map_or(0, |at| at + 1);
        let (path, tag_of_name) = match plain[after_slash..].split_once(':') {
            Some((last, tag)) => (&plain[..after_slash + last.len()], Some(tag)),
            None => (plain, None),
        };
        let (host, repository) = match path.split_once('/') {
            _ if local.is_some() => (None, path),
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (Some(first), rest)
            }
            // Whatever stands before the first slash is no part of the repository to `oc-mirror`, host or not.
            Some((_, rest)) => (Some("docker.io"), rest),
            None => (Some("docker.io"), path),
        };
        let tag = match (target_tag.or(tag_of_name), digest, style) {
            (Some(tag), _, _) => tag.to_owned(),
            (None, Some(digest), TagStyle::Bare) => digest.to_string(),
            (None, Some(digest), TagStyle::Algorithm) => format!("sha256-{digest}"),
            (None, _, _) => "latest".to_owned(),
        };
        let repository = target_repo.unwrap_or(repository);
        if local.is_none() && !(is_repository(repository) && is_tag(&tag)) {
            return None;
        }
        Some(Self {
            has_tag: target_tag.or(tag_of_name).is_some(),
            host: host.map(str::to_owned),
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

/// OCI distribution specification 1.1, "Pulling manifests": `<name>`.
fn is_repository(name: &str) -> bool {
    let is_component = |component: &str| {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = component.as_bytes();
        let ends = |end: Option<&u8>| end.is_some_and(|byte| alphanumeric(*byte));
        ends(bytes.first())
            && ends(bytes.last())
            && bytes
                .iter()
                .all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'_' | b'-'))
    };
    name.split('/').all(is_component)
}

/// The same, "Pulling manifests": `<reference>` as a tag.
fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, style: TagStyle) -> (Option<String>, String, String) {
        let r = Reference::parse(name, None, None, style).unwrap();
        (r.host, r.repository, r.tag)
    }

    #[test]
    fn names_come_apart_as_oc_mirror_takes_them() {
        let hex = Digest::of(b"x").to_string();
        let some = |host: &str, repo: &str, tag: &str| {
            (Some(host.to_owned()), repo.to_owned(), tag.to_owned())
        };
        let new = TagStyle::Algorithm;
        assert_eq!(
            parse("127.0.0.1:5100/tiny/t1:v1", new),
            some("127.0.0.1:5100", "tiny/t1", "v1")
        );
        assert_eq!(
            parse("127.0.0.1:5100/top", new),
            some("127.0.0.1:5100", "top", "latest")
        );
        let by_digest = format!("quay.io/tiny/t2@sha256:{hex}");
        assert_eq!(
            parse(&by_digest, new),
            some("quay.io", "tiny/t2", &format!("sha256-{hex}"))
        );
        assert_eq!(
            parse(&by_digest, TagStyle::Bare),
            some("quay.io", "tiny/t2", &hex)
        );
        let both = format!("h:1/a/b:v3@sha256:{hex}");
        assert_eq!(parse(&both, new), some("h:1", "a/b", "v3"));
        assert_eq!(
            parse("oci:///a/layouts/five", new),
            (None, "a/layouts/five".into(), "latest".into())
        );
        // As dry runs of 5.2 map them.
        assert_eq!(
            parse("bitnami/redis:7.2", new),
            some("docker.io", "redis", "7.2")
        );
        assert_eq!(parse("redis:7.2", new), some("docker.io", "redis", "7.2"));
        assert_eq!(Reference::parse("a/b@sha256:zz", None, None, new), None);
    }

    #[test]
    fn a_local_catalogue_goes_by_its_last_component() {
        let mut operator = Operator::default();
        operator.catalog.value = "oci:///tmp/layouts/redhat-index".into();
        let reference = |operator: &Operator| {
            let one = Reference::of_catalog(operator, TagStyle::Algorithm).unwrap();
            (one.host, one.repository, one.tag)
        };
        assert_eq!(
            reference(&operator),
            (None, "redhat-index".into(), "latest".into())
        );
    }
}
