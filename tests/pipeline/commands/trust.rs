//! Two people, rotation, revocation and freshness: what a security officer signs off.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use mimeograph_tests::gap::{Ran, copy_folder};

use crate::lab::{Lab, done, refused};
use crate::user::{NOBODY, as_user, run};

/// What the far side trusts: keys by the names of their folders, with what `keys.yaml` says of each.
struct Trusted<'a> {
    lab: &'a Lab,
}

impl Trusted<'_> {
    /// Makes a pair of keys; the public half lies in `NAME/signing.pub.pem`.
    fn make(&self, name: &str) -> String {
        let out = self.lab.path(name).display().to_string();
        let ran = self
            .lab
            .bundler(&["keygen", "--out", &out, "--output", "json"]);
        done(&ran);
        ran.json()["result"]["keyId"].as_str().unwrap().to_owned()
    }

    fn trust(&self, name: &str) {
        self.put("trusted", name);
    }

    fn revoke(&self, name: &str) {
        self.put("revoked", name);
    }

    fn put(&self, folder: &str, name: &str) {
        let folder = self.lab.path(folder);
        fs::create_dir_all(&folder).unwrap();
        let key = self.lab.path(name).join("signing.pub.pem");
        fs::copy(key, folder.join(format!("{name}.pub.pem"))).unwrap();
    }

    fn say(&self, about: &str) {
        fs::write(self.lab.path("trusted/keys.yaml"), about).unwrap();
    }
}

/// A far side that trusts the folder `trusted`, of which `lines` say more.
fn lab_with(lines: &str) -> Lab {
    let lab = Lab::new();
    let keys = Trusted { lab: &lab };
    keys.trust("keys");
    fs::create_dir(lab.path("revoked")).unwrap();
    set_trust(&lab, lines);
    lab
}

fn set_trust(lab: &Lab, lines: &str) {
    write_trust(lab, "disconnected.yaml", lines);
}

fn write_trust(lab: &Lab, to: &str, lines: &str) {
    let text = fs::read_to_string(lab.path("disconnected.yaml")).unwrap();
    let (before, rest) = text.split_once("trust:\n").unwrap();
    let after: Vec<_> = rest
        .lines()
        .skip_while(|line| line.starts_with(' '))
        .collect();
    let [trusted, revoked] = ["trusted", "revoked"].map(|name| lab.path(name));
    let text = format!(
        "{before}trust:\n  keys: [{}]\n  revoked: [{}]\n{lines}{}\n",
        trusted.display(),
        revoked.display(),
        after.join("\n")
    );
    fs::write(lab.path(to), text).unwrap();
}

const TWO_PEOPLE: &str = "  require: { bundler: 1, approver: 1 }\n";

/// Someone else must approve.
fn two_people(lines: &str) -> Lab {
    let lab = lab_with(&format!("{TWO_PEOPLE}{lines}"));
    let keys = Trusted { lab: &lab };
    let approver = keys.make("approver");
    keys.trust("approver");
    keys.say(&format!("keys:\n  {approver}: {{ role: approver }}\n"));
    lab
}

/// Two people, the second of whom signs inside the gap; `lines` say more.
fn with_approvals(lab: &Lab, lines: &str) {
    let folder = lab.path("approvals");
    set_trust(
        lab,
        &format!("{TWO_PEOPLE}  approvalsDir: {}\n{lines}", folder.display()),
    );
}

/// The far side trusts a new key beside the one that all is signed with; its id.
fn trusting_a_new_key(lab: &Lab) -> String {
    let keys = Trusted { lab };
    let id = keys.make("new");
    keys.trust("new");
    id
}

#[track_caller]
fn waits(lab: &Lab, loads: usize) {
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "waiting", "{ran}");
    assert!(ran.stderr.contains("role `approver`"), "{ran}");
    assert_eq!(lab.oc_mirror_calls(), loads);
}

#[track_caller]
fn applies(lab: &Lab) -> Ran {
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["outcome"], "applied", "{ran}");
    ran
}

fn private(lab: &Lab, name: &str) -> String {
    lab.path(name).join("signing.pem").display().to_string()
}

fn public(lab: &Lab, name: &str) -> String {
    lab.path(name).join("signing.pub.pem").display().to_string()
}

