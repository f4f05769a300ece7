//! Generated catalogues and wishes, and what the real code made of them: catalog-filter 0.0.5
//! behind `oc-mirror` 5.2's `filterCatalog`, and 4.17's `GetRelatedImagesFromCatalog`.

use std::collections::BTreeSet;

use mimeograph_manifest::catalog::{
    Catalog, FilterOf, Rule, SelectError, filter_id, select, unmet,
};
use mimeograph_manifest::digest::Digest;
use serde_json::Value;

use crate::{lines, parse, wishes};

fn catalog(objects: &Value) -> Catalog {
    let objects = objects.as_array().into_iter().flatten();
    parse(&objects.map(ToString::to_string).collect::<String>())
}

/// The error that stands for one of the filter's.
fn is_the_same(error: &SelectError, real: &str) -> bool {
    match error {
        SelectError::Mixed { .. } => {
            real.contains("equally specifies one")
                || real.contains("cannot be mixed with")
                || real.contains("at the same time")
        }
        SelectError::Unmet(_) => {
            real.contains("invalid default channel configuration")
                || real.contains("results in an empty channel")
                || real.contains("error finding specific bundle")
        }
        SelectError::Channel { .. } => [
            "itself",
            "no channel heads",
            "multiple channel heads",
            "cycle",
            "duplicate",
        ]
        .iter()
        .any(|reason| real.contains(reason)),
        _ => false,
    }
}

#[test]
fn the_filter_of_4_18_and_later_takes_the_same() {
    let cases = lines("filter.jsonl");
    let digest: Digest = "fc4a2da0cc65271ef470b9cfa92620f75d716faab055055000e4133c1f2da596"
        .parse()
        .unwrap();
    for case in &cases {
        let (whole, wish) = (catalog(&case["catalog"]), wishes::wish(&case["wish"], ""));
        assert_eq!(
            filter_id(&wish, FilterOf::Digest(&digest)),
            case["id"],
            "{case}"
        );
        assert_eq!(filter_id(&wish, FilterOf::Name), case["idByName"], "{case}");
        let ours = select(&whole, &wish, Rule::Filtered);
        match (&ours, case["error"].as_str()) {
            (Ok(ours), None) if case["skip"] == true => assert_eq!(ours, &whole),
            (Ok(ours), None) => {
                // Of two bundles with the same version it takes one by chance; ours is among them.
                let mut outcomes = case["filtered"].as_array().unwrap().iter();
                assert!(
                    outcomes.any(|real| catalog(real) == *ours),
                    "{ours:?}\n{case}"
                );
            }
            (Err(error), Some(real)) if is_the_same(error, real) => {}
            _ => panic!("{ours:?}\n{case}"),
        }
    }
    assert!(cases.len() >= 20);
}

#[test]
fn versions_up_to_4_17_take_the_same() {
    let cases = lines("whole.jsonl");
    for case in &cases {
        let (whole, wish) = (catalog(&case["catalog"]), wishes::wish(&case["wish"], ""));
        let ours = select(&whole, &wish, Rule::Whole);
        match (&ours, case["error"].as_str()) {
            (Ok(ours), None) => {
                let names: BTreeSet<&str> = ours.bundles().map(|(_, name, _)| name).collect();
                let mut taken = case["taken"].as_array().unwrap().iter();
                // It takes one of several by chance; ours is among them.
                let is_same = |names_of: &Value| {
                    let names_of = names_of.as_array().unwrap().iter();
                    names_of
                        .map(|name| name.as_str().unwrap())
                        .collect::<BTreeSet<_>>()
                        == names
                };
                assert!(taken.any(is_same), "{names:?}\n{case}");
                if names.is_empty() {
                    assert_ne!(unmet(&whole, &wish, Rule::Whole), [], "{case}");
                }
            }
            (Err(error), Some(real)) if is_the_same(error, real) => {}
            _ => panic!("{ours:?}\n{case}"),
        }
    }
    assert!(cases.len() >= 10);
}
