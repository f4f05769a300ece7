//! Receipts: what an enclave has applied, back over the gap in one line, and what the bundler makes of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::manifest::Link;
use mimeograph_manifest::receipt::Receipt;
use mimeograph_tests::gap::Ran;

use super::everything;
use crate::lab::{Lab, done, refused};
use crate::papers::{FORMAT, block};
use crate::trouble::configure;

/// Enclave alpha writes receipts, and the bundler trusts its key.
fn with_receipts() -> Lab {
    let lab = Lab::new();
    let keys = lab.path("receipt-keys").display().to_string();
    let ran = lab.populator(&["keygen", "--out", &keys]);
    done(&ran);
    assert!(ran.stdout.contains("receipts.trustedKeys"), "{ran}");
    let ours = format!("enclave: alpha\nreceipts: {{ keyFile: {keys}/receipt.pem }}\ntrust:\n");
    configure(&lab, "disconnected", "trust:\n", &ours);
    let trusted = format!("receipts: {{ trustedKeys: [{keys}/receipt.pub.pem] }}\ntrust:\n");
    configure(&lab, "connected", "trust:\n", &trusted);
    lab
}

/// The receipts that lie on the disconnected side, oldest first.
fn receipts(lab: &Lab) -> Vec<PathBuf> {
    let folder = lab.path("disconnected/metadata/receipts");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn ack(lab: &Lab, receipt: &Path) -> Ran {
    lab.bundler(&["ack", receipt.to_str().unwrap()])
}

fn key(pem: &Path) -> SigningKey {
    SigningKey::from_pem(&fs::read_to_string(pem).unwrap()).unwrap()
}

/// A receipt of `enclave` for a published bundle, by any key.
fn forge(lab: &Lab, enclave: &str, sequence: u64, key: &SigningKey) -> PathBuf {
    let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
    let bytes = fs::read(path).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let bundle = Link {
        sequence: sequence.try_into().unwrap(),
        sha256: Digest::of(&bytes),
    };
    let stream = manifest["stream"].as_str().unwrap().parse().unwrap();
    let applied = "2026-11-24T01:49:38Z".parse().unwrap();
    let receipt = Receipt::new(enclave, stream, bundle, applied);
    write(lab, &receipt.sign(key).unwrap())
}

fn write(lab: &Lab, receipt: &str) -> PathBuf {
    let path = lab.path("a.receipt");
    fs::write(&path, receipt).unwrap();
    path
}

#[test]
fn a_receipt_goes_back_and_list_says_which_enclave_is_where() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run"]);
    done(&ran);
    let first = receipts(&lab);
    let place = format!("the receipt is in {}", first[0].display());
    assert!(ran.stdout.contains(&place), "{ran}");
    assert!(!lab.populator(&["run"]).stdout.contains("receipt"));
    let recorded = ack(&lab, &first[0]);
    done(&recorded);
    let says = "enclave alpha has applied bundle 1";
    assert!(recorded.stdout.contains(says), "{recorded}");
    let again = ack(&lab, &first[0]);
    done(&again);
    assert!(again.stdout.starts_with("nothing to do"), "{again}");
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    done(&ack(&lab, &receipts(&lab)[1]));
    let older = ack(&lab, &first[0]);
    done(&older);
    let says = "nothing is changed: this receipt of enclave alpha is for bundle 1, and it has applied bundle 2 since";
    assert!(older.stdout.contains(says), "{older}");
    let list = lab.bundler(&["list"]);
    assert!(
        list.stdout.contains("enclave alpha has applied bundle 2"),
        "{list}"
    );
    let rows = lab.bundler(&["list", "--output", "json"]).json();
    let enclaves = |row: usize| rows["result"][row]["enclaves"].clone();
    assert_eq!(enclaves(1), serde_json::json!(["alpha"]));
    assert!(enclaves(0).is_null());
}

