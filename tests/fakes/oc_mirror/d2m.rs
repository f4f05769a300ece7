//! Disk to mirror.

use std::fs;
use std::io;
use std::path::Path;

use crate::client::{Client, Tls};
use crate::copy::{Destination, Published, push};
use crate::failure::Failure;
use crate::misdeeds;
use crate::plan::{Planned, Way, collect};
use crate::release::Release;
use crate::resources;
use crate::results::Results;
use crate::stage::{Stage, folder, registries_d};
use crate::unpack::unpack;
use crate::v2::{Run, mapping};

/// The whole run, up to the line that says goodbye.
pub(crate) fn run(run: &Run<'_>, from: &str, destination: &str) -> Result<(), Failure> {
    let (release, log) = (run.release, run.log);
    let from = folder(from, "--from", release)?;
    let target = destination.strip_prefix("docker://").unwrap_or_default();
    let last = target.rsplit('/').next().unwrap_or_default();
    let tagged = target.contains('/') && last.contains(':');
    if target.is_empty() || release.is_strict() && (target.ends_with('/') || tagged) {
        return Err(Failure::new(
            1,
            format!("invalid destination {destination}"),
        ));
    }
    let resources_dir = from.join("working-dir/cluster-resources");
    let stage = Stage::prepare(&from, run.flags, release, log, || empty(&resources_dir))?;
    run.begin("diskToMirror");
    let client = client(run);
    if release.is_strict() {
        precheck(run, &client, target)?;
    }
    let dry = run.flags.has("dry-run");
    if release.is_strict() || !dry {
        unpack(&from, stage.cache.root(), run.settings, log, release)?;
    }
    if release == Release::V5_2 {
        run.compare_version(&stage);
    }
    misdeeds::before_copying(run.settings)?;
    run.discover();
    let mut planned = collect(&run.set, Way::DiskToMirror, stage.port, log, release)
        .inspect_err(|_| log.closing_lines())?;
    misdeeds::drop_image(run.settings, &mut planned);
    if dry {
        return dry_run(run, &stage, target, &planned);
    }
    run.announce(&planned)?;
    if release == Release::V5_2 {
        let host = target.split('/').next().unwrap_or_default();
        registries_d(&stage.working, &format!("localhost:{}", stage.port))?;
        registries_d(&stage.working, host)?;
    }
    let results = copy(run, &stage, &client, target, &planned);
    results.report(&stage, log, release)?;
    resources::write(
        &stage.working,
        target,
        &results.copied,
        &run.version,
        log,
        release,
    )?;
    log.mirror_time();
    let advice = results.advice(&stage);
    match advice {
        Some(advice) if run.fails_hard() => {
            log.goodbye();
            return Err(Failure::new(8, advice));
        }
        Some(advice) => log.warn(&advice),
        None => {}
    }
    log.goodbye();
    Ok(())
}

/// The last good resources are gone before anything else is looked at.
fn empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    }
}

fn precheck(run: &Run<'_>, client: &Client, target: &str) -> Result<(), Failure> {
    let host = target.split('/').next().unwrap_or_default();
    client.ping(host).map_err(|why| {
        Failure::new(
            1,
            format!("unable to authenticate against registry {target:?}: {why}"),
        )
    })?;
    run.log.info(&format!(
        "Verified we can authenticate against registry {target:?}"
    ));
    Ok(())
}

fn copy<'a>(
    run: &Run<'_>,
    stage: &Stage,
    client: &Client,
    target: &str,
    planned: &'a [Planned],
) -> Results<'a> {
    let mut results = Results::default();
    let struck = run.struck_images();
    for (index, image) in planned.iter().enumerate() {
        misdeeds::while_copying(run.settings, index, planned.len());
        let hit = run
            .settings
            .strikes(&image.source.name, index + 1 == planned.len());
        let wrong = hit && run.settings.does("d2m-wrong-digest");
        let published = if wrong {
            Published::WithAnotherDigest
        } else {
            Published::AsItIs
        };
        let to = destination(target, image);
        let went = if let Some(why) = &stage.copies_fail {
            Err(why.clone())
        } else if struck && hit {
            Err(format!(
                "initializing source docker://localhost:{}/{}: manifest unknown",
                stage.port, image.repo
            ))
        } else if run.settings.does("d2m-exit-0-nothing") {
            Ok(())
        } else {
            push(client, &stage.cache, image, stage.port, &to, published)
        };
        results.note(image, went, &shown(&to, image), run.log, run.release);
    }
    results
}

fn destination(target: &str, image: &Planned) -> Destination {
    let (host, namespace) = target.split_once('/').unwrap_or((target, ""));
    let repo = if namespace.is_empty() {
        image.repo.clone()
    } else {
        format!("{namespace}/{}", image.repo)
    };
    Destination {
        host: host.to_owned(),
        repo,
    }
}

/// The folder that an image went to, or its whole name where there is none.
fn shown(to: &Destination, image: &Planned) -> String {
    match to.repo.rsplit_once('/') {
        Some((folder, _)) => format!("{}/{folder}/", to.host),
        None => format!("{}/{}:{}/", to.host, to.repo, image.tag),
    }
}

fn client(run: &Run<'_>) -> Client {
    let tls = if run.flags.denies("dest-tls-verify") {
        Tls::MayBePlain
    } else {
        Tls::Required
    };
    run.client(tls, "dest")
}

fn dry_run(run: &Run<'_>, stage: &Stage, target: &str, planned: &[Planned]) -> Result<(), Failure> {
    let line = |image: &Planned| {
        let (repo, tag) = (&image.repo, &image.tag);
        format!(
            "docker://localhost:{}/{repo}:{tag}=docker://{target}/{repo}:{tag}\n",
            stage.port
        )
    };
    mapping(run, stage, planned.iter().map(line).collect())?;
    if run.release == Release::V5_2 {
        let all: Vec<&Planned> = planned.iter().collect();
        resources::write(
            &stage.working,
            target,
            &all,
            &run.version,
            run.log,
            run.release,
        )?;
    }
    run.log.closing_lines();
    Ok(())
}