/// The bundler signs with another key, and its configuration says `more` of that.
fn with_key(lab: &Lab, name: &str, more: &str) {
    let file = lab.path("connected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let key = format!("{}{more}", private(lab, name));
    fs::write(&file, text.replace(&private(lab, "keys"), &key)).unwrap();
}

#[test]
fn what_one_signed_waits_until_the_other_has_approved_it() {
    let lab = two_people("");
    done(&lab.bundler(&["run"]));
    let calls = lab.oc_mirror_calls();
    waits(&lab, calls);
    let ran = lab.populator(&["verify"]);
    refused(&ran, 75, "PENDING_APPROVAL", &["1 of 2", "approver"]);
    let ran = lab.populator(&["list"]);
    assert!(ran.stdout.contains("waits"), "{ran}");
    let ran = lab.bundler(&["sign", "1", "--key", &private(&lab, "approver")]);
    done(&ran);
    assert!(
        ran.stdout.contains("apps/2") && ran.stdout.contains("signed with key"),
        "{ran}"
    );
    applies(&lab);
    // A heartbeat brings nothing, and needs the bundler alone.
    done(&lab.bundler(&["run"]));
    let ran = lab.populator(&["run", "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["newest"]["sequence"], 2, "{ran}");
    done(&lab.populator(&["verify"]));

    // Two bundlers are no approver.
    let keys = Trusted { lab: &lab };
    keys.make("another");
    keys.trust("another");
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    done(&lab.bundler(&["sign", "3", "--key", &private(&lab, "another")]));
    waits(&lab, lab.oc_mirror_calls());
}

#[test]
fn stock_openssl_approves_as_well() {
    let lab = two_people("");
    done(&lab.bundler(&["run"]));
    let [manifest, signature] = ["store/manifests/0000000001.json", "raw.sig"].map(|n| lab.path(n));
    let mut openssl = Command::new("openssl");
    openssl.args(["pkeyutl", "-sign", "-rawin", "-inkey"]);
    openssl.arg(private(&lab, "approver")).arg("-in");
    openssl.arg(&manifest).arg("-out").arg(&signature);
    assert!(openssl.status().unwrap().success());
    let short = |of: &str| of[..16].to_owned();
    let digest = mimeograph_manifest::digest::Digest::of(&fs::read(&manifest).unwrap());
    let about = fs::read_to_string(lab.path("trusted/keys.yaml")).unwrap();
    let id = about.lines().nth(1).unwrap().trim();
    let name = format!(
        "0000000001.{}.{}.sig",
        short(&digest.to_string()),
        short(id)
    );
    fs::rename(signature, lab.path("store/manifests").join(name)).unwrap();
    applies(&lab);
}

#[test]
fn an_officer_approves_inside_the_gap_without_writing_to_the_store() {
    let lab = two_people("");
    with_approvals(&lab, "");
    done(&lab.bundler(&["run"]));
    let store = crate::user::tree(&lab.path("store"));
    waits(&lab, lab.oc_mirror_calls());
    let shown = lab.populator(&["approve", "1"]);
    done(&shown);
    assert!(shown.stdout.contains("apps/2"), "{shown}");
    waits(&lab, lab.oc_mirror_calls());
    let keys = Trusted { lab: &lab };
    keys.make("stranger");
    let ran = lab.populator(&["approve", "1", "--key", &private(&lab, "stranger")]);
    refused(&ran, 78, "KEY_INVALID", &["trust.keys"]);
    done(&lab.populator(&["approve", "1", "--key", &private(&lab, "approver")]));
    assert!(crate::user::tree(&lab.path("store")) == store);
    done(&lab.populator(&["verify"]));
    applies(&lab);
    // The second copy of the state has both signatures.
    fs::remove_dir_all(lab.path("disconnected/metadata")).unwrap();
    let ran = lab.populator(&["run"]);
    done(&ran);
    assert!(ran.stdout.contains("nothing to do"), "{ran}");
}

#[test]
fn an_officer_who_is_another_user_approves_as_well() {
    let lab = two_people("");
    with_approvals(&lab, "");
    done(&lab.bundler(&["run"]));
    let approver = private(&lab, "approver");
    done(&lab.populator(&["approve", "1", "--key", &approver]));
    applies(&lab);
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    lab.let_others_in();
    let (key, folder) = (lab.path("approver"), lab.path("approvals"));
    for (path, mode) in [
        (&folder, 0o777),
        (&key, 0o755),
        (&key.join("signing.pem"), 0o644),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let arguments = ["approve", "2", "--key", &approver];
    let command = lab.command(&lab.programs().populator, "disconnected", &arguments);
    let ran = run(as_user(NOBODY, &command));
    done(&ran);
    assert!(ran.stdout.contains("against bundle 1"), "{ran}");
    applies(&lab);
}

#[test]
fn a_stolen_key_is_revoked_and_what_was_not_applied_is_signed_again() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    applies(&lab);
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    // Bundle 2 is on its way when the theft is noticed.
    let keys = Trusted { lab: &lab };
    let id = trusting_a_new_key(&lab);
    write_trust(&lab, "after.yaml", "");
    keys.revoke("keys");
    let before = lab.target.snapshot();
    let ran = lab.populator(&["run"]);
    refused(&ran, 77, "UNTRUSTED", &["bundle 2", "(revoked)"]);
    assert!(lab.target.snapshot() == before);
    // What was applied is told as before.
    let listed = lab.populator(&["list", "--output", "json"]);
    let first = &listed.json()["result"][0];
    assert_eq!(
        [&first["here"], &first["kind"]],
        ["applied", "full"],
        "{listed}"
    );
    assert_eq!(first["errorId"], "UNTRUSTED", "{listed}");
    // The bundler goes on with the new key, and believes the old one no more: what was its own is signed again.
    with_key(&lab, "new", "");
    let (new, old) = (private(&lab, "new"), public(&lab, "keys"));
    for command in [&["diff", "1", "2"][..], &["list"], &["show", "2"]] {
        let ran = lab.bundler(command);
        refused(
            &ran,
            83,
            "STATE_LOST",
            &["signing.alsoTrust", "mimeograph-bundler sign"],
        );
        done(&lab.bundler(&[command, &["--trust", &old]].concat()));
    }
    for bundle in ["1", "2"] {
        done(&lab.bundler(&["sign", bundle, "--trust", &old, "--key", &new]));
    }
    let ran = applies(&lab);
    assert_eq!(ran.json()["keyIds"][0], id.as_str(), "{ran}");
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    applies(&lab);
    // Also with its volume lost.
    fs::remove_dir_all(lab.path("connected")).unwrap();
    lab.add_image(5);
    done(&lab.bundler(&["run"]));
    applies(&lab);
    let ran = lab.populator(&["trust"]);
    done(&ran);
    assert!(ran.stdout.contains("REVOKED"), "{ran}");
}

#[test]
fn a_window_ends_by_what_was_signed_and_begins_by_the_clock() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    let keys = Trusted { lab: &lab };
    let ran = lab.populator(&["trust", "--output", "json"]);
    let id = ran.json()["result"]["keys"][0]["id"].clone();
    let id = id.as_str().unwrap();
    keys.say(&format!(
        "keys:\n  {id}: {{ role: bundler, notAfter: 2026-01-01T00:00:00Z }}\n"
    ));
    let ran = lab.populator(&["run"]);
    refused(&ran, 77, "UNTRUSTED", &["not valid for what is made after"]);
    keys.say(&format!(
        "keys:\n  {id}: {{ role: bundler, notBefore: 2999-01-01T00:00:00Z }}\n"
    ));
    let ran = lab.populator(&["run"]);
    refused(&ran, 77, "UNTRUSTED", &["not valid before"]);
    keys.say(&format!(
        "keys:\n  {id}: {{ role: bundler, notAfter: 2999-01-01T00:00:00Z }}\n"
    ));
    applies(&lab);
}

#[test]
fn trust_says_what_a_change_would_do_before_it_is_made() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    let keys = Trusted { lab: &lab };
    let approver = keys.make("approver");
    keys.trust("approver");
    keys.say(&format!("keys:\n  {approver}: {{ role: approver }}\n"));
    write_trust(&lab, "after.yaml", TWO_PEOPLE);
    let after = lab.path("after.yaml").display().to_string();
    let ran = lab.populator(&["trust", "--after", &after]);
    done(&ran);
    let says = ["bundle 1 (new here): accepted", "after the change: waits"];
    assert!(says.iter().all(|says| ran.stdout.contains(says)), "{ran}");
    // What nobody could ever meet is shown before it is made, too.
    keys.say("keys: {}\n");
    let ran = lab.populator(&["trust", "--after", &after]);
    done(&ran);
    let says =
        "note  after the change: every run ends with [CONFIG_INVALID]: `trust.require.approver`";
    assert!(ran.stdout.contains(says), "{ran}");
    applies(&lab);
    let ran = lab.populator(&["trust"]);
    assert!(ran.stdout.contains("(applied here, and stays so)"), "{ran}");
}

#[test]
fn silence_for_longer_than_is_allowed_is_an_error_of_its_own() {
    let lab = lab_with("  maxAge: 1h\n");
    done(&lab.bundler(&["run"]));
    applies(&lab);
    set_trust(&lab, "  maxAge: 1s\n");
    std::thread::sleep(std::time::Duration::from_secs(2));
    for command in ["run", "verify"] {
        let ran = lab.populator(&[command]);
        refused(&ran, 79, "STALE", &["trust.maxAge"]);
    }
    // What is new is applied all the same.
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    std::thread::sleep(std::time::Duration::from_secs(2));
    refused(&lab.populator(&["run"]), 79, "STALE", &["trust.maxAge"]);
    let image = lab.target.digest_of("mirror/apps/3", "v1");
    assert!(image.is_some());
}

#[test]
fn a_key_that_is_changed_in_good_order_goes_on_with_its_stream() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    applies(&lab);
    trusting_a_new_key(&lab);
    let old = public(&lab, "keys");
    with_key(&lab, "new", &format!("\n  alsoTrust: [{old}]"));
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    applies(&lab);
}

