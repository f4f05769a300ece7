//! Volumes in any order: which is missing, what is damaged, and only that is carried once more.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mimeograph_tests::gap::copy_folder;
use mimeograph_tests::wrap::{on_a_small_disk, run};
use serde_json::json;

use super::{chunks, damage, export, from, lab, largest, volumes};
use crate::lab::{done, refused};
use crate::user::names;

/// The first of volumes that have room for one layer each.
const FIRST: [&str; 4] = ["--volume-size", "4MiB", "--volume", "1"];
const README: &str = include_str!("../../../README.md");

#[test]
fn five_volumes_cross_in_any_order_and_what_is_damaged_crosses_once_more() {
    let lab = lab(5);
    done(&lab.bundler(&["run"]));
    let told = export(&lab, "volume-1", &["--volume-size", "4MiB"]);
    refused(&told, 64, "USAGE", &["5 volumes", "--volume 1"]);
    let volumes = volumes(&lab, "4MiB");
    let [one, two, three, four, five] = &*volumes else {
        panic!("{volumes:?}");
    };
    let alone = from(&lab, "verify", &[three], &[]);
    refused(
        &alone,
        75,
        "INCOMPLETE",
        &["volume 1 of 5", "volume 5 of 5"],
    );
    assert!(!alone.stderr.contains("volume 3 of 5"), "{alone}");

    let some = from(&lab, "import", &[five, two, one], &[]);
    done(&some);
    assert_eq!(some.json()["outcome"], "waiting", "{some}");
    let on: Vec<_> = some.json()["result"][0]["lacking"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["volume"].clone())
        .collect();
    assert_eq!(on, [json!(3), json!(4)], "{some}");
    assert!(!lab.path("enclave/manifests").exists());
    done(&from(&lab, "import", &[four], &[]));

    // The last one is damaged on the way.
    let bad = largest(three);
    damage(&bad);
    let damaged = from(&lab, "verify", &[one, two, three, four, five], &[]);
    let place = bad.display().to_string();
    refused(&damaged, 65, "CHUNK_DAMAGED", &["1 of", &place]);
    let request = lab.path("request.json");
    let ask = ["--request", request.to_str().unwrap()];
    let damaged = from(&lab, "import", &[three], &ask);
    refused(
        &damaged,
        65,
        "CHUNK_DAMAGED",
        &["request.json", "export --repair"],
    );
    assert!(!lab.path("enclave/manifests").exists());
    assert!(fs::read_to_string(&request).unwrap().lines().count() < 8);
    let repair = ["--repair", request.to_str().unwrap()];
    done(&export(&lab, "repair", &repair));
    let carried = chunks(&lab.path("repair"));
    assert_eq!(carried.len(), 1);
    assert_eq!(carried[0].file_name(), bad.file_name());
    let mended = from(&lab, "import", &[&lab.path("repair")], &ask);
    done(&mended);
    assert_eq!(mended.json()["outcome"], "imported", "{mended}");
    assert_eq!(mended.json()["result"][0]["newChunks"], 1, "{mended}");
    assert!(!request.exists());
    done(&lab.populator(&["verify"]));
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 5);
    let again = from(&lab, "import", &[two], &[]);
    assert_eq!(again.json()["outcome"], "nothing to do", "{again}");
}

#[test]
fn volumes_are_copied_into_one_folder_or_lie_side_by_side() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let volumes = volumes(&lab, "4MiB");
    assert!(volumes.len() > 1);
    fs::create_dir(lab.path("beside")).unwrap();
    let all = lab.path("all");
    fs::create_dir(&all).unwrap();
    for (n, volume) in volumes.iter().enumerate() {
        copy_folder(volume, &lab.path(&format!("beside/{n}"))).unwrap();
        merge(volume, &all);
    }
    for place in [&all, &lab.path("beside")] {
        let ran = from(&lab, "verify", &[place], &[]);
        done(&ran);
        assert_eq!(ran.json()["outcome"], "verified", "{ran}");
    }
    // Straight from a drive that may only be read.
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let enclave = lab.path("enclave").display().to_string();
    fs::write(&file, text.replace(&enclave, all.to_str().unwrap())).unwrap();
    let before = crate::user::tree(&all);
    done(&lab.populator(&["run"]));
    assert_eq!(lab.loaded().len(), 2);
    assert!(crate::user::tree(&all) == before);
}

#[test]
fn a_drive_without_room_is_refused_before_anything_is_written() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let drive = lab.path("drive");
    fs::create_dir(&drive).unwrap();
    let to = drive.display().to_string();
    let command = lab.command(
        &lab.programs().bundler,
        "connected",
        &["export", "--to", &to],
    );
    let ran = run(on_a_small_disk(&command, &drive, 4 << 10)).unwrap();
    refused(&ran, 73, "NO_SPACE", &["drive", "bytes free"]);
    assert_eq!(names(&drive), Vec::<String>::new());
    // One that has the room takes it all.
    let ran = run(on_a_small_disk(&command, &drive, 16 << 10)).unwrap();
    done(&ran);
    done(&from(&lab, "verify", &[&drive], &[]));
}

