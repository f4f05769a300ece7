//! The recorded series of v2: full, incremental, nothing new, partial, empty cache.

use std::collections::BTreeSet;
use std::fs;

use crate::lab::{Ended, Lab, data, read};
use crate::recorded;

#[test]
fn a_series_leaves_what_was_recorded_in_5_2() {
    let lab = lab("5.2");
    let run = |name: &str| {
        wait_a_second();
        wish(
            &lab,
            if name == "nothing-new" {
                "incremental"
            } else {
                name
            },
        );
        compare(
            &lab,
            &lab.m2d(&[]),
            &format!("v2-mirror-to-disk-{name}.log"),
        );
    };
    run("full");
    compare_archive(&lab, "v2-full.tar");
    compare_files(&lab, "v2-mirror-to-disk-full.files.txt");
    lab.carry();
    compare(&lab, &lab.d2m(&[]), "v2-disk-to-mirror.log");
    run("incremental");
    compare_archive(&lab, "v2-incremental.tar");
    compare_history(&lab);
    lab.carry();
    compare(&lab, &lab.d2m(&[]), "v2-disk-to-mirror-incremental.log");
    compare(
        &lab,
        &lab.d2m(&["--dry-run"]),
        "v2-disk-to-mirror-dry-run.log",
    );
    let mapping = fs::read_to_string(lab.path("in/working-dir/dry-run/mapping.txt")).unwrap();
    assert_eq!(
        lab.recorded(&mapping),
        read("oc-mirror-5.2/v2-disk-to-mirror-dry-run.mapping.txt")
    );
    run("nothing-new");
    compare_archive(&lab, "v2-nothing-new.tar");
    run("partial");
    compare_files(&lab, "v2-mirror-to-disk-partial.files.txt");
    compare_errors(&lab, "mirroring_errors_20261123_223259.txt");
}

#[test]
fn a_series_leaves_what_was_recorded_in_4_17() {
    let lab = lab("4.17");
    wish(&lab, "full");
    compare(&lab, &lab.m2d(&[]), "v2-mirror-to-disk-full.log");
    compare_archive(&lab, "v2-full.tar");
    lab.carry();
    compare(&lab, &lab.d2m(&[]), "v2-disk-to-mirror.log");
    let found = recorded::files(&lab.path("in"));
    assert_eq!(
        found,
        recorded::listing(&read("oc-mirror-4.17/v2-disk-to-mirror.files.txt"))
    );
    wait_a_second();
    wish(&lab, "incremental");
    compare(&lab, &lab.m2d(&[]), "v2-mirror-to-disk-incremental.log");
    compare_archive(&lab, "v2-incremental.tar");
    compare_history(&lab);
    // the recorded one had a folder of its own
    fs::rename(lab.path("bundle"), lab.path("old")).unwrap();
    wish(&lab, "partial");
    let ended = lab.m2d(&[]);
    let text = ended.text.replace("/bundle/", "/bundle-partial/");
    compare(
        &lab,
        &Ended { text, ..ended },
        "v2-mirror-to-disk-partial.log",
    );
    assert!(lab.archive().exists());
    compare_errors(&lab, "mirroring_errors_20261123_154730.txt");
}

#[test]
fn a_delta_alone_does_not_load_into_an_empty_cache() {
    let lab = lab("5.2");
    wish(&lab, "full");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    wait_a_second();
    wish(&lab, "incremental");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    lab.carry();
    let ended = lab.d2m(&[]);
    let text = ended.text.replace("/in/", "/in9/");
    compare(
        &lab,
        &Ended { text, ..ended },
        "v2-disk-to-mirror-empty-cache.log",
    );
    assert_eq!(lab.target.tags().len(), 1);
}

#[test]
fn histories_can_be_rolled_back_and_passed_over() {
    let lab = lab("5.2");
    let blobs = |lab: &Lab| {
        let entries = recorded::entries(&lab.archive());
        entries
            .iter()
            .filter(|entry| entry.name.starts_with("docker/registry/v2/blobs/"))
            .count()
    };
    wish(&lab, "full");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    assert_eq!(blobs(&lab), 7);
    wait_a_second();
    assert_eq!(lab.m2d(&[]).status, Some(0));
    assert_eq!(blobs(&lab), 0);
    wait_a_second();
    assert_eq!(lab.m2d(&["--since", "2000-01-01"]).status, Some(0));
    assert_eq!(blobs(&lab), 7);
    fs::remove_dir_all(lab.path("bundle/working-dir/.history")).unwrap();
    assert_eq!(lab.m2d(&[]).status, Some(0));
    assert_eq!(blobs(&lab), 7);
    fs::write(lab.path("bundle/working-dir/.history/.history-2026-13"), "").unwrap();
    let ended = lab.m2d(&[]);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.text.contains("unable to parse time"),
        "{}",
        ended.text
    );
}

