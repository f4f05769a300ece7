//! Where a stream's store lies: `dir:PATH` or `s3://BUCKET/PREFIX`, and what the environment adds.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::store::StoreError;

/// A directory or a place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// A mounted drive, an NFS share, a diode's drop folder.
    Directory(PathBuf),
    /// A bucket.
    S3(S3Location),
}

/// A place in a bucket. What is unset comes from the environment: see [`S3Location::completed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket; empty for the one of an ObjectBucketClaim.
    pub bucket: String,
    /// Folders within the bucket (`subDir`), without a `/` at either end; may be empty.
    pub prefix: String,
    /// The server, for stores other than AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The bucket in the path instead of in the host name; the default where there is an endpoint.
    pub force_path_style: Option<bool>,
    /// Certificates to trust beside the system's, as PEM.
    pub ca_bundle: Option<PathBuf>,
    /// What is asked for with every object that is written.
    pub keeping: Keeping,
}

/// How a bucket is to keep what is written, beyond what its own settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// `sse.kmsKeyId`: encrypted with this key of AWS KMS (SSE-KMS).
    pub kms_key: Option<String>,
    /// `objectLock`: not to be removed before.
    pub lock: Option<ObjectLock>,
}

/// S3 Object Lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may shorten it.
    pub mode: LockMode,
    /// For how long after it was written.
    pub days: u32,
}

/// Who may shorten a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has the right `s3:BypassGovernanceRetention`.
    Governance,
    /// Nobody.
    Compliance,
}

impl StoreLocation {
    /// Reads `dir:PATH` or `s3://BUCKET/PREFIX`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong = |reason: &str| StoreError::Settings {
            place: format!("`{text}`"),
            reason: reason.to_owned(),
        };
        if let Some(path) = text.strip_prefix("dir:") {
            if path.is_empty() {
                return Err(wrong("a path is missing after `dir:`"));
            }
            return Ok(Self::Directory(path.into()));
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err(wrong("a store is `dir:PATH` or `s3://BUCKET/PREFIX`"));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self::S3(S3Location {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            ..S3Location::default()
        }))
    }
}

