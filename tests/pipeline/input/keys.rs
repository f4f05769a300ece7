//! Key files that are not what they must be, and those that `keygen` makes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_tests::gap::Ran;

use crate::lab::{Lab, done, refused};
use crate::user::{NOBODY, as_user, run, tree};

/// Runs stock OpenSSL.
#[track_caller]
fn openssl(arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments);
    let ran = run(command);
    done(&ran);
    ran.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Both files that keys are read from.
fn key_files(lab: &Lab) -> [PathBuf; 2] {
    [
        lab.path("keys/signing.pem"),
        lab.path("keys/signing.pub.pem"),
    ]
}

/// What the two programs say at once to the keys as they are, having touched nothing.
#[track_caller]
fn refused_by_both(lab: &Lab, status: i32, id: &str, words: [&[&str]; 2]) {
    let before = tree(&lab.path("."));
    refused(&lab.bundler(&["run"]), status, id, words[0]);
    refused(&lab.populator(&["run"]), status, id, words[1]);
    assert_eq!(tree(&lab.path(".")), before);
}

#[test]
fn missing_keys_are_named_by_file_and_field_and_with_the_command_that_makes_them() {
    let lab = Lab::new();
    for file in key_files(&lab) {
        fs::remove_file(file).unwrap();
    }
    let remedy = "`mimeograph-bundler keygen --out DIR`";
    refused_by_both(
        &lab,
        66,
        "KEY_MISSING",
        [
            &[
                "connected.yaml:",
                "`signing.keyFile` is `",
                "keys/signing.pem`, which is not there",
                remedy,
            ],
            &[
                "disconnected.yaml:",
                "`trust.keys[0]` is `",
                "keys/signing.pub.pem`, which is not there",
                remedy,
            ],
        ],
    );
}

#[test]
fn a_key_that_is_none_is_named_and_the_form_that_it_must_have() {
    let lab = Lab::new();
    let rsa = lab.path("rsa.pem");
    let rsa_public = lab.path("rsa.pub.pem");
    openssl(&[
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        text(&rsa),
    ]);
    openssl(&[
        "pkey",
        "-in",
        text(&rsa),
        "-pubout",
        "-out",
        text(&rsa_public),
    ]);
    let [private, public] = key_files(&lab);
    let good = fs::read(&private).unwrap();
    let rsa = [fs::read(rsa).unwrap(), fs::read(rsa_public).unwrap()];
    let garbage = [b"garbage\n".to_vec(), b"\xff\xfe\0".to_vec()];
    let empty = [Vec::new(), Vec::new()];
    let cut = [
        good[..60].to_vec(),
        fs::read(&public).unwrap()[..60].to_vec(),
    ];
    for [first, second] in [rsa, garbage, empty, cut] {
        fs::write(&private, first).unwrap();
        fs::write(&public, second).unwrap();
        refused_by_both(
            &lab,
            78,
            "KEY_INVALID",
            [
                &[
                    "keys/signing.pem` cannot be used",
                    "not an Ed25519 private key in PKCS#8 PEM",
                    "keygen --out DIR",
                ],
                &[
                    "keys/signing.pub.pem` cannot be used",
                    "not an Ed25519 public key",
                    "keygen --out DIR",
                ],
            ],
        );
    }
    fs::write(&private, vec![b'x'; 1 << 20]).unwrap();
    let ran = lab.bundler(&["run"]);
    refused(
        &ran,
        78,
        "KEY_INVALID",
        &["keys/signing.pem", "longer than"],
    );
}

#[test]
fn one_half_of_a_pair_in_the_place_of_the_other_is_refused() {
    let lab = Lab::new();
    let [private, public] = key_files(&lab);
    let bytes = [&private, &public].map(|path| fs::read(path).unwrap());
    fs::write(&private, &bytes[1]).unwrap();
    fs::write(&public, &bytes[0]).unwrap();
    refused_by_both(
        &lab,
        78,
        "KEY_INVALID",
        [
            &[
                "keys/signing.pem` cannot be used",
                "a public key where the private one belongs",
            ],
            &[
                "keys/signing.pub.pem` cannot be used",
                "a private key where a public key belongs",
                "treat it as stolen",
            ],
        ],
    );
}