#[test]
fn a_receipt_may_come_by_mail() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let receipt = fs::read_to_string(&receipts(&lab)[0]).unwrap();
    let mut command = lab.command(&lab.programs().bundler, "connected", &["ack", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mailed = format!("\r\n{}\r\n", receipt.trim().replace(' ', "\r\n"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(mailed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && stdout.contains("alpha has applied"),
        "{stdout}"
    );
}

#[test]
fn a_receipt_is_checked_with_nothing_but_openssl() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    fs::copy(&receipts(&lab)[0], lab.path("enclave-a.receipt")).unwrap();
    fs::copy(
        lab.path("receipt-keys/receipt.pub.pem"),
        lab.path("receipt.pub.pem"),
    )
    .unwrap();
    let by_hand = || {
        let mut command = Command::new("sh");
        let shell = [
            "-eu",
            "-c",
            block(FORMAT, "Checking a receipt by hand", "sh"),
        ];
        command
            .args(shell)
            .current_dir(lab.path("store"))
            .output()
            .unwrap()
    };
    let output = by_hand();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("\"enclave\":\"alpha\",") && stdout.contains("\"sequence\":1,"));
    let receipt = fs::read_to_string(lab.path("enclave-a.receipt")).unwrap();
    fs::write(
        lab.path("enclave-a.receipt"),
        receipt.replace("alpha", "alphb"),
    )
    .unwrap();
    assert!(!by_hand().status.success());
}

#[test]
fn what_no_trusted_populator_signed_for_this_stream_changes_nothing() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let good = fs::read_to_string(&receipts(&lab)[0]).unwrap();
    let ours = key(&lab.path("receipt-keys/receipt.pem"));
    let before = everything(&lab);
    let changed = write(&lab, &good.replace("alpha", "alphb"));
    refused(
        &ack(&lab, &changed),
        77,
        "UNTRUSTED",
        &["receipts.trustedKeys"],
    );
    refused(
        &ack(&lab, &write(&lab, "hello")),
        77,
        "UNTRUSTED",
        &["not a receipt"],
    );
    let long = write(&lab, &format!("{good}{}", " ".repeat(5000)));
    refused(
        &ack(&lab, &long),
        65,
        "STATE_DAMAGED",
        &["longer than 4096 bytes"],
    );
    // The key that signs manifests is no key for receipts.
    let other = forge(&lab, "alpha", 1, &key(&lab.path("keys/signing.pem")));
    refused(
        &ack(&lab, &other),
        77,
        "UNTRUSTED",
        &["receipts.trustedKeys"],
    );
    let of = |change: &dyn Fn(&mut Receipt)| {
        let trusted = mimeograph_manifest::trust::TrustedKeys::new(
            [ours.public()],
            std::num::NonZeroUsize::MIN,
        );
        let mut receipt = (*Receipt::verify(&good, &trusted).unwrap()).clone();
        change(&mut receipt);
        write(&lab, &receipt.sign(&ours).unwrap())
    };
    let stream = of(&|receipt| receipt.stream = "f".repeat(32).parse().unwrap());
    refused(
        &ack(&lab, &stream),
        77,
        "WRONG_STREAM",
        &["the store holds stream"],
    );
    let unknown = of(&|receipt| receipt.sequence = 9.try_into().unwrap());
    refused(&ack(&lab, &unknown), 66, "INPUT_MISSING", &["bundle 9"]);
    let other = of(&|receipt| receipt.sha256 = Digest::of(b"another"));
    refused(&ack(&lab, &other), 82, "FORK", &["another bundle 1"]);
    fs::remove_file(lab.path("a.receipt")).unwrap();
    refused(
        &ack(&lab, &lab.path("a.receipt")),
        66,
        "INPUT_MISSING",
        &["a.receipt"],
    );
    assert!(everything(&lab) == before);
    assert!(!lab.path("connected/metadata/acknowledged.json").exists());
}

#[test]
fn a_key_speaks_for_one_enclave_and_only_for_those_that_a_bundle_is_for() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    let ours = key(&lab.path("receipt-keys/receipt.pem"));
    done(&ack(&lab, &forge(&lab, "alpha", 1, &ours)));
    let stolen = forge(&lab, "beta", 1, &ours);
    refused(
        &ack(&lab, &stolen),
        77,
        "UNTRUSTED",
        &["alpha", "beta", "a receipt key of its own"],
    );
    let audience = "stream: { audience: [alpha] }\ntrust:\n";
    configure(&lab, "connected", "trust:\n", audience);
    done(&lab.bundler(&["run", "--full"]));
    let stranger = forge(&lab, "gamma", 2, &ours);
    refused(&ack(&lab, &stranger), 77, "WRONG_AUDIENCE", &["gamma"]);
    done(&ack(&lab, &forge(&lab, "alpha", 2, &ours)));
}

#[test]
fn a_bundle_can_hold_all_that_the_slowest_enclave_lacks() {
    let lab = with_receipts();
    let since = || lab.bundler(&["run", "--since-acknowledged"]);
    let requires = |sequence: u64| {
        let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        manifest["requires"]["sequence"].as_u64()
    };
    let (alpha, beta) = (
        key(&lab.path("receipt-keys/receipt.pem")),
        SigningKey::from_seed(&[7; 32]),
    );
    fs::write(
        lab.path("receipt-keys/beta.pub.pem"),
        beta.public().to_pem(),
    )
    .unwrap();
    configure(
        &lab,
        "connected",
        "receipt.pub.pem]",
        "receipt.pub.pem, receipt-keys/beta.pub.pem]",
    );
    done(&lab.bundler(&["run"]));
    refused(
        &since(),
        66,
        "INPUT_MISSING",
        &["no receipt yet of any enclave", "--full"],
    );
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    done(&ack(&lab, &forge(&lab, "alpha", 2, &alpha)));
    lab.add_image(5);
    done(&since());
    assert_eq!(requires(4), Some(2));
    done(&ack(&lab, &forge(&lab, "beta", 1, &beta)));
    done(&since());
    assert_eq!(requires(5), Some(1));
    // Once the stream is for a third one, nobody knows what that one has.
    configure(
        &lab,
        "connected",
        "trust:\n",
        "stream: { audience: [alpha, beta, gamma] }\ntrust:\n",
    );
    refused(&since(), 66, "INPUT_MISSING", &["gamma", "stream.audience"]);
    let both = lab.bundler(&["run", "--since-acknowledged", "--full"]);
    assert_eq!(both.status, 64, "{both}");
}