#[test]
fn large_sets_are_split() {
    let lab = lab("5.2");
    lab.set("ARCHIVE_BYTES=4096");
    wish(&lab, "full");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    let chunks: Vec<_> = recorded::files(&lab.path("bundle"))
        .into_iter()
        .filter(|name| name.starts_with("mirror_"))
        .collect();
    assert!(chunks.len() > 2, "{chunks:?}");
    let _ = fs::create_dir(lab.path("in"));
    for chunk in &chunks {
        fs::rename(lab.path("bundle").join(chunk), lab.path("in").join(chunk)).unwrap();
    }
    assert_eq!(lab.d2m(&[]).status, Some(0));
    assert_eq!(lab.target.tags().len(), 2);
    lab.set("ARCHIVE_BYTES=1024");
    let ended = lab.m2d(&["--strict-archive", "--since", "2000-01-01"]);
    assert_eq!(ended.status, Some(1), "{}", ended.text);
}

fn lab(release: &'static str) -> Lab {
    let lab = Lab::new(release);
    for archive in ["v2-full.tar", "v2-incremental.tar"] {
        lab.source
            .put_archive(&data(&format!("oc-mirror-{release}/{archive}")));
    }
    lab
}

fn wish(lab: &Lab, name: &str) {
    lab.image_set(&read(&format!(
        "oc-mirror-{}/v2-{name}.imageset.yaml",
        lab.release
    )));
}

/// Histories and archives are named by the second.
fn wait_a_second() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

fn compare(lab: &Lab, ended: &Ended, log: &str) {
    let expected = read(&format!("oc-mirror-{}/{log}", lab.release));
    assert_eq!(
        recorded::log(&lab.recorded(&ended.text)),
        recorded::log(&expected),
        "{log}"
    );
    assert_eq!(ended.status, recorded::status(&expected), "{log}");
}

/// Names, order, headers: all but times, owners and the sizes of logs.
fn compare_archive(lab: &Lab, name: &str) {
    let found = recorded::entries(&lab.archive());
    let expected = recorded::entries(&data(&format!("oc-mirror-{}/{name}", lab.release)));
    let names = |entries: &[recorded::Entry]| {
        entries
            .iter()
            .map(|entry| lab.recorded(&entry.name))
            .map(|name| name.replace(&lab.port.to_string(), "23999"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), names(&expected), "{name}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.fields(), expected.fields(), "{name}: {}", found.name);
    }
}

fn compare_files(lab: &Lab, name: &str) {
    let expected = recorded::listing(&read(&format!("oc-mirror-{}/{name}", lab.release)));
    let found = recorded::files(&lab.path("bundle")).join("\n");
    assert_eq!(recorded::listing(&lab.recorded(&found)), expected, "{name}");
}

/// The same blobs in the same files; their order within a file is by chance.
fn compare_history(lab: &Lab) {
    let expected = read(&format!("oc-mirror-{}/v2-history.txt", lab.release));
    let expected: Vec<BTreeSet<String>> = expected
        .split("# working-dir/.history/.history-")
        .skip(1)
        .map(|file| file.lines().skip(1).map(str::to_owned).collect())
        .collect();
    let dir = lab.path("bundle/working-dir/.history");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    let read = |path| {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let found: Vec<BTreeSet<String>> = paths.into_iter().map(read).collect();
    assert_eq!(found, expected);
}

fn compare_errors(lab: &Lab, name: &str) {
    let logs = fs::read_dir(lab.path("bundle/working-dir/logs"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let errors: Vec<_> = logs
        .filter(|path| path.to_string_lossy().contains("mirroring_errors_"))
        .collect();
    assert_eq!(errors.len(), 1);
    let found = fs::read_to_string(&errors[0]).unwrap();
    assert_eq!(
        lab.recorded(&found).trim(),
        read(&format!("oc-mirror-{}/{name}", lab.release)).trim()
    );
}
