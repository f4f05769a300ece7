//! `.history`: which blobs went into archives before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::failure::Failure;

/// The blobs that the chosen history file lists. The newest name wins; with `since`, the newest before that day.
pub(crate) fn read(dir: &Path, since: Option<&str>) -> Result<BTreeSet<String>, Failure> {
    let before: Option<Timestamp> = match since {
        Some(day) => Some(format!("{day}T00:00:00Z").parse().map_err(|_| {
            Failure::new(
                1,
                format!("--since flag needs to be in format yyyy-MM-dd: {day}"),
            )
        })?),
        None => None,
    };
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    for file in fs::read_dir(dir).into_iter().flatten() {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(stamp) = name.strip_prefix(".history-") else {
            continue;
        };
        let time: Timestamp = stamp.parse().map_err(|_| {
            Failure::new(
                1,
                format!("unable to parse time from filename {name}: parsing time {stamp:?}"),
            )
        })?;
        let eligible = before.is_none_or(|before| time < before);
        if eligible && newest.as_ref().is_none_or(|(found, _)| *found < time) {
            newest = Some((time, file.path()));
        }
    }
    let text = match newest {
        Some((_, path)) => fs::read_to_string(path)?,
        None => String::new(),
    };
    Ok(text.lines().map(str::to_owned).collect())
}

/// Write what is known from now on.
pub(crate) fn write(dir: &Path, stamp: &str, blobs: &BTreeSet<String>) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    let mut text = blobs.iter().cloned().collect::<Vec<_>>().join("\n");
    text.push('\n');
    Ok(fs::write(dir.join(format!(".history-{stamp}")), text)?)
}
