//! Every recorded case of the real `oc-mirror`, 4.17 and 5.2: what Mimeograph makes of it before it starts, from its log,
//! from its archive, and from what arrived. None is left out.

mod case;
mod edited;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use case::Case;
use mimeograph_manifest::inventory::{Before, Inventory};
use mimeograph_manifest::wish::Wish;
use table::{Arrived, Expected, TABLE};

/// A row of the table, as it really is.
fn seen(expected: &Expected) -> Expected<String, Vec<String>> {
    let case = expected.case;
    let imageset = case.imageset();
    let traps = case.traps();
    let traps = traps
        .as_ref()
        .map_or_else(String::clone, |found| texts(found.iter()).join("; "));
    let log = case.outcome("mirror-to-disk.log").error();
    let mut before = Before::default();
    for (name, archive) in expected.after {
        let earlier = Case { name, ..case };
        let set = earlier.imageset();
        let Some(Ok((judgement, contents))) = set
            .ok()
            .and_then(|set| earlier.judgement(archive, &set, &before))
        else {
            panic!("{case:?}: {name} {archive} has no archive to build on");
        };
        before.add_newer(Inventory::new(contents.structure, judgement.wish));
    }
    let mut arrived = Arrived::NotAsked;
    let archive = imageset
        .ok()
        .and_then(|set| case.judgement("mirror_000001", &set, &before));
    let archive = match archive {
        None if log.is_none() && case.name.starts_with("operators") => {
            let set = case
                .imageset()
                .unwrap_or_else(|error| panic!("{case:?}: {error}"));
            texts(case.selection(&set).findings.iter())
        }
        None => vec!["no archive".to_owned()],
        Some(Err(error)) => vec![error],
        Some(Ok((judgement, _))) => {
            let found = texts(judgement.findings.iter());
            if found.is_empty()
                && log.is_none()
                && case.folder().join("disk-to-mirror.log").exists()
            {
                arrived = arrival(case, &judgement.wish);
            }
            found
        }
    };
    Expected {
        case,
        after: expected.after,
        trap: traps,
        log: log.map_or_else(String::new, |error| error.to_string()),
        archive,
        arrived,
    }
}

fn texts<'a>(
    findings: impl Iterator<Item = &'a mimeograph_manifest::imageset::Finding>,
) -> Vec<String> {
    findings.map(ToString::to_string).collect()
}

/// Whether what the image set came to is in the target, and whether `oc-mirror` says so.
fn arrival(case: Case, wish: &Wish) -> Arrived {
    let target = case.target();
    let digests: BTreeSet<_> = target.values().copied().collect();
    let images = wish
        .images
        .iter()
        .chain(&wish.chart_images)
        .chain(&wish.graph);
    let mut tags = images.map(|image| (&image.repository, &image.tag, image.digest));
    let catalogs = wish.operators.iter();
    let mut catalogs = catalogs.map(|one| (&one.repository, &one.tag, one.digest));
    let is_there = |(repository, tag, digest): (&String, &String, _)| {
        let mut places = target.iter();
        places.any(|((of, named), found)| {
            of.ends_with(repository) && named == tag && *found == digest
        })
    };
    let is_whole =
        wish.digests().is_subset(&digests) && tags.all(is_there) && catalogs.all(is_there);
    match (is_whole, case.outcome("disk-to-mirror.log").error()) {
        (true, None) => Arrived::Whole,
        (true, Some(_)) => Arrived::WholeButRefused,
        (false, None) => Arrived::SilentlyLess,
        (false, Some(_)) => Arrived::Refused,
    }
}

#[test]
fn every_recorded_run_is_judged_as_the_table_says() {
    let mut wrong = Vec::new();
    for expected in TABLE {
        let seen = seen(expected);
        if !expected.is_met_by(&seen) {
            wrong.push(format!("{seen:#?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_recorded_case_is_left_out() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let rows: BTreeSet<(&str, &str)> = TABLE
        .iter()
        .map(|row| (row.case.version, row.case.name))
        .collect();
    assert_eq!(rows.len(), TABLE.len(), "a case stands in two rows");
    let mut missing = Vec::new();
    for version in ["4.17", "5.2"] {
        let root = data.join(format!("oc-mirror-{version}"));
        for folder in ["", "additional", "platform", "helm"] {
            let Ok(entries) = fs::read_dir(root.join(folder)) else {
                continue;
            };
            for path in entries.flatten().map(|entry| entry.path()) {
                let below = path
                    .strip_prefix(&root)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                if path.join("imageset.yaml").exists() && !rows.contains(&(version, &*below)) {
                    missing.push(format!("{version} {below}"));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