#[test]
fn an_approver_is_shown_the_change_against_what_was_let_pass() {
    let lab = two_people("");
    with_approvals(&lab, "");
    let approver = private(&lab, "approver");
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["approve", "1", "--key", &approver]));
    applies(&lab);
    // Nobody has seen bundle 2; bundle 3 holds the same, and an extra file.
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    let extra = lab.path("tool");
    fs::write(&extra, "#!/bin/sh\n").unwrap();
    let file = lab.path("connected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let more = format!("artefacts:\n  extraFiles: [{}]\n", extra.display());
    fs::write(&file, text.replace("artefacts:\n", &more)).unwrap();
    done(&lab.bundler(&["run", "--full"]));
    let shown = lab.populator(&["approve", "3"]);
    done(&shown);
    for says in ["against bundle 1", "apps/3", "extra tool", "2 before it"] {
        assert!(shown.stdout.contains(says), "{says}: {shown}");
    }
    let shown = lab.bundler(&["sign", "3", "--key", &approver]);
    done(&shown);
    assert!(shown.stdout.contains("look at it, too"), "{shown}");
    // What the same person has signed is known to him: 3 is compared with 2 then.
    done(&lab.bundler(&["sign", "2", "--key", &approver]));
    let shown = lab.bundler(&["sign", "3", "--key", &approver]);
    assert!(!shown.stdout.contains("look at it, too"), "{shown}");
    // The store is emptied behind a diode: what was applied here is known here.
    let manifests = lab.path("store/manifests");
    for name in crate::user::names(&manifests) {
        if !name.starts_with("0000000003") {
            fs::remove_file(manifests.join(name)).unwrap();
        }
    }
    let shown = lab.populator(&["approve", "3"]);
    done(&shown);
    assert!(
        shown.stdout.contains("the last that was applied here"),
        "{shown}"
    );
}

