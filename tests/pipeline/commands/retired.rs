//! `retired`: a proposal to delete what nothing names any more, and never more than that.

use std::fs;
use std::path::Path;

use mimeograph_tests::gap::Ran;
use serde_json::Value;

use crate::lab::{Lab, done, layer, refused};
use crate::trouble::configure;

/// A lab that has applied a bundle of three images, and then one of the first two.
fn retired_one() -> Lab {
    let lab = Lab::new();
    lab.add_image(3);
    next(&lab);
    lab.ask_for(&["apps/1:v1", "apps/2:v1"]).unwrap();
    next(&lab);
    lab
}

fn next(lab: &Lab) {
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
}

fn names(tags: &Value) -> Vec<String> {
    let name = |tag: &Value| {
        let part = |name: &str| tag[name].as_str().unwrap().to_owned();
        format!("{}:{}", part("repository"), part("tag"))
    };
    tags.as_array().unwrap().iter().map(name).collect()
}

/// What is proposed, and why other tags are not.
fn answer(lab: &Lab) -> (Vec<String>, Vec<String>) {
    let ran = lab.populator(&["retired", "--output", "json"]);
    done(&ran);
    let result = &ran.json()["result"];
    let kept = result["kept"].as_array().unwrap().iter();
    let because = kept.map(|kept| kept["because"].as_str().unwrap().to_owned());
    (names(&result["tags"]), because.collect())
}

