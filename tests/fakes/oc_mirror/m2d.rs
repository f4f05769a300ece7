//! Mirror to disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::client::{Client, Tls};
use crate::copy::{Instances, pull};
use crate::failure::Failure;
use crate::history;
use crate::misdeeds;
use crate::pack::{Packing, chunk_path};
use crate::pinned;
use crate::plan::{Planned, Way, collect};
use crate::release::Release;
use crate::results::Results;
use crate::stage::{Stage, folder, registries_d};
use crate::v2::{Run, mapping};

/// The whole run, up to the line that says goodbye.
pub(crate) fn run(run: &Run<'_>, destination: &str) -> Result<(), Failure> {
    let (release, log) = (run.release, run.log);
    let out = folder(destination, "destination", release)?;
    let strict_archive = run.flags.has("strict-archive");
    let clear = || clear(&out, release, strict_archive);
    let stage = Stage::prepare(&out, run.flags, release, log, clear)?;
    run.begin("mirrorToDisk");
    misdeeds::before_copying(run.settings)?;
    run.discover();
    let mut planned = collect(&run.set, Way::MirrorToDisk, stage.port, log, release)
        .inspect_err(|_| log.closing_lines())?;
    misdeeds::drop_image(run.settings, &mut planned);
    if run.flags.has("dry-run") {
        dry_run(run, &stage, &planned)?;
        log.closing_lines();
        return Ok(());
    }
    run.announce(&planned)?;
    if release == Release::V5_2 {
        registries_d(&stage.working, &format!("localhost:{}", stage.port))?;
    }
    let (results, mut blobs) = copy(run, &stage, &planned);
    results.report(&stage, log, release)?;
    let advice = results.advice(&stage);
    if advice.is_some() && run.fails_hard() {
        log.closing_lines();
        return Err(Failure::new(8, advice.unwrap_or_default()));
    }
    let stamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if release == Release::V5_2 {
        run.write_version(&stage)?;
        pinned::write(&stage.working, &stamp, &run.set.images, log)?;
    }
    log.info("📦 Preparing the tarball archive...");
    blobs.extend(misdeeds::plant(
        run.settings,
        &stage.cache,
        &stage.working,
        &planned,
    )?);
    pack(run, &stage, &out, &stamp, &blobs).inspect_err(|_| log.goodbye())?;
    log.mirror_time();
    if let Some(advice) = advice {
        log.warn(&advice);
    }
    log.goodbye();
    Ok(())
}

/// Old archives go at once in newer releases; the oldest truncates the first and leaves the others.
fn clear(out: &Path, release: Release, strict_archive: bool) -> io::Result<()> {
    if release.is_strict() || strict_archive {
        for file in fs::read_dir(out)? {
            let path = file?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name.starts_with("mirror_")
                && Path::new(&name)
                    .extension()
                    .is_some_and(|ending| ending == "tar")
            {
                fs::remove_file(path)?;
            }
        }
    }
    if !release.is_strict() {
        File::create(chunk_path(out, 1))?;
    }
    Ok(())
}

fn copy<'a>(run: &Run<'_>, stage: &Stage, planned: &'a [Planned]) -> (Results<'a>, Vec<String>) {
    let client = client(run);
    let instances = if run.settings.does("sparse-index") {
        Instances::WithoutTheLast
    } else {
        Instances::All
    };
    let mut results = Results::default();
    let mut blobs: Vec<String> = Vec::new();
    let struck = run.struck_images();
    for (index, image) in planned.iter().enumerate() {
        misdeeds::while_copying(run.settings, index, planned.len());
        let name = &image.source.name;
        let went = if let Some(why) = &stage.copies_fail {
            Err(why.clone())
        } else if struck && run.settings.strikes(name, index + 1 == planned.len()) {
            Err(format!(
                "initializing source docker://{name}: reading manifest: {}",
                run.why_struck()
            ))
        } else {
            pull(&client, &stage.cache, image, instances)
        };
        let went = went.map(|digests| blobs.extend(digests));
        results.note(image, went, "cache", run.log, run.release);
    }
    (results, blobs)
}

fn pack(
    run: &Run<'_>,
    stage: &Stage,
    out: &Path,
    stamp: &str,
    blobs: &[String],
) -> Result<(), Failure> {
    let histories = stage.working.join(".history");
    let known = history::read(&histories, run.flags.get("since"))?;
    let mut seen: BTreeSet<String> = known.clone();
    let new: Vec<String> = blobs
        .iter()
        .filter(|blob| seen.insert((*blob).clone()))
        .cloned()
        .collect();
    let packing = Packing {
        out,
        cache: &stage.cache,
        working: &stage.working,
        image_set: &run.set.bytes,
        blobs: &new,
        stamp,
        archive_size: run.set.archive_size,
        strict: run.flags.has("strict-archive"),
    };
    let mut entries = packing.entries(run.release)?;
    misdeeds::tamper(run.settings, &mut entries)?;
    packing.write(&entries, run.settings, run.log, || {
        history::write(&histories, stamp, &seen)
    })
}

fn client(run: &Run<'_>) -> Client {
    let tls = if run.flags.denies("src-tls-verify") {
        Tls::MayBePlain
    } else {
        Tls::Required
    };
    run.client(tls, "src")
}

fn dry_run(run: &Run<'_>, stage: &Stage, planned: &[Planned]) -> Result<(), Failure> {
    let here = format!("localhost:{}", stage.port);
    let line = |image: &Planned| {
        format!(
            "docker://{}=docker://{here}/{}:{}\n",
            image.source.pulled(),
            image.repo,
            image.tag
        )
    };
    let missing: Vec<&Planned> = planned
        .iter()
        .filter(|image| stage.cache.manifest(&image.repo, &image.tag).is_none())
        .collect();
    let dir = stage.working.join("dry-run");
    fs::create_dir_all(&dir)?;
    if !missing.is_empty() {
        let path = dir.join("missing.txt");
        fs::write(
            &path,
            missing.iter().map(|image| line(image)).collect::<String>(),
        )?;
        let counts = format!("{}/{}", missing.len(), planned.len());
        run.log.warn(&format!(
            "⚠️  {counts} images necessary for mirroring are not available in the cache."
        ));
        run.log.warn(&format!(
            "List of missing images in : {}.\nplease re-run the mirror to disk process",
            path.display()
        ));
    }
    mapping(run, stage, planned.iter().map(line).collect())
}
