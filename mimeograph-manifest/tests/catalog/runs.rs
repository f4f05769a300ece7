//! What real runs of 4.17 and 5.2 did with the catalogue of `recorded/catalog/whole`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mimeograph_manifest::catalog::{
    Catalog, FilterOf, Rule, SelectError, Selected, filter_id, select, unmet,
};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::imageset::model::Operator;

use crate::{folder, lines, recorded, wishes};

const DIGEST: &str = "fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596";

fn imageset(name: &str) -> Operator {
    let path = recorded("imagesets").join(format!("{name}.yaml"));
    wishes::of_imageset(&fs::read_to_string(path).unwrap())
}

fn id(wish: &Operator) -> String {
    let digest: Digest = DIGEST.parse().unwrap();
    filter_id(wish, FilterOf::Digest(&digest))
}

fn filtered(id: &str) -> Catalog {
    folder(&format!("filtered/{id}"))
}

fn found(data: &Catalog, wish: &Operator, rule: Rule) -> Vec<String> {
    let found = unmet(data, wish, rule);
    found.iter().map(ToString::to_string).collect()
}

/// The folder that 5.2 made, and what the wish lacks in what 5.2 and 4.17 mirrored.
const IMAGESETS: &[(&str, &str, &[&str], &[&str])] = &[
    ("operators", "9c52423f9961a1ab15211eed0bd3d3d8", &[], &[]),
    (
        "operators-missing-image",
        "9c52423f9961a1ab15211eed0bd3d3d8",
        &[],
        &[],
    ),
    (
        "operators-catalogue-missing",
        "9c52423f9961a1ab15211eed0bd3d3d8",
        &[],
        &[],
    ),
    (
        "operators-mistyped-package",
        "b66120423b0bbd550553a395eef1a71d",
        &["line 8, column 13: there is no package `betaa`"],
        &["line 8, column 13: there is no package `betaa`"],
    ),
    (
        "operators-mistyped-channel",
        "d9b9c36cca3eef2f16a42c37e06940a2",
        &["line 10, column 15: package `alpha` has no channel `fsat`"],
        &["line 10, column 15: package `alpha` has no channel `fsat`"],
    ),
    (
        "operators-range-empty",
        "3391958dea77789d255f291b3bcee804",
        &["line 11, column 21: channel `fast` of package `alpha` has nothing from 9.0.0"],
        &["line 11, column 21: channel `fast` of package `alpha` has nothing from 9.0.0"],
    ),
];

#[test]
fn every_recorded_folder_has_the_id_that_is_computed() {
    for (name, expected, ..) in IMAGESETS {
        assert_eq!(id(&imageset(name)), *expected, "{name}");
    }
    for run in lines("runs.jsonl") {
        let wish = wishes::wish(&run["wish"], "");
        // Where the run ended before it made the folder, there is none.
        if let Some(expected) = run["id"].as_str() {
            assert_eq!(id(&wish), expected, "{}", run["name"]);
        }
    }
}

#[test]
fn what_lies_in_every_recorded_folder_is_what_is_selected() {
    let whole = folder("whole");
    let imagesets = IMAGESETS.iter().map(|case| (imageset(case.0), case.1));
    let lines = lines("runs.jsonl");
    let runs = lines.iter().filter(|run| run["exit"] == 0).map(|run| {
        let id = run["id"].as_str().unwrap();
        (wishes::wish(&run["wish"], ""), id)
    });
    for (wish, id) in imagesets.chain(runs) {
        let selected = select(&whole, &wish, Rule::Filtered).unwrap();
        assert_eq!(selected, filtered(id), "{wish:?}");
    }
}

