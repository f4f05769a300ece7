//! What `oc-mirror` leaves out or gets wrong without a word is never sealed. Each case is a recorded run of the real one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::lab::{Lab, done, refused};
use crate::user::tree;

/// Version, case, and what the error must say: the line, what is missing, and the remedy.
const SILENT: &[(&str, &str, [&str; 2])] = &[
    (
        "5.2",
        "operators-mistyped-package",
        [
            "line 8, column 13: there is no package `betaa`",
            "compare its name",
        ],
    ),
    (
        "4.17",
        "operators-mistyped-package",
        [
            "line 8, column 13: there is no package `betaa`",
            "compare its name",
        ],
    ),
    (
        "5.2",
        "platform/tag-moved",
        ["release 4.99.2 is not there", "its tag was moved"],
    ),
    (
        "4.17",
        "platform/tag-moved",
        ["release 4.99.2 is not there", "its tag was moved"],
    ),
    (
        "5.2",
        "platform/signature-of-another-release",
        [
            "is that of another release",
            "look what the signature server sends",
        ],
    ),
    (
        "4.17",
        "platform/signature-of-another-release",
        [
            "is that of another release",
            "look what the signature server sends",
        ],
    ),
    (
        "5.2",
        "platform/max-not-in-graph",
        [
            "line 8, column 21: release 4.99.9",
            "name a release that the channel has",
        ],
    ),
    (
        "4.17",
        "platform/max-not-in-graph",
        [
            "line 8, column 21: release 4.99.9",
            "name a release that the channel has",
        ],
    ),
    (
        "5.2",
        "platform/shortest-path-none",
        [
            "no path of updates from 4.99.1 to 4.99.3",
            "leave `shortestPath` out",
        ],
    ),
    (
        "5.2",
        "platform/blocked-component",
        [
            "`blockedImages` (line 10) takes it out",
            "take it out of `blockedImages`",
        ],
    ),
    (
        "4.17",
        "platform/blocked-component",
        [
            "`blockedImages` (line 10) takes it out",
            "take it out of `blockedImages`",
        ],
    ),
    (
        "5.2",
        "platform/tag-moved-then-back",
        [
            "component `installer` of release 4.99.2 is not there",
            "look for its digest",
        ],
    ),
    (
        "4.17",
        "platform/graph-base-image-missing",
        ["`graph: true`", "look for `graph` in the log"],
    ),
    (
        "4.17",
        "platform/channel-mistyped-warm",
        ["channel `stabel-4.99` has no releases", "correct its name"],
    ),
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// Makes `oc-mirror` play a recorded run, for its own image set.
fn play(lab: &Lab, version: &str, case: &str) {
    let played = lab.path("recorded");
    let _ = fs::remove_dir_all(&played);
    let recorded = record(version, case, &played);
    fs::copy(recorded.join("imageset.yaml"), lab.path("imageset.yaml")).unwrap();
    let replay = format!("VERSION={version}\nREPLAY={}\n", played.display());
    lab.play(&replay).unwrap();
}

/// Lays a recorded run down in `played`.
fn record(version: &str, case: &str, played: &Path) -> PathBuf {
    let recorded = data(&format!("oc-mirror-{version}")).join(case);
    fs::create_dir(played).unwrap();
    fs::copy(recorded.join("mirror-to-disk.log"), played.join("log")).unwrap();
    let (plain, packed) = (
        recorded.join("mirror_000001.tar"),
        recorded.join("mirror_000001.tar.gz"),
    );
    let mut bytes = Vec::new();
    if plain.exists() {
        bytes = fs::read(plain).unwrap();
    } else {
        let packed = fs::File::open(packed).unwrap();
        GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    }
    fs::write(played.join("mirror_000001.tar"), bytes).unwrap();
    recorded
}

fn lab() -> Lab {
    lab_with("")
}

/// With more lines for `mirror.ocMirror`.
fn lab_with(more: &str) -> Lab {
    Lab::with(|gap| {
        let store = format!("store:\n  directory: {}\n", gap.path("store").display());
        let key = data("release-key.asc").display().to_string();
        // Nothing listens there: what was recorded needs no update service, and the real one must not be asked.
        let graph = "http://127.0.0.1:1/graph";
        let env = format!(
            "    env: {{ OCP_SIGNATURE_VERIFICATION_PK: {key}, UPDATE_URL_OVERRIDE: '{graph}' }}\n{more}"
        );
        gap.configure_with(&store, &env, "").unwrap();
    })
}

fn published(lab: &Lab) -> usize {
    let entries = fs::read_dir(lab.path("store/manifests"))
        .into_iter()
        .flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".json"))
        .count()
}

