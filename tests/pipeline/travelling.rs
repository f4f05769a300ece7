//! Extra files travel with a bundle, are verified like all of it, and are never shown to `oc-mirror`.

use std::fs;

use crate::lab::{Lab, done, refused};
use crate::user::names;

/// A lab whose bundles carry a file and a folder.
fn lab() -> Lab {
    Lab::with(|gap| {
        fs::create_dir_all(gap.path("extra/charts/templates")).unwrap();
        fs::write(gap.path("extra/notes.txt"), "read me first\n").unwrap();
        fs::write(gap.path("extra/charts/templates/_helpers.tpl"), "{{ x }}\n").unwrap();
        fs::write(gap.path("extra/charts/empty"), "").unwrap();
        configure(gap, "notes.txt, charts");
    })
}

/// Both configurations, with these extra files.
fn configure(gap: &mimeograph_tests::gap::Gap, files: &str) {
    let at = |name: &str| gap.path(name).display().to_string();
    gap.configure(&format!("store:\n  directory: {}\n", at("store")))
        .unwrap();
    let files: Vec<_> = files
        .split(", ")
        .map(|name| at(&format!("extra/{name}")))
        .collect();
    let more = format!(
        "artefacts:\n  extraFiles: [{}]\n  extraDir: {}\n",
        files.join(", "),
        at("arrived")
    );
    for side in ["connected", "disconnected"] {
        let file = gap.path(&format!("{side}.yaml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("artefacts:\n", &more)).unwrap();
    }
}

#[test]
fn extra_files_arrive_in_a_folder_of_their_bundle_byte_for_byte() {
    let lab = lab();
    done(&lab.bundler(&["run"]));
    fs::write(lab.path("extra/notes.txt"), "read me second\n").unwrap();
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["verify"]));
    assert!(!lab.path("arrived").exists(), "verify delivered them");
    done(&lab.populator(&["run"]));
    let mut arrived = names(&lab.path("arrived"));
    arrived.sort();
    assert_eq!(
        arrived,
        [
            "1/charts/empty",
            "1/charts/templates/_helpers.tpl",
            "1/notes.txt",
            "2/charts/empty",
            "2/charts/templates/_helpers.tpl",
            "2/notes.txt",
        ]
    );
    let read = |name: &str| fs::read_to_string(lab.path("arrived").join(name)).unwrap();
    assert_eq!(
        (read("1/notes.txt").as_str(), read("2/notes.txt").as_str()),
        ("read me first\n", "read me second\n")
    );
    assert_eq!(read("1/charts/templates/_helpers.tpl"), "{{ x }}\n");
}

#[test]
fn extra_files_are_unpacked_apart_and_never_lie_where_oc_mirror_reads() {
    let lab = lab();
    done(&lab.bundler(&["run"]));
    let to = lab.path("there").display().to_string();
    done(&lab.populator(&["unpack", "1", "--to", &to]));
    assert!(lab.path("there/extra/notes.txt").exists());
    // It ends before it loads anything, so that its directory can be looked at.
    lab.play("VERSION=5.2\nMISBEHAVE=exit=1\n").unwrap();
    assert_ne!(lab.populator(&["run"]).status, 0);
    let calls = fs::read_to_string(lab.path("bin/oc-mirror.calls")).unwrap();
    let call: serde_json::Value = calls
        .lines()
        .rev()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|call: &serde_json::Value| call["argv"].to_string().contains("docker://"))
        .unwrap();
    let from = call["argv"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|word| word.as_str())
        .find(|word| word.starts_with("file://"));
    let from = lab
        .path("disconnected/bundle")
        .join(from.unwrap().trim_start_matches("file://"));
    let others = names(&from)
        .into_iter()
        .filter(|name| !name.starts_with("working-dir/"));
    assert_eq!(
        others.collect::<Vec<_>>(),
        ["mirror_000001.tar"],
        "what it made itself lies in working-dir"
    );
    let staged = names(&lab.path("disconnected/bundle"));
    assert!(
        staged.iter().any(|name| name.ends_with("/3/notes.txt")),
        "{staged:?}"
    );
}

