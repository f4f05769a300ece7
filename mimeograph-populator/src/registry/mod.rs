//! Asks the target registry what it serves: the last check, and the only one that catches everything.

mod access;
pub mod artifact;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::Config;
use mimeograph_manifest::io::oc_mirror::auth::Credentials;
use mimeograph_manifest::io::oc_mirror::environment::Surroundings;
pub use mimeograph_manifest::state::Wanted;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::access::{certificates, parse_credentials};

/// Destinations that are asked at once.
pub const ASKED_AT_ONCE: usize = 8;
/// Tries of one question, and the pause before the second; doubled for each further one.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// Whether the registry's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It is.
    Verify,
    /// It is not, and plain HTTP is tried too, as `oc-mirror` does.
    Skip,
}

/// A registry that can be asked.
pub struct Registry {
    host: String,
    clients: Vec<Client>,
    credentials: Vec<(String, RegistryAuth)>,
    runtime: Runtime,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A destination that does not hold what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    wanted: Wanted,
    found: Option<Digest>,
}

impl Mismatch {
    /// What should be there.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is there.
    pub fn found(&self) -> Option<Digest> {
        self.found
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted {
            repository,
            tag,
            digest,
        } = &self.wanted;
        match self.found {
            None => write!(f, "{repository}:{tag} is not there"),
            Some(found) => write!(
                f,
                "{repository}:{tag} is {}, not {}",
                found.to_oci(),
                digest.to_oci()
            ),
        }
    }
}

/// What asking found.
#[derive(Debug, Default)]
pub struct Confirmed {
    /// Destinations that hold what they must.
    pub there: Vec<Wanted>,
    /// Those that do not.
    pub mismatches: Vec<Mismatch>,
}

/// Why the registry could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The client could not be made.
    #[error("failed to prepare the questions to registry `{host}`: {reason}")]
    Prepare {
        /// The registry.
        host: String,
        /// Why.
        reason: String,
    },
    /// It does not answer.
    #[error("registry `{host}` does not answer as it should")]
    Unreachable {
        /// The registry.
        host: String,
        /// What came back.
        source: Box<OciDistributionError>,
    },
    /// It does not give all that it has.
    #[error("registry `{host}` does not list all tags of `{repository}`")]
    Cut {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
    },
    /// It refuses what is sent.
    #[error("registry `{host}` does not take `{repository}`")]
    Refused {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// What it said.
        source: Box<OciDistributionError>,
    },
    /// It refuses us.
    #[error("registry `{host}` refuses our credentials for `{repository}`")]
    Forbidden {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// What it said.
        source: Box<OciDistributionError>,
    },
}

impl Fault for RegistryError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Prepare { .. } => ErrorId::ConfigInvalid,
            Self::Unreachable { .. } | Self::Cut { .. } => ErrorId::RegistryUnreachable,
            Self::Refused { .. } | Self::Forbidden { .. } => ErrorId::RegistryForbidden,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Forbidden { .. } => {
                Some("check the registry's entry in `mirror.ocMirror.authFile`: it must be allowed to pull, too".into())
            }
            Self::Unreachable { .. } => Some(
                "check `mirror.targetRegistryURI`, its certificate (SSL_CERT_FILE, or certs.d) and \
                 `mirror.ocMirror.targetTLSVerify`"
                    .into(),
            ),
            Self::Prepare { .. } | Self::Cut { .. } | Self::Refused { .. } => None,
        }
    }
}

impl Registry {
    /// The target of the configuration, with the credentials that `oc-mirror` is given.
    pub fn of(config: &Config) -> Result<Self, Failure> {
        let around = Surroundings::of_this_process();
        let credentials = Credentials::find(config.auth_file()?.map(|file| &**file), &around)?;
        let tls = if config.mirror.oc_mirror.target_tls_verify {
            Tls::Verify
        } else {
            Tls::Skip
        };
        Ok(Self::open(
            config.target()?.host(),
            tls,
            credentials.json(),
        )?)
    }