/// The commands of the README, as they stand, but for where the drive is mounted.
#[test]
fn the_readme_walks_a_drive_from_end_to_end() {
    let lab = lab(2);
    let bin = lab.path("walk");
    fs::create_dir(&bin).unwrap();
    for (name, program, side) in [
        ("mimeograph-bundler", &lab.programs().bundler, "connected"),
        (
            "mimeograph-populator",
            &lab.programs().populator,
            "disconnected",
        ),
    ] {
        let config = lab.path(&format!("{side}.yaml"));
        let script = format!(
            "#!/bin/sh\nexport MIMEOGRAPH_CONFIG={}\nexec {} \"$@\"\n",
            config.display(),
            program.display()
        );
        let path = bin.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::copy(
        lab.path("keys/signing.pub.pem"),
        lab.path("signing.pub.pem"),
    )
    .unwrap();
    let (_, section) = README.split_once("## A drive, from end to end\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<_> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split_once("```").unwrap().0)
        .collect();
    let commands = blocks.concat();
    assert!(
        blocks.len() == 3 && commands.lines().count() < 10,
        "{commands}"
    );
    let commands = commands.replace("/mnt/drive", lab.path("drive").to_str().unwrap());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ran = crate::user::run({
        let mut command = std::process::Command::new("sh");
        command.args(["-eux", "-c", &commands]);
        command.current_dir(lab.path(".")).env("PATH", path);
        command
    });
    done(&ran);
    assert_eq!(lab.loaded().len(), 2);
    assert!(lab.path("record.html").exists() && lab.path("drive/TRANSFER.html").exists());
}

fn merge(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            merge(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_export_that_was_stopped_goes_on_and_a_folder_is_one_volume_alone() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let first = export(&lab, "volume-1", &FIRST);
    done(&first);
    // As if it had been stopped before the last, with one chunk half written and one that the medium has spoilt.
    let volume = lab.path("volume-1");
    for paper in ["SHA256SUMS", "export.json"] {
        fs::remove_file(volume.join(paper)).unwrap();
    }
    damage(&largest(&volume));
    let again = export(&lab, "volume-1", &FIRST);
    done(&again);
    let bytes =
        |ran: &mimeograph_tests::gap::Ran, name: &str| ran.json()["result"][name].as_u64().unwrap();
    assert_eq!(bytes(&again, "bytes"), bytes(&first, "bytes"), "{again}");
    assert!(
        bytes(&again, "newBytes") < bytes(&first, "newBytes"),
        "{again}"
    );
    assert_eq!(
        again.json()["result"]["export"],
        first.json()["result"]["export"]
    );
    // What is written is what was planned, to the byte.
    let written: u64 = crate::user::tree(&volume)
        .values()
        .map(|entry| entry.bytes.len() as u64)
        .sum();
    assert_eq!(written, bytes(&again, "bytes"));
    let other = export(&lab, "volume-1", &["--volume", "2"]);
    refused(&other, 64, "USAGE", &["volume-1", "another volume"]);
    refused(
        &export(&lab, "x", &["--volume", "9"]),
        64,
        "USAGE",
        &["volume 9"],
    );
    let sizes = ["--volume-size", "3MiB", "--volume", "1"];
    refused(&export(&lab, "x", &sizes), 64, "USAGE", &["too small"]);
    assert!(!lab.path("x").exists());
}

#[test]
fn bundles_are_chosen_and_what_came_after_is_not_in_a_plan_that_was_begun() {
    let lab = lab(2);
    done(&lab.bundler(&["run"]));
    let first = export(&lab, "volume-1", &FIRST);
    done(&first);
    lab.source.put_image("large/3", "v1", &[super::noise(3)]);
    lab.ask_for(&["large/1:v1", "large/2:v1", "large/3:v1"])
        .unwrap();
    done(&lab.bundler(&["run"]));
    let second = export(&lab, "volume-2", &["--volume", "2"]);
    done(&second);
    assert_eq!(second.json()["result"]["bundles"], json!([1]), "{second}");
    for (options, bundles) in [
        (&["--since", "1"][..], json!([2])),
        (&["--bundles", "1..2"], json!([1, 2])),
        (&["--bundles", "2"], json!([2])),
        (&[], json!([1, 2])),
    ] {
        let to = format!("chosen-{}", options.join(""));
        let ran = export(&lab, &to, options);
        done(&ran);
        assert_eq!(ran.json()["result"]["bundles"], bundles, "{ran}");
        let manifests = names(&lab.path(&to).join("manifests"));
        let count = manifests
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|end| end == "json"))
            .count();
        assert_eq!(count, bundles.as_array().unwrap().len());
    }
    refused(
        &export(&lab, "x", &["--since", "2"]),
        66,
        "INPUT_MISSING",
        &["nothing newer"],
    );
    refused(
        &export(&lab, "x", &["--bundles", "1..9"]),
        66,
        "INPUT_MISSING",
        &["bundle 9"],
    );
    let mistyped = export(&lab, "x", &["--bundles", "a"]);
    assert_eq!(mistyped.json()["errorId"], "USAGE", "{mistyped}");
    assert!(mistyped.stderr.contains("write `A..B`"), "{mistyped}");
}
