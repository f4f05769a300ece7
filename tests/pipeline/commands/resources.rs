//! What a load leaves for the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::lab::{Lab, done};

/// Kind and name of all objects of a set.
fn objects(folder: &Path) -> BTreeMap<String, String> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for document in text.split("---\n").filter(|one| !one.trim().is_empty()) {
            let object: serde_yaml::Value = serde_yaml::from_str(document).unwrap();
            let text = |value: &serde_yaml::Value| value.as_str().unwrap().to_owned();
            let name = text(&object["metadata"]["name"]);
            let label = text(&object["metadata"]["labels"]["mimeograph.io/stream"]);
            assert_eq!(label, "north", "{document}");
            objects.insert(name, text(&object["kind"]));
        }
    }
    objects
}

#[test]
fn resources_are_kept_by_bundle_named_for_the_stream_and_compared() {
    let lab = Lab::new();
    let path = lab.path("connected.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}stream: {{ name: North }}\n")).unwrap();
    let resources = lab.path("disconnected/metadata/resources");

    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let first = objects(&resources.join("0000000001"));
    assert!(!first.is_empty(), "{ran}");
    assert!(
        first.keys().all(|name| name.ends_with("-north")),
        "{first:?}"
    );
    let changes = &ran.json()["result"]["applied"][0]["resourceChanges"];
    let changes = changes.as_array().unwrap();
    assert_eq!(changes.len(), first.len(), "{ran}");
    assert!(changes.iter().all(|one| one["change"] == "new"), "{ran}");

    lab.source
        .put_image("other/4", "v1", &[crate::lab::layer(4)]);
    lab.ask_for(&["apps/1:v1", "apps/2:v1", "other/4:v1"])
        .unwrap();
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stdout.contains("DRAINS AND REBOOTS"), "{ran}");
    let told = fs::read_to_string(resources.join("0000000002/CHANGES.txt")).unwrap();
    assert!(told.contains("ImageTagMirrorSet"), "{told}");
    // The set of the bundle before is still there, as it was.
    assert_eq!(objects(&resources.join("0000000001")), first);

    // As an image in the target, by choice: also what was loaded before that was chosen.
    let image = lab.target.digest_of("mirror/cluster", "north");
    assert_eq!(image, None);
    // What a link leads to is not for others.
    let link = resources.join("0000000002/link.yaml");
    std::os::unix::fs::symlink(lab.path("disconnected.yaml"), &link).unwrap();
    crate::trouble::configure(
        &lab,
        "disconnected",
        "artefacts:\n",
        "artefacts:\n  resourcesImage: cluster\n",
    );
    done(&lab.populator(&["run"]));
    let image = lab.target.digest_of("mirror/cluster", "north");
    assert!(image.is_some());
    fs::remove_file(link).unwrap();
    done(&lab.populator(&["run"]));
    assert_eq!(lab.target.digest_of("mirror/cluster", "north"), image);
    assert_eq!(lab.target.digest_of("mirror/cluster", "north.2"), image);
    let manifest = lab.target.manifest("mirror/cluster", "north").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "{manifest}");

    done(&lab.bundler(&["run", "--full"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    let applied = &ran.json()["result"]["applied"][0];
    assert_eq!(applied["resourceChanges"], json!([]), "{ran}");
}

/// Held against schemas of what a cluster takes, which accept what the real `oc-mirror` was recorded to write.
#[cfg(feature = "real-tools")]
#[test]
fn what_a_cluster_is_given_is_valid() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let set = lab.path("disconnected/metadata/resources/0000000001");
    let mut count = 0;
    for entry in fs::read_dir(&set).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            assert_eq!(invalid(&path), None);
            let text = fs::read_to_string(&path).unwrap();
            let other = lab.path("other.yaml");
            fs::write(&other, text.replace("source:", "from:")).unwrap();
            assert!(invalid(&other).is_some(), "{text}");
            count += 1;
        }
    }
    assert!(count > 0);
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/oc-mirror-5.2");
    for file in [
        "operators/cluster-resources/cc-catalog-v1.yaml",
        "operators/cluster-resources/cs-catalog-v1.yaml",
        "platform/graph/cluster-resources/idms-oc-mirror.yaml",
        "platform/graph/cluster-resources/itms-oc-mirror.yaml",
        "platform/graph/cluster-resources/signature-configmap.json",
        "platform/graph/cluster-resources/updateService.yaml",
    ] {
        assert_eq!(invalid(&recorded.join(file)), None);
    }
}

/// What the schema has against a file.
#[cfg(feature = "real-tools")]
fn invalid(file: &Path) -> Option<String> {
    let schema =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/schemas/cluster-resources.json");
    let ran = std::process::Command::new("check-jsonschema")
        .arg("--schemafile")
        .args([&schema, file])
        .output()
        .unwrap_or_else(|error| panic!("check-jsonschema, which `real-tools` needs: {error}"));
    (!ran.status.success()).then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
}
