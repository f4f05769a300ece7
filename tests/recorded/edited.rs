//! Recorded runs in which one thing is other than it was: what no recording happens to show.

use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory::Before;

use crate::case::{Case, read};

const OPERATORS: Case = Case {
    version: "5.2",
    name: "operators",
};
const RELEASES: Case = Case {
    version: "5.2",
    name: "platform/releases",
};

fn findings(case: Case, imageset: &ImageSet, edit: &dyn Fn(&str, Vec<u8>) -> Vec<u8>) -> String {
    let edited = case.edited("mirror_000001", imageset, &Before::default(), edit);
    let Some(Ok((judgement, _))) = edited else {
        panic!("{case:?} cannot be judged")
    };
    judgement.findings.to_string()
}

fn imageset(case: Case, more: &str) -> ImageSet {
    let bytes = read(&case.folder().join("imageset.yaml"));
    let text = format!("{}{more}", String::from_utf8_lossy(&bytes));
    ImageSet::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{case:?}: {error}"))
}

#[test]
fn a_bundle_that_filtering_lost_is_missed() {
    let set = imageset(OPERATORS, "");
    assert_eq!(findings(OPERATORS, &set, &|_, bytes| bytes), "");
    let lost = findings(OPERATORS, &set, &|path, bytes| {
        if !path.ends_with("/catalog-config/alpha/catalog.json") {
            return bytes;
        }
        let objects = serde_json::Deserializer::from_slice(&bytes).into_iter();
        let mut kept = Vec::new();
        for object in objects {
            let mut object: serde_json::Value = object.unwrap();
            if object["name"] == "alpha.v1.1.0" {
                continue;
            }
            if let Some(entries) = object["entries"].as_array_mut() {
                entries.retain(|entry| entry["name"] != "alpha.v1.1.0");
            }
            serde_json::to_writer(&mut kept, &object).unwrap();
        }
        kept
    });
    assert!(
        lost.contains("line 7, column 13: bundle `alpha.v1.1.0` of package `alpha` is not in the filtered catalogue"),
        "{lost}"
    );
}

#[test]
fn a_release_under_the_version_of_another_is_found() {
    let set = imageset(RELEASES, "");
    let swapped = findings(RELEASES, &set, &|path, bytes| {
        if !path.ends_with("-stable-4.99.json") {
            return bytes;
        }
        let mut graph: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let nodes = graph["nodes"].as_array_mut().unwrap();
        let of = |nodes: &[serde_json::Value], version: &str| {
            nodes
                .iter()
                .position(|node| node["version"] == version)
                .unwrap()
        };
        let (first, second) = (of(nodes, "4.99.1"), of(nodes, "4.99.2"));
        nodes[second]["payload"] = nodes[first]["payload"].clone();
        serde_json::to_vec(&graph).unwrap()
    });
    let words = "the update service gives release 4.99.2 the image of `4.99.1-x86_64`";
    assert!(swapped.contains(words), "{swapped}");
}

#[test]
fn images_of_operators_are_not_taken_for_those_of_charts() {
    let chart = "  helm:\n    local:\n    - name: c\n      path: /mimeograph/c.tgz\n";
    let set = imageset(OPERATORS, chart);
    assert!(set.has_charts());
    assert_eq!(findings(OPERATORS, &set, &|_, bytes| bytes), "");
}
