//! Image references.

/// `HOST/PATH[:TAG][@DIGEST]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// As the image set has it.
    pub(crate) name: String,
    /// Empty for a short name.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Reference {
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("invalid digest");
        }
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if tag.is_none() && digest.is_none() {
            return Err("tag and digest are empty");
        }
        let (host, path) = match repository.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("", repository),
        };
        Ok(Self {
            name: name.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            tag,
            digest: digest.map(str::to_owned),
        })
    }

    /// The newest release takes the colon of a port for that of a tag.
    pub(crate) fn seems_to_have_both(&self, newest: bool) -> bool {
        let tagged = self.tag.is_some() || newest && self.host.contains(':');
        self.digest.is_some() && tagged
    }

    /// What is asked of the source registry: the digest where there is one.
    pub(crate) fn wanted(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or_default()
    }

    /// The name that is pulled, without a tag beside a digest.
    pub(crate) fn pulled(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}/{}@{digest}", self.host, self.path),
            None => self.name.clone(),
        }
    }
}

pub(crate) fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64
        && hex
            .bytes()
            .all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

pub(crate) fn is_repository(text: &str) -> bool {
    let allowed =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
    text.split('/')
        .all(|part| !part.is_empty() && part.bytes().all(allowed))
}