#[test]
fn a_tag_that_nothing_names_any_more_is_proposed_and_nothing_is_deleted() {
    let lab = retired_one();
    let before = lab.target.snapshot();
    let listed = lab.populator(&["retired"]);
    done(&listed);
    let line = "mirror/apps/3:v1";
    assert!(
        listed.stdout.contains(line) && listed.stdout.contains("placed by bundle 1"),
        "{listed}"
    );
    assert!(!listed.stdout.contains("apps/1"), "{listed}");
    let file = lab.path("delete.yaml");
    let to = ["retired", "--to", file.to_str().unwrap()];
    done(&lab.populator(&to));
    let text = fs::read_to_string(&file).unwrap();
    let (comments, yaml): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
    let expected = format!(
        "kind: DeleteImageSetConfiguration\n\
         apiVersion: mirror.openshift.io/v2alpha1\n\
         delete:\n  \
           additionalImages:\n  \
           - name: {}/apps/3:v1",
        lab.target_host
    );
    assert_eq!(yaml.join("\n"), expected);
    let commands = comments.join("\n");
    let target = format!("docker://{}/mirror", lab.target_host);
    assert_eq!(commands.matches(&target).count(), 2, "{commands}");
    refused(
        &lab.populator(&to),
        73,
        "CANNOT_CREATE",
        &["delete.yaml", "--to"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(lab.target.snapshot() == before, "the target changed");
    // What comes back is named again.
    lab.ask_for(&["apps/1:v1", "apps/2:v1", "apps/3:v1"])
        .unwrap();
    next(&lab);
    assert_eq!(answer(&lab), (Vec::new(), Vec::new()));
    let other = lab.path("other.yaml");
    let ran = lab.populator(&["retired", "--to", other.to_str().unwrap()]);
    done(&ran);
    assert!(
        ran.stdout.contains("nothing is retired") && !other.exists(),
        "{ran}"
    );
}

#[test]
fn what_was_moved_since_or_is_gone_is_not_proposed() {
    let lab = retired_one();
    lab.target.put_image("mirror/apps/3", "v1", &[layer(9)]);
    let because = "it is not what was placed there any more".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
    assert!(lab.target.remove("mirror/apps/3", "v1"));
    assert_eq!(answer(&lab), (Vec::new(), Vec::new()));
}

#[test]
fn what_was_there_before_or_came_from_elsewhere_is_not_ours() {
    let lab = Lab::new();
    lab.target.put_image("mirror/apps/1", "theirs", &[layer(9)]);
    lab.target.put_image("mirror/apps/9", "v1", &[layer(9)]);
    next(&lab);
    lab.add_image(3);
    next(&lab);
    assert_eq!(answer(&lab), (Vec::new(), Vec::new()));
}

#[test]
fn a_digest_that_another_tag_needs_stays() {
    let lab = retired_one();
    let (repository, image) = ("mirror/apps/3", [layer(0), layer(3)]);
    // Somebody's own tag of the same image: deleting a tag deletes its digest.
    let digest = lab.target.put_image(repository, "pinned", &image);
    assert_eq!(lab.target.digest_of(repository, "v1"), Some(digest.clone()));
    let because = "tag `pinned` beside it needs the same digest".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
    // An index that has it as a member.
    lab.target.put_index(repository, "pinned", &[digest]);
    let because = "tag `pinned` beside it needs the same digest".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
    assert!(lab.target.remove(repository, "pinned"));
    assert_eq!(answer(&lab).0, ["mirror/apps/3:v1"]);
}

#[test]
fn two_retired_tags_of_one_digest_go_together() {
    let lab = Lab::new();
    lab.source.put_image("apps/3", "v1", &[layer(3)]);
    lab.source.put_image("apps/3", "v2", &[layer(3)]);
    lab.ask_for(&["apps/1:v1", "apps/3:v1", "apps/3:v2"])
        .unwrap();
    next(&lab);
    lab.ask_for(&["apps/1:v1", "apps/3:v2"]).unwrap();
    next(&lab);
    let because = "tag `v2` beside it needs the same digest".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
    lab.ask_for(&["apps/1:v1"]).unwrap();
    next(&lab);
    assert_eq!(answer(&lab).0, ["mirror/apps/3:v1", "mirror/apps/3:v2"]);
}

#[test]
fn without_a_current_record_nothing_is_proposed() {
    let lab = Lab::new();
    refused(
        &lab.populator(&["retired"]),
        66,
        "INPUT_MISSING",
        &["nothing was applied"],
    );
    lab.add_image(3);
    next(&lab);
    lab.ask_for(&["apps/1:v1"]).unwrap();
    let record = lab.path("disconnected/metadata/placed.json");
    let old = fs::read(&record).unwrap();
    next(&lab);
    fs::write(&record, old).unwrap();
    let words = [
        "what bundle 2 placed is not recorded",
        "after the next bundle",
    ];
    refused(&lab.populator(&["retired"]), 75, "INCOMPLETE", &words);
    fs::write(&record, "{").unwrap();
    refused(
        &lab.populator(&["retired"]),
        65,
        "STATE_DAMAGED",
        &["placed.json"],
    );
}

#[test]
fn after_a_lost_volume_the_unsigned_part_of_the_second_copy_is_no_record_of_what_was_placed() {
    let lab = Lab::new();
    lab.add_image(3);
    next(&lab);
    fs::remove_dir_all(lab.path("disconnected/metadata")).unwrap();
    done(&lab.populator(&["run"]));
    let words = ["what bundle 1 placed is not recorded"];
    refused(&lab.populator(&["retired"]), 75, "INCOMPLETE", &words);
    lab.ask_for(&["apps/1:v1"]).unwrap();
    next(&lab);
    assert_eq!(answer(&lab).0, Vec::<String>::new());
}

#[test]
fn what_a_partial_bundle_leaves_out_is_not_retired() {
    let lab = Lab::with(|gap| gap.play("VERSION=5.2\n").unwrap());
    lab.add_image(3);
    next(&lab);
    lab.play("VERSION=4.17\nMISBEHAVE=partial-exit-0\n")
        .unwrap();
    lab.ask_for(&["apps/1:v1", "apps/2:v1", "apps/3:v1"])
        .unwrap();
    lab.source.put_image("apps/3", "v1", &[layer(4)]);
    done(&lab.bundler(&["run", "--allow-partial", "--full"]));
    done(&lab.populator(&["run"]));
    refused(
        &lab.populator(&["retired"]),
        86,
        "PARTIAL",
        &["bundle 2 lacks images"],
    );
}

/// A second stream that fills the same target, from a store, with keys and state of its own.
struct Other<'a>(&'a Lab);

impl<'a> Other<'a> {
    fn new(lab: &'a Lab) -> Self {
        for side in ["connected", "disconnected"] {
            let text = fs::read_to_string(lab.path(&format!("{side}.yaml"))).unwrap();
            let at = |name: &str| lab.path(name).display().to_string();
            let text = text
                .replace(
                    &format!("{}/", at(side)),
                    &format!("{}/", at(&format!("other-{side}"))),
                )
                .replace(&at("store"), &at("other-store"))
                .replace(&at("keys"), &at("other-keys"))
                .replace(&at("imageset.yaml"), &at("other-imageset.yaml"));
            fs::write(lab.path(&format!("other-{side}.yaml")), text).unwrap();
        }
        fs::create_dir(lab.path("other-store")).unwrap();
        let other = Self(lab);
        let keys = lab.path("other-keys").display().to_string();
        done(&other.run(
            &lab.programs().bundler,
            "other-connected",
            &["keygen", "--out", &keys],
        ));
        other
    }

    fn run(&self, program: &Path, side: &str, arguments: &[&str]) -> Ran {
        let output = self.0.command(program, side, arguments).output().unwrap();
        Ran {
            command: format!("{side} {arguments:?}"),
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Publishes and applies a bundle of these images.
    fn apply(&self, images: &[&str]) {
        let ours = fs::read(self.0.path("imageset.yaml")).unwrap();
        self.0.ask_for(images).unwrap();
        fs::rename(
            self.0.path("imageset.yaml"),
            self.0.path("other-imageset.yaml"),
        )
        .unwrap();
        fs::write(self.0.path("imageset.yaml"), ours).unwrap();
        done(&self.run(&self.0.programs().bundler, "other-connected", &["run"]));
        done(&self.run(&self.0.programs().populator, "other-disconnected", &["run"]));
    }

    fn stream(&self) -> String {
        let state = fs::read(self.0.path("other-disconnected/metadata/state.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        state["stream"].as_str().unwrap().to_owned()
    }
}

fn know(lab: &Lab, stream: &str, keys: &str) {
    let peer = format!("state: {{ peers: [{{ stream: '{stream}', keys: [{keys}] }}] }}\ntrust:\n");
    configure(lab, "disconnected", "trust:\n", &peer);
}

#[test]
fn a_stream_that_fills_the_same_registry_must_be_known() {
    let lab = retired_one();
    let other = Other::new(&lab);
    other.apply(&["apps/2:v1"]);
    let stream = other.stream();
    refused(
        &lab.populator(&["retired"]),
        78,
        "CONFIG_INVALID",
        &[&stream, "state.peers"],
    );
    know(&lab, &stream, "keys/signing.pub.pem");
    let words = ["cannot be used", &stream];
    refused(&lab.populator(&["retired"]), 77, "UNTRUSTED", &words);
    configure(&lab, "disconnected", "keys: [keys/", "keys: [other-keys/");
    assert_eq!(answer(&lab).0, ["mirror/apps/3:v1"]);
    assert!(lab.target.remove("mirror/mimeograph-state", &stream));
    refused(
        &lab.populator(&["retired"]),
        66,
        "INPUT_MISSING",
        &["no copy", &stream],
    );
}

#[test]
fn what_another_stream_names_stays() {
    let lab = retired_one();
    let other = Other::new(&lab);
    other.apply(&["apps/3:v1"]);
    know(&lab, &other.stream(), "other-keys/signing.pub.pem");
    let because = "another stream names this repository".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
}

#[test]
fn a_stream_of_another_namespace_that_may_fill_the_same_repositories_is_looked_for() {
    let lab = retired_one();
    let other = Other::new(&lab);
    configure(&lab, "other-disconnected", "/mirror\n", "/mirror/apps\n");
    lab.source.put_image("3", "v1", &[layer(5)]);
    other.apply(&["3:v1"]);
    let stream = other.stream();
    let place = format!("mirror/apps/mimeograph-state:{stream}");
    refused(
        &lab.populator(&["retired"]),
        78,
        "CONFIG_INVALID",
        &[&place],
    );
    know(&lab, &stream, "other-keys/signing.pub.pem");
    let because = "another stream names this repository".to_owned();
    assert_eq!(answer(&lab), (Vec::new(), vec![because]));
    // Where we may not look, that is said.
    lab.target.refuse("GET", "/v2/mimeograph-state/", 403);
    let ran = lab.populator(&["retired"]);
    done(&ran);
    assert!(ran.stdout.contains("not looked at"), "{ran}");
    lab.target
        .refuse("GET", "/v2/mirror/mimeograph-state/", 403);
    refused(
        &lab.populator(&["retired"]),
        77,
        "REGISTRY_FORBIDDEN",
        &["mirror/mimeograph-state"],
    );
}

#[test]
fn without_copies_no_other_stream_can_be_known() {
    let lab = retired_one();
    configure(
        &lab,
        "disconnected",
        "trust:\n",
        "state: { copy: none }\ntrust:\n",
    );
    refused(
        &lab.populator(&["retired"]),
        78,
        "CONFIG_INVALID",
        &["state.copy"],
    );
}