#[test]
fn an_approval_that_would_not_count_is_refused() {
    let lab = two_people("");
    with_approvals(&lab, "");
    done(&lab.bundler(&["run"]));
    let keys = Trusted { lab: &lab };
    let about = fs::read_to_string(lab.path("trusted/keys.yaml")).unwrap();
    keys.say(&about.replace("approver }", "approver, notAfter: 2026-01-01T00:00:00Z }"));
    let approve = ["approve", "1", "--key", &private(&lab, "approver")];
    refused(
        &lab.populator(&approve),
        78,
        "KEY_INVALID",
        &["not valid for what is made after 2026-01-01T00:00:00Z"],
    );
    assert!(!lab.path("approvals").exists());
    keys.say(&about);
    with_approvals(&lab, &format!("  stream: {}\n", "0".repeat(32)));
    refused(&lab.populator(&approve), 77, "WRONG_STREAM", &["bundle 1"]);
    with_approvals(&lab, "");
    let ran = lab.populator(&approve);
    done(&ran);
    assert!(ran.stdout.contains("all signatures that it needs"), "{ran}");
    // Its own signature again is not one more.
    let keys_only = ["approve", "1", "--key", &private(&lab, "keys")];
    done(&lab.populator(&keys_only));
}

#[test]
fn a_revoked_key_counts_no_more_whatever_its_file_is_called_and_junk_is_no_key() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    trusting_a_new_key(&lab);
    let stolen = lab.path("revoked/stolen.txt");
    fs::copy(public(&lab, "keys"), &stolen).unwrap();
    refused(&lab.populator(&["run"]), 77, "UNTRUSTED", &["(revoked)"]);
    fs::write(&stolen, "the key of the laptop\n").unwrap();
    refused(&lab.populator(&["run"]), 78, "KEY_INVALID", &["stolen.txt"]);
    fs::remove_file(&stolen).unwrap();
    std::os::unix::fs::symlink("nowhere", &stolen).unwrap();
    refused(
        &lab.populator(&["run"]),
        66,
        "INPUT_MISSING",
        &["stolen.txt"],
    );
    // What a ConfigMap has besides.
    fs::remove_file(&stolen).unwrap();
    fs::create_dir(lab.path("revoked/..data")).unwrap();
    applies(&lab);
}