/// Every file and folder of the connected side, and what it holds.
fn files(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let tree = tree(&lab.path("connected")).into_iter();
    tree.map(|(path, entry)| (path, entry.bytes)).collect()
}

/// What `oc-mirror` believes to have shipped.
fn history(lab: &Lab) -> Vec<Vec<u8>> {
    let folder = lab.path("connected/bundle/1/working-dir/.history");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| fs::read(entry.path()).unwrap())
        .collect()
}

#[test]
fn no_silent_fault_is_sealed_and_none_is_recorded_as_shipped() {
    for (version, case, words) in SILENT {
        let lab = lab();
        play(&lab, version, case);
        refused(&lab.bundler(&["run"]), 84, "IMAGESET_UNSATISFIED", words);
        assert_eq!(published(&lab), 0, "{version} {case}");
        assert_eq!(history(&lab), Vec::<Vec<u8>>::new(), "{version} {case}");
    }
}

#[test]
fn a_silent_fault_after_a_good_run_leaves_everything_as_it_was() {
    for version in ["4.17", "5.2"] {
        let lab = lab();
        play(&lab, version, "platform/releases");
        done(&lab.bundler(&["run"]));
        let before = history(&lab);
        assert_eq!((published(&lab), before.len()), (1, 1));
        play(&lab, version, "platform/tag-moved");
        let words = ["release 4.99.2 is not there", "its tag was moved"];
        refused(&lab.bundler(&["run"]), 84, "IMAGESET_UNSATISFIED", &words);
        assert_eq!((published(&lab), history(&lab)), (1, before));
        play(&lab, version, "platform/releases-next");
        done(&lab.bundler(&["run"]));
        assert_eq!(published(&lab), 2);
    }
}

#[test]
fn recorded_runs_that_were_good_are_sealed() {
    for (version, case) in [
        ("4.17", "operators"),
        ("5.2", "operators"),
        ("4.17", "platform/graph"),
        ("5.2", "platform/graph"),
        ("5.2", "platform/head-only"),
        ("5.2", "helm/repository"),
        ("5.2", "helm/repository-all-charts"),
        ("5.2", "platform/component-unsigned-remove-signatures"),
    ] {
        let lab = lab();
        play(&lab, version, case);
        done(&lab.bundler(&["run"]));
        assert_eq!(published(&lab), 1, "{version} {case}");
    }
}

#[test]
fn a_release_without_cosign_signatures_is_mirrored_without_any_where_that_is_allowed() {
    for (setting, status) in [("auto", 84), ("ifMissing", 0)] {
        let lab = lab_with(&format!("    removeSignatures: {setting}\n"));
        play(&lab, "5.2", "platform/component-unsigned");
        let next = lab.path("recorded/next");
        record(
            "5.2",
            "platform/component-unsigned-remove-signatures",
            &next,
        );
        let ran = lab.bundler(&["run"]);
        assert_eq!(ran.status, status, "{ran}");
        assert_eq!(published(&lab), usize::from(status == 0));
        if status == 0 {
            let manifest = fs::read_to_string(lab.path("store/manifests/0000000001.json")).unwrap();
            assert!(manifest.contains("remove-signatures"), "{manifest}");
        }
    }
}

