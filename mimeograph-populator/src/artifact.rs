//! One small file in a registry, as a plain image of one layer that is a tar of it.
//!
//! A media type of our own would say more, but Quay takes only those that it knows. What is read is bounded, and
//! nothing of it is believed here.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use mimeograph_manifest::io::failpoint;
use oci_client::client::{Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::io::AsyncWrite;

use crate::registry::{Registry, RegistryError};

/// Headers and padding of a tar of one file.
const AROUND: u64 = 16 << 10;
/// Tags asked for at once.
const PAGE: usize = 1000;

/// What lies under a tag.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing: the registry says so itself.
    Absent,
    /// Something that holds no such file, and why.
    Strange(String),
    /// The file.
    File(Vec<u8>),
}

impl Registry {
    /// Reads the file under a tag, if it has at most `limit` bytes.
    pub fn pull_file(
        &self,
        repository: &str,
        tag: &str,
        limit: u64,
    ) -> Result<Pulled, RegistryError> {
        let question = self.question(repository, tag);
        let manifest = |client: Client, image: Reference, auth: RegistryAuth| async move {
            let accepted = [OCI_IMAGE_MEDIA_TYPE];
            or_damaged(client.pull_manifest_raw(&image, &auth, &accepted).await)
        };
        let manifest = match self.wait(question.put(manifest))? {
            None => return Ok(Pulled::Absent),
            Some(None) => return Ok(strange("its manifest is damaged")),
            Some(Some((bytes, _))) => serde_json::from_slice::<OciImageManifest>(&bytes),
        };
        let layers = manifest.as_ref().map(|manifest| manifest.layers.as_slice());
        let Ok([layer]) = layers else {
            return Ok(strange("it is not an image of one layer"));
        };
        let limit = limit.saturating_add(AROUND);
        if u64::try_from(layer.size).is_ok_and(|size| size > limit) {
            return Ok(strange("its layer is too long"));
        }
        let blob = |client: Client, image: Reference, auth: RegistryAuth| async move {
            let mut layer_bytes = Bounded::new(limit);
            client.store_auth_if_needed(image.registry(), &auth).await;
            // The digest alone: addresses that the layer itself names are not asked.
            let pulled = client
                .pull_blob(&image, layer.digest.as_str(), &mut layer_bytes)
                .await;
            if layer_bytes.is_over {
                return Ok(None);
            }
            or_damaged(pulled.map(|()| layer_bytes.bytes))
        };
        Ok(match self.wait(question.put(blob))? {
            None => strange("its layer is not there"),
            Some(None) => strange("its layer is damaged or too long"),
            Some(Some(layer)) => first_file(&layer).map_or_else(
                |error| strange(&format!("its layer is not a tar: {error}")),
                Pulled::File,
            ),
        })
    }

    /// Puts a file under a tag, in place of what is there.
    pub fn push_file(
        &self,
        repository: &str,
        tag: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let layer = ImageLayer::oci_v1(tar_of(name, bytes), None);
        let config = image_config(&layer);
        let mut manifest = OciImageManifest::build(std::slice::from_ref(&layer), &config, None);
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        // Where the registry is not reached is another matter: a test may end us here, no more.
        let _ = failpoint::reach("registry-put", repository);
        self.send(repository, tag, |client, image, auth| {
            let (layers, config, manifest) = ([layer.clone()], config.clone(), manifest.clone());
            async move {
                let pushed = client.push(&image, &layers, config, &auth, Some(manifest));
                pushed.await.map(drop)
            }
        })
    }

    /// Whether we may write to a repository. It leaves two bytes there that nothing names.
    pub fn try_to_push(&self, repository: &str) -> Result<(), RegistryError> {
        self.send(repository, "latest", |client, image, auth| async move {
            client.store_auth_if_needed(image.registry(), &auth).await;
            let bytes = b"{}".as_slice();
            let digest = mimeograph_manifest::digest::Digest::of(bytes).to_oci();
            client.push_blob(&image, bytes, &digest).await.map(drop)
        })
    }

    /// The tags of a repository; none where the registry says that there is no such repository.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let question = self.question(repository, "latest");
        let mut tags: Vec<String> = Vec::new();
        loop {
            let last = tags.last().cloned();
            let page = question.put(|client, image, auth| {
                let last = last.clone();
                async move {
                    let page = client.list_tags(&image, &auth, Some(PAGE), last.as_deref());
                    page.await
                }
            });
            let Some(page) = self.wait(page)? else {
                return Ok(tags);
            };
            let count = page.tags.len();
            tags.extend(page.tags);
            // A registry that knows no pages gives all of them each time.
            if count < PAGE || tags.len() > count && tags[..count] == tags[tags.len() - count..] {
                tags.sort();
                tags.dedup();
                return Ok(tags);
            }
        }
    }

    /// Sends something; a refusal is not tried again.
    fn send<F>(
        &self,
        repository: &str,
        tag: &str,
        sending: impl Fn(Client, Reference, RegistryAuth) -> F,
    ) -> Result<(), RegistryError>
    where
        F: Future<Output = Result<(), OciDistributionError>>,
    {
        let question = self.question(repository, tag);
        let answer = question.put(|client, image, auth| {
            let answer = sending(client, image, auth);
            async {
                match answer.await {
                    Err(error) if is_final(&error) => Ok(Err(error)),
                    other => other.map(Ok),
                }
            }
        });
        match self.wait(answer)? {
            Some(Err(error)) => Err(self.refused(repository, error)),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

/// What is damaged is no reason to ask again.
fn or_damaged<T>(
    pulled: Result<T, OciDistributionError>,
) -> Result<Option<T>, OciDistributionError> {
    match pulled {
        Err(OciDistributionError::DigestError(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Whether a registry would answer the same again: any client error but those that speak of time.
fn is_final(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => {
            (400..500).contains(code) && !matches!(code, 408 | 429)
        }
        OciDistributionError::RegistryError { .. } => true,
        _ => false,
    }
}

fn strange(why: &str) -> Pulled {
    Pulled::Strange(why.to_owned())
}

/// The configuration of an image of one layer that is for no machine.
fn image_config(layer: &ImageLayer) -> Config {
    let config = serde_json::json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.sha256_digest()] },
    });
    Config::new(config.to_string(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None)
}

fn tar_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::with_capacity(bytes.len() + 4096));
    // Writing to memory fails for a name alone that is too long, and that one is 48 bytes.
    let _ = builder.append_data(&mut header, name, bytes);
    builder.into_inner().unwrap_or_default()
}

fn first_file(layer: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(layer);
    let mut bytes = Vec::new();
    match archive.entries()?.next() {
        Some(entry) => entry?.read_to_end(&mut bytes)?,
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    Ok(bytes)
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
    is_over: bool,
}

impl Bounded {
    fn new(limit: u64) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            is_over: false,
        }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        more: &[u8],
    ) -> Poll<io::Result<usize>> {
        if (self.bytes.len() + more.len()) as u64 > self.limit {
            self.is_over = true;
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        self.bytes.extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
