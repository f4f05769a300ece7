use std::path::Path;

use super::*;

fn file(rest: &str) -> Vec<u8> {
    let head = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";
    format!("{head}{rest}").into_bytes()
}

fn refusal(rest: &str) -> String {
    match ImageSet::parse(&file(rest)) {
        Err(ImageSetError::Read(error)) => error.to_string(),
        other => format!("{other:?}"),
    }
}

fn found(rest: &str, minor: Option<(u32, u32)>) -> Vec<(usize, String)> {
    let imageset = ImageSet::parse(&file(rest)).unwrap();
    let around = Around {
        minor,
        local_dir: Path::new("/mimeograph/local"),
    };
    let findings = traps(&imageset, around);
    findings
        .iter()
        .map(|finding| (finding.at.line, finding.problem.clone()))
        .collect()
}

/// Asserts that exactly one trap is found, on `line`, and that its problem says `text`.
fn one(rest: &str, minor: Option<(u32, u32)>, line: usize, text: &str) {
    let found = found(rest, minor);
    assert!(
        matches!(found.as_slice(), [(at, problem)] if *at == line && problem.contains(text)),
        "{found:?}"
    );
}

const NEW: Option<(u32, u32)> = None;
const OLD: Option<(u32, u32)> = Some((4, 17));

