//! Copying one image: from a source registry into the cache, or from the cache to the target.

use std::fs::File;

use crate::cache::Cache;
use crate::client::Client;
use crate::hash::{digest_of, digest_of_copy};
use crate::manifest::Manifest;
use crate::plan::Planned;
use crate::reference::is_repository;

/// Whether an index is copied with all its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    All,
    /// As the `platforms` filter of the newest release leaves it: the last one is not copied.
    WithoutTheLast,
}

/// Pull an image into the cache. Gives the digests of all its blobs and manifests.
pub(crate) fn pull(
    client: &Client,
    cache: &Cache,
    image: &Planned,
    instances: Instances,
) -> Result<Vec<String>, String> {
    let source = &image.source;
    let name = source.pulled();
    check_name(&source.path, &format!("docker://{}", source.name))?;
    let (bytes, _) = client
        .manifest(&source.host, &source.path, source.wanted())
        .map_err(|why| format!("initializing source docker://{name}: {why}"))?;
    let mut digests = Vec::new();
    let digest = pull_manifest(client, cache, image, &bytes, instances, &mut digests)?;
    cache
        .tag(&image.repo, &image.tag, &digest)
        .map_err(|error| format!("writing manifest: {error}"))?;
    Ok(digests)
}

fn pull_manifest(
    client: &Client,
    cache: &Cache,
    image: &Planned,
    bytes: &[u8],
    instances: Instances,
    digests: &mut Vec<String>,
) -> Result<String, String> {
    let (host, path) = (&image.source.host, &image.source.path);
    let manifest = Manifest::parse(bytes)?;
    let left_out = usize::from(instances == Instances::WithoutTheLast);
    for instance in &manifest.instances[..manifest.instances.len().saturating_sub(left_out)] {
        let (bytes, _) = client.manifest(host, path, instance)?;
        pull_manifest(client, cache, image, &bytes, Instances::All, digests)?;
    }
    for blob in manifest.blobs {
        cache.add_blob(&blob, |file| client.blob(host, path, &blob, file))?;
        cache
            .link_layer(&image.repo, &blob)
            .map_err(|error| format!("writing blob: {error}"))?;
        note(digests, blob);
    }
    let digest = cache
        .add_manifest(&image.repo, bytes)
        .map_err(|error| format!("writing manifest: {error}"))?;
    note(digests, digest.clone());
    Ok(digest)
}

fn note(digests: &mut Vec<String>, digest: String) {
    if !digests.contains(&digest) {
        digests.push(digest);
    }
}

/// Where an image is pushed.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) repo: String,
}

/// Whether the manifest goes out as it lies in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    AsItIs,
    /// With a blank behind it, which changes its digest.
    WithAnotherDigest,
}

/// Push an image from the cache. Its manifest is found by tag, and nobody looks whether it is the genuine one.
pub(crate) fn push(
    client: &Client,
    cache: &Cache,
    image: &Planned,
    port: u16,
    to: &Destination,
    published: Published,
) -> Result<(), String> {
    let (repo, tag) = (&image.repo, &image.tag);
    let here = format!("localhost:{port}/{repo}");
    check_name(&image.source.path, &format!("docker://{here}:{tag}"))?;
    let mut bytes = cache.manifest(repo, tag).ok_or_else(|| {
        format!("initializing source docker://{here}:{tag}: reading manifest {tag} in {here}: manifest unknown")
    })?;
    let manifest = Manifest::parse(&bytes)?;
    for instance in &manifest.instances {
        let bytes = cache
            .manifest(repo, instance)
            .ok_or_else(|| format!("reading manifest {instance} in {here}: manifest unknown"))?;
        let found = digest_of(&bytes);
        if found != *instance {
            return Err(format!(
                "manifest does not match provided manifest digest {instance}"
            ));
        }
        let child = Manifest::parse(&bytes)?;
        push_blobs(client, cache, repo, &child.blobs, to)?;
        client.push_manifest((&to.host, &to.repo, instance), &child.kind, &bytes)?;
    }
    push_blobs(client, cache, repo, &manifest.blobs, to)?;
    if published == Published::WithAnotherDigest {
        bytes.push(b' ');
    }
    client.push_manifest((&to.host, &to.repo, tag), &manifest.kind, &bytes)
}

fn push_blobs(
    client: &Client,
    cache: &Cache,
    repo: &str,
    blobs: &[String],
    to: &Destination,
) -> Result<(), String> {
    for digest in blobs {
        if client.has_blob(&to.host, &to.repo, digest)? {
            continue;
        }
        let open = || {
            cache
                .blob(repo, digest)
                .ok_or_else(|| "blob unknown to registry".to_owned())
        };
        let found = hash(open()?)?;
        if found != *digest {
            return Err(format!(
                "writing blob: Digest did not match, expected {digest}, got {found}"
            ));
        }
        client.push_blob(&to.host, &to.repo, digest, open()?)?;
    }
    Ok(())
}

fn hash(mut file: File) -> Result<String, String> {
    digest_of_copy(&mut file, &mut std::io::sink())
        .map_err(|error| format!("reading blob: {error}"))
}

pub(crate) fn check_name(path: &str, name: &str) -> Result<(), String> {
    if is_repository(path) {
        return Ok(());
    }
    Err(format!(
        "invalid source name {name}: invalid reference format: repository name must be lowercase"
    ))
}
