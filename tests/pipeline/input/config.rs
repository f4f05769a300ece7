//! Mistakes in the configuration, as users make them: each is refused before anything is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mimeograph_tests::gap::Ran;

use crate::lab::{Lab, refused};
use crate::user::{NOBODY, as_user, run, tree};

/// A mistake: what stands in the right file, what stands there instead, the word whose line is named, and the
/// words of the answer, the last of which are the remedy.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

// One mistake on a line can be read.
#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    // names of fields
    ("retries: 0", "retrys: 0", "retrys", &["there is no field `mirror.ocMirror.retrys`", "did you mean `retries`?"]),
    ("artefacts:", "artifacts:", "artifacts", &["there is no field `artifacts`", "did you mean `artefacts`?"]),
    ("retries: 0", "colour: red", "colour", &["there is no field `mirror.ocMirror.colour`", "there are: path, version"]),
    ("trust:", "s3Bucket: b\ntrust:", "s3Bucket", &["there is no field `s3Bucket`", "there are: apiVersion"]),
    // types
    ("retries: 0", "retries: some", "retries", &["`mirror.ocMirror.retries` is `some`, not a whole number", "write a whole number"]),
    ("sourceTLSVerify: false", "sourceTLSVerify: no", "sourceTLSVerify", &["`mirror.ocMirror.sourceTLSVerify` is `no`, not a switch", "write `true` or `false`"]),
    ("keys: [", "keys: a.pem # [", "keys: a", &["`trust.keys` is `a.pem`, not a list", "write a list"]),
    ("store:", "stream: red\nstore:", "stream", &["`stream` is `red`, not a group of fields", "write its fields below it"]),
    ("kind: MimeographConfiguration", "kind: [a]", "kind", &["`kind` is a list, not a text", "write a text"]),
    ("kind: MimeographConfiguration", "kind: ImageSetConfiguration", "kind", &["`kind` is `ImageSetConfiguration`", "write `kind: MimeographConfiguration`"]),
    ("mimeograph.io/v1alpha1", "mimeograph.io/v2", "apiVersion", &["`apiVersion` is `mimeograph.io/v2`", "write `apiVersion: mimeograph.io/v1alpha1`"]),
    ("apiVersion: mimeograph.io/v1alpha1\n", "", "", &["`apiVersion` is missing", "write `apiVersion: mimeograph.io/v1alpha1`"]),
    // YAML itself
    ("signing:\n", "signing: {}\nsigning:\n", "signing:\n", &["`signing` stands there for the second time", "take one of the two out"]),
    ("  bundleDir", "\tbundleDir", "\tbundleDir", &["not YAML", "spaces, no tabs"]),
    // values
    ("operation: ", "operation: un", "operation", &["`operation` is `un", "neither `bundle` nor `populate`", "write `bundle`"]),
    ("retries: 0", "timeout: 12 hours", "timeout", &["`mirror.ocMirror.timeout` is `12 hours`, which is not a duration", "`12h`"]),
    ("retries: 0", "timeout: 90", "timeout", &["`mirror.ocMirror.timeout` is `90`, which has no unit", "`12h`"]),
    ("retries: 0", "deadline: 0s", "deadline", &["`mirror.ocMirror.deadline` is `0s`, which is no time at all", "write a longer one"]),
    ("retries: 0", "version: v3", "version: v3", &["`mirror.ocMirror.version` is `v3`", "write `auto`, `v1` or `v2`"]),
    ("trust:", "transfer:\n  chunkSize: 1GB\ntrust:", "chunkSize", &["`transfer.chunkSize` is `1GB`", "write a size from `1MiB` to `32MiB`"]),
    ("trust:", "transfer:\n  parallel: 0\ntrust:", "parallel", &["`transfer.parallel` is `0`", "write `auto`, or a number"]),
    ("trust:\n", "trust:\n  threshold: 0\n", "threshold", &["`trust.threshold` is `0`", "write a number from 1"]),
    ("trust:\n", "trust:\n  stream: mine\n", "stream: mine", &["`trust.stream` is `mine`", "write the id"]),
    ("  directory: ", "  directory: file://", "directory", &["`store.directory` is `file://", "which is a URL", "write the path without `file://`"]),
    ("store:", "s3:\n  bucket:\n    name: b\nstore:", "directory", &["`store.directory` and `s3` are both there", "take one of them out"]),
    ("store:\n  directory: ", "s3:\n  bucket:\n    name: b\n    endpoint: ", "endpoint", &["`s3.bucket.endpoint` is `/", "write `https://host[:port]`"]),
    ("store:\n  directory: ", "s3:\n  bucket:\n    name: b/c\n    subDir: ", "name: b/c", &["`s3.bucket.name` is `b/c`", "write the name alone"]),
    ("targetRegistryURI: ", "targetRegistryURI: docker://", "targetRegistryURI", &["`mirror.targetRegistryURI` is `docker://", "write it without"]),
];

