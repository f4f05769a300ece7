//! Everything that `MISBEHAVE` can ask for and that is not a line where it happens.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cache::Cache;
use crate::failure::Failure;
use crate::hash::digest_of;
use crate::log::print;
use crate::pack::{Chunks, Entry, Source, plain};
use crate::plan::Planned;
use crate::settings::Settings;
use crate::stage;
use crate::tar_writer::TarWriter;

/// A filter id as an operator entry has it: an MD5 in hex.
const FILTER: &str = "3f1d6a3bb5e2f0b0a0f5d3c1e4b7a692";

/// Before anything is copied.
pub(crate) fn before_copying(settings: &Settings) -> Result<(), Failure> {
    if settings.does("noisy") {
        for line in 0..settings.number("NOISE").unwrap_or(100_000) {
            print(true, &format!("noise {line} {}\n", "-".repeat(100)));
            print(false, &format!("noise {line}\n"));
        }
    }
    if settings.does("panic") {
        return Err(stage::panic(
            "runtime error: invalid memory address or nil pointer dereference",
        ));
    }
    if let Some(status) = settings.exit() {
        return Err(Failure::new(status, format!("told to exit with {status}")));
    }
    if settings.does("hang-term") {
        let ignored = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, ignored)?;
    }
    Ok(())
}

/// When so many of the images were copied.
pub(crate) fn while_copying(settings: &Settings, done: usize, count: usize) {
    if done < count / 2 {
        return;
    }
    if settings.does("kill-self") {
        kill();
    }
    if settings.does("kill-parent") {
        kill_parent();
    }
    while settings.does("hang") || settings.does("hang-term") {
        thread::sleep(Duration::from_mins(1));
    }
}

/// When so many of the entries were written.
pub(crate) fn while_packing(
    settings: &Settings,
    done: usize,
    count: usize,
    chunks: &mut Chunks<'_>,
) -> Result<(), Failure> {
    if done != count / 2 {
        return Ok(());
    }
    if settings.does("kill-self-packing") {
        chunks.abandon()?;
        kill();
    }
    if settings.does("kill-parent-packing") {
        chunks.abandon()?;
        kill_parent();
    }
    if settings.does("no-space") {
        chunks.abandon()?;
        return Err(Failure::new(
            1,
            "unable to add files to the archive : write: no space left on device",
        ));
    }
    Ok(())
}

/// Whether a run ends with half of a blob taken out of an archive.
pub(crate) fn ends_while_unpacking(settings: &Settings) -> bool {
    settings.does("kill-self-unpacking") || settings.does("kill-parent-unpacking")
}

/// Ends it.
pub(crate) fn end_while_unpacking(settings: &Settings) {
    if settings.does("kill-parent-unpacking") {
        kill_parent();
    }
    kill();
}

/// The plan without the image that is dropped in silence.
pub(crate) fn drop_image(settings: &Settings, planned: &mut Vec<Planned>) {
    if settings.does("drop-image") {
        let count = planned.len();
        let mut index = 0;
        planned.retain(|image| {
            index += 1;
            !settings.strikes(&image.source.name, index == count)
        });
    }
}

/// Put into the cache what a real one has for other reasons. Gives the blobs that are to travel.
pub(crate) fn plant(
    settings: &Settings,
    cache: &Cache,
    working: &Path,
    planned: &[Planned],
) -> Result<Vec<String>, Failure> {
    let mut blobs = Vec::new();
    if settings.does("stale-links") {
        let digest = digest_of(b"a manifest of an image that was mirrored once");
        cache.link_revision("stale/old", &digest)?;
        cache.tag("stale/old", "v0", &digest)?;
    }
    if settings.does("sig-tags") {
        for image in planned {
            let genuine = image
                .source
                .digest
                .clone()
                .unwrap_or_else(|| digest_of(image.tag.as_bytes()));
            let signature = digest_of(format!("signature of {genuine}").as_bytes());
            cache.link_revision(&image.repo, &signature)?;
            cache.tag(
                &image.repo,
                &format!("{}.sig", genuine.replace(':', "-")),
                &signature,
            )?;
        }
    }
    if settings.does("uploads-junk") {
        let repo = planned.first().map_or("left/over", |image| &image.repo);
        let dir = cache
            .repositories()
            .join(repo)
            .join("_uploads/7c9e6679-7425-40de-944b-e07fc1f90ae7");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("startedat"), "2026-11-23T15:47:27Z")?;
        fs::write(dir.join("data"), vec![7; 4096])?;
    }
    if settings.does("rebuilt-catalogue-tags") {
        catalogue(cache, working, &mut blobs)?;
    }
    Ok(blobs)
}