#[test]
fn a_false_heartbeat_stands_in_the_way_until_its_key_is_revoked() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    applies(&lab);
    let keys = Trusted { lab: &lab };
    trusting_a_new_key(&lab);
    // What a thief of the key published: the true stream has another bundle 2.
    let [store, volume, aside] = ["store", "connected", "aside"].map(|name| lab.path(name));
    fs::create_dir(&aside).unwrap();
    mimeograph_tests::gap::copy_folder(&store, &aside.join("store")).unwrap();
    mimeograph_tests::gap::copy_folder(&volume, &aside.join("connected")).unwrap();
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    for (there, kept) in [(&store, "store"), (&volume, "connected")] {
        fs::remove_dir_all(there).unwrap();
        mimeograph_tests::gap::copy_folder(&aside.join(kept), there).unwrap();
    }
    lab.add_image(3);
    with_key(&lab, "new", "");
    let (new, old) = (private(&lab, "new"), public(&lab, "keys"));
    done(&lab.bundler(&["sign", "1", "--trust", &old, "--key", &new]));
    done(&lab.bundler(&["run"]));
    refused(&lab.populator(&["run"]), 82, "FORK", &["bundle 2"]);
    keys.revoke("keys");
    let ran = applies(&lab);
    assert!(ran.stderr.contains("it counts no more"), "{ran}");
}

#[test]
fn what_is_unpacked_or_verified_by_number_is_of_the_stream_that_is_pinned() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    set_trust(&lab, &format!("  stream: {}\n", "0".repeat(32)));
    let to = lab.path("unpacked").display().to_string();
    for command in [&["verify", "1"][..], &["unpack", "1", "--to", &to]] {
        refused(&lab.populator(command), 77, "WRONG_STREAM", &["bundle 1"]);
    }
    assert!(!lab.path("unpacked").exists());
}

/// Another bundle 2 than the one that was applied, signed by the same key.
fn forked() -> Lab {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    let parts = ["store", "connected"];
    for part in parts {
        copy_folder(&lab.path(part), &lab.path(&format!("{part}-1"))).unwrap();
    }
    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    applies(&lab);
    for part in parts {
        fs::remove_dir_all(lab.path(part)).unwrap();
        fs::rename(lab.path(&format!("{part}-1")), lab.path(part)).unwrap();
    }
    lab.add_image(4);
    done(&lab.bundler(&["run"]));
    lab
}

