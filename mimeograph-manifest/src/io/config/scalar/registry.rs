//! The target registry as `oc-mirror` takes it.

use std::str::FromStr;

use super::Mistake;
use crate::text::as_text;

/// `host[:port][/namespace]`: no scheme, no tag, no slash at the end.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryUri(String);

const FORM: &str =
    "write `host[:port][/namespace]`, such as `registry.example.com:5000/mimeograph`";

impl RegistryUri {
    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host[:port]`.
    pub fn host(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(host, _)| host)
    }

    /// What comes between the host and the repositories, without a slash; may be empty.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }
}

impl FromStr for RegistryUri {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let mistake = Mistake::new(
                format!("which begins with `{}://`", scheme.escape_debug()),
                format!(
                    "write it without: `{}`",
                    rest.trim_end_matches('/').escape_debug()
                ),
            );
            return Err(if rest.contains('@') {
                secret()
            } else {
                mistake
            });
        }
        if text.contains('@') {
            return Err(secret());
        }
        if text.ends_with('/') {
            let without = text.trim_end_matches('/').escape_debug();
            return Err(Mistake::new(
                "which ends with a slash",
                format!("write `{without}`"),
            ));
        }
        let (host, namespace) = match text.split_once('/') {
            Some((host, namespace)) => (host, Some(namespace)),
            None => (text, None),
        };
        check_host(host, text)?;
        namespace.map_or(Ok(()), check_namespace)?;
        Ok(Self(text.to_owned()))
    }
}

/// A repository below the target's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        check_namespace(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// Before an `@` may stand a password, so such a value is not printed.
fn secret() -> Mistake {
    Mistake::new(
        "has an `@`: neither credentials nor a digest belong there",
        format!("{FORM}; credentials are read from `mirror.ocMirror.authFile`"),
    )
    .hidden()
}

fn check_host(authority: &str, text: &str) -> Result<(), Mistake> {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|v6| v6.split_once(']'))
    {
        Some((v6, after)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => (
            "[]",
            (!after.is_empty()).then(|| after.strip_prefix(':').unwrap_or("")),
        ),
        Some(_) => ("", None),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host != "[]" && !is_host(host) {
        return Err(Mistake::new("which has no valid host", FORM));
    }
    if let Some(port) = port
        && !port
            .parse::<u16>()
            .is_ok_and(|number| number > 0 && !port.starts_with('+'))
    {
        return Err(Mistake::new(
            "whose port is not a number from 1 to 65535",
            FORM,
        ));
    }
    // distribution/reference, normalize.go: a first part without dot and port is a name on Docker Hub
    if port.is_none() && host != "localhost" && host != "[]" && !host.contains('.') {
        return Err(Mistake::new(
            format!("which would be taken for `docker.io/{text}`"),
            "write the host with its domain or its port, such as `registry:443`",
        ));
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty()
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

fn check_namespace(namespace: &str) -> Result<(), Mistake> {
    let last = namespace.rsplit('/').next().unwrap_or_default();
    if last.contains(':') {
        return Err(Mistake::new(
            "which has a tag",
            "leave the tag out: `oc-mirror` sets tags itself",
        ));
    }
    // OCI distribution specification, "Pulling manifests": [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separated = |part: &str| {
        part.split(plain_char)
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
    };
    let component = |part: &str| {
        let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
        ends && separated(part)
    };
    if namespace.split('/').all(component) && namespace.len() <= 200 {
        Ok(())
    } else {
        Err(Mistake::new(
            "whose namespace is not one of a registry",
            "write lower-case letters and digits, separated by `/`, `.`, `_` or `-`",
        ))
    }
}

fn plain_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

impl std::fmt::Display for RegistryUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(RegistryUri);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_namespaces_come_apart() {
        for (text, host, namespace) in [
            (
                "onprem.registry.example.com/mimeograph",
                "onprem.registry.example.com",
                "mimeograph",
            ),
            ("localhost:5000", "localhost:5000", ""),
            ("localhost/a", "localhost", "a"),
            (
                "registry:443/a/b-c_d.e__f--g",
                "registry:443",
                "a/b-c_d.e__f--g",
            ),
            ("10.0.0.1:5000/x", "10.0.0.1:5000", "x"),
            ("[::1]:5000/x", "[::1]:5000", "x"),
            ("[::1]", "[::1]", ""),
            ("Registry.Example.com", "Registry.Example.com", ""),
        ] {
            let uri: RegistryUri = text.parse().unwrap();
            assert_eq!((uri.host(), uri.namespace()), (host, namespace), "{text}");
        }
    }

    #[test]
    fn each_wrong_form_says_what_to_write() {
        for (text, problem, remedy) in [
            (
                "docker://r.example.com/a/",
                "which begins with `docker://`",
                "write it without: `r.example.com/a`",
            ),
            (
                "https://r.example.com",
                "which begins with `https://`",
                "write it without: `r.example.com`",
            ),
            (
                "r.example.com/a/",
                "which ends with a slash",
                "write `r.example.com/a`",
            ),
            (
                "r.example.com/a:v1",
                "which has a tag",
                "leave the tag out: `oc-mirror` sets tags itself",
            ),
            (
                "registry/a",
                "which would be taken for `docker.io/registry/a`",
                "write the host with its domain or its port, such as `registry:443`",
            ),
            (
                "r.example.com:99999/a",
                "whose port is not a number from 1 to 65535",
                FORM,
            ),
            (
                "r.example.com:/a",
                "whose port is not a number from 1 to 65535",
                FORM,
            ),
            (
                "r.example.com:0",
                "whose port is not a number from 1 to 65535",
                FORM,
            ),
            ("r..example.com", "which has no valid host", FORM),
            ("", "which has no valid host", FORM),
            ("/a", "which has no valid host", FORM),
            ("r example.com", "which has no valid host", FORM),
            ("[::g]:5000", "which has no valid host", FORM),
            (
                "[::1]5000",
                "whose port is not a number from 1 to 65535",
                FORM,
            ),
        ] {
            let mistake = text.parse::<RegistryUri>().unwrap_err();
            assert_eq!(
                (&*mistake.problem, &*mistake.remedy),
                (problem, remedy),
                "{text}"
            );
        }
        for text in [
            "r.example.com/A",
            "r.example.com//a",
            "r.example.com/a..b",
            "r.example.com/-a",
            "r.example.com/é",
        ] {
            let mistake = text.parse::<RegistryUri>().unwrap_err();
            assert_eq!(
                mistake.problem, "whose namespace is not one of a registry",
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_that_may_hold_a_password_is_not_shown() {
        for text in [
            "https://me:secret@r.example.com",
            "me:secret@r.example.com/a",
        ] {
            let mistake = text.parse::<RegistryUri>().unwrap_err();
            assert_eq!(mistake.shown, super::super::Shown::No);
            assert!(!mistake.to_string().contains("secret"), "{mistake}");
        }
    }
}