#[test]
fn runs_that_met_their_wish_are_clean_and_the_others_name_line_and_reason() {
    let whole = folder("whole");
    for (name, id, by_5_2, by_4_17) in IMAGESETS {
        let wish = imageset(name);
        assert_eq!(
            found(&filtered(id), &wish, Rule::Filtered),
            *by_5_2,
            "{name}"
        );
        assert_eq!(found(&whole, &wish, Rule::Whole), *by_4_17, "{name}");
    }
    // No data of 5.2: everything travels as it is, or it ended before.
    for (name, expected) in [
        ("operators-full", &[][..]),
        (
            "operators-only-mistyped",
            &["line 7, column 13: there is no package `betaa`"],
        ),
        (
            "operators-range-empty-default",
            &["line 10, column 21: channel `stable` of package `alpha` has nothing from 9.0.0"],
        ),
    ] {
        assert_eq!(
            found(&whole, &imageset(name), Rule::Whole),
            expected,
            "{name}"
        );
    }
    let full = imageset("operators-full");
    assert_eq!(found(&whole, &full, Rule::Filtered), [""; 0]);
}

/// Those of `runs.jsonl`; what is not named here lacks nothing.
#[test]
fn further_runs_of_5_2_lack_what_they_lack() {
    let expected = BTreeMap::from([
        (
            "default-channel-emptied",
            vec!["channel `fast` of package `alpha` has nothing from 9.0.0"],
        ),
        (
            "package-one-version",
            vec!["channel `stable` of package `alpha` has nothing to take"],
        ),
        (
            "default-channel-not-listed",
            vec!["package `alpha` lacks its default channel `stable`"],
        ),
        (
            "default-channel-mistyped",
            vec!["package `alpha` lacks its default channel `fsat`"],
        ),
        (
            "no-such-version",
            vec!["channel `fast` of package `alpha` has nothing from 7.7.7 to 7.7.7"],
        ),
        (
            "nothing-there",
            vec!["there is no package `alhpa`", "there is no package `betta`"],
        ),
    ]);
    let whole = folder("whole");
    for run in lines("runs.jsonl") {
        let wish = wishes::wish(&run["wish"], "");
        let name = run["name"].as_str().unwrap();
        let lacks = match select(&whole, &wish, Rule::Filtered) {
            Ok(selected) => unmet(&selected, &wish, Rule::Filtered),
            Err(SelectError::Unmet(lacks)) => {
                assert_eq!(run["exit"], 4, "{name}");
                lacks
            }
            Err(other) => panic!("{name}: {other}"),
        };
        let lacks: Vec<String> = lacks.iter().map(|lack| lack.lack.to_string()).collect();
        let expected = expected.get(name).cloned().unwrap_or_default();
        assert_eq!(lacks, expected, "{name}");
    }
}

#[test]
fn an_unfiltered_catalogue_offers_what_was_not_mirrored() {
    let whole = folder("whole");
    let selected = select(&whole, &imageset("operators"), Rule::Whole).unwrap();
    assert_eq!(whole.dead_packages(&selected), ["gamma"]);
    assert_eq!(whole.dead_packages(&whole), [""; 0]);
    // What 4.17's disk-to-mirror brought to the target, beside the catalogue itself.
    let target = fs::read_to_string(recorded("target-4.17.txt")).unwrap();
    let brought: BTreeSet<&str> = target
        .lines()
        .filter(|line| !line.starts_with("ops/catalog "))
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    let images = selected.related_images();
    let digests: BTreeSet<&str> = images
        .filter_map(|image| image.image.split('@').nth(1))
        .collect();
    assert_eq!(digests, brought);
}

#[test]
fn the_summary_names_versions_and_reads_back() {
    let data = filtered("9c52423f9961a1ab15211eed0bd3d3d8");
    let summary = Selected::of(&data);
    let json = serde_json::to_string(&summary).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"packages":{"alpha":{"defaultChannel":"stable","channels":{"stable":"#,
            r#"{"alpha.v1.1.0":"1.1.0","alpha.v1.2.0":"1.2.0"}}},"#,
            r#""beta":{"defaultChannel":"stable","channels":{"stable":{"beta.v0.3.1":"0.3.1"}}}}}"#
        )
    );
    let again: Selected = serde_json::from_str(&json).unwrap();
    assert_eq!(again, summary);
    assert!(serde_json::from_str::<Selected>(r#"{"packages":{},"more":1}"#).is_err());
}
