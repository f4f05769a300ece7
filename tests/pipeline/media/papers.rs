//! What a volume says of itself, and how it is checked with openssl and coreutils alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use super::{damage, export, from, lab, largest, volumes};
use crate::lab::{Lab, done};
use crate::trouble::configure;

/// What a stock laptop has, and no more.
const TOOLS: [&str; 11] = [
    "openssl",
    "sed",
    "grep",
    "sha256sum",
    "cut",
    "sort",
    "awk",
    "cat",
    "mkdir",
    "dirname",
    "mktemp",
];

/// Runs the indented lines of a volume's `VERIFY.txt` as they stand, but for where the key lies.
fn by_hand(lab: &Lab, folder: &Path, which: impl Fn(usize) -> bool) -> Output {
    let bin = lab.path("stock");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        for tool in TOOLS {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output()
                .unwrap();
            let found = String::from_utf8(found.stdout).unwrap();
            symlink(found.trim(), bin.join(tool)).unwrap();
        }
    }
    let text = fs::read_to_string(folder.join("VERIFY.txt")).unwrap();
    let key = lab.path("keys/signing.pub.pem").display().to_string();
    let commands: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    assert_eq!(commands[0], "key=/path/to/signing.pub.pem");
    // The key, its id, the signatures; then what lies here, and what lies in all.
    let commands: Vec<_> = commands
        .iter()
        .enumerate()
        .filter(|(number, _)| *number < 3 || which(*number))
        .map(|(_, line)| line.replace("/path/to/signing.pub.pem", &key))
        .collect();
    Command::new("/bin/sh")
        .args(["-eu", "-c", &commands.join("\n")])
        .current_dir(folder)
        .env_clear()
        .env("PATH", bin)
        .env("TMPDIR", lab.path(""))
        .output()
        .unwrap()
}

#[test]
fn files_that_came_along_are_put_together_by_hand() {
    let lab = lab(2);
    let program = lab.path("mimeograph-populator");
    // What would pay to be compressed, and is not: a stock laptop has no zstd.
    let bytes = b"compressible ".repeat(500_000);
    fs::write(&program, &bytes).unwrap();
    let named = format!("artefacts:\n  extraFiles: [{}]\n", program.display());
    configure(&lab, "connected", "artefacts:\n", &named);
    done(&lab.bundler(&["run"]));
    let whole = volumes(&lab, "1GiB").remove(0);
    let ran = by_hand(&lab, &whole, |_| true);
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stdout);
    let folder = said.lines().find(|line| line.contains("/tmp.")).unwrap();
    let put_together = fs::read(Path::new(folder).join("mimeograph-populator")).unwrap();
    assert!(put_together == bytes);
}

#[test]
fn each_volume_is_checked_by_hand_with_its_own_commands() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["run"]));
    let volumes = volumes(&lab, "4MiB");
    assert!(volumes.len() > 1);
    for volume in &volumes {
        let checked = by_hand(&lab, volume, |number| number == 3);
        assert!(checked.status.success(), "{checked:?}");
        let said = String::from_utf8_lossy(&checked.stdout);
        assert_eq!(
            said.matches("Signature Verified Successfully").count(),
            2,
            "{checked:?}"
        );
        let sums = Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(volume)
            .status();
        assert!(sums.unwrap().success());
    }
    // Not all is here, which the last command says.
    assert!(!by_hand(&lab, &volumes[0], |_| true).status.success());
    damage(&largest(&volumes[0]));
    assert!(
        !by_hand(&lab, &volumes[0], |number| number == 3)
            .status
            .success()
    );
    let done_all = export(&lab, "whole", &[]);
    done(&done_all);
    let whole = lab.path("whole");
    assert!(by_hand(&lab, &whole, |_| true).status.success());
    let manifest = whole.join("manifests/0000000001.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("full", "fu11")).unwrap();
    assert!(!by_hand(&lab, &whole, |_| true).status.success());
}

#[test]
fn the_cover_sheet_says_what_crosses_and_needs_nothing_else() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let volumes = volumes(&lab, "4MiB");
    let listed = lab.bundler(&["list", "--output", "json"]);
    let digest = listed.json()["result"][0]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = lab.bundler(&["check", "--output", "json"]).stdout;
    let (_, key) = key.split_once("key id ").unwrap();
    let text = fs::read_to_string(volumes[1].join("TRANSFER.txt")).unwrap();
    let mark = format!("Volume 2 of {}", volumes.len());
    for says in [
        &mark,
        &digest,
        &key[..64],
        "large/1:v1",
        "3 added, 0 removed, 0 changed",
    ] {
        assert!(text.contains(says), "{says}\n{text}");
    }
    let html = fs::read_to_string(volumes[1].join("TRANSFER.html")).unwrap();
    assert!(html.contains(&mark), "{html}");
    for foreign in [
        "<script", "http:", "https:", "src=", "url(", "@import", "<link",
    ] {
        assert!(!html.contains(foreign), "{foreign}\n{html}");
    }
}

#[test]
fn a_verification_is_recorded_whatever_came_of_it() {
    let lab = lab(1);
    done(&lab.bundler(&["run"]));
    done(&export(&lab, "drive", &[]));
    let drive = lab.path("drive");
    let record = lab.path("record.html");
    let report = ["--report", record.to_str().unwrap()];
    done(&from(&lab, "verify", &[&drive], &report));
    let text = fs::read_to_string(&record).unwrap();
    assert!(
        text.contains("PASSED") && !text.contains("NOT PASSED"),
        "{text}"
    );
    damage(&largest(&drive));
    assert_eq!(from(&lab, "verify", &[&drive], &report).status, 65);
    let text = fs::read_to_string(&record).unwrap();
    assert!(
        text.contains("NOT PASSED") && text.contains("damaged"),
        "{text}"
    );
}
