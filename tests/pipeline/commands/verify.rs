//! `verify`: what it says, and with how little it can be asked.

use std::fs;

use super::{everything, published};
use crate::lab::{done, refused};
use crate::user::run;

#[test]
fn verify_says_what_it_checked_and_by_which_key() {
    let lab = published();
    let key = lab.bundler(&["run", "--output", "json"]).json()["keyIds"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let ran = lab.populator(&["verify"]);
    done(&ran);
    let lines: Vec<_> = ran.stdout.lines().collect();
    for (line, kind) in lines.iter().zip(["full", "delta"]) {
        for word in [
            "ok  ",
            kind,
            "archives read to their end",
            "every image whole",
            &format!("signed by {key}"),
        ] {
            assert!(line.contains(word), "no `{word}`: {ran}");
        }
    }
    for word in [
        "ok  ",
        "heartbeat, nothing changed",
        &format!("signed by {key}"),
    ] {
        assert!(lines[2].contains(word), "no `{word}`: {ran}");
    }
    assert!(
        lines[3].contains(&format!("trusted keys: {key} (threshold 1)")),
        "{ran}"
    );
    let json = lab.populator(&["verify", "2", "--output", "json"]).json();
    let row = &json["result"][0];
    assert_eq!(json["outcome"], "verified");
    assert_eq!(
        (&row["sequence"], &row["verified"], &row["signedBy"][0]),
        (&2.into(), &true.into(), &key.clone().into())
    );
    assert!(
        row["says"]
            .as_str()
            .unwrap()
            .contains("needs bundle 1 (closure not checked below it)"),
        "{row}"
    );
}

#[test]
fn an_officer_without_configuration_or_state_needs_a_drive_and_a_key() {
    let lab = published();
    let before = everything(&lab);
    for arguments in [
        &[
            "verify",
            "--store",
            "dir:store",
            "--trust",
            "keys/signing.pub.pem",
        ][..],
        &[
            "--store",
            "dir:store",
            "verify",
            "2",
            "--trust",
            "keys/signing.pub.pem",
        ],
        &[
            "list",
            "--store",
            "dir:store",
            "--trust",
            "keys/signing.pub.pem",
        ],
        &[
            "show",
            "1",
            "--store",
            "dir:store",
            "--trust",
            "keys/signing.pub.pem",
        ],
    ] {
        let mut command = lab.bare(&lab.programs().populator);
        command.args(arguments);
        let ran = run(command);
        done(&ran);
    }
    let mut command = lab.bare(&lab.programs().populator);
    command.args(["verify", "--store", "dir:store"]);
    refused(&run(command), 66, "CONFIG_MISSING", &["--config FILE"]);
    assert!(everything(&lab) == before);
}

#[test]
fn what_another_key_signed_is_not_trusted_and_that_key_is_named() {
    let lab = published();
    let key = lab.bundler(&["check", "--output", "json"]).stdout;
    let (_, key) = key.split_once("key id ").unwrap();
    let other = lab.path("other").display().to_string();
    done(&lab.bundler(&["keygen", "--out", &other]));
    let before = everything(&lab);
    let ran = lab.populator(&["verify", "--trust", &format!("{other}/signing.pub.pem")]);
    refused(
        &ran,
        77,
        "UNTRUSTED",
        &[
            "2 of 2 bundles did not pass",
            "only signatures that do not count",
            &key[..16],
        ],
    );
    assert!(
        ran.stdout
            .lines()
            .next()
            .unwrap()
            .starts_with("FAIL  bundle 1:"),
        "{ran}"
    );
    let ran = lab.populator(&["verify", "--output", "json", "--trust", &other]);
    assert_eq!(ran.status, 78, "a folder with a private key in it: {ran}");
    fs::remove_file(lab.path("other/signing.pem")).unwrap();
    let json = lab
        .populator(&["verify", "--output", "json", "--trust", &other])
        .json();
    assert_eq!(json["result"][0]["errorId"], "UNTRUSTED");
    assert!(everything(&lab) == before);
}
