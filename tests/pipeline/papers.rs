//! What README.md and FORMAT.md say is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mimeograph_manifest::failure::ErrorId;

use crate::lab::{Lab, done};

const README: &str = include_str!("../../README.md");
pub(crate) const FORMAT: &str = include_str!("../../mimeograph-manifest/FORMAT.md");

/// The first fenced block of a language after a heading.
pub(crate) fn block(text: &'static str, heading: &str, language: &str) -> &'static str {
    let (_, rest) = text.split_once(&format!("# {heading}\n")).unwrap();
    let (_, rest) = rest.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("\n```\n").unwrap().0
}

#[test]
fn the_readme_names_every_failure_with_its_status() {
    let words = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut written = BTreeSet::new();
    for row in README.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Ok(status) = cells[1].parse::<u8>() else {
            continue;
        };
        for id in words(cells[3]) {
            written.insert((id, status, cells[2] == "yes"));
        }
    }
    let known: BTreeSet<_> = ErrorId::ALL
        .iter()
        .map(|id| {
            let exit = id.exit();
            (id.to_string(), exit.code(), exit.is_worth_retrying())
        })
        .collect();
    assert_eq!(written, known);
}

#[test]
fn the_readmes_configuration_loads() {
    let lab = Lab::new();
    fs::write(lab.path("connected.yaml"), block(README, "Use", "yaml")).unwrap();
    let ran = lab.bundler(&["check"]);
    assert!(ran.stdout.starts_with("ok    config "), "{ran}");
    let populate = block(README, "Use", "yaml").replace("operation: bundle", "operation: populate");
    fs::write(lab.path("disconnected.yaml"), populate).unwrap();
    let ran = lab.populator(&["check"]);
    assert!(ran.stdout.starts_with("ok    config "), "{ran}");
}

/// Runs a block of FORMAT.md in the store, with the lab's public key where the block says it is.
pub(crate) fn by_hand(lab: &Lab, heading: &str) -> Output {
    fs::copy(
        lab.path("keys/signing.pub.pem"),
        lab.path("release.pub.pem"),
    )
    .unwrap();
    Command::new("sh")
        .args(["-eu", "-c", block(FORMAT, heading, "sh")])
        .current_dir(lab.path("store"))
        .output()
        .unwrap()
}

fn verifies_by_hand(lab: &Lab) -> bool {
    let output = by_hand(lab, "Verifying by hand");
    let said = String::from_utf8_lossy(&output.stdout).ends_with("are as signed\n");
    assert_eq!(output.status.success(), said, "{output:?}");
    said
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_published_bundle_verifies_with_openssl_and_sha256sum_and_fails_after_any_flipped_byte() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    assert!(verifies_by_hand(&lab));
    let files = lab.store_files();
    assert!(
        files.len() > 3,
        "chunks, a signature, a manifest: {files:?}"
    );
    for path in files {
        let size = fs::metadata(&path).unwrap().len();
        let last = usize::try_from(size).unwrap() - 1;
        for at in BTreeSet::from([0, last / 3, last]) {
            flip(&path, at);
            assert!(!verifies_by_hand(&lab), "{}, byte {at}", path.display());
            flip(&path, at);
        }
    }
    assert!(verifies_by_hand(&lab), "all is as it was");
}

#[test]
fn an_archive_put_together_by_hand_is_the_one_that_is_unpacked() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let output = by_hand(&lab, "Putting a file together by hand");
    assert!(output.status.success(), "{output:?}");
    let to = lab.path("unpacked").display().to_string();
    done(&lab.populator(&["unpack", "1", "--to", &to]));
    let unpacked = fs::read(lab.path("unpacked/mirror_000001.tar")).unwrap();
    assert!(fs::read(lab.path("mirror_000001.tar")).unwrap() == unpacked);
}
