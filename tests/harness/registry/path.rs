//! What a request's path asks for.

/// The routes of the distribution API, with the names cut out of the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Base,
    Catalog,
    Tags { repo: String },
    Manifest { repo: String, reference: String },
    Blob { repo: String, digest: String },
    Uploads { repo: String },
    Upload { repo: String, id: String },
}

impl Target {
    /// Names may have any depth, so a route is read from its end.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?.trim_start_matches('/');
        match rest {
            "" => return Some(Self::Base),
            "_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        let rest = rest.trim_end_matches('/');
        if let Some(repo) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags { repo: name(repo)? });
        }
        if let Some(repo) = rest.strip_suffix("/blobs/uploads") {
            return Some(Self::Uploads { repo: name(repo)? });
        }
        let (front, last) = rest.rsplit_once('/')?;
        let last = last.to_owned();
        if let Some(repo) = front.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload {
                repo: name(repo)?,
                id: last,
            });
        }
        if let Some(repo) = front.strip_suffix("/manifests") {
            return Some(Self::Manifest {
                repo: name(repo)?,
                reference: last,
            });
        }
        let repo = front.strip_suffix("/blobs")?;
        Some(Self::Blob {
            repo: name(repo)?,
            digest: last,
        })
    }
}

/// A repository name as distribution allows it.
fn name(text: &str) -> Option<String> {
    let part = |part: &str| {
        let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(alphanumeric)
            && bytes.last().copied().is_some_and(alphanumeric)
            && bytes
                .iter()
                .all(|c| alphanumeric(*c) || matches!(c, b'.' | b'_' | b'-'))
    };
    (text.len() <= 255 && text.split('/').all(part)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn names_have_any_depth() {
        let found = Target::parse("/v2/a/b/manifests/c/manifests/v1");
        let repo = "a/b/manifests/c".to_owned();
        assert_eq!(
            found,
            Some(Target::Manifest {
                repo,
                reference: "v1".to_owned()
            })
        );
        let found = Target::parse("/v2/top/blobs/uploads/");
        assert_eq!(
            found,
            Some(Target::Uploads {
                repo: "top".to_owned()
            })
        );
    }

    #[test]
    fn names_are_lower_case_and_whole() {
        for path in [
            "/v2/Upper/manifests/v1",
            "/v2/a//manifests/v1",
            "/v2/../x/blobs/y",
            "/v1/a/tags/list",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }
}