/// A changed copy of both configurations, and what both programs say to it.
fn told(lab: &Lab, from: &str, to: &str) -> [(String, Ran); 2] {
    ["connected", "disconnected"].map(|side| {
        let right = fs::read_to_string(lab.path(&format!("{side}.yaml"))).unwrap();
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right, "nothing was changed: {from}");
        let file = lab.path("mistaken.yaml");
        fs::write(&file, &wrong).unwrap();
        let file = file.display().to_string();
        let before = tree(&lab.path("."));
        let ran = run_with(lab, side, &file);
        assert_eq!(tree(&lab.path(".")), before, "something was changed: {ran}");
        (wrong, ran)
    })
}

fn run_with(lab: &Lab, side: &str, config: &str) -> Ran {
    let program = match side {
        "connected" => &lab.programs().bundler,
        _ => &lab.programs().populator,
    };
    let mut command = lab.bare(program);
    command.args(["run", "--config", config]);
    run(command)
}

/// The number of the line that begins with `word`; of two, the second.
fn line_of(text: &str, word: &str) -> usize {
    let at = text.rfind(word).unwrap();
    text[..at].matches('\n').count() + 1
}

#[test]
fn each_mistake_is_named_with_file_line_field_value_and_remedy_and_nothing_is_touched() {
    let lab = Lab::new();
    for (from, to, word, words) in MISTAKES {
        for (text, ran) in told(&lab, from, to) {
            refused(&ran, 78, "CONFIG_INVALID", words);
            let place = match *word {
                "" => "mistaken.yaml: ".to_owned(),
                word => format!("mistaken.yaml:{}:", line_of(&text, word)),
            };
            assert!(ran.stderr.contains(&place), "no `{place}`: {ran}");
            assert_eq!(ran.stdout, "", "{ran}");
        }
    }
}

#[test]
fn the_other_programs_configuration_is_refused_and_the_right_program_named() {
    let lab = Lab::new();
    for (side, file, does, right) in [
        (
            "connected",
            "disconnected",
            "populate",
            "mimeograph-populator",
        ),
        ("disconnected", "connected", "bundle", "mimeograph-bundler"),
    ] {
        let file = lab.path(&format!("{file}.yaml")).display().to_string();
        let ran = run_with(&lab, side, &file);
        let operation = format!("{file}:3:1: `operation` is `{does}`");
        refused(
            &ran,
            78,
            "WRONG_OPERATION",
            &[&operation, &format!("run `{right}` with this file")],
        );
    }
}

