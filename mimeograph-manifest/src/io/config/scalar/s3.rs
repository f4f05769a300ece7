//! The parts of a place in a bucket.

use std::str::FromStr;

use super::Mistake;

/// A bucket's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketName(pub(crate) String);

impl FromStr for BucketName {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        // Wider than AWS's own rule: other stores allow capitals, underscores and longer names.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=255).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Mistake::new(
                "which is not a bucket's name",
                "write the name alone: no `s3://`, no path (that is `s3.bucket.subDir`)",
            ))
        }
    }
}

/// The server's URL, without slashes at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) String);

impl FromStr for Endpoint {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let remedy = "write `https://host[:port]`, or `http://…` where there is no TLS";
        if text.contains('@') {
            let remedy = "take it out: no credentials in this file; those of S3 come from the standard AWS chain";
            return Err(Mistake::new("has an `@`", remedy).hidden());
        }
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let host = rest
            .map(|rest| rest.trim_end_matches('/'))
            .unwrap_or_default();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#');
        if host.is_empty() || host.starts_with('/') || host.contains(odd) {
            Err(Mistake::new("which is not an endpoint's URL", remedy))
        } else {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        }
    }
}

/// What comes before every object's name, without slashes at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) String);

impl FromStr for Prefix {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let inner = text.trim_matches('/');
        let part = |part: &str| !part.is_empty() && part != "." && part != "..";
        let fits = inner.len() <= 512 && !inner.contains(char::is_control);
        if inner.is_empty() || (fits && inner.split('/').all(part)) {
            Ok(Self(inner.to_owned()))
        } else {
            Err(Mistake::new(
                "which is not a folder within a bucket",
                "write names separated by single slashes, such as `team/redhat-operators`",
            ))
        }
    }
}

/// A region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(pub(crate) String);

impl FromStr for Region {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.len() <= 63 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Mistake::new(
                "which is not a region",
                "write its code, such as `eu-central-1`, or leave it out",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_credentials() {
        for text in [
            "https://s3-endpoint.example.com/",
            "https://s3-endpoint.example.com",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.0, "https://s3-endpoint.example.com");
        }
        assert!("http://127.0.0.1:8333".parse::<Endpoint>().is_ok());
        for wrong in [
            "s3.example.com",
            "https://",
            "https:///x",
            "ftp://x",
            "https://a b",
            "https://a?b",
            "",
        ] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
        let secret = "https://key:secret@s3.example.com"
            .parse::<Endpoint>()
            .unwrap_err();
        assert_eq!(secret.shown, super::super::Shown::No);
    }

    #[test]
    fn a_bucket_is_a_name_and_a_prefix_a_folder() {
        for wrong in ["", "s3://b", "b/c", "b c"] {
            assert!(wrong.parse::<BucketName>().is_err(), "{wrong}");
        }
        assert_eq!("/a/b/".parse::<Prefix>().unwrap().0, "a/b");
        assert_eq!("/".parse::<Prefix>().unwrap().0, "");
        for wrong in ["a//b", "a/../b", "a\nb", "./a"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong:?}");
        }
        assert!("eu central".parse::<Region>().is_err());
    }
}
