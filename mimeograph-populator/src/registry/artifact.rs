//! A few small files in a registry, as a plain image whose layers are a tar of one of them each.
//!
//! A media type of our own would say more, but Quay takes only those that it knows. What is read is bounded, and
//! nothing of it is believed here.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::failpoint;
use oci_client::client::{Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, OciManifest,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::io::AsyncWrite;

use super::{Registry, RegistryError};

/// Whatever lies under a tag is to be seen: a registry says that there is nothing where it is not accepted.
pub(crate) const ANY_MANIFEST: [&str; 5] = [
    OCI_IMAGE_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    "*/*",
];
/// Headers and padding of a tar of one file.
const AROUND: u64 = 16 << 10;
/// Most files.
const FILES: usize = 8;
/// Tags asked for at once, and most of a repository.
const PAGE: usize = 100;
const TAGS: usize = 1_000_000;

/// What lies under a tag.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing: the registry says so itself.
    Absent,
    /// Something that is no such image, and why.
    Strange(String),
    /// The files, in order.
    Files(Vec<Vec<u8>>),
}

/// A file by name.
pub type Named<'a> = (&'a str, &'a [u8]);

impl Registry {
    /// Reads the files under a tag, if each has at most `limit` bytes.
    pub fn pull_files(
        &self,
        repository: &str,
        tag: &str,
        limit: u64,
    ) -> Result<Pulled, RegistryError> {
        let question = self.question(repository, tag);
        let manifest = |client: Client, image: Reference, auth: RegistryAuth| async move {
            or_damaged(client.pull_manifest_raw(&image, &auth, &ANY_MANIFEST).await)
        };
        let manifest = match self.wait(question.put(manifest))? {
            None => return Ok(Pulled::Absent),
            Some(None) => return Ok(strange("its manifest is damaged")),
            Some(Some((bytes, _))) => serde_json::from_slice::<OciImageManifest>(&bytes),
        };
        let layers = match manifest {
            Ok(manifest) if (1..=FILES).contains(&manifest.layers.len()) => manifest.layers,
            _ => return Ok(strange("it is not an image of few layers")),
        };
        let mut files = Vec::new();
        for layer in &layers {
            match self.pull_layer(repository, tag, layer, limit.saturating_add(AROUND))? {
                Ok(file) => files.push(file),
                Err(why) => return Ok(strange(&why)),
            }
        }
        Ok(Pulled::Files(files))
    }

    fn pull_layer(
        &self,
        repository: &str,
        tag: &str,
        layer: &OciDescriptor,
        limit: u64,
    ) -> Result<Result<Vec<u8>, String>, RegistryError> {
        let blob = |client: Client, image: Reference, auth: RegistryAuth| async move {
            let mut taken = Bounded::new(limit);
            client.store_auth_if_needed(image.registry(), &auth).await;
            // The digest alone: addresses that the layer itself names are not asked.
            let pulled = client
                .pull_blob(&image, layer.digest.as_str(), &mut taken)
                .await;
            if taken.is_over {
                return Ok(None);
            }
            or_damaged(pulled.map(|()| taken.bytes))
        };
        let pulled = self.wait(self.question(repository, tag).put(blob))?;
        Ok(match pulled {
            None => Err("a layer of it is not there".to_owned()),
            Some(None) => Err("a layer of it is damaged or too long".to_owned()),
            Some(Some(layer)) => first_file(&layer)
                .map_err(|error| format!("a layer of it is not a tar of a file: {error}")),
        })
    }

