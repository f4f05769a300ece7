//! Keys and signatures against others' work: the published edge cases of Ed25519, and stock OpenSSL.

use std::fs;

use super::{Scratch, run, try_to_run};
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::key::{Instead, KeyError, PublicKey, SigningKey};
use pem_rfc7468::LineEnding;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    message: String,
    pub_key: String,
    signature: String,
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn of_the_published_edge_cases_number_3_alone_is_accepted() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../speccheck_cases.json")).unwrap();
    assert_eq!(cases.len(), 12);
    let mut accepted = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let der = [unhex("302a300506032b6570032100"), unhex(&case.pub_key)].concat();
        let pem = pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, &der).unwrap();
        let signature = unhex(&case.signature).try_into().unwrap();
        match PublicKey::from_pem(&pem) {
            Ok(key) if key.verifies(&unhex(&case.message), &signature) => accepted.push(number),
            Ok(_) | Err(KeyError::Weak) => {}
            Err(error) => panic!("case {number}: {error}"),
        }
    }
    assert_eq!(accepted, [3]);
}

#[test]
fn openssl_reads_our_keys_and_verifies_our_signatures() {
    let scratch = Scratch::new("ours");
    let folder = scratch.path();
    let key = SigningKey::from_seed(&[42; 32]);
    let message = b"exact bytes".repeat(1000);
    fs::write(folder.join("key.pem"), key.to_pem().as_bytes()).unwrap();
    fs::write(folder.join("key.pub.pem"), key.public().to_pem()).unwrap();
    fs::write(folder.join("message"), &message).unwrap();
    fs::write(folder.join("sig"), key.sign(&message)).unwrap();

    let public = run("openssl", &["pkey", "-in", "key.pem", "-pubout"], folder);
    assert_eq!(public, key.public().to_pem());
    run(
        "openssl",
        &[
            "pkey", "-in", "key.pem", "-outform", "DER", "-out", "key.der",
        ],
        folder,
    );
    assert_eq!(fs::read(folder.join("key.der")).unwrap().len(), 48);
    run(
        "openssl",
        &[
            "pkey",
            "-pubin",
            "-in",
            "key.pub.pem",
            "-outform",
            "DER",
            "-out",
            "spki",
        ],
        folder,
    );
    assert_eq!(fs::read(folder.join("spki")).unwrap().len(), 44);
    let id = run("sha256sum", &["spki"], folder);
    assert_eq!(id, format!("{}  spki\n", key.public().id()));

    let verify = "pkeyutl -verify -pubin -inkey key.pub.pem -rawin -in message -sigfile sig";
    let verify: Vec<_> = verify.split(' ').collect();
    run("openssl", &verify, folder);
    fs::write(folder.join("message"), &message[1..]).unwrap();
    assert!(!try_to_run("openssl", &verify, folder).0);
}

#[test]
fn we_read_openssls_keys_and_verify_its_signatures() {
    let scratch = Scratch::new("openssls");
    let folder = scratch.path();
    let openssl = |line: &str| run("openssl", &line.split(' ').collect::<Vec<_>>(), folder);
    openssl("genpkey -algorithm ed25519 -out key.pem");
    openssl("pkey -in key.pem -pubout -out key.pub.pem");
    let message = b"exact bytes".repeat(1000);
    fs::write(folder.join("message"), &message).unwrap();
    openssl("pkeyutl -sign -inkey key.pem -rawin -in message -out sig");

    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (key, public) = (
        SigningKey::from_pem(&text("key.pem")).unwrap(),
        PublicKey::from_pem(&text("key.pub.pem")).unwrap(),
    );
    assert_eq!(key.public(), public);
    assert_eq!(*key.to_pem(), text("key.pem"));
    let signature: [u8; 64] = fs::read(folder.join("sig")).unwrap().try_into().unwrap();
    assert!(public.verifies(&message, &signature));
    // Ed25519 is deterministic (RFC 8032, section 5.1.6).
    assert_eq!(key.sign(&message), signature);
}

#[test]
fn keys_that_openssl_encrypts_or_makes_for_other_algorithms_are_refused() {
    let scratch = Scratch::new("others");
    let folder = scratch.path();
    let openssl = |line: &str| run("openssl", &line.split(' ').collect::<Vec<_>>(), folder);
    openssl("genpkey -algorithm ed25519 -aes256 -pass pass:word -out encrypted.pem");
    openssl("genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    openssl("genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    for (name, error) in [
        ("encrypted.pem", KeyError::Encrypted),
        ("rsa.pem", KeyError::NotPrivate(Instead::OtherKey)),
        ("ec.pem", KeyError::NotPrivate(Instead::OtherKey)),
    ] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(SigningKey::from_pem(&text).unwrap_err(), error, "{name}");
        assert_eq!(error.id(), ErrorId::KeyInvalid);
        assert_eq!(
            PublicKey::from_pem(&text),
            Err(KeyError::PrivateNotPublic),
            "{name}"
        );
    }
    for name in ["rsa", "ec"] {
        let public = openssl(&format!("pkey -in {name}.pem -pubout"));
        assert_eq!(
            PublicKey::from_pem(&public),
            Err(KeyError::NotPublic(Instead::OtherKey)),
            "{name}"
        );
    }
}