#[test]
fn what_an_enclave_still_needs_is_not_pruned() {
    let lab = with_receipts();
    let ours = key(&lab.path("receipt-keys/receipt.pem"));
    done(&lab.bundler(&["run"]));
    for n in 3..=5 {
        lab.add_image(n);
        done(&lab.bundler(&["run", "--full"]));
    }
    let prune = || lab.bundler(&["prune", "--keep-full", "1"]);
    let there = |sequence: u64| {
        lab.path(&format!("store/manifests/{sequence:010}.json"))
            .exists()
    };
    // Receipts are used, and the one enclave that the stream is for has said nothing.
    let audience = "stream: { audience: [alpha] }\ntrust:\n";
    configure(&lab, "connected", "trust:\n", audience);
    refused(&prune(), 66, "INPUT_MISSING", &["alpha", "stream.audience"]);
    done(&ack(&lab, &forge(&lab, "alpha", 2, &ours)));
    let ran = prune();
    done(&ran);
    assert!(ran.stdout.contains("alpha has bundle 2"), "{ran}");
    assert_eq!([1, 2, 3, 4].map(there), [false, true, true, true]);
    done(&ack(&lab, &forge(&lab, "alpha", 4, &ours)));
    done(&prune());
    assert_eq!([1, 2, 3, 4].map(there), [false, false, false, true]);
}

#[test]
fn a_populator_that_cannot_sign_receipts_says_so_before_it_loads_anything() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    let checked = lab.populator(&["check"]);
    done(&checked);
    assert!(
        checked.stdout.contains("enclave alpha, key id"),
        "{checked}"
    );
    configure(&lab, "disconnected", "enclave: alpha\n", "");
    refused(
        &lab.populator(&["run"]),
        78,
        "CONFIG_INVALID",
        &["`enclave`"],
    );
    refused(
        &lab.populator(&["check"]),
        78,
        "CONFIG_INVALID",
        &["receipts"],
    );
    configure(
        &lab,
        "disconnected",
        "receipts:",
        "enclave: alpha\nreceipts:",
    );
    fs::remove_file(lab.path("receipt-keys/receipt.pem")).unwrap();
    let words = ["receipts.keyFile", "mimeograph-populator keygen"];
    refused(&lab.populator(&["run"]), 66, "KEY_MISSING", &words);
    assert_eq!(lab.oc_mirror_calls(), 1, "only the bundler's");
    refused(&lab.bundler(&["ack", "x"]), 66, "INPUT_MISSING", &["`x`"]);
    let trusted = lab.path("receipt-keys/receipt.pub.pem");
    let trusted = format!("trustedKeys: [{}]", trusted.display());
    configure(&lab, "connected", &trusted, "trustedKeys: []");
    refused(
        &lab.bundler(&["ack", "x"]),
        78,
        "CONFIG_INVALID",
        &["receipts.trustedKeys"],
    );
}

#[test]
fn a_receipt_that_is_lost_is_written_again_by_the_next_run() {
    let lab = with_receipts();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    fs::remove_file(&receipts(&lab)[0]).unwrap();
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stdout.contains("the receipt is in"), "{ran}");
    done(&ack(&lab, &receipts(&lab)[0]));
}

#[test]
fn what_an_enclave_has_not_applied_by_its_own_word_is_not_dropped() {
    let lab = with_receipts();
    let prune = || {
        let ran = lab.bundler(&["prune", "--keep-full", "1", "--output", "json"]);
        done(&ran);
        ran.json()["result"]["bundles"].clone()
    };
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    done(&ack(&lab, &receipts(&lab)[0]));
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["run", "--full"]));
    // Bundle 2 may be on its way to the enclave, and builds on bundle 1.
    assert_eq!(prune(), serde_json::json!([]));
    done(&lab.populator(&["run"]));
    assert_eq!(prune(), serde_json::json!([]), "it has not said so yet");
    done(&ack(&lab, receipts(&lab).last().unwrap()));
    assert_eq!(prune(), serde_json::json!([1, 2]));
}
