//! Every recorded wish for additional images, both ways.

use std::fs;

use crate::lab::{Lab, data, read};
use crate::recorded;

#[test]
fn wishes_end_as_recorded_in_4_17() {
    all("4.17");
}

#[test]
fn wishes_end_as_recorded_in_5_2() {
    all("5.2");
}

/// They need a registry of another name, or repeat another case beside an image.
const NOT_PLAYED: [&str; 3] = [
    "digest-registry-with-port-beside-an-image",
    "short-name",
    "two-sources-one-target",
];

fn all(release: &'static str) {
    let dir = data(&format!("oc-mirror-{release}/additional"));
    let mut cases: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|case| case.unwrap().file_name().into_string().unwrap())
        .collect();
    // Layouts on disk it does not play; what is left out of these says nothing that the others do not.
    cases.retain(|case| !case.starts_with("oci-") && !case.ends_with("-only"));
    cases.retain(|case| !NOT_PLAYED.contains(&case.as_str()));
    cases.sort();
    assert_eq!(cases.len(), 19, "{cases:?}");
    for case in cases {
        replay(release, &case);
    }
}

fn replay(release: &'static str, case: &str) {
    let of = |name: &str| format!("oc-mirror-{release}/additional/{case}/{name}");
    let lab = Lab::with_all_kinds(release);
    lab.image_set(&read(&of("imageset.yaml")));
    let ended = lab.m2d(&[]);
    compare(&lab, &ended.text, ended.status, &of("mirror-to-disk.log"));
    if data(&of("mirror-to-disk.files.txt")).exists() {
        let expected = recorded::listing(&read(&of("mirror-to-disk.files.txt")));
        let found = recorded::files(&lab.path("bundle"));
        assert_eq!(
            recorded::listing(&lab.recorded(&found.join("\n"))),
            expected,
            "{release} {case}"
        );
    }
    if !data(&of("disk-to-mirror.log")).exists() {
        return;
    }
    let _ = fs::create_dir(lab.path("in"));
    if lab.archive().exists() {
        lab.carry();
    }
    let namespace = if case == "target-namespace" {
        "/mirror/here"
    } else {
        ""
    };
    let ended = lab.d2m_to(namespace, &[]);
    compare(&lab, &ended.text, ended.status, &of("disk-to-mirror.log"));
    compare_target(&lab, &read(&of("target.txt")), case);
    for short in ["idms", "itms"] {
        compare_resource(
            &lab,
            &of(&format!("cluster-resources/{short}-oc-mirror.yaml")),
            short,
        );
    }
    if data(&of("disk-to-mirror-dry-run.mapping.txt")).exists() {
        let ended = lab.d2m_to(namespace, &["--dry-run"]);
        compare(
            &lab,
            &ended.text,
            ended.status,
            &of("disk-to-mirror-dry-run.log"),
        );
        let mapping = fs::read_to_string(lab.path("in/working-dir/dry-run/mapping.txt")).unwrap();
        assert_eq!(
            lab.recorded(&mapping),
            read(&of("disk-to-mirror-dry-run.mapping.txt")),
            "{release} {case}"
        );
    }
}

fn compare(lab: &Lab, text: &str, status: Option<i32>, recorded: &str) {
    let expected = read(recorded);
    let mut found = recorded::log(&lab.recorded(text));
    // these were recorded with the v2 program itself, behind the flag's warning
    found.retain(|line| !line.contains("--v2 flag identified") && !line.is_empty());
    assert_eq!(found, recorded::log(&expected), "{recorded}");
    assert_eq!(status, recorded::status(&expected), "{recorded}: {text}");
}

fn compare_target(lab: &Lab, expected: &str, case: &str) {
    let line = |(name, digest): (String, String)| {
        let (repo, tag) = name.rsplit_once(':').unwrap();
        format!("{repo} {tag} {digest}")
    };
    let found: Vec<String> = lab.target.tags().into_iter().map(line).collect();
    let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(found, expected, "{case}");
}

fn compare_resource(lab: &Lab, recorded: &str, short: &str) {
    let found = lab.path(&format!(
        "in/working-dir/cluster-resources/{short}-oc-mirror.yaml"
    ));
    assert_eq!(found.exists(), data(recorded).exists(), "{recorded}");
    if found.exists() {
        let parse = |text: &str| {
            let mut value: serde_yaml::Value =
                serde_yaml::from_str(&recorded::stamps(text)).unwrap();
            for field in ["imageDigestMirrors", "imageTagMirrors"] {
                if let Some(mirrors) = value["spec"][field].as_sequence_mut() {
                    mirrors.sort_by_key(|mirror| serde_yaml::to_string(mirror).unwrap());
                }
            }
            value
        };
        let found = lab.recorded(&fs::read_to_string(found).unwrap());
        assert_eq!(parse(&found), parse(&read(recorded)), "{recorded}");
    }
}
