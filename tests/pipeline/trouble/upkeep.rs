//! What the tests of retention, of the store's upkeep and of two bundlers share.

use std::collections::BTreeSet;
use std::fs;

use mimeograph_tests::gap::Ran;
use mimeograph_tests::registry::gzip;

use super::GOOD;
use crate::lab::{Lab, done};
use crate::user::run;

/// A layer that no other number gives, large enough to be chunks of its own.
pub(crate) fn large(n: u8) -> Vec<u8> {
    let mut state = u64::from(n) * 2 + 1;
    let mut bytes = Vec::new();
    while bytes.len() < 1_200_000 {
        // xorshift64* (Marsaglia 2003, Vigna 2016)
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    gzip(&bytes)
}

/// A lab with five images of large layers, of which the image set asks for the first two.
pub(crate) fn large_lab() -> Lab {
    Lab::with(|gap| {
        gap.play(GOOD).unwrap();
        for n in 1..=5 {
            gap.source
                .put_image(&format!("apps/{n}"), "v1", &[large(n)]);
        }
        gap.ask_for(&["apps/1:v1", "apps/2:v1"]).unwrap();
    })
}

/// The image set asks for these.
pub(crate) fn ask(lab: &Lab, images: &[u8]) {
    let names: Vec<String> = images.iter().map(|n| format!("apps/{n}:v1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lab.ask_for(&names).unwrap();
}

/// Runs the bundler and tells how many bytes it sent.
#[track_caller]
pub(crate) fn sent(lab: &Lab, arguments: &[&str]) -> u64 {
    let ran = lab.bundler(&[&["run", "--output", "json"], arguments].concat());
    done(&ran);
    ran.json()["result"]["bytesSent"].as_u64().unwrap()
}

/// The populator runs, and the target has these images as the source has them.
#[track_caller]
pub(crate) fn serves(lab: &Lab, images: &[u8]) {
    done(&lab.populator(&["run"]));
    for n in images {
        let source = lab.source.digest_of(&format!("apps/{n}"), "v1");
        let target = lab.target.digest_of(&format!("mirror/apps/{n}"), "v1");
        assert!(source.is_some() && source == target, "apps/{n}");
    }
}

/// A published manifest.
pub(crate) fn manifest(lab: &Lab, sequence: u64) -> serde_json::Value {
    let path = lab.path(&format!("store/manifests/{sequence:010}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The chunks that a published bundle names.
pub(crate) fn chunks_of(lab: &Lab, sequence: u64) -> BTreeSet<String> {
    let manifest = manifest(lab, sequence);
    let files = manifest["files"].as_array().unwrap();
    let chunks = files
        .iter()
        .flat_map(|file| file["chunks"].as_array().unwrap());
    chunks
        .map(|chunk| chunk["stored"].as_str().unwrap().to_owned())
        .collect()
}

/// The names of the files in a folder of the store.
pub(crate) fn names(lab: &Lab, folder: &str) -> BTreeSet<String> {
    let below = lab.path("store").join(folder);
    let files = lab.store_files().into_iter();
    let files = files.filter(|path| path.starts_with(&below));
    files
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Where a chunk lies.
pub(crate) fn chunk(lab: &Lab, digest: &str) -> std::path::PathBuf {
    lab.path("store/chunks").join(&digest[..2]).join(digest)
}

/// The numbers of the manifests in the store.
pub(crate) fn sequences(lab: &Lab) -> Vec<u64> {
    let names = names(lab, "manifests");
    let manifests = names.iter().filter_map(|name| name.strip_suffix(".json"));
    manifests.map(|number| number.parse().unwrap()).collect()
}

/// Another host that publishes to the same stream, with folders of its own.
pub(crate) fn second_host(lab: &Lab) {
    let text = fs::read_to_string(lab.path("connected.yaml")).unwrap();
    let text = text.replace("/connected/", "/second/");
    fs::write(lab.path("second.yaml"), text).unwrap();
}

/// Runs the bundler there.
pub(crate) fn second(lab: &Lab, arguments: &[&str]) -> Ran {
    run(lab.command(&lab.programs().bundler, "second", arguments))
}

/// The journal of a host.
pub(crate) fn journal(lab: &Lab, side: &str) -> serde_json::Value {
    let path = lab.path(&format!("{side}/metadata/journal.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Changes the journal of a host, as if it had been killed.
pub(crate) fn set_journal(lab: &Lab, side: &str, journal: &serde_json::Value) {
    let path = lab.path(&format!("{side}/metadata/journal.json"));
    fs::write(path, journal.to_string()).unwrap();
}

/// The journal of a host that was killed after it had sealed bundle `sequence`, the last one of the store, and before it
/// knew that it was published.
pub(crate) fn as_sealed(lab: &Lab, side: &str, sequence: u64) {
    let mut journal = journal(lab, side);
    let papers = lab.path("store/manifests");
    let text = fs::read_to_string(papers.join(format!("{sequence:010}.json"))).unwrap();
    let names = names(lab, "manifests");
    let start = format!("{sequence:010}.");
    let signature = names
        .iter()
        .find(|name| name.starts_with(&start) && name.strip_suffix(".sig").is_some());
    let signature = fs::read(papers.join(signature.unwrap())).unwrap();
    let keys = lab.bundler(&["check", "--output", "json"]);
    let (_, id) = keys.stdout.split_once("key id ").unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    journal["stage"] = serde_json::json!({
        "at": "sealed", "sequence": sequence, "manifest": text, "keyId": id[..64], "signature": signature,
    });
    journal["head"] = match &manifest["previous"] {
        serde_json::Value::Null => serde_json::Value::Null,
        link => serde_json::json!({ "link": link, "created": manifest["created"] }),
    };
    journal["content"] = manifest["requires"].clone();
    set_journal(lab, side, &journal);
}