    /// Puts files under a tag, in place of what is there. Those that are there already are not sent again.
    pub fn push_files(
        &self,
        repository: &str,
        tag: &str,
        files: &[Named<'_>],
    ) -> Result<(), RegistryError> {
        let layers = files.iter().map(|(name, bytes)| tar_of(name, bytes));
        self.push_layers(repository, tag, layers)
    }

    /// Puts tars under a tag, a layer each, in place of what is there.
    pub fn push_layers(
        &self,
        repository: &str,
        tag: &str,
        tars: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<(), RegistryError> {
        let layers: Vec<_> = tars
            .into_iter()
            .map(|tar| ImageLayer::oci_v1(tar, None))
            .collect();
        let config = image_config(&layers);
        let mut manifest = OciImageManifest::build(&layers, &config, None);
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        let blobs = layers
            .into_iter()
            .map(|layer| layer.data)
            .chain([config.data]);
        let blobs: Vec<_> = blobs
            .map(|data| (Digest::of(&data).to_oci(), data))
            .collect();
        let (blobs, manifest) = (&blobs, &OciManifest::Image(manifest));
        // Where the registry is not reached is another matter: a test may end us here, no more.
        let _ = failpoint::reach("registry-put", repository);
        self.send(repository, tag, |client, image, auth| async move {
            client.store_auth_if_needed(image.registry(), &auth).await;
            for (digest, data) in blobs {
                // Where asking is refused, sending says why.
                if !client.blob_exists(&image, digest).await.unwrap_or(false) {
                    client.push_blob(&image, data.clone(), digest).await?;
                }
            }
            client.push_manifest(&image, manifest).await.map(drop)
        })
    }

    /// Whether we may write to a repository. It leaves two bytes there that nothing names.
    pub fn try_to_push(&self, repository: &str) -> Result<(), RegistryError> {
        let _ = failpoint::reach("registry-try", repository);
        self.send(repository, "latest", |client, image, auth| async move {
            client.store_auth_if_needed(image.registry(), &auth).await;
            let bytes = b"{}".as_slice();
            let digest = Digest::of(bytes).to_oci();
            client.push_blob(&image, bytes, &digest).await.map(drop)
        })
    }

    /// All tags of a repository; none where the registry says that there is no such repository.
    ///
    /// Some registries give fewer at once than they are asked for, some give all whatever they are asked. One that gives
    /// just as many as it was asked for, and the same again, knows no pages, and may have more.
    pub fn tags(&self, repository: &str) -> Result<BTreeSet<String>, RegistryError> {
        let mut tags = BTreeSet::new();
        let mut last: Option<String> = None;
        loop {
            let Some(page) = self.page(repository, last.as_deref())? else {
                return Ok(tags);
            };
            let (before, size) = (tags.len(), page.len());
            last = page.last().cloned();
            tags.extend(page);
            let is_known = tags.len() == before;
            if is_known && size == PAGE || tags.len() > TAGS {
                return Err(RegistryError::Cut {
                    host: self.host.clone(),
                    repository: repository.to_owned(),
                });
            }
            if is_known || size > PAGE {
                return Ok(tags);
            }
        }
    }

    fn page(
        &self,
        repository: &str,
        last: Option<&str>,
    ) -> Result<Option<Vec<String>>, RegistryError> {
        let question = self.question(repository, "latest");
        let page = question.put(|client, image, auth| async move {
            client.list_tags(&image, &auth, Some(PAGE), last).await
        });
        Ok(self.wait(page)?.map(|page| page.tags))
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

/// The configuration of an image that is for no machine.
fn image_config(layers: &[ImageLayer]) -> Config {
    let layers: Vec<_> = layers.iter().map(ImageLayer::sha256_digest).collect();
    let config = serde_json::json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": layers },
    });
    Config::new(config.to_string(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None)
}

fn tar_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    tar_of_all(&[(name, bytes)])
}

/// A tar of files: of the same files it is always the same.
pub(crate) fn tar_of_all(files: &[(impl AsRef<str>, impl AsRef<[u8]>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let bytes = bytes.as_ref();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Writing to memory fails for a name alone that is too long, and these are not.
        let _ = builder.append_data(&mut header, name.as_ref(), bytes);
    }
    builder.into_inner().unwrap_or_default()
}

fn first_file(layer: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(layer);
    let mut bytes = Vec::new();
    let Some(entry) = archive.entries()?.next() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut entry = entry?;
    entry.read_to_end(&mut bytes)?;
    // The reader ends early without a word where the bytes do.
    if bytes.len() as u64 == entry.size() {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use mimeograph_manifest::failure::{ErrorId, Fault as _};

    use super::super::Tls;
    use super::*;

    /// A registry that knows no pages: it gives these tags whatever it is asked.
    fn without_pages(tags: usize) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let tags: Vec<_> = (0..tags).map(|n| format!("t{n:04}")).collect();
        let body = serde_json::json!({ "name": "r", "tags": tags }).to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                // What begins with anything else is TLS.
                let is_request = lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| line.starts_with("GET ")));
                if is_request {
                    while lines
                        .next()
                        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                    {
                    }
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes());
                }
            }
        });
        Registry::open(&host, Tls::Skip, b"{}").unwrap()
    }

    #[test]
    fn tags_are_listed_whole_or_not_at_all() {
        for count in [1, PAGE - 1, PAGE + 1] {
            let tags = without_pages(count).tags("r").unwrap();
            assert_eq!(tags.len(), count);
        }
        // Just as many as were asked for, and the same again: there may be more.
        let error = without_pages(PAGE).tags("r").unwrap_err();
        assert_eq!(error.id(), ErrorId::RegistryUnreachable, "{error}");
    }

    #[test]
    fn a_file_survives_its_layer_and_a_cut_layer_is_no_file() {
        let layer = tar_of("content", b"something");
        assert_eq!(first_file(&layer).unwrap(), b"something");
        assert!(first_file(&layer[..515]).is_err());
        assert!(first_file(&[0; 1024]).is_err());
    }
}