    /// Prepares to ask `host` (`host[:port]`), with credentials as in a `config.json` or `auth.json`.
    pub fn open(host: &str, tls: Tls, credentials: &[u8]) -> Result<Self, RegistryError> {
        let prepare = |reason: String| RegistryError::Prepare {
            host: host.to_owned(),
            reason,
        };
        let protocols = match tls {
            Tls::Verify => vec![ClientProtocol::Https],
            Tls::Skip => vec![ClientProtocol::Https, ClientProtocol::Http],
        };
        let client = |protocol| {
            let config = ClientConfig {
                protocol,
                accept_invalid_certificates: tls == Tls::Skip,
                extra_root_certificates: certificates(host),
                read_timeout: Some(Duration::from_mins(1)),
                connect_timeout: Some(Duration::from_secs(10)),
                ..ClientConfig::default()
            };
            Client::try_from(config).map_err(|error| prepare(error.to_string()))
        };
        let clients = protocols
            .into_iter()
            .map(client)
            .collect::<Result<_, _>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| prepare(error.to_string()))?;
        Ok(Self {
            host: host.to_owned(),
            clients,
            credentials: parse_credentials(credentials),
            runtime,
        })
    }

    /// `host[:port]`.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn refused(&self, repository: &str, error: OciDistributionError) -> RegistryError {
        RegistryError::Refused {
            host: self.host.clone(),
            repository: repository.to_owned(),
            source: Box::new(error),
        }
    }

    /// Waits for something that is asked with [`Question::put`].
    pub(crate) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The digest that the registry serves under a tag; `None` where it says that there is none.
    pub fn digest(&self, repository: &str, tag: &str) -> Result<Option<Digest>, RegistryError> {
        self.runtime.block_on(ask(self.question(repository, tag)))
    }

    /// Asks for every destination, `parallel` of them at once.
    pub fn confirm(
        &self,
        wanted: impl Iterator<Item = Wanted>,
        parallel: usize,
    ) -> Result<Confirmed, RegistryError> {
        let places = Arc::new(Semaphore::new(parallel.max(1)));
        self.runtime.block_on(async {
            let mut asked = JoinSet::new();
            for wanted in wanted {
                let (question, places) = (
                    self.question(&wanted.repository, &wanted.tag),
                    Arc::clone(&places),
                );
                asked.spawn(async move {
                    // The semaphore is never closed.
                    let _place = places.acquire_owned().await;
                    (wanted, ask(question).await)
                });
            }
            let mut confirmed = Confirmed::default();
            while let Some(answer) = asked.join_next().await {
                let Ok((wanted, found)) = answer else {
                    continue;
                };
                match found? {
                    Some(found) if found == wanted.digest => confirmed.there.push(wanted),
                    found => confirmed.mismatches.push(Mismatch { wanted, found }),
                }
            }
            confirmed
                .mismatches
                .sort_by(|a, b| a.wanted.repository.cmp(&b.wanted.repository));
            Ok(confirmed)
        })
    }

    pub(crate) fn question(&self, repository: &str, tag: &str) -> Question {
        let place = format!("{}/{repository}", self.host);
        // The longest entry that is the host or a path above the repository, as containers-auth.json(5) has it.
        let fits = |entry: &str| {
            place == entry
                || place
                    .strip_prefix(entry)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let auth = self
            .credentials
            .iter()
            .filter(|(entry, _)| fits(entry))
            .max_by_key(|(entry, _)| entry.len())
            .map_or(RegistryAuth::Anonymous, |(_, auth)| auth.clone());
        Question {
            host: self.host.clone(),
            clients: self.clients.clone(),
            image: Reference::with_tag(self.host.clone(), repository.to_owned(), tag.to_owned()),
            auth,
        }
    }
}

/// One question, which owns what it needs.
pub(crate) struct Question {
    host: String,
    clients: Vec<Client>,
    image: Reference,
    auth: RegistryAuth,
}

async fn ask(question: Question) -> Result<Option<Digest>, RegistryError> {
    let answer = question.put(
        |client: Client, image: Reference, auth: RegistryAuth| async move {
            client.fetch_manifest_digest(&image, &auth).await
        },
    );
    Ok(answer.await?.and_then(|text| Digest::from_oci(&text).ok()))
}

impl Question {
    /// Asks until an answer counts; `None` where the registry says that there is no such thing.
    pub(crate) async fn put<T, F>(
        &self,
        ask: impl Fn(Client, Reference, RegistryAuth) -> F,
    ) -> Result<Option<T>, RegistryError>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut failed = None;
            for client in &self.clients {
                match ask(client.clone(), self.image.clone(), self.auth.clone()).await {
                    Ok(answer) => return Ok(Some(answer)),
                    Err(error) if is_absent(&error) => return Ok(None),
                    Err(error) => {
                        // Over the first protocol that got an answer, that answer counts.
                        let answered = !matches!(error, OciDistributionError::RequestError(_));
                        failed = Some(error);
                        if answered {
                            break;
                        }
                    }
                }
            }
            let Some(error) = failed else { return Ok(None) };
            let (host, source) = (self.host.clone(), Box::new(error));
            if is_refusal(&source) {
                let repository = self.image.repository().to_owned();
                return Err(RegistryError::Forbidden {
                    host,
                    repository,
                    source,
                });
            }
            if tries >= TRIES {
                return Err(RegistryError::Unreachable { host, source });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

fn is_absent(error: &OciDistributionError) -> bool {
    let unknown = [
        OciErrorCode::ManifestUnknown,
        OciErrorCode::NameUnknown,
        OciErrorCode::NotFound,
    ];
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| unknown.contains(&error.code)),
        _ => false,
    }
}

fn is_refusal(error: &OciDistributionError) -> bool {
    let refused = [OciErrorCode::Denied, OciErrorCode::Unauthorized];
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| refused.contains(&error.code)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_matching_entry_of_an_auth_file_counts() {
        let json = br#"{"auths":{
            "r.example.com":{"auth":"dXNlcjpob3N0"},
            "r.example.com/team":{"auth":"dXNlcjp0ZWFt"},
            "https://other.example.com/v1/":{"username":"u","password":"p"}}}"#;
        let registry = Registry::open("r.example.com", Tls::Verify, json).unwrap();
        let password = |repository: &str| match registry.question(repository, "v1").auth {
            RegistryAuth::Basic(_, password) => password,
            _ => String::new(),
        };
        assert_eq!(
            (password("team/app"), password("teams/app")),
            ("team".into(), "host".into())
        );
        let elsewhere = Registry::open("r.example.org", Tls::Verify, json).unwrap();
        assert!(matches!(
            elsewhere.question("team/app", "v1").auth,
            RegistryAuth::Anonymous
        ));
    }
}
