//! The state's copy counts by its own signatures alone: what somebody else wrote into it does not count.
#![expect(clippy::unwrap_used, reason = "a test helper outside a test function")]

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;

use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::inventory::{Inventory, Structure};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{
    File, Generation, Kind, Link, Manifest, Producer, Role, TYPE as MANIFEST,
};
use mimeograph_manifest::name::StreamId;
use mimeograph_manifest::signed::{FoundSignature, Signed, Verified};
use mimeograph_manifest::state::{Document, StateError, TYPE, Wanted};
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::{Resolved, Wish};
use serde_json::Value;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn trusting(n: u8) -> TrustedKeys {
    TrustedKeys::new([key(n).public()], NonZeroUsize::MIN)
}

fn stream(n: u8) -> StreamId {
    StreamId::from_bytes([n; 16])
}

fn file(name: &str, role: Role, bytes: &[u8]) -> File {
    let (raw, raw_size) = (Digest::of(bytes), bytes.len() as u64);
    let chunk = Chunk {
        stored: raw,
        stored_size: raw_size,
        encoding: Encoding::None,
        raw,
        raw_size,
    };
    File {
        name: name.parse().unwrap(),
        role,
        size: raw_size,
        chunks: vec![chunk],
    }
}

fn manifest(sequence: u64, kind: Kind, of: StreamId, inventory: &[u8]) -> Manifest {
    let before = |number: u64| Link {
        sequence: number.try_into().unwrap(),
        sha256: Digest::of(&number.to_le_bytes()),
    };
    let files = match kind {
        Kind::Heartbeat => Vec::new(),
        _ => vec![
            file("mirror_000001.tar", Role::Archive, b"archive"),
            file("imageset.yaml", Role::Imageset, b"image set"),
            file("inventory.json", Role::Inventory, inventory),
        ],
    };
    Manifest {
        r#type: MANIFEST.to_owned(),
        stream: of,
        name: "test".to_owned(),
        audience: Vec::new(),
        sequence: sequence.try_into().unwrap(),
        kind,
        previous: (sequence > 1).then(|| before(sequence - 1)),
        requires: (kind != Kind::Full).then(|| before(sequence - 1)),
        created: "2026-11-24T01:49:38Z".parse().unwrap(),
        expires: "2027-11-24T01:49:38Z".parse().unwrap(),
        producer: Producer {
            mimeograph: "0.1.0".to_owned(),
            oc_mirror: "4.20.0".to_owned(),
            oc_mirror_sha256: Digest::of(b"oc-mirror"),
            generation: Generation::V2,
            flags: Vec::new(),
        },
        incomplete: Vec::new(),
        local_dir: "/mimeograph/local".to_owned(),
        files,
        annotations: BTreeMap::new(),
    }
}

fn verified(manifest: &Manifest, by: u8) -> Verified<Manifest> {
    let sealed = Signed::sign(manifest, &key(by)).unwrap();
    let found = FoundSignature {
        manifest: sealed.digest.short(),
        signer: key(by).public().id().short(),
        bytes: sealed.signature.1.to_vec(),
    };
    Signed::<Manifest>::new(manifest.sequence, sealed.payload, vec![found])
        .verify(&trusting(by))
        .unwrap()
}

fn image(n: u8) -> Resolved {
    Resolved {
        reference: format!("r.example.com/apps/{n}:v1"),
        repository: format!("apps/{n}"),
        tag: "v1".to_owned(),
        digest: Digest::of(&[n]),
    }
}

fn inventory() -> Vec<u8> {
    let wish = Wish {
        images: vec![image(1), image(2)],
        ..Wish::default()
    };
    Inventory::new(Structure::default(), wish)
        .to_bytes()
        .unwrap()
}

fn destination(n: u8) -> Wanted {
    Wanted {
        repository: format!("mirror/apps/{n}"),
        tag: "v1".to_owned(),
        digest: Digest::of(&[n]),
    }
}

/// What key 1 signed for stream 1: a full bundle 6 and a heartbeat 7.
fn document(destinations: Vec<Wanted>) -> Document {
    let inventory = inventory();
    let content = verified(&manifest(6, Kind::Full, stream(1), &inventory), 1);
    let heartbeat = verified(&manifest(7, Kind::Heartbeat, stream(1), &[]), 1);
    Document::new(&content, &inventory, Some(&heartbeat), destinations).unwrap()
}

/// The two lines of JSON that are kept, changed, and compressed again.
fn changed(document: &Document, change: impl FnOnce(&mut [Value; 2])) -> Vec<u8> {
    let json = zstd::decode_all(&*document.to_bytes().unwrap()).unwrap();
    let mut lines = json.split(|byte| *byte == b'\n');
    let mut both = [(); 2].map(|()| serde_json::from_slice(lines.next().unwrap()).unwrap());
    change(&mut both);
    let lines = both.map(|line| format!("{line}\n")).concat();
    zstd::encode_all(lines.as_bytes(), 3).unwrap()
}

fn refusal(bytes: &[u8], of: u8, by: u8) -> StateError {
    let document = Document::from_bytes(bytes);
    let verified = document.and_then(|document| document.verify(&stream(of), &trusting(by)));
    verified.map(drop).unwrap_err()
}

