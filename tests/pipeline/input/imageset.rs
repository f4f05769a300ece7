//! Image sets that are none.

use std::fs;

use super::published;
use crate::lab::{Lab, done, refused};

const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";

#[test]
fn an_image_set_that_is_none_is_named_by_file_and_field_before_oc_mirror_runs() {
    let lab = Lab::new();
    let file = lab.path("imageset.yaml");
    for (text, words) in [
        (
            "",
            [
                "imageset.yaml` cannot be used",
                "the file is empty",
                "ImageSetConfiguration",
            ],
        ),
        (
            "hello",
            [
                "imageset.yaml` cannot be used",
                "cannot be read",
                "line 1, column 1: the file must be a group of fields",
            ],
        ),
        (
            "kind: [\n",
            [
                "imageset.yaml` cannot be used",
                "cannot be read",
                "line 2, column 1",
            ],
        ),
        (
            "\u{fffd}\u{0}",
            [
                "imageset.yaml` cannot be used",
                "cannot be read",
                "line 1, column ",
            ],
        ),
        (
            "kind: Mimeograph\napiVersion: mirror.openshift.io/v2alpha1\n",
            [
                "imageset.yaml` cannot be used",
                "`kind: Mimeograph`",
                "`ImageSetConfiguration`",
            ],
        ),
        (
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v3\n",
            [
                "imageset.yaml` cannot be used",
                "`apiVersion: mirror.openshift.io/v3`",
                "`mirror.openshift.io/v2alpha1`",
            ],
        ),
        (
            &format!("{HEAD}mirror:\n  additionalImages: apps/1:v1\n"),
            [
                "imageset.yaml` cannot be used",
                "cannot be read",
                "mirror.additionalImages",
            ],
        ),
        (
            &format!(
                "{HEAD}mirror:\n  helm:\n    local:\n    - name: x\n      path: /etc/passwd\n"
            ),
            [
                "`/etc/passwd`",
                "not below `mirror.localDir`",
                "move it below that directory",
            ],
        ),
    ] {
        fs::write(&file, text).unwrap();
        let ran = lab.bundler(&["run"]);
        refused(&ran, 78, "IMAGESET_INVALID", &words);
        assert!(ran.stderr.contains("hint: "), "{ran}");
    }
    fs::write(&file, vec![b'#'; 5 << 20]).unwrap();
    refused(
        &lab.bundler(&["run"]),
        78,
        "IMAGESET_INVALID",
        &["imageset.yaml` is longer than"],
    );
    fs::remove_file(&file).unwrap();
    let ran = lab.bundler(&["run"]);
    let words = [
        "connected.yaml:5:",
        "`mirror.imagesetConfig` is `",
        "imageset.yaml`, which is not there",
        "put the image set there",
    ];
    refused(&ran, 66, "INPUT_MISSING", &words);
    assert_eq!(lab.oc_mirror_calls(), 0);
    assert_eq!(published(&lab), Vec::<String>::new());
}

#[test]
fn an_image_set_that_asks_for_nothing_publishes_nothing_and_stands_in_no_ones_way() {
    let lab = Lab::new();
    let good = fs::read(lab.path("imageset.yaml")).unwrap();
    for text in [
        HEAD.to_owned(),
        format!("{HEAD}mirror: {{}}\n"),
        format!("{HEAD}mirror:\n  additionalImages: []\n"),
    ] {
        fs::write(lab.path("imageset.yaml"), text).unwrap();
        let ran = lab.bundler(&["run"]);
        let words = ["imageset.yaml` cannot be used", "it asks for nothing"];
        refused(&ran, 78, "IMAGESET_INVALID", &words);
        assert_eq!(published(&lab), Vec::<String>::new());
    }
    fs::write(lab.path("imageset.yaml"), good).unwrap();
    done(&lab.bundler(&["run"]));
    assert_eq!(published(&lab), ["manifests/0000000001.json"]);
}

#[test]
fn an_image_set_of_the_generation_that_the_configuration_excludes_is_refused() {
    let lab = Lab::with(|gap| {
        let store = format!("store:\n  directory: {}\n", gap.path("store").display());
        gap.configure_with(&store, "    version: v1\n", "").unwrap();
    });
    let words = [
        "`mirror.ocMirror.version` is v1",
        "v2",
        "leave it at `auto`",
    ];
    refused(&lab.bundler(&["run"]), 78, "CONFIG_INVALID", &words);
    assert_eq!(lab.oc_mirror_calls(), 0);
}