#[test]
fn what_each_program_cannot_do_without_is_asked_for_by_name() {
    let lab = Lab::new();
    for (side, field) in [
        ("connected", "imagesetConfig"),
        ("disconnected", "targetRegistryURI"),
    ] {
        let text = fs::read_to_string(lab.path(&format!("{side}.yaml"))).unwrap();
        let without: Vec<_> = text.lines().filter(|line| !line.contains(field)).collect();
        fs::write(lab.path("without.yaml"), without.join("\n")).unwrap();
        let ran = run_with(&lab, side, "without.yaml");
        let words = [
            format!("without.yaml: `mirror.{field}` is missing"),
            "hint: write".into(),
        ];
        refused(
            &ran,
            78,
            "CONFIG_INVALID",
            &words.each_ref().map(String::as_str),
        );
        let text = text.replace("store:\n  directory:", "# nowhere");
        fs::write(lab.path("without.yaml"), text).unwrap();
        let ran = run_with(&lab, side, "without.yaml");
        let words = [
            "without.yaml: there is neither `s3` nor `store.directory`",
            "--store dir:PATH",
        ];
        refused(&ran, 78, "CONFIG_INVALID", &words);
    }
}

#[test]
fn a_file_that_is_no_configuration_at_all_is_told_apart() {
    let lab = Lab::new();
    let folder = lab.path(".").canonicalize().unwrap();
    for (what, bytes, status, id, words) in [
        (
            "empty",
            &b""[..],
            78,
            "CONFIG_INVALID",
            ["the file is empty", "begin with `apiVersion"],
        ),
        (
            "prose",
            b"Dear Sir,\n",
            78,
            "CONFIG_INVALID",
            ["the file is `Dear Sir,`", "write its fields"],
        ),
        (
            "program",
            b"\x7fELF\xff\xfe",
            78,
            "CONFIG_INVALID",
            ["this is not UTF-8", "save the file as UTF-8"],
        ),
    ] {
        fs::write(lab.path(what), bytes).unwrap();
        for side in ["connected", "disconnected"] {
            let ran = run_with(&lab, side, what);
            refused(&ran, status, id, &words);
            let file = folder.join(what).display().to_string();
            assert!(ran.stderr.contains(&file), "no {file}: {ran}");
        }
    }
    for side in ["connected", "disconnected"] {
        let ran = run_with(&lab, side, "absent.yaml");
        refused(
            &ran,
            66,
            "CONFIG_MISSING",
            &["looked for `absent.yaml`", "--config FILE"],
        );
        let ran = run_with(&lab, side, "store");
        refused(
            &ran,
            66,
            "CONFIG_MISSING",
            &["store`: Is a directory", "--config FILE"],
        );
    }
}

#[test]
fn a_store_of_no_known_form_is_a_usage_error_that_shows_the_forms() {
    let lab = Lab::new();
    for store in ["/mnt/drive", "dir:", "ftp://host/b", ""] {
        for ran in [
            lab.bundler(&["run", "--store", store]),
            lab.populator(&["run", "--store", store]),
        ] {
            assert_eq!(ran.status, 64, "{ran}");
            assert!(ran.stderr.contains("--store <STORE>"), "{ran}");
            assert!(ran.stderr.contains("dir:"), "{ran}");
        }
    }
    let ran = lab.bundler(&[
        "run",
        "--store",
        &format!("dir:{}", lab.path("no/such").display()),
    ]);
    refused(&ran, 66, "INPUT_MISSING", &["no/such"]);
}

