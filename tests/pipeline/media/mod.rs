//! A drive from end to end: volumes, what is missing or damaged, repairs, drop folders, papers.

mod drive;
mod drop_folder;
mod papers;
#[cfg(feature = "real-media")]
mod real;

use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Digest;
use mimeograph_tests::gap::Ran;
use mimeograph_tests::registry::gzip;

use crate::lab::{Lab, done};

/// Bytes that do not compress, others for every number: about as many MiB as a small volume has room for.
fn noise(n: u8) -> Vec<u8> {
    const MIB: usize = 1 << 20;
    let mut bytes = Vec::with_capacity(3 * MIB);
    let mut state = Digest::of(&[n]);
    while bytes.len() < 3 * MIB {
        bytes.extend_from_slice(state.as_bytes());
        state = Digest::of(state.as_bytes());
    }
    gzip(&bytes)
}

/// Several images, and a far side whose store is another folder, `enclave`, which is there and empty.
fn lab(images: u8) -> Lab {
    let lab = Lab::new();
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let store = lab.path("store").display().to_string();
    let enclave = lab.path("enclave").display().to_string();
    assert!(text.contains(&format!("{store}\n")), "{text}");
    fs::write(
        &file,
        text.replace(&format!("{store}\n"), &format!("{enclave}\n")),
    )
    .unwrap();
    fs::create_dir(lab.path("enclave")).unwrap();
    let names: Vec<_> = (1..=images).map(|n| format!("large/{n}:v1")).collect();
    for n in 1..=images {
        lab.source
            .put_image(&format!("large/{n}"), "v1", &[noise(n)]);
    }
    lab.ask_for(&names.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    lab
}

fn export(lab: &Lab, to: &str, more: &[&str]) -> Ran {
    let to = lab.path(to).display().to_string();
    lab.bundler(&[&["export", "--to", &to, "--output", "json"], more].concat())
}

/// Writes all volumes of an export, each into a folder of its own, and says where.
fn volumes(lab: &Lab, size: &str) -> Vec<PathBuf> {
    let first = export(lab, "volume-1", &["--volume-size", size, "--volume", "1"]);
    done(&first);
    let count = first.json()["result"]["volumes"].as_u64().unwrap();
    for n in 2..=count {
        let to = format!("volume-{n}");
        done(&export(lab, &to, &["--volume", &n.to_string()]));
    }
    (1..=count)
        .map(|n| lab.path(&format!("volume-{n}")))
        .collect()
}

/// Runs the populator on media.
fn from(lab: &Lab, command: &str, places: &[&Path], more: &[&str]) -> Ran {
    let places: Vec<_> = places
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut arguments = vec![command, "--output", "json"];
    arguments.extend(more);
    arguments.push("--from");
    arguments.extend(places.iter().map(String::as_str));
    lab.populator(&arguments)
}

fn chunks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join("chunks")).unwrap().flatten() {
        let files = fs::read_dir(entry.path()).unwrap().flatten();
        found.extend(files.map(|file| file.path()));
    }
    found.sort();
    found
}

fn largest(folder: &Path) -> PathBuf {
    let mut all = chunks(folder);
    all.sort_by_key(|path| path.metadata().unwrap().len());
    all.pop().unwrap()
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[100] ^= 1;
    fs::write(file, bytes).unwrap();
    // Not just now, else it may still be arriving.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24 * 365);
    fs::File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}
