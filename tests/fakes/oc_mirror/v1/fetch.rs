//! v1, mirror to disk: what no sequence carried yet goes into `mirror_seqN_000000.tar`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use crate::client::Client;
use crate::copy::check_name;
use crate::failure::Failure;
use crate::hash::digest_of;
use crate::image_set::{Dialect, ImageSet};
use crate::manifest::Manifest;
use crate::misdeeds;
use crate::plan::Planned;
use crate::reference::Reference;
use crate::v1::listing::{Listed, plan};
use crate::v1::metadata::{Association, Metadata};
use crate::v1::packing::{Fetched, blob_path, pack};
use crate::v1::{Run, progress, result};

pub(super) fn run(run: &Run<'_>, config: &Path, out: &Path) -> Result<(), Failure> {
    let set = ImageSet::read(config, Dialect::V1, run.settings.release())?;
    let out = std::path::absolute(out)?;
    let workspace = out.join("oc-mirror-workspace/src");
    folders(&workspace)?;
    fs::write(".oc-mirror.log", "")?;
    let stored = set
        .storage
        .as_deref()
        .map(Metadata::read)
        .transpose()?
        .flatten();
    let mut metadata = if let Some(metadata) = stored {
        metadata
    } else {
        progress("No metadata detected, creating new workspace");
        Metadata::begin(set.storage.is_none())?
    };
    misdeeds::before_copying(run.settings)?;
    let client = run.client("source");
    let images = resolve(run, &client, &set)?;
    let full = run.flags.has("ignore-history");
    let new: Vec<(Planned, Association, Vec<u8>)> = images
        .iter()
        .filter(|(_, image, _)| full || !metadata.knows(image))
        .cloned()
        .collect();
    if new.is_empty() {
        result("No new images detected, process stopping");
        return Ok(());
    }
    let held = if full {
        BTreeSet::new()
    } else {
        layers(&metadata.past_associations)
    };
    let mut fetched = Vec::new();
    for (index, (planned, image, manifest)) in new.into_iter().enumerate() {
        misdeeds::while_copying(run.settings, index, images.len());
        fetched.push(fetch(
            &client, &workspace, &planned, image, manifest, &held,
        )?);
    }
    tell(&fetched, &images[0].0.source.host);
    let names: Vec<String> = set.images.iter().map(|image| image.name.clone()).collect();
    let carried = fetched
        .iter()
        .map(|fetched| fetched.listed.image.clone())
        .collect();
    metadata.advance(
        &names,
        carried,
        images.into_iter().map(|(_, image, _)| image).collect(),
    );
    pack(run, &out, &workspace, &metadata, &fetched)?;
    set.storage.map_or(Ok(()), |dir| metadata.write(&dir))
}

fn folders(workspace: &Path) -> Result<(), Failure> {
    for name in ["publish", "v2", "charts", "release-signatures"] {
        let dir = workspace.join(name);
        let word = if dir.exists() {
            "Found"
        } else {
            "Creating directory"
        };
        progress(&format!("{word}: {}", dir.display()));
        fs::create_dir_all(dir)?;
    }
    Ok(())
}

/// What each wish names now. A failed image ends the run, unless it may be passed over.
fn resolve(
    run: &Run<'_>,
    client: &Client,
    set: &ImageSet,
) -> Result<Vec<(Planned, Association, Vec<u8>)>, Failure> {
    let mut planned = Vec::new();
    for image in set
        .images
        .iter()
        .filter(|image| !set.blocks(&image.name, crate::release::Release::V4_17))
    {
        let source = Reference::parse(&image.name)
            .map_err(|why| Failure::new(1, format!("{}: {why}", image.name)))?;
        let (repo, tag) = (source.path.clone(), source.tag.clone().unwrap_or_default());
        planned.push(Planned { source, repo, tag });
    }
    misdeeds::drop_image(run.settings, &mut planned);
    let failing = run.settings.fails_for_now()? || run.settings.does("bitmask");
    let lenient = run.flags.has("continue-on-error") || run.flags.has("skip-missing");
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    let count = planned.len();
    for (index, image) in planned.into_iter().enumerate() {
        let struck = failing && run.settings.strikes(&image.source.name, index + 1 == count);
        match if struck {
            Err("manifest unknown".to_owned())
        } else {
            describe(client, &image)
        } {
            Ok((association, bytes)) => found.push((image, association, bytes)),
            Err(why) if lenient => failed.push(format!("{{{{{}}} {why}}}", image.source.name)),
            Err(why) => {
                return Err(Failure::new(
                    1,
                    format!(
                        "unable to retrieve source image {}: {why}",
                        image.source.name
                    ),
                ));
            }
        }
    }
    result(&format!("error image list [{}]", failed.join(" ")));
    Ok(found)
}

fn describe(client: &Client, image: &Planned) -> Result<(Association, Vec<u8>), String> {
    let source = &image.source;
    check_name(&source.path, &source.name)?;
    let (bytes, _) = client.manifest(&source.host, &source.path, source.wanted())?;
    let manifest = Manifest::parse(&bytes)?;
    if !manifest.instances.is_empty() {
        return Err("manifest type *ocischema.DeserializedImageIndex is not supported".to_owned());
    }
    let id = digest_of(&bytes);
    let association = Association {
        name: format!("{}/{}@{id}", source.host, source.path),
        path: source.path.clone(),
        id,
        tag_symlink: image.tag.clone(),
        kind: "generic".to_owned(),
        layer_digests: manifest.blobs,
    };
    Ok((association, bytes))
}

fn layers(images: &[Association]) -> BTreeSet<String> {
    images
        .iter()
        .flat_map(|image| image.layer_digests.clone())
        .collect()
}

fn fetch(
    client: &Client,
    workspace: &Path,
    planned: &Planned,
    image: Association,
    manifest: Vec<u8>,
    held: &BTreeSet<String>,
) -> Result<Fetched, Failure> {
    let mut blobs = Vec::new();
    for digest in image
        .layer_digests
        .iter()
        .filter(|digest| !held.contains(*digest))
    {
        let path = blob_path(workspace, &image.path, digest);
        fs::create_dir_all(path.parent().unwrap_or(workspace))?;
        let mut file = File::create(&path)?;
        let source = &planned.source;
        client
            .blob(&source.host, &source.path, digest, &mut file)
            .map_err(|why| Failure::new(1, why))?;
        blobs.push((digest.clone(), file.metadata()?.len()));
    }
    blobs.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(Fetched {
        listed: Listed { image, blobs },
        manifest,
    })
}

fn tell(fetched: &[Fetched], host: &str) {
    let mut listed: Vec<Listed> = fetched
        .iter()
        .map(|fetched| fetched.listed.clone())
        .collect();
    listed.sort_by(|a, b| a.image.path.cmp(&b.image.path));
    progress(&plan("<dir>", &listed, &format!("{host}/"), "", ""));
    for Listed { image, .. } in &listed {
        let colon = if image.tag_symlink.is_empty() {
            ""
        } else {
            ":"
        };
        result(&format!(
            "{} file://{}{colon}{}",
            image.id, image.path, image.tag_symlink
        ));
    }
    progress("info: Mirroring completed in 50ms (474.1kB/s)");
}
