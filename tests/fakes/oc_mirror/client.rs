//! Talking to registries, over plain HTTP alone.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use ureq::http::Response;
use ureq::{Agent, Body, RequestBuilder, SendBody};

use crate::auth;
use crate::hash::{digest_of, digest_of_copy};

const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Whether registries must speak TLS; the stand-in's never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Required,
    MayBePlain,
}

/// A client of one side. Errors are the texts that the real one's library gives.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    tls: Tls,
    authfile: Option<PathBuf>,
    /// `user:password` from the command line
    credentials: Option<String>,
    /// Names that stand for other addresses, as `NAME=HOST:PORT`.
    resolve: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(
        tls: Tls,
        authfile: Option<PathBuf>,
        credentials: Option<String>,
        resolve: Option<&str>,
    ) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let pairs = resolve
            .unwrap_or_default()
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        let resolve = pairs
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .collect();
        Self {
            agent,
            tls,
            authfile,
            credentials,
            resolve,
        }
    }

    /// Whether the registry answers and lets us in.
    pub(crate) fn ping(&self, host: &str) -> Result<(), String> {
        let answer = self.get(host, "", &format!("{}/v2/", self.base(host)?), None)?;
        match answer.status().as_u16() {
            200 => Ok(()),
            401 => Err("unable to retrieve auth token: invalid username/password: unauthorized: authentication required".to_owned()),
            other => Err(format!("pinging container registry {host}: StatusCode: {other}")),
        }
    }

    /// The bytes of a manifest, and its media type. What is asked by digest is compared with it.
    pub(crate) fn manifest(
        &self,
        host: &str,
        repo: &str,
        reference: &str,
    ) -> Result<(Vec<u8>, String), String> {
        self.ping(host)?;
        let url = format!("{}/v2/{repo}/manifests/{reference}", self.base(host)?);
        let answer = self.get(host, repo, &url, Some(ACCEPT))?;
        match answer.status().as_u16() {
            200 => {}
            404 => {
                return Err(format!(
                    "reading manifest {reference} in {host}/{repo}: manifest unknown"
                ));
            }
            other => {
                return Err(format!(
                    "reading manifest {reference} in {host}/{repo}: StatusCode: {other}"
                ));
            }
        }
        let kind = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        let mut reader = answer.into_body().into_reader().take(MANIFEST_LIMIT);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if reference.starts_with("sha256:") && digest_of(&bytes) != reference {
            return Err(format!(
                "manifest does not match provided manifest digest {reference}"
            ));
        }
        Ok((bytes, kind))
    }

    /// Write a blob to a file; it must match its digest.
    pub(crate) fn blob(
        &self,
        host: &str,
        repo: &str,
        digest: &str,
        to: &mut impl Write,
    ) -> Result<(), String> {
        let url = format!("{}/v2/{repo}/blobs/{digest}", self.base(host)?);
        let answer = self.get(host, repo, &url, None)?;
        if answer.status() != 200 {
            return Err(format!(
                "reading blob {digest}: fetching blob: blob unknown to registry"
            ));
        }
        let found = digest_of_copy(&mut answer.into_body().into_reader(), to);
        match found.map_err(|error| format!("writing blob: {error}"))? {
            found if found == digest => Ok(()),
            found => Err(format!(
                "Digest did not match, expected {digest}, got {found}"
            )),
        }
    }

    /// Whether the repository has a blob.
    pub(crate) fn has_blob(&self, host: &str, repo: &str, digest: &str) -> Result<bool, String> {
        let url = format!("{}/v2/{repo}/blobs/{digest}", self.base(host)?);
        let found = self.call(self.agent.head(&url), host, repo).call();
        Ok(found.map_err(|error| dial(host, &error))?.status() == 200)
    }

    /// Push a blob.
    pub(crate) fn push_blob(
        &self,
        host: &str,
        repo: &str,
        digest: &str,
        mut file: File,
    ) -> Result<(), String> {
        let base = self.base(host)?;
        let start = self.call(
            self.agent.post(format!("{base}/v2/{repo}/blobs/uploads/")),
            host,
            repo,
        );
        let start = start.send_empty().map_err(|error| dial(host, &error))?;
        let location = start
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        let (202, Some(location)) = (start.status().as_u16(), location) else {
            return Err(refused("initiating layer upload", host, &start));
        };
        let url = if location.starts_with('/') {
            format!("{base}{location}")
        } else {
            location.to_owned()
        };
        let joint = if url.contains('?') { '&' } else { '?' };
        let put = self.call(
            self.agent.put(format!("{url}{joint}digest={digest}")),
            host,
            repo,
        );
        let put = put
            .header("content-type", "application/octet-stream")
            .send(SendBody::from_reader(&mut file));
        match put.map_err(|error| dial(host, &error))? {
            answer if answer.status() == 201 => Ok(()),
            answer => Err(refused(
                &format!("writing blob: committing upload of {digest}"),
                host,
                &answer,
            )),
        }
    }

    pub(crate) fn push_manifest(
        &self,
        (host, repo, reference): (&str, &str, &str),
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), String> {
        let url = format!("{}/v2/{repo}/manifests/{reference}", self.base(host)?);
        let put = self.call(self.agent.put(url), host, repo);
        match put
            .header("content-type", kind)
            .send(bytes)
            .map_err(|error| dial(host, &error))?
        {
            answer if answer.status() == 201 => Ok(()),
            answer => Err(refused(
                &format!("writing manifest: uploading manifest {reference} to {host}/{repo}"),
                host,
                &answer,
            )),
        }
    }

    pub(crate) fn delete(&self, host: &str, repo: &str, digest: &str) -> Result<(), String> {
        let url = format!("{}/v2/{repo}/manifests/{digest}", self.base(host)?);
        let answer = self.call(self.agent.delete(url), host, repo).call();
        answer.map(drop).map_err(|error| dial(host, &error))
    }

    fn get(
        &self,
        host: &str,
        repo: &str,
        url: &str,
        accept: Option<&str>,
    ) -> Result<Response<Body>, String> {
        let mut request = self.call(self.agent.get(url), host, repo);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        request.call().map_err(|error| dial(host, &error))
    }

    fn call<T>(&self, request: RequestBuilder<T>, host: &str, repo: &str) -> RequestBuilder<T> {
        let given = self
            .credentials
            .as_ref()
            .map(|pair| format!("Basic {}", base64_of(pair)));
        let found = given.or_else(|| auth::basic(host, repo, self.authfile.as_deref()));
        match found {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }

    fn base(&self, host: &str) -> Result<String, String> {
        if host.is_empty() {
            return Err("pinging container registry registry-1.docker.io: Get \"http://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host".to_owned());
        }
        if self.tls == Tls::Required {
            return Err(format!(
                "pinging container registry {host}: Get \"https://{host}/v2/\": http: server gave HTTP response to HTTPS client"
            ));
        }
        let address = self
            .resolve
            .iter()
            .find(|(name, _)| name == host)
            .map_or(host, |(_, address)| address);
        Ok(format!("http://{address}"))
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn dial(host: &str, error: &ureq::Error) -> String {
    let why = match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connect: connection refused".to_owned()
        }
        other => other.to_string(),
    };
    format!("pinging container registry {host}: Get \"http://{host}/v2/\": dial tcp {host}: {why}")
}

fn refused(what: &str, host: &str, answer: &Response<Body>) -> String {
    match answer.status().as_u16() {
        401 => format!("{what} in {host}: unauthorized: authentication required"),
        other => format!("{what} in {host}: received unexpected HTTP status: {other}"),
    }
}
