use std::fs;
use std::path::PathBuf;

use super::{HEAD, with};
use crate::failure::{ErrorId, Fault as _};
use crate::io::config::{Config, Operation};
use crate::io::location::{S3Location, StoreLocation};

/// A file on disk, in a folder of its own.
fn load(text: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path, Operation::Bundle).unwrap();
    (folder, config)
}

#[test]
fn an_image_set_is_taken_from_its_place_else_from_where_it_is_mounted() {
    let (folder, config) = load(&with(""));
    let mounted = folder.path().join("mounted.yaml");
    let error = config.imageset_or(&mounted).unwrap_err();
    assert_eq!(error.id(), ErrorId::InputMissing);
    let file = folder.path().join("config.yaml");
    let place = folder.path().join("i.yaml");
    assert_eq!(
        error.to_string(),
        format!(
            "{}:3:11: `mirror.imagesetConfig` is `{}`, which is not there",
            file.display(),
            place.display()
        )
    );
    assert_eq!(
        error.hint(),
        Some(format!(
            "put the image set there, or at `{}`",
            mounted.display()
        ))
    );
    fs::write(&mounted, "").unwrap();
    assert_eq!(config.imageset_or(&mounted).unwrap(), mounted);
    fs::write(&place, "").unwrap();
    assert_eq!(config.imageset_or(&mounted).unwrap(), place);
}

#[test]
fn a_missing_signing_key_names_the_command_that_makes_one() {
    let (folder, config) = load(&with("signing:\n  keyFile: signing.pem\n"));
    let error = config.signing_key().unwrap_err();
    assert_eq!(error.id(), ErrorId::KeyMissing);
    assert!(
        error.to_string().contains(":5:3: `signing.keyFile` is `"),
        "{error}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("make one with `mimeograph-bundler keygen --out DIR`")
    );
    let key = folder.path().join("signing.pem");
    fs::write(&key, "").unwrap();
    assert_eq!(config.signing_key().unwrap(), key);
}

#[test]
fn trusted_keys_are_the_files_named_and_the_pem_files_of_folders() {
    let (folder, config) = load(&with("trust: { keys: [one.pem, trusted] }\n"));
    let path = |name: &str| folder.path().join(name);
    fs::write(path("one.pem"), "").unwrap();
    fs::create_dir(path("trusted")).unwrap();
    fs::write(path("trusted/README"), "").unwrap();
    let error = config.trusted_keys().unwrap_err();
    assert_eq!(error.id(), ErrorId::KeyMissing);
    let message = error.to_string();
    assert!(message.contains(":4:26: `trust.keys[1]` is `"), "{message}");
    assert!(
        message.ends_with("/trusted`, where no key (`*.pem`) is"),
        "{message}"
    );
    fs::write(path("trusted/b.pem"), "").unwrap();
    fs::write(path("trusted/a.pem"), "").unwrap();
    let expected: Vec<PathBuf> = ["one.pem", "trusted/a.pem", "trusted/b.pem"]
        .map(path)
        .into();
    assert_eq!(config.trusted_keys().unwrap(), expected);
}

#[test]
fn missing_extra_and_credential_files_are_named_by_line() {
    let (folder, config) = load(&format!(
        "{HEAD}mirror:\n  imagesetConfig: i\n  ocMirror:\n    authFile: auth.json\nartefacts:\n  extraFiles:\n  - here\n  - gone\n"
    ));
    fs::write(folder.path().join("here"), "").unwrap();
    let error = config.extra_files().unwrap_err().to_string();
    assert!(
        error.contains(":10:5: `artefacts.extraFiles[1]` is `"),
        "{error}"
    );
    let error = config.auth_file().unwrap_err();
    assert_eq!(error.id(), ErrorId::InputMissing);
    assert!(
        error
            .to_string()
            .contains(":6:5: `mirror.ocMirror.authFile` is `"),
        "{error}"
    );
}

#[test]
fn a_store_is_asked_for_only_where_the_flag_does_not_name_one() {
    let (folder, config) = load(&with(""));
    let flag = StoreLocation::Directory("/mnt".into());
    assert_eq!(config.location(Some(flag.clone())).unwrap(), flag);
    let error = config.location(None).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: there is neither `s3` nor `store.directory`",
            folder.path().join("config.yaml").display()
        )
    );
    let (_folder, config) = load(&with("store: { directory: /drive }\n"));
    assert_eq!(config.location(Some(flag.clone())).unwrap(), flag);
    let drive = StoreLocation::Directory("/drive".into());
    assert_eq!(config.location(None).unwrap(), drive);
}

#[test]
fn a_bucket_without_a_name_is_missed_by_whoever_needs_it() {
    let (_folder, config) = load(&with("s3: { bucket: { subDir: x } }\n"));
    let error = config.location(None).unwrap_err().to_string();
    assert!(error.contains("`s3.bucket.name` is missing"), "{error}");
    let drive = StoreLocation::Directory("/drive".into());
    assert_eq!(config.location(Some(drive.clone())).unwrap(), drive);
}

#[test]
fn a_stream_is_called_by_its_name_or_by_its_folder() {
    for (text, label) in [
        (
            "stream: { name: North }\ns3: { bucket: { name: b, subDir: x } }\n",
            "North",
        ),
        (
            "s3: { bucket: { name: b, subDir: team/operators } }\n",
            "operators",
        ),
        ("store: { directory: /mnt/drive }\n", "drive"),
        ("s3: { bucket: { name: b } }\n", "default"),
        ("", "default"),
    ] {
        let (_folder, config) = load(&with(text));
        assert_eq!(config.stream_label(), label, "{text}");
    }
}

#[test]
fn a_bucket_named_by_the_flag_is_reached_as_the_file_says() {
    let (_folder, config) = load(&with(
        "s3: { bucket: { name: b, subDir: x, endpoint: 'https://s3.example.com' } }\n",
    ));
    let flag: StoreLocation = "s3://other/team/y".parse().unwrap();
    let expected = S3Location {
        bucket: "other".into(),
        prefix: "team/y".into(),
        endpoint: Some("https://s3.example.com".into()),
        ..S3Location::default()
    };
    assert_eq!(
        config.location(Some(flag)).unwrap(),
        StoreLocation::S3(expected)
    );
}
