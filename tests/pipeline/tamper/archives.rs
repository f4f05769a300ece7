//! Archives that only a thief of the key, or a broken `oc-mirror`, can have sent.

use tar::EntryType;

use super::forge::{Tar, blob, forge_all, forge_archive};
use super::{refuses, second_bundle};
use crate::lab::{Lab, done};

/// Every one of these is refused under its name, and says what it is about.
#[track_caller]
fn all_refused(id: &str, forgeries: &[(&str, &dyn Fn(Tar) -> Vec<u8>)]) {
    let lab = second_bundle();
    let genuine = kept(&lab);
    for (word, change) in forgeries {
        forge_archive(&lab, 2, change);
        refuses(&lab, 65, id, &["mirror_000001.tar", word]);
        restore(&genuine);
    }
    super::goes_on(&lab, 3);
}

fn kept(lab: &Lab) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let papers = super::forge::papers(lab, 2.try_into().unwrap());
    papers
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

fn restore(genuine: &[(std::path::PathBuf, Vec<u8>)]) {
    let folder = genuine[0].0.parent().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("0000000002.")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    for (path, bytes) in genuine {
        std::fs::write(path, bytes).unwrap();
    }
}

/// An entry of this path and kind, before all others.
fn with_entry(path: &'static str, kind: EntryType) -> impl Fn(Tar) -> Vec<u8> {
    move |mut tar| {
        tar.add(path, kind, b"");
        tar.bytes()
    }
}

fn with_link(path: &'static str, kind: EntryType) -> impl Fn(Tar) -> Vec<u8> {
    move |mut tar| {
        let header = tar.add(path, kind, b"");
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        tar.bytes()
    }
}

#[test]
fn entries_that_oc_mirror_does_not_write_are_refused() {
    let file = EntryType::Regular;
    all_refused(
        "ARCHIVE_ENTRY_REFUSED",
        &[
            ("evil.sh", &with_entry("evil.sh", file)),
            (
                "docker/registry/v2/evil",
                &with_entry("docker/registry/v2/evil", file),
            ),
            ("../working-dir/x", &with_entry("../working-dir/x", file)),
            (
                "working-dir/../../x",
                &with_entry("working-dir/../../x", file),
            ),
            ("/etc/cron.d/x", &with_entry("/etc/cron.d/x", file)),
            ("working-dir//x", &with_entry("working-dir//x", file)),
            (
                "working-dir/x",
                &with_link("working-dir/x", EntryType::Symlink),
            ),
            (
                "working-dir/x",
                &with_link("working-dir/x", EntryType::Link),
            ),
            (
                "working-dir/x",
                &with_entry("working-dir/x", EntryType::Char),
            ),
            (
                "working-dir/x",
                &with_entry("working-dir/x", EntryType::Fifo),
            ),
            (
                "working-dir/x",
                &with_entry("working-dir/x", EntryType::Directory),
            ),
            ("LongLink", &|mut tar: Tar| {
                tar.add(
                    "././@LongLink",
                    EntryType::GNULongName,
                    b"working-dir/long\0",
                );
                tar.bytes()
            }),
            ("working-dir/x", &|mut tar: Tar| {
                let header = tar.add("working-dir/x", EntryType::Regular, b"");
                header.set_mode(0o4755);
                header.set_cksum();
                tar.bytes()
            }),
        ],
    );
}

#[test]
fn archives_that_are_not_whole_are_refused() {
    all_refused(
        "ARCHIVE_DAMAGED",
        &[
            ("end", &|tar: Tar| tar.entries()),
            ("end", &|mut tar: Tar| {
                tar.0.pop();
                tar.entries()
            }),
            ("ends", &|tar: Tar| {
                let bytes = tar.entries();
                bytes[..bytes.len() - 700].to_vec()
            }),
            ("", &|tar: Tar| [tar.bytes(), b"more".to_vec()].concat()),
            ("", &|tar: Tar| {
                let mut bytes = tar.bytes();
                bytes[150] ^= 1;
                bytes
            }),
            ("", &|mut tar: Tar| {
                tar.add("x", EntryType::XHeader, b"21 LIBARCHIVE.xattr=1\n");
                tar.bytes()
            }),
        ],
    );
}

#[test]
fn a_blob_whose_bytes_differ_from_its_name_is_refused() {
    let lab = second_bundle();
    let image = lab.source.digest_of("apps/3", "v1").unwrap();
    let other = lab.source.manifest("apps/1", "v1").unwrap();
    let genuine = kept(&lab);
    // Another image's manifest under the genuine path: oc-mirror would publish it (contract, fact 6).
    forge_archive(&lab, 2, |mut tar| {
        let size = other.len();
        let name = blob(&image);
        for (header, content) in &mut tar.0 {
            if header.path().unwrap().to_str().unwrap().ends_with(&name) {
                content.clone_from(&other);
                header.set_size(size as u64);
                header.set_cksum();
            }
        }
        tar.bytes()
    });
    refuses(
        &lab,
        65,
        "ARCHIVE_DAMAGED",
        &[image.trim_start_matches("sha256:")],
    );
    restore(&genuine);
    forge_archive(&lab, 2, |mut tar| {
        tar.0
            .iter_mut()
            .max_by_key(|(_, content)| content.len())
            .unwrap()
            .1[99] ^= 1;
        tar.bytes()
    });
    refuses(&lab, 65, "ARCHIVE_DAMAGED", &["mirror_000001.tar"]);
    restore(&genuine);
    super::goes_on(&lab, 3);
}

#[test]
fn a_tag_that_was_moved_is_not_what_the_inventory_says() {
    let lab = second_bundle();
    let other = lab.source.digest_of("apps/1", "v1").unwrap();
    forge_archive(&lab, 2, |mut tar| {
        *tar.content("repositories/apps/3/_manifests/tags/v1/current/link") = other.into_bytes();
        tar.bytes()
    });
    refuses(&lab, 65, "INVENTORY_MISMATCH", &["apps/3"]);
}

#[test]
fn an_image_beside_those_of_the_inventory_is_refused() {
    let (lab, other) = (second_bundle(), Lab::new());
    other
        .source
        .put_image("evil", "v1", &[crate::lab::layer(66)]);
    other.ask_for(&["evil:v1"]).unwrap();
    done(&other.bundler(&["run"]));
    let evil = super::forge::file(
        &other,
        &super::forge::manifest(&other, 1.try_into().unwrap()),
        mimeograph_manifest::manifest::Role::Archive,
    );
    forge_archive(&lab, 2, |mut tar| {
        tar.0.extend(
            Tar::read(&evil)
                .0
                .into_iter()
                .filter(|(header, _)| header.path().unwrap().starts_with("docker")),
        );
        tar.bytes()
    });
    refuses(&lab, 65, "INVENTORY_MISMATCH", &["evil"]);
}

#[test]
fn a_blob_that_is_nowhere_is_missed_even_where_the_inventory_agrees() {
    let lab = second_bundle();
    let manifest = lab.source.manifest("apps/3", "v1").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    forge_all(&lab, 2, |mut tar| {
        let name = blob(&layer);
        tar.0
            .retain(|(header, _)| !header.path().unwrap().to_str().unwrap().ends_with(&name));
        tar.bytes()
    });
    refuses(
        &lab,
        65,
        "NOT_CLOSED",
        &[layer.trim_start_matches("sha256:")],
    );
}
