//! The SDK's client: credentials, certificates, proxies, retries.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, ConnectorBuilder, tls};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::ask::Retries;
use super::renew::Renewal;
use super::watch;
use crate::io::location::S3Location;
use crate::io::store::StoreError;

/// Largest CA bundle: the usual ones have a fifth of a MiB.
const CA_BUNDLE_SIZE: u64 = 4 << 20;

/// Who we are to the store.
#[derive(Clone)]
pub enum Login {
    /// The standard chain: environment, profile, web identity, container and instance roles.
    Chain,
    /// An access key.
    Keys {
        /// Its id.
        id: String,
        /// Its secret.
        secret: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Keys { id, .. } => f
                .debug_struct("Keys")
                .field("id", id)
                .finish_non_exhaustive(),
        }
    }
}

/// How long we go on with a store that does not answer.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Attempts of one request.
    pub attempts: u32,
    /// The wait after the first; doubled each time, up to 20 s.
    pub backoff: Duration,
    /// For a connection.
    pub connect: Duration,
    /// For a body to get on, either way.
    pub stalled: Duration,
    /// For the beginning of an answer, and for a body to be taken at 32 KiB/s at least.
    pub answer: Duration,
}

impl Default for Patience {
    /// Eight attempts in about a minute: a Job's own retries cover seconds only.
    fn default() -> Self {
        Self {
            attempts: 8,
            backoff: Duration::from_secs(1),
            connect: Duration::from_secs(10),
            stalled: Duration::from_secs(20),
            answer: Duration::from_mins(1),
        }
    }
}

impl Patience {
    /// The default with `AWS_MAX_ATTEMPTS`, where that is set.
    pub fn from_environment() -> Self {
        let attempts = std::env::var("AWS_MAX_ATTEMPTS").ok();
        let attempts = attempts.and_then(|text| text.trim().parse().ok());
        let default = Self::default();
        Self {
            attempts: attempts
                .filter(|n| (1..=100).contains(n))
                .unwrap_or(default.attempts),
            ..default
        }
    }

    /// How long to wait after the attempt of that number: doubled each time, with jitter.
    pub(super) fn pause(&self, attempt: u32) -> Duration {
        let doubled = self
            .backoff
            .saturating_mul(1 << attempt.saturating_sub(1).min(5));
        let jitter = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        doubled.mul_f64(0.5 + jitter / 2.0)
    }

    /// Time for one attempt with a body of that size. A stalled one is cut off long before.
    pub(super) fn timeouts(&self, body: usize) -> TimeoutConfig {
        let body = Duration::from_secs(body as u64 / (32 << 10));
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.answer + body)
            .build()
    }
}

pub(super) async fn connect(
    place: &S3Location,
    login: Login,
    patience: &Patience,
) -> Result<Client, StoreError> {
    let retries = RetryConfig::standard()
        .with_max_attempts(patience.attempts)
        .with_initial_backoff(patience.backoff);
    // Attempts are bounded as it is. The SDK's own quota for all requests together is used up by a few seconds
    // without an answer to eight of them, and then nothing is tried again.
    let quota = RetryPartition::custom("mimeograph").token_bucket(TokenBucket::unlimited());
    // It takes a body that lies in memory for sent as soon as it begins; `watch` sees to those.
    let stalls = StalledStreamProtectionConfig::enabled()
        .upload_enabled(false)
        .grace_period(patience.stalled)
        .build();
    let renewal = Renewal::default();
    let region = place.region.clone().unwrap_or_default();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(watch::over(http_client(place)?, patience))
        .region(Region::new(region))
        .retry_config(retries)
        .timeout_config(patience.timeouts(0));
    if let Login::Keys { id, secret } = login {
        loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "given"));
    }
    let shared = loader.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .retry_partition(quota.build())
        .interceptor(Retries)
        .stalled_stream_protection(stalls)
        .identity_cache(renewal.clone())
        .retry_classifier(renewal)
        .force_path_style(place.force_path_style.unwrap_or(false))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &place.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

/// A client that trusts an own CA beside the system's. It must be told of the proxy variables, which
/// only the SDK's default client reads by itself.
fn http_client(place: &S3Location) -> Result<SharedHttpClient, StoreError> {
    let mut trusted = tls::TrustStore::empty().with_native_roots(true);
    if let Some(path) = &place.ca_bundle {
        trusted.add_pem_certificate(certificates(path).map_err(|reason| StoreError::Settings {
            place: super::describe(place),
            reason,
        })?);
    }
    let context = tls::TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|error| StoreError::Settings {
        place: super::describe(place),
        reason: error.to_string(),
    })?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let crypto = tls::rustls_provider::CryptoMode::AwsLc;
        let mut connector = ConnectorBuilder::default()
            .tls_provider(tls::Provider::Rustls(crypto))
            .tls_context(context.clone())
            .enable_tcp_nodelay(true)
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    });
    Ok(client)
}

/// The certificates of a PEM file. The SDK panics over one that it cannot read, so all are tried here.
fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let named = |what: &str| format!("the CA bundle `{}` {what}", path.display());
    let unread = |error: std::io::Error| named(&format!("cannot be read ({error})"));
    let mut pem = Vec::new();
    let mut file = File::open(path).map_err(unread)?.take(CA_BUNDLE_SIZE + 1);
    file.read_to_end(&mut pem).map_err(unread)?;
    if pem.len() as u64 > CA_BUNDLE_SIZE {
        return Err(named("is larger than 4 MiB"));
    }
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| named("is damaged PEM"))?;
        RootCertStore::empty()
            .add(certificate)
            .map_err(|error| named(&format!("has a certificate that cannot be used ({error})")))?;
        count += 1;
    }
    if count == 0 {
        return Err(named("has no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(pem)
}