#[test]
fn what_was_applied_is_told_by_the_ledger_not_by_the_store() {
    let lab = forked();
    let applied = |ran: &Ran| ran.json()["result"][1].clone();
    let theirs = applied(&lab.bundler(&["list", "--output", "json"]));
    let ours = applied(&lab.populator(&["list", "--output", "json"]));
    assert_eq!([&ours["here"], &ours["errorId"]], ["applied", "FORK"]);
    let [ours, theirs] = [ours, theirs].map(|row| row["sha256"].as_str().unwrap().to_owned());
    assert_ne!(ours, theirs);
    let listed = lab.populator(&["list"]);
    assert!(
        listed.stdout.contains(&format!("{ours}  [FORK] DIFFERS")),
        "{listed}"
    );
    assert!(listed.stdout.contains(&theirs), "{listed}");
    let told = lab.populator(&["trust"]);
    assert!(
        told.stdout.contains("and stays so): REFUSED: DIFFERS"),
        "{told}"
    );
    for command in [&["show", "2"][..], &["check"], &["plan"], &["run"]] {
        refused(&lab.populator(command), 82, "FORK", &[]);
    }
    // Its manifest may be gone altogether.
    for name in crate::user::names(&lab.path("store/manifests")) {
        if name.starts_with("0000000002") {
            fs::remove_file(lab.path("store/manifests").join(name)).unwrap();
        }
    }
    let listed = lab.populator(&["list"]);
    let says = format!("applied   {ours}  [INPUT_MISSING] it is not in the store");
    assert!(listed.stdout.contains(&says), "{listed}");
}

#[test]
fn check_and_plan_say_what_a_run_would_say_of_the_stream() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["check"]));
    set_trust(&lab, &format!("  stream: {}\n", "0".repeat(32)));
    refused(&lab.populator(&["check"]), 77, "WRONG_STREAM", &[]);
    set_trust(&lab, "  maxAge: 1s\n");
    std::thread::sleep(std::time::Duration::from_secs(2));
    refused(&lab.populator(&["check"]), 79, "STALE", &[]);
    set_trust(&lab, "  maxAge: 0s\n");
    refused(
        &lab.populator(&["check"]),
        78,
        "CONFIG_INVALID",
        &["trust.maxAge", "0s"],
    );
    let lab = two_people("");
    done(&lab.bundler(&["run"]));
    let planned = lab.populator(&["plan", "--output", "json"]);
    done(&planned);
    let waiting = &planned.json()["result"]["waiting"][0];
    assert_eq!(waiting["sequence"], 1, "{planned}");
    let planned = lab.populator(&["plan"]);
    let says = [
        "waiting for bundle 1",
        "role `approver`",
        "nothing to do yet",
    ];
    assert!(
        says.iter().all(|says| planned.stdout.contains(says)),
        "{planned}"
    );
}

#[test]
fn a_damaged_approval_does_not_hide_the_signature_in_the_store() {
    let lab = two_people("");
    with_approvals(&lab, "");
    done(&lab.bundler(&["run"]));
    fs::create_dir(lab.path("approvals")).unwrap();
    for name in crate::user::names(&lab.path("store/manifests")) {
        if Path::new(&name).extension().is_some_and(|end| end == "sig") {
            fs::write(lab.path("approvals").join(name), [7; 64]).unwrap();
        }
    }
    let approver = private(&lab, "approver");
    let ran = lab.populator(&["approve", "1", "--key", &approver, "--output", "json"]);
    done(&ran);
    assert_eq!(ran.json()["result"]["role"], "approver", "{ran}");
    assert!(ran.json()["result"]["lacks"].is_null(), "{ran}");
    applies(&lab);
}

#[test]
fn keys_yaml_under_a_name_like_it_is_told_of() {
    let lab = lab_with("");
    done(&lab.bundler(&["run"]));
    fs::write(lab.path("trusted/keys.yml"), "keys: {}\n").unwrap();
    refused(
        &lab.populator(&["run"]),
        78,
        "KEY_INVALID",
        &["keys.yml", "`keys.yaml` alone"],
    );
}
