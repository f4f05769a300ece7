//! `unpack`: verified files, or none.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{everything, published};
use crate::lab::{Lab, done, refused};
use crate::user::{names, run};

/// Where it is unpacked to, in a folder that holds nothing else.
fn to(lab: &Lab) -> String {
    fs::create_dir_all(lab.path("out")).unwrap();
    lab.path("out/there").display().to_string()
}

/// What lies in that folder, hidden files too.
fn out(lab: &Lab) -> Vec<String> {
    names(&lab.path("out"))
}

/// The largest chunk of the first bundle's archive.
fn largest_chunk(lab: &Lab) -> PathBuf {
    let manifest = fs::read(lab.path("store/manifests/0000000001.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let archive = files.iter().find(|file| file["role"] == "archive").unwrap();
    let chunks = archive["chunks"].as_array().unwrap().iter();
    let largest = chunks
        .max_by_key(|chunk| chunk["storedSize"].as_u64())
        .unwrap();
    let digest = largest["stored"].as_str().unwrap();
    lab.path("store/chunks").join(&digest[..2]).join(digest)
}

#[test]
fn what_is_unpacked_is_listed_with_sums_that_stock_tools_check() {
    let lab = published();
    let before = everything(&lab);
    let ran = lab.populator(&["unpack", "1", "--to", &to(&lab)]);
    done(&ran);
    assert!(ran.stdout.contains("verified and unpacked"), "{ran}");
    let mut files = out(&lab);
    files.sort();
    let found: Vec<_> = files
        .iter()
        .map(|name| name.strip_prefix("there/").unwrap())
        .collect();
    assert!(
        found.contains(&"mirror_000001.tar") && found.contains(&"imageset-config.yaml"),
        "{found:?}"
    );
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(to(&lab));
    let ran = run(sums);
    done(&ran);
    assert_eq!(
        ran.stdout.lines().count(),
        found.len() - 1,
        "not every file has a sum: {ran}"
    );
    let asked = fs::read(lab.path("out/there/imageset-config.yaml")).unwrap();
    assert!(String::from_utf8(asked).unwrap().contains("apps/2:v1"));
    let mut entries = Command::new("tar");
    entries
        .args(["-tf", "mirror_000001.tar"])
        .current_dir(to(&lab));
    done(&run(entries));
    assert!(everything(&lab) == before);
}

#[test]
fn a_delta_says_which_bundle_it_needs() {
    let lab = published();
    let ran = lab.populator(&["unpack", "2", "--to", &to(&lab), "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["requires"]["sequence"], 1);
    fs::remove_dir_all(to(&lab)).unwrap();
    assert!(
        lab.populator(&["unpack", "2", "--to", &to(&lab)])
            .stdout
            .contains("it needs bundle 1")
    );
}

#[test]
fn one_role_alone_can_be_unpacked() {
    let lab = published();
    done(&lab.populator(&["unpack", "1", "--to", &to(&lab), "--role", "imageset"]));
    assert_eq!(
        out(&lab),
        ["there/SHA256SUMS", "there/imageset-config.yaml"]
    );
    let ran = lab.populator(&[
        "unpack",
        "1",
        "--to",
        &format!("{}2", to(&lab)),
        "--role",
        "extra",
    ]);
    refused(
        &ran,
        66,
        "INPUT_MISSING",
        &["bundle 1 has no files of role `extra`"],
    );
    assert_eq!(
        lab.populator(&["unpack", "1", "--to", "x", "--role", "all"])
            .status,
        64
    );
    assert_eq!(lab.populator(&["unpack", "1"]).status, 64);
}

#[test]
fn nothing_is_unpacked_over_what_is_there() {
    let lab = published();
    fs::create_dir_all(to(&lab)).unwrap();
    fs::write(lab.path("out/there/mine"), "mine").unwrap();
    let ran = lab.populator(&["unpack", "1", "--to", &to(&lab)]);
    refused(
        &ran,
        73,
        "CANNOT_CREATE",
        &["out/there` is there already", "does not exist yet"],
    );
    assert_eq!(out(&lab), ["there/mine"]);
}

#[test]
fn what_does_not_verify_is_not_unpacked_and_nothing_of_it_is_left() {
    type Spoil = fn(&Lab) -> Vec<String>;
    let spoils: [(Spoil, i32, &str); 5] = [
        (
            |lab| {
                let chunk = largest_chunk(lab);
                let mut bytes = fs::read(&chunk).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&chunk, bytes).unwrap();
                vec!["1".into()]
            },
            65,
            "CHUNK_DAMAGED",
        ),
        (
            |lab| {
                fs::remove_file(largest_chunk(lab)).unwrap();
                vec!["1".into()]
            },
            75,
            "INCOMPLETE",
        ),
        (
            |lab| {
                let manifest = lab.path("store/manifests/0000000001.json");
                let text = fs::read_to_string(&manifest).unwrap();
                fs::write(&manifest, text.replacen("full", "fuII", 1)).unwrap();
                vec!["1".into()]
            },
            77,
            "UNTRUSTED",
        ),
        (|_| vec!["3".into()], 66, "INPUT_MISSING"),
        (
            |lab| {
                let other = lab.path("other").display().to_string();
                done(&lab.bundler(&["keygen", "--out", &other]));
                vec![
                    "1".into(),
                    "--trust".into(),
                    format!("{other}/signing.pub.pem"),
                ]
            },
            77,
            "UNTRUSTED",
        ),
    ];
    for (spoil, status, id) in spoils {
        let lab = published();
        let more = spoil(&lab);
        let before = everything(&lab);
        let to = to(&lab);
        let mut arguments = vec!["unpack", "--to", &to];
        arguments.extend(more.iter().map(String::as_str));
        refused(&lab.populator(&arguments), status, id, &[]);
        assert_eq!(out(&lab), Vec::<String>::new(), "{id}");
        assert!(
            fs::read_dir(lab.path("out")).unwrap().next().is_none(),
            "{id}"
        );
        assert!(everything(&lab) == before);
    }
}
