//! Charts on local disk -> hints at the images that `oc-mirror` overlooks in them. They travel as files of their own, so
//! the archives do not have them.

use std::path::Path;

use mimeograph_manifest::chart::{Chart, is_read};
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::io::disk;
use mimeograph_manifest::limits;
use mimeograph_manifest::wish::overlooked;

use crate::travelling;

/// The hints; `copied` are the images that `oc-mirror` says it copied or would copy.
pub(crate) fn hints(
    imageset: &ImageSet,
    local_dir: &Path,
    copied: &[String],
) -> Result<Vec<String>, Failure> {
    let mut hints = Vec::new();
    for local in &imageset.mirror.helm.local {
        let Some(path) = &local.path else {
            continue;
        };
        match read(imageset, local_dir, Path::new(&**path))? {
            Ok(chart) => hints.extend(overlooked(&chart, copied, &local.image_paths)),
            Err(error) => hints.push(format!("chart `{path}` was not looked into: {error}")),
        }
    }
    Ok(hints)
}

fn read(
    imageset: &ImageSet,
    local_dir: &Path,
    path: &Path,
) -> Result<Result<Chart, mimeograph_manifest::chart::ChartError>, Failure> {
    if path.is_file() {
        let packed = disk::read_bounded(path, limits::CHART_SIZE)?;
        return Ok(Chart::unpack(&packed));
    }
    let mut left = limits::CHART_SIZE;
    let mut files = Vec::new();
    for file in travelling::local_files(imageset, local_dir)? {
        let below = file.path.strip_prefix(path).ok().and_then(Path::to_str);
        if let Some(below) = below.filter(|below| is_read(below)) {
            let bytes = disk::read_bounded(&file.path, left)?;
            left -= bytes.len() as u64;
            files.push((below.to_owned(), bytes));
        }
    }
    Ok(Chart::of_files(files))
}