/// Change what goes into the archive.
pub(crate) fn tamper(settings: &Settings, entries: &mut Vec<Entry>) -> Result<(), Failure> {
    if settings.does("corrupt-blob") {
        let blobs = entries.iter_mut().filter(|entry| is_blob(entry));
        let largest = blobs.max_by_key(|entry| read(entry).map_or(0, |bytes| bytes.len()));
        if let Some(entry) = largest {
            let mut bytes = read(entry)?;
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            entry.source = Source::Bytes(bytes);
        }
    }
    if settings.does("swap-manifest") {
        for entry in entries.iter_mut().filter(|entry| is_blob(entry)) {
            let Ok(mut document) = serde_json::from_slice::<Value>(&read(entry)?) else {
                continue;
            };
            if document["layers"].is_array() {
                document["annotations"] = json!({ "swapped": "yes" });
                entry.source = Source::Bytes(document.to_string().into_bytes());
                break;
            }
        }
    }
    let mut add = |name: &str| {
        entries.push(Entry {
            name: name.to_owned(),
            source: Source::Bytes(b"not from oc-mirror\n".to_vec()),
        });
    };
    if settings.does("traversal-entry") {
        add(settings.get("ENTRY").unwrap_or("working-dir/../../../evil"));
    }
    if settings.does("foreign-entry") {
        add(settings.get("ENTRY").unwrap_or("foreign.txt"));
    }
    Ok(())
}

/// A chunk that an earlier, larger run left behind.
pub(crate) fn stale_chunk(path: &Path) -> Result<(), Failure> {
    let bytes = b"a blob of an earlier run";
    let mut tar = TarWriter::new(File::create(path)?);
    let header = plain(&Cache::blob_name(&digest_of(bytes)), bytes.len() as u64)?;
    tar.append(&header, &mut bytes.as_slice())?;
    tar.finish()?.flush()?;
    Ok(())
}

/// A catalogue that was filtered and rebuilt: the genuine one under its tag, the other under its filter's.
fn catalogue(cache: &Cache, working: &Path, blobs: &mut Vec<String>) -> Result<(), Failure> {
    let repo = "ops/catalog";
    let mut image = |label: &str| -> Result<(String, usize), Failure> {
        let layer = format!("the catalogue, {label}").into_bytes();
        let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Labels": { "is": label } } });
        let mut descriptors = Vec::new();
        for bytes in [&layer, &config.to_string().into_bytes()] {
            let digest = digest_of(bytes);
            let put = |file: &mut File| file.write_all(bytes).map_err(|error| error.to_string());
            cache
                .add_blob(&digest, put)
                .map_err(|why| Failure::new(1, why))?;
            cache.link_layer(repo, &digest)?;
            descriptors.push(json!({ "digest": digest, "size": bytes.len() }));
            blobs.push(digest);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptors[1], "layers": [descriptors[0]],
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = cache.add_manifest(repo, &bytes)?;
        blobs.push(digest.clone());
        Ok((digest, bytes.len()))
    };
    let (genuine, _) = image("whole")?;
    let (instance, size) = image("filtered")?;
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": instance, "size": size,
            "platform": { "os": "linux", "architecture": "amd64" },
        }],
    });
    let rebuilt = cache.add_manifest(repo, index.to_string().as_bytes())?;
    blobs.push(rebuilt.clone());
    cache.tag(repo, "v1", &genuine)?;
    cache.tag(repo, FILTER, &rebuilt)?;
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let dir = working
        .join("operator-catalogs/catalog")
        .join(hex(&genuine))
        .join("filtered-catalogs")
        .join(FILTER);
    let package = dir.join("catalog-config/alpha");
    fs::create_dir_all(&package)?;
    fs::write(dir.join("digest"), hex(&rebuilt))?;
    Ok(fs::write(
        package.join("catalog.json"),
        "{\"schema\":\"olm.package\",\"name\":\"alpha\"}\n",
    )?)
}

fn is_blob(entry: &Entry) -> bool {
    entry.name.starts_with("docker/registry/v2/blobs/")
}

fn read(entry: &Entry) -> Result<Vec<u8>, Failure> {
    match &entry.source {
        Source::File(path) => Ok(fs::read(path)?),
        Source::Bytes(bytes) => Ok(bytes.clone()),
    }
}

fn kill() {
    let own = rustix::process::getpid();
    // it cannot fail, and there is nobody to tell
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
}

/// And us with it, by its own doing or, where it did not see to that, in the end by ours.
fn kill_parent() {
    if let Some(parent) = rustix::process::getppid() {
        let _ = rustix::process::kill_process(parent, rustix::process::Signal::KILL);
    }
    thread::sleep(Duration::from_secs(5));
    kill();
}