#[test]
fn a_changed_image_set_is_tried_before_anything_is_mirrored() {
    for (version, case, words) in [
        (
            "5.2",
            "operators-mistyped-package",
            "there is no package `betaa`",
        ),
        ("4.17", "operators-mistyped-package", "`betaa`"),
        (
            "5.2",
            "platform/signature-of-another-release",
            "is that of another release",
        ),
        ("4.17", "platform/max-not-in-graph", "release 4.99.9"),
    ] {
        let lab = lab();
        play(&lab, version, case);
        record(version, case, &lab.path("recorded/dry-run"));
        refused(&lab.bundler(&["run"]), 84, "IMAGESET_UNSATISFIED", &[words]);
        assert!(!lab.path("recorded/played").exists(), "{version} {case}");
        assert_eq!(published(&lab), 0);
        let planned = lab.bundler(&["plan"]);
        refused(&planned, 84, "IMAGESET_UNSATISFIED", &[words]);
        assert!(planned.stdout.contains("MISSING"), "{planned}");
    }
}

#[test]
fn a_plan_names_releases_and_operators_and_changes_nothing() {
    for (version, case, words) in [
        (
            "5.2",
            "platform/releases",
            &["release  4.99.1 x86_64", "release  4.99.2 x86_64"][..],
        ),
        ("5.2", "operators", &["catalogue  ", "  alpha  "]),
        (
            "4.17",
            "operators",
            &["catalogue  ", "images do not travel"],
        ),
    ] {
        let lab = lab();
        play(&lab, version, case);
        record(version, case, &lab.path("recorded/dry-run"));
        fs::create_dir_all(lab.path("connected/bundle")).unwrap();
        let before = files(&lab);
        let planned = lab.bundler(&["plan"]);
        done(&planned);
        for word in words {
            assert!(planned.stdout.contains(word), "{word}: {planned}");
        }
        assert_eq!(files(&lab), before);
        // Planned once, an image set that is unchanged is not planned again.
        done(&lab.bundler(&["run"]));
        let calls = lab.oc_mirror_calls();
        done(&lab.bundler(&["run"]));
        let again = lab.oc_mirror_calls() - calls;
        assert_eq!(again, 1, "one run, and no dry run");
    }
}

#[test]
fn what_the_far_side_would_leave_out_is_not_counted_as_applied() {
    let lab = Lab::with(|gap| gap.play("VERSION=5.2\n").unwrap());
    done(&lab.bundler(&["run"]));
    lab.play("VERSION=5.2\nMISBEHAVE=drop-image\n").unwrap();
    let words = ["compare the versions of `oc-mirror`"];
    refused(&lab.populator(&["run"]), 84, "TARGET_MISMATCH", &words);
    lab.play("VERSION=5.2\n").unwrap();
    done(&lab.populator(&["run"]));
}

/// An update service that knows no channel; it answers as often as it is asked.
fn empty_update_service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = r#"{"nodes":[],"edges":[]}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn a_channel_that_does_not_exist_is_told_from_a_service_that_does_not_answer() {
    let lab = lab();
    play(&lab, "5.2", "platform/releases");
    fs::remove_file(lab.path("recorded/mirror_000001.tar")).unwrap();
    let log = "$ oc-mirror\n2026/11/23 23:25:32  [INFO]  : 🔀 workflow mode: mirrorToDisk \n2026/11/23 23:25:32  [ERROR]  : [Executor] collection error: [GetReleaseReferenceImages] no release images found \nexit status: 2\n";
    fs::write(lab.path("recorded/log"), log).unwrap();
    fs::create_dir(lab.path("recorded/dry-run")).unwrap();
    fs::write(lab.path("recorded/dry-run/log"), log).unwrap();
    refused(
        &lab.bundler(&["run"]),
        85,
        "OC_MIRROR_UNFINISHED",
        &["no release images"],
    );
    let config = fs::read_to_string(lab.path("connected.yaml")).unwrap();
    let graph = format!("http://127.0.0.1:{}/graph", empty_update_service());
    let config = config.replace("http://127.0.0.1:1/graph", &graph);
    fs::write(lab.path("connected.yaml"), config).unwrap();
    let words = ["line 6, column 15: the update service knows no channel `stable-4.99`"];
    refused(&lab.bundler(&["plan"]), 84, "IMAGESET_UNSATISFIED", &words);
    refused(&lab.bundler(&["run"]), 84, "IMAGESET_UNSATISFIED", &words);
}