#[test]
fn what_was_signed_comes_back_byte_for_byte() {
    let destinations = vec![destination(1), destination(2)];
    let written = document(destinations.clone());
    let read = Document::from_bytes(&written.to_bytes().unwrap()).unwrap();
    assert_eq!(read, written);
    let copy = read.verify(&stream(1), &trusting(1)).unwrap();
    assert_eq!(copy.content.sequence.number(), 6);
    assert_eq!(copy.heartbeat.unwrap().sequence.number(), 7);
    assert_eq!(copy.inventory_bytes, inventory());
    assert_eq!(copy.inventory.wish.images.len(), 2);
    assert_eq!(copy.destinations, destinations);
    // What was read can be written again, with a later heartbeat.
    let later = verified(&manifest(8, Kind::Heartbeat, stream(1), &[]), 1);
    let again = Document::new(&copy.content, &copy.inventory_bytes, None, destinations).unwrap();
    let again = again.with_heartbeat(&later).unwrap();
    let copy = again.verify(&stream(1), &trusting(1)).unwrap();
    assert_eq!(copy.heartbeat.unwrap().sequence.number(), 8);
}

#[test]
fn a_foreign_key_or_another_stream_does_not_count() {
    let bytes = document(Vec::new()).to_bytes().unwrap();
    assert_eq!(refusal(&bytes, 1, 2).id(), ErrorId::Untrusted);
    let error = refusal(&bytes, 2, 1);
    assert!(matches!(error, StateError::Misplaced(_)), "{error}");
}

#[test]
fn every_part_is_checked_by_its_own_signature() {
    let bump = |text: &mut Value| {
        let changed = text.as_str().unwrap().replace("2027-", "2028-");
        *text = changed.into();
    };
    let document = document(Vec::new());
    let content = changed(&document, |[json, _]| {
        bump(&mut json["content"]["manifest"]);
    });
    assert_eq!(refusal(&content, 1, 1).id(), ErrorId::Untrusted);
    let heartbeat = changed(&document, |[_, heartbeat]| bump(&mut heartbeat["manifest"]));
    assert_eq!(refusal(&heartbeat, 1, 1).id(), ErrorId::Untrusted);
    let signature = changed(&document, |[json, _]| {
        json["content"]["signatures"][0]["signature"] = "no base64".into();
    });
    assert_eq!(refusal(&signature, 1, 1).id(), ErrorId::Untrusted);
    let inventory = changed(&document, |[json, _]| {
        let text = json["inventory"]
            .as_str()
            .unwrap()
            .replace("apps/1", "apps/9");
        json["inventory"] = text.into();
    });
    let error = refusal(&inventory, 1, 1);
    assert!(error.to_string().contains("another inventory"), "{error}");
}

#[test]
fn a_bundle_and_a_heartbeat_cannot_change_places() {
    let document = document(Vec::new());
    let swapped = changed(&document, |[json, heartbeat]| {
        std::mem::swap(&mut json["content"], heartbeat);
    });
    assert!(refusal(&swapped, 1, 1).to_string().contains("in place of"));
    let doubled = changed(&document, |[json, heartbeat]| {
        *heartbeat = json["content"].clone();
    });
    assert!(refusal(&doubled, 1, 1).to_string().contains("in place of"));
}

#[test]
fn destinations_count_only_for_what_was_signed_and_only_where_none_is_missing() {
    let destinations_of = |destinations: Vec<Wanted>| {
        let copy = document(destinations).verify(&stream(1), &trusting(1));
        copy.unwrap().destinations
    };
    let all = vec![destination(1), destination(2)];
    let more = vec![destination(1), destination(2), destination(3)];
    assert_eq!(destinations_of(more), all);
    assert_eq!(destinations_of(vec![destination(1)]), []);
    assert_eq!(destinations_of(Vec::new()), []);
}

#[test]
fn a_later_version_is_named_and_nothing_else_of_it_is_read() {
    let document = document(Vec::new());
    let later = TYPE.replace("v1", "v2");
    let newer = changed(&document, |[json, _]| {
        *json = serde_json::json!({ "type": later, "anything": [] });
    });
    assert_eq!(refusal(&newer, 1, 1).id(), ErrorId::TooNew);
    let other = changed(&document, |[json, _]| json["type"] = "text/plain".into());
    assert_eq!(refusal(&other, 1, 1).id(), ErrorId::StateDamaged);
    let unknown = changed(&document, |[json, _]| json["more"] = 1.into());
    assert_eq!(refusal(&unknown, 1, 1).id(), ErrorId::StateDamaged);
}

#[test]
fn what_is_damaged_or_would_unfold_beyond_the_limit_is_refused() {
    let bytes = document(Vec::new()).to_bytes().unwrap();
    let cut = &bytes[..bytes.len() / 2];
    assert_eq!(refusal(cut, 1, 1).id(), ErrorId::StateDamaged);
    assert_eq!(refusal(b"", 1, 1).id(), ErrorId::StateDamaged);
    let spaces = io::repeat(b' ').take(limits::STATE_SIZE + 1);
    let bomb = zstd::encode_all(spaces, 1).unwrap();
    assert!(bomb.len() < 1 << 20);
    let error = refusal(&bomb, 1, 1);
    assert!(matches!(error, StateError::TooLong(_)), "{error}");
}
