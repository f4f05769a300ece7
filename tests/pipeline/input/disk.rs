//! Folders that are none, may not be written to, or are full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mimeograph_tests::gap::Ran;
use mimeograph_tests::registry::gzip;
use mimeograph_tests::wrap::on_a_small_disk;

use super::published;
use crate::lab::{Lab, done, refused};
use crate::user::{NOBODY, as_user, names, run};

#[test]
fn a_file_where_a_folder_belongs_is_named_and_left_as_it_is() {
    for (side, folder) in [
        ("connected", "bundle"),
        ("connected", "metadata"),
        ("disconnected", "bundle"),
        ("disconnected", "metadata"),
    ] {
        let lab = Lab::new();
        done(&lab.bundler(&["run"]));
        let path = lab.path(side).join(folder);
        let _ = fs::remove_dir_all(&path);
        fs::write(&path, "mine").unwrap();
        for command in ["check", "run"] {
            let ran = if side == "connected" {
                lab.bundler(&[command])
            } else {
                lab.populator(&[command])
            };
            refused(&ran, 73, "CANNOT_CREATE", &[]);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(all.contains(&path.display().to_string()), "{ran}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
    let lab = Lab::new();
    fs::remove_dir(lab.path("store")).unwrap();
    fs::write(lab.path("store"), "mine").unwrap();
    for ran in [lab.bundler(&["run"]), lab.populator(&["run"])] {
        refused(&ran, 78, "CONFIG_INVALID", &["store", "not a directory"]);
    }
}

#[test]
fn a_folder_that_we_may_not_write_to_is_named_and_nothing_is_published() {
    for (side, folder, id, status) in [
        ("connected", "connected/bundle", "CANNOT_CREATE", 73),
        ("connected", "connected/metadata", "CANNOT_CREATE", 73),
        ("connected", "store", "STORE_FORBIDDEN", 77),
        ("disconnected", "disconnected/bundle", "CANNOT_CREATE", 73),
        ("disconnected", "disconnected/metadata", "CANNOT_CREATE", 73),
    ] {
        let lab = Lab::new();
        if side == "disconnected" {
            done(&lab.bundler(&["run"]));
        }
        lab.let_others_in();
        for part in [
            "connected",
            "connected/bundle",
            "connected/metadata",
            "disconnected",
            "disconnected/bundle",
            "disconnected/metadata",
            "store",
            "home",
        ] {
            fs::create_dir_all(lab.path(part)).unwrap();
            fs::set_permissions(lab.path(part), fs::Permissions::from_mode(0o777)).unwrap();
        }
        for part in ["connected/metadata/lock", "bin/oc-mirror.calls"] {
            if lab.path(part).exists() {
                fs::set_permissions(lab.path(part), fs::Permissions::from_mode(0o666)).unwrap();
            }
        }
        fs::set_permissions(
            lab.path("keys/signing.pem"),
            fs::Permissions::from_mode(0o644),
        )
        .unwrap();
        fs::set_permissions(lab.path("keys"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(lab.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
        let mut look = lab.bare(Path::new("touch"));
        look.arg(lab.path(folder).join("x"));
        assert_ne!(
            run(as_user(NOBODY, &look)).status,
            0,
            "it can be written to"
        );
        let program = if side == "connected" {
            &lab.programs().bundler
        } else {
            &lab.programs().populator
        };
        let before = (names(&lab.path("store")), lab.target.tags());
        let ran = run(as_user(NOBODY, &lab.command(program, side, &["run"])));
        refused(&ran, status, id, &[folder, "check"]);
        assert_eq!((names(&lab.path("store")), lab.target.tags()), before);
    }
}

/// Runs a program while a folder lies on a disk of so many KiB.
fn with_little_space(lab: &Lab, folder: &str, kib: u64, side: &str) -> Ran {
    let program = if side == "connected" {
        &lab.programs().bundler
    } else {
        &lab.programs().populator
    };
    let folder = lab.path(folder);
    fs::create_dir_all(&folder).unwrap();
    let ran = run(on_a_small_disk(
        &lab.command(program, side, &["run"]),
        &folder,
        kib,
    ));
    assert!(
        ![124, 125].contains(&ran.status),
        "there is no small disk: {ran}"
    );
    ran
}

/// Two images of so many KiB that nothing can compress.
fn lab(kib: usize) -> Lab {
    Lab::with(|gap| {
        for n in 1..=2 {
            gap.source
                .put_image(&format!("apps/{n}"), "v1", &[gzip(&noise(n, kib << 10))]);
        }
    })
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// The next run, with space, ends what the one without could not.
#[track_caller]
fn all_is_well_with_space(lab: &Lab) {
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["verify"]));
    done(&lab.populator(&["run"]));
    for n in 1..=2 {
        let manifest = lab.source.manifest(&format!("apps/{n}"), "v1").unwrap();
        assert_eq!(
            lab.target.manifest(&format!("mirror/apps/{n}"), "v1"),
            Some(manifest)
        );
    }
    for folder in ["store", "connected/metadata", "disconnected/metadata"] {
        let left: Vec<_> = names(&lab.path(folder))
            .into_iter()
            .filter(|name| name.strip_suffix(".tmp").is_some())
            .collect();
        assert_eq!(left, Vec::<String>::new(), "in {folder}");
    }
}

#[test]
fn a_full_store_gets_no_bundle_and_no_half_of_a_file() {
    let lab = lab(2 << 10);
    let ran = with_little_space(&lab, "store", 3 << 10, "connected");
    refused(
        &ran,
        73,
        "NO_SPACE",
        &["no space left in", "store", "make room there"],
    );
    assert_eq!(published(&lab), Vec::<String>::new());
    for name in names(&lab.path("store"))
        .iter()
        .filter_map(|name| name.strip_prefix("chunks/"))
    {
        let bytes = fs::read(lab.path("store/chunks").join(name)).unwrap();
        let digest = mimeograph_manifest::digest::Digest::of(&bytes).to_string();
        assert_eq!(
            name,
            format!("{}/{digest}", &digest[..2]),
            "half of a chunk"
        );
    }
    all_is_well_with_space(&lab);
    assert_eq!(
        published(&lab),
        ["manifests/0000000001.json", "manifests/0000000002.json"]
    );
}

#[test]
fn a_full_disk_while_mirroring_publishes_nothing_and_is_called_that() {
    // For the cache alone; for the cache and half of the archive.
    for kib in [2 << 10, 6 << 10] {
        let lab = lab(2 << 10);
        let ran = with_little_space(&lab, "connected/bundle", kib, "connected");
        refused(
            &ran,
            73,
            "NO_SPACE",
            &["`oc-mirror` ", "free space where `artefacts.bundleDir`"],
        );
        assert_eq!(published(&lab), Vec::<String>::new());
        all_is_well_with_space(&lab);
    }
}

#[test]
fn a_full_disk_for_state_is_called_that_and_nothing_is_lost_wherever_it_ends() {
    let mut ends = [Vec::new(), Vec::new()];
    // The lock takes the first page of 4 KiB; each further one lets a run come further.
    for kib in [4, 12, 16, 24, 40, 96] {
        let lab = lab(1);
        for (side, ends) in ["connected", "disconnected"].into_iter().zip(&mut ends) {
            let folder = format!("{side}/metadata");
            let ran = with_little_space(&lab, &folder, kib, side);
            if ran.status != 0 {
                refused(&ran, 73, "NO_SPACE", &[&folder, "make room there"]);
            }
            ends.push(ran.status);
            if side == "connected" {
                done(&lab.bundler(&["run"]));
            }
        }
        all_is_well_with_space(&lab);
    }
    for ends in ends {
        assert_eq!(
            (ends[0], ends.last()),
            (73, Some(&0)),
            "too little and enough: {ends:?}"
        );
    }
}

#[test]
fn a_populator_that_has_no_room_says_how_much_it_needs_before_it_fetches() {
    let lab = lab(2 << 10);
    done(&lab.bundler(&["run"]));
    let ran = with_little_space(&lab, "disconnected/bundle", 3 << 10, "disconnected");
    refused(
        &ran,
        73,
        "NO_SPACE",
        &[
            "disconnected/bundle has",
            "bundle 1 needs",
            "make room there",
        ],
    );
    assert_eq!(lab.target.tags().len(), 0);
    let mut left = names(&lab.path("disconnected/bundle"));
    left.retain(|name| name != ".oc-mirror.log"); // of the question for its version, in 4.17
    assert_eq!(left, ["bundle.lock"]);
    all_is_well_with_space(&lab);
}