#[test]
fn a_damaged_extra_file_stops_the_whole_bundle() {
    let lab = lab();
    done(&lab.bundler(&["run"]));
    let manifest = fs::read(lab.path("store/manifests/0000000001.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let notes = files
        .iter()
        .find(|file| file["name"] == "notes.txt")
        .unwrap();
    assert_eq!(notes["role"], "extra");
    let digest = notes["chunks"][0]["stored"].as_str().unwrap();
    let chunk = lab.path("store/chunks").join(&digest[..2]).join(digest);
    fs::write(&chunk, "read me never\n").unwrap();
    for command in ["verify", "run"] {
        refused(&lab.populator(&[command]), 65, "CHUNK_DAMAGED", &[digest]);
    }
    assert!(!lab.path("arrived").exists());
    assert_eq!(lab.target.tags().len(), 0);
}

#[test]
fn what_cannot_travel_is_named_before_anything_is_mirrored() {
    let lab = lab();
    let file = |name: &str| lab.path("extra").join(name);
    configure(&lab, "notes.txt, gone");
    for command in ["check", "run"] {
        let ran = lab.bundler(&[command]);
        refused(&ran, 66, "INPUT_MISSING", &[]);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        for word in [
            "connected.yaml:",
            "`artefacts.extraFiles[1]`",
            "extra/gone`, which is not there",
            "take it out of the list",
        ] {
            assert!(all.contains(word), "no `{word}`: {ran}");
        }
    }
    fs::write(file("bad name"), "").unwrap();
    configure(&lab, "bad name");
    refused(
        &lab.bundler(&["run"]),
        78,
        "CONFIG_INVALID",
        &["extra/bad name` cannot travel", "rename it"],
    );
    std::os::unix::fs::symlink("/etc/passwd", file("charts/link")).unwrap();
    configure(&lab, "charts");
    refused(
        &lab.bundler(&["run"]),
        78,
        "CONFIG_INVALID",
        &["charts/link`", "neither a regular file nor a folder"],
    );
    fs::create_dir(file("deeper")).unwrap();
    fs::write(file("deeper/Notes.txt"), "").unwrap();
    configure(&lab, "notes.txt, deeper/Notes.txt");
    let words = [
        "extra/notes.txt` and `",
        "deeper/Notes.txt` would travel under one name",
        "rename one of them",
    ];
    refused(&lab.bundler(&["run"]), 78, "CONFIG_INVALID", &words);
    fs::remove_file(file("charts/link")).unwrap();
    fs::write(file("deeper/charts"), "").unwrap();
    configure(&lab, "charts, deeper/charts");
    refused(
        &lab.bundler(&["run"]),
        78,
        "CONFIG_INVALID",
        &["would travel under one name"],
    );
    assert_eq!(lab.oc_mirror_calls(), 0);
}

/// The stand-in mirrors no charts: it gets to see the image set without them.
const WITHOUT_CHARTS: &str = r#"#!/bin/sh
config=
for word in "$@"; do
    [ "$config" = -c ] && sed -i '/^  helm:/,$d' "$word"
    config=$word
done
exec "$0-itself" "$@"
"#;

/// A lab whose image set names a chart below `mirror.localDir`.
fn lab_with_chart() -> Lab {
    let lab = Lab::new();
    let program = lab.path("bin/oc-mirror");
    let executable = fs::metadata(&program).unwrap().permissions();
    fs::rename(&program, lab.path("bin/oc-mirror-itself")).unwrap();
    fs::rename(
        lab.path("bin/oc-mirror.settings"),
        lab.path("bin/oc-mirror-itself.settings"),
    )
    .unwrap();
    fs::write(&program, WITHOUT_CHARTS).unwrap();
    fs::set_permissions(&program, executable).unwrap();
    fs::create_dir_all(lab.path("local/charts/one/templates")).unwrap();
    fs::write(
        lab.path("local/charts/one/templates/_helpers.tpl"),
        "{{ one }}\n",
    )
    .unwrap();
    let image_set = lab.path("imageset.yaml");
    let chart = lab.path("local/charts/one").display().to_string();
    let helm = format!("  helm:\n    local:\n    - name: one\n      path: {chart}\n");
    let text = fs::read_to_string(&image_set).unwrap();
    fs::write(&image_set, format!("{text}{helm}")).unwrap();
    lab
}

#[test]
fn local_files_arrive_where_the_image_set_names_them() {
    let lab = lab_with_chart();
    done(&lab.bundler(&["run"]));
    fs::remove_dir_all(lab.path("local")).unwrap();
    done(&lab.populator(&["run"]));
    assert_eq!(
        names(&lab.path("local")),
        ["charts/one/templates/_helpers.tpl"]
    );
    assert_eq!(
        fs::read_to_string(lab.path("local/charts/one/templates/_helpers.tpl")).unwrap(),
        "{{ one }}\n"
    );
}

#[test]
fn another_place_for_local_files_on_the_far_side_is_refused_before_the_bundle_is_fetched() {
    let lab = lab_with_chart();
    done(&lab.bundler(&["run"]));
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let (ours, theirs) = (
        lab.path("elsewhere").display().to_string(),
        lab.path("local").display().to_string(),
    );
    fs::write(
        &file,
        text.replace(&format!("localDir: {theirs}"), &format!("localDir: {ours}")),
    )
    .unwrap();
    let words = [
        ours.as_str(),
        &theirs,
        "set the same `mirror.localDir` on both sides",
    ];
    refused(&lab.populator(&["run"]), 78, "LOCAL_DIR_DIFFERS", &words);
    assert!(!lab.path("elsewhere").exists());
    assert_eq!(names(&lab.path("disconnected/bundle")), ["bundle.lock"]);
}

#[test]
fn without_local_files_their_places_may_differ() {
    let lab = Lab::new();
    let text = fs::read_to_string(lab.path("disconnected.yaml")).unwrap();
    fs::write(
        lab.path("disconnected.yaml"),
        text.replace("/local\n", "/elsewhere\n"),
    )
    .unwrap();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
}