#[test]
fn another_kind_or_version_is_named() {
    let error =
        ImageSet::parse(b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v3\n")
            .unwrap_err();
    assert!(
        error.to_string().contains("mirror.openshift.io/v3"),
        "{error}"
    );
    let error =
        ImageSet::parse(b"kind: Pod\napiVersion: mirror.openshift.io/v2alpha1\n").unwrap_err();
    assert!(error.to_string().contains("kind: Pod"), "{error}");
}

#[test]
fn a_mistyped_field_is_pointed_at() {
    assert_eq!(
        refusal("mirror:\n  operators:\n  - catalog: r.io/c:v1\n    pakages: []\n"),
        "line 6, column 5: `mirror.operators[0].pakages` is no field; write `packages`"
    );
    assert_eq!(
        refusal("mirror:\n  additionalimages: []\n"),
        "line 4, column 3: `mirror.additionalimages` is no field; write `additionalImages`"
    );
}

#[test]
fn a_field_in_the_wrong_place_is_told_where_it_belongs() {
    let error = refusal("mirror:\n  operators:\n  - catalog: r.io/c:v1\n    minVersion: '1.0.0'\n");
    assert!(
        error.starts_with("line 6, column 5: ") && error.contains("packages[]"),
        "{error}"
    );
}

#[test]
fn a_field_of_a_newer_oc_mirror_is_told_and_left_alone() {
    let imageset = ImageSet::parse(&file(
        "mirror:\n  additionalImages:\n  - name: r.io/a:1\n    onlyOnTuesdays: true\n",
    ))
    .unwrap();
    let [unknown] = imageset.unknown.as_slice() else {
        panic!("{:?}", imageset.unknown);
    };
    assert_eq!(unknown.at.line, 6);
    assert!(unknown.problem.contains("onlyOnTuesdays"), "{unknown}");
}

#[test]
fn numbers_for_versions_must_be_in_quotes() {
    // Unquoted, it would be 4.2.
    let error =
        refusal("mirror:\n  platform:\n    channels:\n    - name: s\n      minVersion: 4.20\n");
    assert!(
        error.starts_with("line 7, column 19: ") && error.contains("quotes"),
        "{error}"
    );
}

#[test]
fn what_no_one_could_mean_is_refused() {
    assert!(refusal("mirror:\n  operators: {}\n").contains("must be a list"));
    assert!(refusal("mirror:\n  operators:\n  - full: true\n").contains("catalog` is missing"));
    assert!(refusal("mirror: {}\nmirror: {}\n").contains("line 4"));
    assert!(refusal("mirror: {}\n---\nmirror: {}\n").contains("second document"));
    assert!(ImageSet::parse(&file("mirror: {}\n---\n")).is_ok());
    let slip = refusal("mirror:\n  operators:\n  - full: true\n    catalgo: r.io/c:v1\n");
    assert!(
        slip.contains("line 6, column 5") && slip.contains("write `catalog`"),
        "{slip}"
    );
    assert!(refusal("mirror:\n  <<: {}\n").contains("merge keys"));
    for level in ["[", "- ", "? ", "{a: "] {
        let deep = refusal(&format!("mirror: {}", level.repeat(100_000)));
        assert!(deep.starts_with("line 3, column "), "{deep}");
    }
    let stairs: String = (1..1_000).map(|step| " ".repeat(step) + "a:\n").collect();
    let deep = refusal(&format!("mirror:\n{stairs}"));
    assert!(deep.starts_with("line "), "{deep}");
}

#[test]
fn an_image_that_would_be_skipped_is_found() {
    let images = |name: &str| format!("mirror:\n  additionalImages:\n  - name: {name}\n");
    one(&images("r.io/a"), OLD, 5, "neither tag nor digest");
    one(&images("a:v1"), OLD, 5, "which registry");
    one(&images("r.io/UPPER:v1"), OLD, 5, "not the name of an image");
    one(
        &images("r.io/a@sha256:zz"),
        NEW,
        5,
        "not the name of an image",
    );
    let digest = format!("r.io:5000/a@sha256:{}", "0".repeat(64));
    one(&images(&digest), NEW, 5, "takes the port for a tag");
    assert_eq!(found(&images(&digest), Some((4, 21))), []);
    assert_eq!(found(&images("r.io:5000/a:v1"), NEW), []);
}

#[test]
fn two_sources_of_one_target_are_found() {
    let set = |second: &str| {
        format!("mirror:\n  additionalImages:\n  - name: a.io/x:v1\n  - name: {second}\n")
    };
    one(&set("b.io/x:v1"), NEW, 6, "would both become `x:v1`");
    assert_eq!(found(&set("a.io/x:v1"), NEW), []);
    assert_eq!(found(&set("b.io/x:v1\n    targetRepo: y"), NEW), []);
}

#[test]
fn traps_of_catalogues_are_found() {
    let set = |catalog: &str| format!("mirror:\n  operators:\n  - catalog: {catalog}\n");
    let pinned = format!("r.io/c@sha256:{}", "0".repeat(64));
    one(&set(&pinned), NEW, 5, "pinned by digest");
    assert_eq!(found(&set(&pinned), OLD), []);
    assert_eq!(
        found(&set(&format!("{pinned}\n    targetTag: v4.20")), NEW),
        []
    );
    assert_eq!(found(&set(&format!("{pinned}\n    full: true")), NEW), []);
    one(&set("r.io/idx-v9:v9"), NEW, 5, "under a wrong name");
    assert_eq!(found(&set("r.io/idx-v9:v9"), OLD), []);
}

#[test]
fn traps_of_releases_and_charts_are_found() {
    one(
        "mirror:\n  platform:\n    release: quay.io/openshift-release-dev/ocp-release:4.20.0-x86_64\n",
        NEW,
        5,
        "named by tag",
    );
    one(
        "mirror:\n  platform:\n    channels:\n    - name: stable-4.20\n      minVersion: '4.20.10'\n      maxVersion: '4.20.9'\n",
        NEW,
        7,
        "is above",
    );
    one(
        "mirror:\n  platform:\n    graph: true\n  blockedImages:\n  - name: '.*/openshift-release-dev/.*'\n",
        NEW,
        7,
        "out of the releases",
    );
    one(
        "mirror:\n  helm:\n    repositories:\n    - name: n\n      url: https://r\n      charts:\n      - name: c\n",
        NEW,
        9,
        "has no version",
    );
    one(
        "mirror:\n  helm:\n    local:\n    - name: c\n      path: /elsewhere/c.tgz\n",
        NEW,
        7,
        "not below `mirror.localDir`",
    );
    one("mirror: {}\n", NEW, 1, "asks for nothing");
}

#[test]
fn what_a_version_does_not_know_yet_is_found() {
    let chart =
        "mirror:\n  helm:\n    local:\n    - name: c\n      path: /mimeograph/local/c.tgz\n";
    one(chart, OLD, 6, "mirrors no charts");
    assert_eq!(found(chart, NEW), []);
    let default = "mirror:\n  operators:\n  - catalog: r.io/c:v1\n    packages:\n    - name: p\n      defaultChannel: fast\n";
    one(default, OLD, 8, "`defaultChannel` is not known");
    assert_eq!(found(default, NEW), []);
    let target = "mirror:\n  additionalImages:\n  - name: r.io/a:v1\n    targetTag: v2\n";
    one(target, Some((4, 21)), 6, "`targetTag` is not known");
    assert_eq!(found(target, Some((4, 22))), []);
}

#[test]
fn catalogues_that_oc_mirror_refuses_are_found() {
    let twice = "mirror:\n  operators:\n  - catalog: r.io/c:v1\n  - catalog: r.io/c:v1\n";
    one(twice, NEW, 6, "is listed twice (line 5)");
    one(twice, OLD, 6, "is listed twice (line 5)");
    let both = format!(
        "mirror:\n  operators:\n  - catalog: r.io:5000/c:v1@sha256:{}\n    targetTag: v1\n",
        "0".repeat(64)
    );
    one(&both, NEW, 5, "both a tag and a digest");
    one(&both, OLD, 5, "both a tag and a digest");
}

#[test]
fn what_is_worth_knowing_is_told_and_not_refused() {
    let told = |rest: &str| {
        let imageset = ImageSet::parse(&file(rest)).unwrap();
        let around = Around {
            minor: NEW,
            local_dir: Path::new("/mimeograph/local"),
        };
        assert_eq!(found(rest, NEW), []);
        cautions(&imageset, around).to_string()
    };
    let tag =
        told("mirror:\n  additionalImages:\n  - name: r.io/img-v9:v9\n  - name: r.io/img:v9\n");
    assert!(
        tag.starts_with("line 5, column 11: the tag of `r.io/img-v9:v9`"),
        "{tag}"
    );
    assert!(!tag.contains('|'), "{tag}");
    let shared =
        told("mirror:\n  operators:\n  - catalog: r.io/a/index:v1\n  - catalog: r.io/b/index:v1\n");
    assert!(
        shared.contains("line 6, column 14: the CatalogSources of"),
        "{shared}"
    );
}

#[test]
fn charts_that_would_replace_one_another_are_found() {
    let repository = |name: &str| {
        format!(
            "    - name: {name}\n      url: https://{name}.io\n      charts:\n      - name: c\n        version: 1.0.0\n"
        )
    };
    let of = |first: &str, second: &str| {
        format!(
            "mirror:\n  helm:\n    repositories:\n{}{}",
            repository(first),
            repository(second)
        )
    };
    one(
        &of("a", "b"),
        NEW,
        14,
        "chart `c` 1.0.0 is asked for twice (line 9)",
    );
    let same = found(&of("a", "a"), NEW);
    assert_eq!(same.len(), 2, "{same:?}");
    assert!(
        same[0]
            .1
            .contains("two chart repositories are called `a` (line 6)"),
        "{same:?}"
    );
}
