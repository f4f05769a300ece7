//! v1: sequences, as recorded with 4.17.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::lab::{Ended, Lab, data, read};
use crate::recorded;

fn lab() -> Lab {
    let lab = Lab::new("4.17");
    for sequence in ["seq1", "seq2"] {
        put_sequence(&lab, &data(&format!("oc-mirror-4.17/v1-{sequence}.tar")));
    }
    lab
}

/// Put what a v1 archive carries into the source.
fn put_sequence(lab: &Lab, archive: &Path) {
    use std::io::Read;
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name.starts_with("blobs/") {
            blobs.push(bytes);
        } else if let Some((repo, digest)) = name
            .strip_prefix("v2/")
            .and_then(|name| name.split_once("/manifests/"))
            && digest.starts_with("sha256:")
        {
            manifests.push((repo.to_owned(), bytes));
        }
    }
    for (repo, manifest) in manifests {
        for blob in &blobs {
            lab.source.put_blob(&repo, blob);
        }
        lab.source.put_manifest(
            &repo,
            "v1",
            "application/vnd.oci.image.manifest.v1+json",
            &manifest,
        );
    }
}

fn wish(lab: &Lab, sequence: &str) {
    let text = read(&format!("oc-mirror-4.17/v1-{sequence}.imageset.yaml"));
    lab.image_set(&text.replace("/mimeograph/metadata1", "metadata1"));
}

fn m2d(lab: &Lab, extra: &[&str]) -> Ended {
    let out = format!("file://{}", lab.path("v1").display());
    run(
        lab,
        &[
            &["-c", "imageset.yaml", "--source-use-http"],
            extra,
            &[&out],
        ]
        .concat(),
    )
}

fn d2m(lab: &Lab, sequence: u32, extra: &[&str]) -> Ended {
    let from = lab
        .path(&format!("v1/mirror_seq{sequence}_000000.tar"))
        .display()
        .to_string();
    let target = format!("docker://{}/v1nb", lab.target.host());
    run(
        lab,
        &[&["--from", &from, "--dest-use-http"], extra, &[&target]].concat(),
    )
}

fn run(lab: &Lab, arguments: &[&str]) -> Ended {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    lab.run(&arguments)
}

fn compare(lab: &Lab, ended: &Ended, log: &str) {
    let expected = read(&format!("oc-mirror-4.17/{log}"));
    assert_eq!(lines(&lab.recorded(&ended.text)), lines(&expected), "{log}");
    assert_eq!(ended.status, recorded::status(&expected), "{log}");
}

/// Without speeds, times and the order of images.
fn lines(text: &str) -> Vec<String> {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"in \d+ms( \(.*\))?", "in TIME"),
        (r"results-\d+", "results-N"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, name)
            .into_owned();
    }
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("$ ") && !line.starts_with("exit status"));
    let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn a_series_leaves_what_was_recorded() {
    let lab = lab();
    wish(&lab, "seq1");
    compare(&lab, &m2d(&lab, &[]), "v1-mirror-to-disk-seq1.log");
    compare_archive(&lab, 1);
    compare(&lab, &d2m(&lab, 1, &[]), "v1-disk-to-mirror-seq1.log");
    let results = recorded::files(lab.dir.path())
        .into_iter()
        .filter(|name| name.contains("results-"))
        .count();
    assert_eq!(results, 2);
    wish(&lab, "seq2");
    compare(&lab, &m2d(&lab, &[]), "v1-mirror-to-disk-seq2.log");
    compare_archive(&lab, 2);
    compare(&lab, &d2m(&lab, 2, &[]), "v1-disk-to-mirror-seq2.log");
    compare(&lab, &m2d(&lab, &[]), "v1-mirror-to-disk-nothing-new.log");
    assert!(!lab.path("v1/mirror_seq3_000000.tar").exists());
    for (name, digest) in lab.source.tags() {
        assert_eq!(lab.target.tags()[&format!("v1nb/{name}")], digest);
    }
}

fn compare_archive(lab: &Lab, sequence: u32) {
    let fields = |path: &Path| -> Vec<(String, Vec<u8>)> {
        let entries = recorded::entries(path).into_iter();
        let entries = entries.map(|entry| {
            let mut header = entry.fields().0.to_vec();
            if entry.name.starts_with("publish") {
                header[124..136].fill(0);
            }
            (entry.name, header)
        });
        let mut entries: Vec<_> = entries.collect();
        entries[3..].sort();
        entries
    };
    let found = fields(&lab.path(&format!("v1/mirror_seq{sequence}_000000.tar")));
    assert_eq!(
        found,
        fields(&data(&format!("oc-mirror-4.17/v1-seq{sequence}.tar"))),
        "{sequence}"
    );
}

