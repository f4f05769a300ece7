//! Whether an error may pass by itself, told by its text: `oc-mirror` has nothing else to tell it by.

/// What an error is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It may pass.
    Transient,
    /// It stays until someone does something.
    Permanent,
    /// Nothing is known.
    Unknown,
}

/// Signs that it may pass, stronger than the signs below.
const BUSY: &[&str] = &[
    "toomanyrequests",
    "429 too many requests",
    "status: 429",
    "status 429",
];

const PERMANENT: &[&str] = &[
    "manifest unknown",
    "manifest_unknown",
    "name unknown",
    "name_unknown",
    "blob unknown",
    "unauthorized",
    "authentication required",
    "denied",
    "forbidden",
    "invalid reference",
    "invalid source name",
    "unable to parse image",
    "repository name must be lowercase",
    "unknown field",
    "unknown flag",
    "unknown command",
    "decode imagesetconfiguration",
    "not recognized",
    "invalid configuration",
    "invalid signature",
    "no signature found",
    "noversionsfound",
    "no such file or directory",
    "no space left on device",
    "read-only file system",
    "disk quota exceeded",
    "x509:",
    "server gave http response to https client",
    "did not match",
    "is not supported",
    "not found in",
    "no related images found",
    "empty channel",
    "invalid mirror sequence order",
    "not present in the archive",
    "tag and digest are empty",
];

const TRANSIENT: &[&str] = &[
    "connection refused",
    "connection reset",
    "broken pipe",
    "connection timed out",
    "network is unreachable",
    "no route to host",
    "no such host",
    "temporary failure in name resolution",
    "server misbehaving",
    "i/o timeout",
    "handshake timeout",
    "context deadline exceeded",
    "client.timeout",
    "unexpected eof",
    ": eof",
    "stream error",
    "goaway",
    "http2:",
    "digest invalid",
    "write too long",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
    "is already bound",
    "address already in use",
    "text file busy",
];

impl Nature {
    pub(super) fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        if has(BUSY) || has_server_error(&text) {
            Self::Transient
        } else if has(PERMANENT) {
            Self::Permanent
        } else if has(TRANSIENT) {
            Self::Transient
        } else {
            Self::Unknown
        }
    }

    /// What several are like together: one that stays is enough, trying again would not get past it.
    pub(super) fn of_all<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        texts
            .map(Self::of)
            .fold(Self::Unknown, |all, one| match (all, one) {
                (Self::Permanent, _) | (_, Self::Permanent) => Self::Permanent,
                (Self::Transient, _) | (_, Self::Transient) => Self::Transient,
                (Self::Unknown, Self::Unknown) => Self::Unknown,
            })
    }
}

/// `status: 503`, `status code 500`, `exists: 500` and the like: a bare 5xx at the end of a word pair that
/// means an HTTP status.
fn has_server_error(text: &str) -> bool {
    [
        "status: 5",
        "status 5",
        "status code 5",
        "status code: 5",
        "exists: 5",
    ]
    .iter()
    .any(|sign| {
        text.match_indices(sign).any(|(at, _)| {
            let digits = &text.as_bytes()[at + sign.len()..];
            digits.len() >= 2
                && digits[..2].iter().all(u8::is_ascii_digit)
                && !digits.get(2).is_some_and(u8::is_ascii_digit)
        })
    })
}

/// Whether the text says that a registry does not take our login, or has none of us.
pub(super) fn is_login(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "unauthorized",
        "authentication required",
        "invalid username/password",
        "requested access to the resource is denied",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// Whether the text says that a disk is full.
pub(super) fn is_no_space(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("no space left on device") || text.contains("disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_real_runs_are_told_apart() {
        for (text, nature) in [
            (
                "dial tcp 127.0.0.1:5180: connect: connection refused",
                Nature::Transient,
            ),
            (
                "Get \"https://quay.io/v2/\": net/http: TLS handshake timeout",
                Nature::Transient,
            ),
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                Nature::Transient,
            ),
            (
                "checking whether a blob sha256:5… exists: 500 Internal Server Error",
                Nature::Transient,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit; access denied",
                Nature::Transient,
            ),
            (
                "writing signatures: uploading manifest a.sig to r/openshift/release: digest invalid",
                Nature::Transient,
            ),
            ("archive/tar: write too long", Nature::Transient),
            ("reading blob: unexpected EOF", Nature::Transient),
            (
                "Get \"http://localhost:23999/v2/\": dial tcp [::1]:23999: connect: connection refused",
                Nature::Transient,
            ),
            (
                "55000 is already bound and cannot be used",
                Nature::Transient,
            ),
            (
                "reading manifest v9 in 127.0.0.1:5100/tiny/absent: manifest unknown",
                Nature::Permanent,
            ),
            (
                "requested access to the resource is denied",
                Nature::Permanent,
            ),
            (
                "unable to retrieve auth token: invalid username/password: unauthorized",
                Nature::Permanent,
            ),
            (
                "repository name not known to registry: name unknown",
                Nature::Permanent,
            ),
            (
                "invalid reference format: repository name must be lowercase",
                Nature::Permanent,
            ),
            (
                "decode ImageSetConfiguration: json: unknown field \"targetRepo\"",
                Nature::Permanent,
            ),
            (
                "write /out/mirror_000001.tar: no space left on device",
                Nature::Permanent,
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                Nature::Permanent,
            ),
            ("something new", Nature::Unknown),
        ] {
            assert_eq!(Nature::of(text), nature, "{text}");
        }
    }

    #[test]
    fn one_that_stays_outweighs_those_that_may_pass() {
        let texts = ["connection refused", "manifest unknown", "something new"];
        assert_eq!(Nature::of_all(texts.into_iter()), Nature::Permanent);
        assert_eq!(Nature::of_all(texts.into_iter().take(1)), Nature::Transient);
        assert_eq!(Nature::of_all(texts.into_iter().skip(2)), Nature::Unknown);
    }
}