#[test]
fn bundles_are_compared_by_name_and_version() {
    let lab = lab();
    play(&lab, "5.2", "platform/releases");
    done(&lab.bundler(&["run"]));
    play(&lab, "5.2", "platform/releases-next");
    done(&lab.bundler(&["run"]));
    let compared = lab.bundler(&["diff", "1", "2"]);
    done(&compared);
    assert!(
        compared
            .stdout
            .contains("+ release    4.99.3 x86_64  sha256:"),
        "{compared}"
    );
    assert!(!compared.stdout.contains("- release"), "{compared}");
    let back = lab.bundler(&["diff", "2", "1"]);
    assert!(
        back.stdout.contains("- release    4.99.3 x86_64  sha256:"),
        "{back}"
    );
    let same = lab.bundler(&["diff", "2", "2"]);
    assert!(same.stdout.contains("they hold the same"), "{same}");
    refused(
        &lab.bundler(&["diff", "1", "3"]),
        66,
        "INPUT_MISSING",
        &["bundle 3"],
    );
}

#[test]
fn a_signature_that_is_not_what_its_name_says_does_not_stay() {
    let lab = lab();
    play(&lab, "5.2", "platform/releases");
    let recorded = data("oc-mirror-5.2/platform/releases");
    let unpacked = lab.path("unpacked");
    let packed = fs::File::open(recorded.join("mirror_000001.tar.gz")).unwrap();
    tar::Archive::new(GzDecoder::new(packed))
        .unpack(&unpacked)
        .unwrap();
    let names: Vec<_> = fs::read_dir(unpacked.join("working-dir/signatures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let [one, other] = names.as_slice() else {
        panic!("{names:?}")
    };
    let lies = lab.path("connected/bundle/1/working-dir/signatures");
    fs::create_dir_all(&lies).unwrap();
    for name in [one, other] {
        fs::copy(
            unpacked.join("working-dir/signatures").join(one),
            lies.join(name),
        )
        .unwrap();
    }
    done(&lab.bundler(&["run"]));
    assert!(lies.join(one).exists() && !lies.join(other).exists());
}

#[test]
fn an_image_that_cannot_be_copied_is_told_with_its_line() {
    let lab = Lab::with(|gap| gap.play("VERSION=5.2\nMISBEHAVE=bitmask\n").unwrap());
    let ran = lab.bundler(&["run"]);
    refused(&ran, 86, "PARTIAL", &["correct what asks for them"]);
    let told = ran
        .stderr
        .lines()
        .filter(|line| line.contains("image set, line ") && line.contains("could not be mirrored"));
    assert_eq!(told.count(), 1, "{ran}");
}

#[test]
fn the_far_side_judges_by_its_own_keys_before_anything_is_loaded() {
    let lab = lab();
    play(&lab, "5.2", "platform/releases");
    done(&lab.bundler(&["run"]));
    let path = lab.path("disconnected.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let lines = config.lines();
    let without: Vec<_> = lines.filter(|line| !line.contains("    env: {")).collect();
    assert_eq!(without.len() + 1, config.lines().count());
    fs::write(&path, without.join("\n")).unwrap();
    let calls = lab.oc_mirror_calls();
    let words = [
        "line 6, column 9: release 4.99.1",
        "has no signature by a trusted key",
    ];
    refused(&lab.populator(&["run"]), 84, "IMAGESET_UNSATISFIED", &words);
    assert_eq!(lab.oc_mirror_calls(), calls);
}

#[test]
fn a_plan_tells_what_is_new_to_the_stream() {
    let lab = Lab::with(|gap| gap.play("VERSION=5.2\n").unwrap());
    let plan = || {
        let planned = lab.bundler(&["plan", "--output", "json"]);
        done(&planned);
        let json: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
        ["images", "newImages", "knownBytes"].map(|member| json["result"][member].as_u64().unwrap())
    };
    assert_eq!(plan(), [2, 2, 0]);
    done(&lab.bundler(&["run"]));
    let [images, new, bytes] = plan();
    assert_eq!((images, new), (2, 0));
    assert!(bytes > 0);
    lab.add_image(3);
    assert_eq!(plan(), [3, 1, bytes]);
}