impl FromStr for StoreLocation {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::parse(text)
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::S3(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl S3Location {
    /// Fills in what is unset: from the variables of the AWS tools, then from those of an
    /// ObjectBucketClaim. An empty value is an unset one.
    pub fn completed(&self, env: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let var = |names: &[&str]| {
            let values = names.iter().filter_map(|name| env(name));
            values.map(|v| v.trim().to_owned()).find(|v| !v.is_empty())
        };
        let set = |value: &Option<String>| value.clone().filter(|v| !v.trim().is_empty());

        let endpoint = set(&self.endpoint)
            .or_else(|| var(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]))
            .or_else(|| {
                let host = var(&["BUCKET_HOST"])?;
                Some(claimed_endpoint(&host, var(&["BUCKET_PORT"]).as_deref()))
            });
        let region = set(&self.region)
            .or_else(|| var(&["AWS_REGION", "AWS_DEFAULT_REGION", "BUCKET_REGION"]))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let path_style = match self.force_path_style {
            None => self.path_style(var(&["MIMEOGRAPH_S3_FORCE_PATH_STYLE"]))?,
            set => set,
        };
        let completed = Self {
            bucket: set(&Some(self.bucket.clone()))
                .or_else(|| var(&["BUCKET_NAME"]))
                .unwrap_or_default(),
            prefix: self.prefix.trim_matches('/').to_owned(),
            force_path_style: Some(path_style.unwrap_or(endpoint.is_some())),
            endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
            region: Some(region),
            ca_bundle: self
                .ca_bundle
                .clone()
                .or_else(|| var(&["AWS_CA_BUNDLE"]).map(PathBuf::from)),
            keeping: self.keeping.clone(),
        };
        completed.check()?;
        Ok(completed)
    }

    fn path_style(&self, value: Option<String>) -> Result<Option<bool>, StoreError> {
        match value.map(|v| v.to_ascii_lowercase()).as_deref() {
            None => Ok(None),
            Some("true" | "1" | "yes") => Ok(Some(true)),
            Some("false" | "0" | "no") => Ok(Some(false)),
            Some(_) => {
                Err(self.wrong("`MIMEOGRAPH_S3_FORCE_PATH_STYLE` is neither `true` nor `false`"))
            }
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.bucket.is_empty() {
            return Err(self.wrong("no bucket is named, nor does `BUCKET_NAME` name one"));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if !self.bucket.bytes().all(allowed) {
            return Err(self.wrong("a bucket's name has letters, digits, `.`, `-` and `_` alone"));
        }
        let component = |part: &str| {
            !matches!(part, "" | "." | "..")
                && !part.contains(|c: char| c.is_control() || c == '\\')
        };
        if !self.prefix.is_empty() && !self.prefix.split('/').all(component) {
            return Err(self.wrong("its folder has an empty, `.` or `..` component"));
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| endpoint.strip_prefix(scheme))
            .ok_or_else(|| {
                self.wrong("the endpoint begins with neither `https://` nor `http://`")
            })?;
        // What is quoted in messages must hold no password.
        if host.is_empty() || host.contains(['@', '?', '#']) || host.contains(char::is_whitespace) {
            return Err(self.wrong(
                "the endpoint is not `https://HOST[:PORT]`; credentials have no place in it",
            ));
        }
        Ok(())
    }

    fn wrong(&self, reason: &str) -> StoreError {
        StoreError::Settings {
            place: format!("`{self}`"),
            reason: reason.to_owned(),
        }
    }
}

/// An ObjectBucketClaim names host and port apart, and no scheme.
fn claimed_endpoint(host: &str, port: Option<&str>) -> String {
    match port {
        _ if host.contains("://") => host.to_owned(),
        None | Some("443") => format!("https://{host}"),
        Some("80") => format!("http://{host}"),
        Some(port) => format!("https://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(place: &S3Location, vars: &[(&str, &str)]) -> Result<S3Location, StoreError> {
        place.completed(|name| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn s3(text: &str) -> S3Location {
        match StoreLocation::parse(text).unwrap() {
            StoreLocation::S3(place) => place,
            StoreLocation::Directory(_) => unreachable!(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["dir:/mnt/transfer", "dir:x", "s3://b", "s3://b/x/y"] {
            assert_eq!(StoreLocation::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(s3("s3://b/x/").prefix, "x");
        for wrong in ["", "dir:", "/mnt/transfer", "https://host/b"] {
            assert!(StoreLocation::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_flag_beats_aws_and_aws_beats_the_claim_and_empty_is_unset() {
        let all = [
            ("AWS_ENDPOINT_URL", "https://general.example"),
            ("AWS_ENDPOINT_URL_S3", "https://s3.example/"),
            ("AWS_REGION", "eu-west-1"),
            ("BUCKET_HOST", "claim.example"),
            ("BUCKET_PORT", "443"),
            ("BUCKET_REGION", "claim-1"),
            ("BUCKET_NAME", "claimed-7f3a"),
        ];
        let flag = S3Location {
            endpoint: Some("http://flag.example:9000".into()),
            region: Some("flag-1".into()),
            ..s3("s3://b/x")
        };
        let found = completed(&flag, &all).unwrap();
        assert_eq!(found.endpoint.unwrap(), "http://flag.example:9000");
        assert_eq!(found.region.unwrap(), "flag-1");
        assert_eq!(found.bucket, "b");

        let found = completed(&s3("s3:///x"), &all).unwrap();
        assert_eq!(found.endpoint.unwrap(), "https://s3.example");
        assert_eq!(found.region.unwrap(), "eu-west-1");
        assert_eq!(found.bucket, "claimed-7f3a");

        let claim = [
            ("AWS_ENDPOINT_URL_S3", ""),
            ("AWS_REGION", " "),
            ("BUCKET_HOST", "claim.example"),
            ("BUCKET_PORT", "6443"),
            ("BUCKET_REGION", ""),
        ];
        let found = completed(&s3("s3://b"), &claim).unwrap();
        assert_eq!(found.endpoint.unwrap(), "https://claim.example:6443");
        assert_eq!(found.region.unwrap(), "us-east-1");
    }

    #[test]
    fn path_style_follows_the_endpoint_unless_it_is_set() {
        let style =
            |place: &S3Location, vars: &[_]| completed(place, vars).unwrap().force_path_style;
        let endpoint = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000");
        let no = ("MIMEOGRAPH_S3_FORCE_PATH_STYLE", "false");
        assert_eq!(style(&s3("s3://b"), &[]), Some(false));
        assert_eq!(style(&s3("s3://b"), &[endpoint]), Some(true));
        assert_eq!(style(&s3("s3://b"), &[endpoint, no]), Some(false));
        let forced = S3Location {
            force_path_style: Some(true),
            ..s3("s3://b")
        };
        assert_eq!(style(&forced, &[no]), Some(true));
    }

    #[test]
    fn what_cannot_work_is_refused_and_passwords_are_not_repeated() {
        assert!(completed(&s3("s3:///x"), &[]).is_err());
        assert!(completed(&s3("s3://b/x/../y"), &[]).is_err());
        for endpoint in [
            "s3.example",
            "https://",
            "https://me:TopSecretValue@s3.example",
        ] {
            let error = completed(&s3("s3://b"), &[("AWS_ENDPOINT_URL", endpoint)]).unwrap_err();
            assert!(!error.to_string().contains("TopSecretValue"), "{error}");
        }
    }
}