#[test]
fn keys_that_we_may_not_read_are_told_apart_from_missing_ones() {
    let lab = Lab::new();
    lab.let_others_in();
    for (file, program, side) in [
        ("keys/signing.pem", &lab.programs().bundler, "connected"),
        (
            "keys/signing.pub.pem",
            &lab.programs().populator,
            "disconnected",
        ),
    ] {
        fs::set_permissions(lab.path("keys"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(lab.path(file), fs::Permissions::from_mode(0o000)).unwrap();
        let mut look = lab.bare(Path::new("cat"));
        look.arg(lab.path(file));
        assert_ne!(run(as_user(NOBODY, &look)).status, 0, "it can be read");
        let command = lab.command(program, side, &["run"]);
        let words = [
            file,
            "Permission denied",
            &format!("closed to uid {NOBODY}, which this runs as"),
        ];
        refused(&run(as_user(NOBODY, &command)), 66, "INPUT_MISSING", &words);
        fs::set_permissions(lab.path("keys"), fs::Permissions::from_mode(0o000)).unwrap();
        let closed = format!("closed to uid {NOBODY}, which this runs as");
        let words = [file, "which cannot be reached", &closed];
        refused(&run(as_user(NOBODY, &command)), 66, "KEY_MISSING", &words);
    }
}

#[test]
fn a_signing_key_that_everyone_can_open_is_warned_of() {
    let lab = Lab::new();
    let [private, _] = key_files(&lab);
    let warned = |ran: &Ran| {
        ran.stderr.lines().any(|line| {
            line.contains("WARN") && line.contains("signing.pem") && line.contains("chmod o-rwx")
        })
    };
    assert!(!warned(&lab.bundler(&["check"])));
    fs::set_permissions(&private, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(!warned(&lab.bundler(&["check"])));
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["check", "run"] {
        let ran = lab.bundler(&[command]);
        done(&ran);
        assert!(warned(&ran), "{ran}");
    }
}

#[test]
fn a_threshold_that_the_keys_cannot_meet_is_refused_at_once() {
    let lab = Lab::new();
    let file = lab.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let public = lab.path("keys/signing.pub.pem").display().to_string();
    let twice = text
        .replace("trust:\n", "trust:\n  threshold: 2\n")
        .replace("keys: [", &format!("keys: [{public}, "));
    fs::write(&file, twice).unwrap();
    for command in ["run", "verify", "list"] {
        let words = [
            "`trust.threshold` is `2`",
            "`trust.keys` holds one key",
            "add the public keys",
        ];
        refused(&lab.populator(&[command]), 78, "CONFIG_INVALID", &words);
    }
}

#[test]
fn a_folder_without_keys_trusts_no_one_and_is_refused() {
    let lab = Lab::new();
    done(&lab.bundler(&["run"]));
    let empty = lab.path("empty").display().to_string();
    fs::create_dir(&empty).unwrap();
    for command in ["verify", "list"] {
        let ran = lab.populator(&[command, "--trust", &empty]);
        refused(&ran, 66, "KEY_MISSING", &[&empty, "`*.pub.pem`"]);
    }
    let ran = lab.populator(&[
        "verify",
        "--trust",
        &lab.path("gone.pem").display().to_string(),
    ]);
    refused(&ran, 66, "INPUT_MISSING", &["gone.pem"]);
}

#[test]
fn keygen_makes_files_that_stock_openssl_reads_and_never_writes_over_any() {
    let lab = Lab::new();
    let out = lab.path("new/keys").display().to_string();
    let ran = lab.bundler(&["keygen", "--out", &out]);
    done(&ran);
    let [private, public] =
        ["new/keys/signing.pem", "new/keys/signing.pub.pem"].map(|name| lab.path(name));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&private), mode(&public)), (0o600, 0o644));
    assert_eq!(
        openssl(&["pkey", "-in", text(&private), "-pubout"]),
        fs::read_to_string(&public).unwrap()
    );
    assert!(
        openssl(&["pkey", "-pubin", "-in", text(&public), "-noout", "-text"]).contains("ED25519")
    );
    let before = tree(&lab.path("new"));
    let ran = lab.bundler(&["keygen", "--out", &out]);
    let words = [
        "is there already",
        "keys are not overwritten",
        "another directory",
    ];
    refused(&ran, 73, "CANNOT_CREATE", &words);
    assert_eq!(tree(&lab.path("new")), before);
    // One of the two is enough.
    fs::remove_file(&public).unwrap();
    let ran = lab.bundler(&["keygen", "--out", &out]);
    refused(
        &ran,
        73,
        "CANNOT_CREATE",
        &["signing.pem` is there already"],
    );
    assert!(!public.exists() && fs::read(&private).unwrap() == before[&private].bytes);
    fs::rename(&private, &public).unwrap();
    let ran = lab.bundler(&["keygen", "--out", &out]);
    refused(
        &ran,
        73,
        "CANNOT_CREATE",
        &["signing.pub.pem` is there already"],
    );
    assert!(!private.exists());
}

#[test]
fn keys_of_stock_openssl_serve_as_well() {
    let lab = Lab::new();
    let [private, public] = key_files(&lab);
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&private)]);
    openssl(&[
        "pkey",
        "-in",
        text(&private),
        "-pubout",
        "-out",
        text(&public),
    ]);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["verify"]));
}
