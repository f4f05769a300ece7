//! Manifests and files that are made to measure, and signed by whoever holds a key.

use std::fs;

use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::form::Document as _;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{File, Manifest, Role};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::store::{Store, number};

/// How a signature differs from one that verifies.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Spoilt {
    /// The group's order is added to `S`: true by the equation alone (RFC 8032, section 5.1.7).
    Malleated,
    /// The sign of `R` is changed.
    NegatedR,
    /// `R` is the neutral element, of small order, and `S` is zero.
    SmallOrder,
    /// As `openssl` writes it in hexadecimal digits.
    InHex,
    /// A byte more.
    Longer,
    /// A byte less.
    Shorter,
    /// Over the digest of the manifest.
    OverDigest,
}

/// The order of edwards25519's prime subgroup, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// New values in a manifest, which stays in its form.
pub(crate) fn set(store: &Store<'_>, bytes: Vec<u8>, values: &Map<String, Value>) -> Vec<u8> {
    if values.is_empty() {
        return bytes;
    }
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for (pointer, value) in values {
        let value = store.fill(&value.to_string());
        let place = manifest.pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("no {pointer}")) = serde_json::from_str(&value).unwrap();
    }
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    manifest.to_bytes().unwrap()
}

/// Replaces in the bytes; `$1` is what the first group matched.
pub(crate) fn replace(store: &Store<'_>, bytes: Vec<u8>, all: &[(String, String)]) -> Vec<u8> {
    if all.is_empty() {
        return bytes;
    }
    let mut text = String::from_utf8(bytes).unwrap();
    for (pattern, with) in all {
        let pattern = Regex::new(&store.fill(pattern)).unwrap();
        let after = pattern.replace(&text, store.fill(with)).into_owned();
        assert!(after != text, "`{pattern}` changes nothing");
        text = after;
    }
    text.into_bytes()
}

/// Puts bytes in the place of manifest `place`, with signatures by these keys; what lay there goes.
pub(crate) fn publish(store: &Store<'_>, place: u64, bytes: &[u8], by: &[String]) {
    for path in store.matching(&format!("manifests/{}.*", number(place).padded())) {
        fs::remove_file(path).unwrap();
    }
    store.write(&format!("{{manifest:{place}}}"), bytes);
    for key in by {
        sign(store, place, key, key, None);
    }
}

/// Puts a signature over a manifest as it lies there beside it.
pub(crate) fn sign(store: &Store<'_>, bundle: u64, by: &str, named: &str, spoilt: Option<Spoilt>) {
    let payload = store.read(&format!("{{manifest:{bundle}}}"));
    let key = store.ground.key(by);
    let mut signature = key.sign(&payload).to_vec();
    match spoilt {
        None => {}
        Some(Spoilt::Malleated) => {
            let mut carry = 0;
            for (byte, more) in signature[32..].iter_mut().zip(ORDER) {
                let sum = u16::from(*byte) + u16::from(more) + carry;
                [*byte, _] = sum.to_le_bytes();
                carry = sum >> 8;
            }
        }
        Some(Spoilt::NegatedR) => signature[31] ^= 0x80,
        Some(Spoilt::SmallOrder) => {
            signature = vec![0; 64];
            signature[0] = 1;
        }
        Some(Spoilt::InHex) => {
            let digits = signature.iter().map(|b| format!("{b:02x}"));
            signature = digits.collect::<String>().into_bytes();
        }
        Some(Spoilt::Longer) => signature.push(0),
        Some(Spoilt::Shorter) => drop(signature.pop()),
        Some(Spoilt::OverDigest) => signature = key.sign(Digest::of(&payload).as_bytes()).to_vec(),
    }
    store.write(&format!("{{sig:{bundle}:{named}}}"), &signature);
}

/// The bytes of a bundle's file of this role.
pub(crate) fn content(store: &Store<'_>, manifest: &Manifest, role: Role) -> Vec<u8> {
    let (mut whole, mut room) = (Vec::new(), Vec::new());
    for chunk in &manifest.files(role).next().unwrap().chunks {
        let stored = store.read(&Key::Chunk(chunk.stored).to_string());
        whole.extend_from_slice(chunk.open(&stored, &mut room).unwrap());
    }
    whole
}

/// Gives a bundle's file another content, adds one, or takes it away.
pub(crate) fn file(
    store: &Store<'_>,
    bundle: u64,
    role: Role,
    name: Option<&str>,
    content: Option<&[u8]>,
) {
    let mut manifest = store.manifest(bundle);
    match (name, content) {
        (_, None) => manifest.files.retain(|file| file.role != role),
        (None, Some(content)) => {
            let file = manifest.files.iter_mut().find(|file| file.role == role);
            fill(store, file.unwrap(), content);
        }
        (Some(name), Some(content)) => {
            let mut file = File {
                name: store.fill(name).parse().unwrap(),
                role,
                size: 0,
                chunks: Vec::new(),
            };
            fill(store, &mut file, content);
            manifest.files.push(file);
        }
    }
    resign(store, bundle, &manifest);
}

/// Makes a file of a bundle hold these bytes.
pub(crate) fn fill(store: &Store<'_>, file: &mut File, bytes: &[u8]) {
    file.size = bytes.len() as u64;
    let pieces = bytes.chunks(32 << 20);
    file.chunks = pieces
        .map(|piece| {
            let digest = Digest::of(piece);
            store.write(&Key::Chunk(digest).to_string(), piece);
            Chunk {
                stored: digest,
                stored_size: piece.len() as u64,
                encoding: Encoding::None,
                raw: digest,
                raw_size: piece.len() as u64,
            }
        })
        .collect();
}

/// Signs a changed manifest with the key of the bundler.
pub(crate) fn resign(store: &Store<'_>, bundle: u64, manifest: &Manifest) {
    publish(
        store,
        bundle,
        &manifest.to_bytes().unwrap(),
        &["release".to_owned()],
    );
}