#[test]
fn sequences_are_kept_in_order() {
    let lab = lab();
    wish(&lab, "seq1");
    assert_eq!(m2d(&lab, &[]).status, Some(0));
    wish(&lab, "seq2");
    assert_eq!(m2d(&lab, &[]).status, Some(0));
    let early = d2m(&lab, 2, &[]);
    assert!(
        early.status == Some(1) && early.text.contains("want 1, got 2"),
        "{}",
        early.text
    );
    assert_eq!(d2m(&lab, 1, &[]).status, Some(0));
    let again = d2m(&lab, 1, &[]);
    assert!(
        again.status == Some(0) && again.text.contains("nothing to do"),
        "{}",
        again.text
    );
    assert_eq!(d2m(&lab, 2, &[]).status, Some(0));
    let late = d2m(&lab, 1, &[]);
    assert!(
        late.status == Some(1) && late.text.contains("want 3, got 1"),
        "{}",
        late.text
    );
    assert_eq!(
        d2m(&lab, 1, &["--skip-metadata-check", "--skip-pruning"]).status,
        Some(0)
    );
    assert_eq!(m2d(&lab, &["--ignore-history"]).status, Some(0));
    assert!(
        fs::metadata(lab.path("v1/mirror_seq3_000000.tar"))
            .unwrap()
            .len()
            > 40_000
    );
}

#[test]
fn what_is_no_more_wished_for_is_pruned() {
    for (extra, left) in [(&[][..], false), (&["--skip-pruning"], true)] {
        let lab = lab();
        wish(&lab, "seq1");
        assert_eq!(m2d(&lab, &[]).status, Some(0));
        assert_eq!(d2m(&lab, 1, &[]).status, Some(0));
        wish(&lab, "seq2");
        let text = fs::read_to_string(lab.path("imageset.yaml")).unwrap();
        let text: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("tiny/t1"))
            .collect();
        fs::write(lab.path("imageset.yaml"), text.join("\n")).unwrap();
        assert_eq!(m2d(&lab, &[]).status, Some(0));
        assert_eq!(d2m(&lab, 2, extra).status, Some(0));
        assert_eq!(lab.target.tags().contains_key("v1nb/tiny/t1:v1"), left);
    }
}

#[test]
fn failed_images_end_the_run_unless_passed_over() {
    let lab = lab();
    wish(&lab, "seq1");
    lab.misbehave("bitmask");
    let ended = m2d(&lab, &[]);
    assert!(
        ended.status == Some(1) && ended.text.lines().last().unwrap().starts_with("error: "),
        "{}",
        ended.text
    );
    assert!(!lab.path("v1/mirror_seq1_000000.tar").exists());
    let ended = m2d(&lab, &["--continue-on-error"]);
    assert!(
        ended.status == Some(0) && ended.text.contains("error image list [{{"),
        "{}",
        ended.text
    );
    lab.set("");
    let one = lab.source.put_image("m", "x", &[b"x".to_vec()]);
    lab.source.put_index("m", "v1", &[one]);
    let text = fs::read_to_string(lab.path("imageset.yaml")).unwrap();
    let host = lab.source.host();
    let text = text.replace(
        "additionalImages:",
        &format!("additionalImages:\n  - name: {host}/m:v1"),
    );
    fs::write(lab.path("imageset.yaml"), text).unwrap();
    let ended = m2d(&lab, &[]);
    assert!(
        ended.status == Some(1) && ended.text.contains("is not supported"),
        "{}",
        ended.text
    );
}

#[test]
fn layers_of_earlier_sequences_are_taken_from_the_target() {
    let lab = lab();
    wish(&lab, "seq1");
    assert_eq!(m2d(&lab, &[]).status, Some(0));
    assert_eq!(d2m(&lab, 1, &[]).status, Some(0));
    let manifest: serde_json::Value =
        serde_json::from_slice(&lab.source.manifest("tiny/t1", "v1").unwrap()).unwrap();
    let shared = manifest["layers"][0]["digest"].as_str().unwrap();
    let shared = lab.source.blob("tiny/t1", shared).unwrap();
    let digest = lab
        .source
        .put_image("tiny/heir", "v1", &[shared, b"its own".to_vec()]);
    let text = fs::read_to_string(lab.path("imageset.yaml")).unwrap();
    let host = lab.source.host();
    let text = text.replace(
        "additionalImages:",
        &format!("additionalImages:\n  - name: {host}/tiny/heir:v1"),
    );
    fs::write(lab.path("imageset.yaml"), text).unwrap();
    assert_eq!(m2d(&lab, &[]).status, Some(0));
    assert!(
        fs::metadata(lab.path("v1/mirror_seq2_000000.tar"))
            .unwrap()
            .len()
            < 12_000
    );
    let ended = d2m(&lab, 2, &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.text);
    assert_eq!(lab.target.tags()["v1nb/tiny/heir:v1"], digest);
}