#[test]
fn a_configuration_that_we_may_not_read_says_so() {
    let lab = Lab::new();
    let file = lab.path("connected.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    lab.let_others_in();
    let mut look = lab.bare(Path::new("cat"));
    look.arg(&file);
    assert_ne!(run(as_user(NOBODY, &look)).status, 0, "it can be read");
    let command = lab.command(&lab.programs().bundler, "connected", &["check"]);
    let words = [
        "connected.yaml`: Permission denied",
        &format!("closed to uid {NOBODY}, which this runs as"),
    ];
    refused(
        &run(as_user(NOBODY, &command)),
        66,
        "CONFIG_MISSING",
        &words,
    );
}

#[test]
fn the_four_places_of_the_configuration_are_tried_in_their_order() {
    // `/mimeograph/mimeograph-config.yaml` comes between; it is no place for a test.
    let lab = Lab::new();
    let place = |folder: &str| {
        let text = fs::read_to_string(lab.path("connected.yaml")).unwrap();
        let marked = text.replace("retries: 0", &format!("retries: {folder}"));
        fs::create_dir_all(lab.path(folder)).unwrap();
        fs::write(lab.path(folder).join("mimeograph-config.yaml"), marked).unwrap();
    };
    for folder in ["flag", "variable", "here"] {
        place(folder);
    }
    // Each is wrong in its own way, so that the error tells which one was read.
    let read = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = lab.bare(&lab.programs().bundler);
        command.current_dir(lab.path("here")).arg("check");
        let file = |folder: &str| lab.path(folder).join("mimeograph-config.yaml");
        command.args(
            flag.iter()
                .flat_map(|folder| ["--config".into(), file(folder)]),
        );
        command.envs(variable.map(|folder| ("MIMEOGRAPH_CONFIG", file(folder))));
        run(command)
    };
    refused(
        &read(Some("flag"), Some("variable")),
        78,
        "CONFIG_INVALID",
        &["is `flag`"],
    );
    refused(
        &read(None, Some("variable")),
        78,
        "CONFIG_INVALID",
        &["is `variable`"],
    );
    refused(&read(None, None), 78, "CONFIG_INVALID", &["is `here`"]);
    // One that was named must be there.
    refused(
        &read(Some("none"), None),
        66,
        "CONFIG_MISSING",
        &["none/mimeograph-config.yaml"],
    );
    refused(
        &read(None, Some("none")),
        66,
        "CONFIG_MISSING",
        &["none/mimeograph-config.yaml"],
    );
    fs::remove_file(lab.path("here/mimeograph-config.yaml")).unwrap();
    let places = [
        "`/mimeograph/mimeograph-config.yaml`, then `mimeograph-config.yaml`",
        "MIMEOGRAPH_CONFIG",
    ];
    refused(&read(None, None), 66, "CONFIG_MISSING", &places);
}

/// The sample of the original's README, as it stands there.
const ORIGINAL: &str = "\
apiVersion: mimeograph.io/v1alpha1
kind: MimeographConfiguration
operation: bundle                               # can be bundle or populate
mirror:
  imagesetConfig: /mimeograph/mimeograph-imageset.yaml       # path to the defined ImageSetConfiguration file
  targetRegistryURI: onprem.registry.example.com/mimeograph  # URI of the Target Registry (on-prem)
s3:
  bucket:
    name: mimeograph-bucket                     # Name of the S3 bucket used to upload to/download from 
    endpoint: https://s3-endpoint.example.com/  # Optional S3 endpoint
    subDir: redhat-operators                    # Optional Sub Directory within the bucket
artefacts:
  bundleDir: /mimeograph/bundle                 # Location where oc-mirror will bundle the tarfiles
  metadataDir: /mimeograph/metadata             # Location where oc-mirror will manage image metadata
";

#[test]
fn the_original_configuration_is_read_unchanged_and_what_is_missed_next_is_a_key() {
    let lab = Lab::new();
    let populate = ORIGINAL.replace("operation: bundle  ", "operation: populate");
    for (side, text, field) in [
        (
            "connected",
            ORIGINAL,
            "`signing.keyFile` is `/mimeograph/keys/signing.pem`",
        ),
        (
            "disconnected",
            &populate,
            "`trust.keys[0]` is `/mimeograph/keys/trusted`",
        ),
    ] {
        fs::write(lab.path("original.yaml"), text).unwrap();
        let ran = run_with(&lab, side, "original.yaml");
        refused(
            &ran,
            66,
            "KEY_MISSING",
            &[field, "mimeograph-bundler keygen --out DIR"],
        );
    }
}
