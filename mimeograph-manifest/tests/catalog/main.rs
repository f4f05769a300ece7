//! Operator catalogues: held against runs of `oc-mirror`, against its filter, and against themselves.
#![expect(clippy::unwrap_used, reason = "test helpers outside test functions")]

mod generated;
mod reading;
mod real_filter;
mod runs;
mod wishes;

use std::fs;
use std::path::PathBuf;

use mimeograph_manifest::catalog::{Catalog, Reader};

fn recorded(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/catalog");
    PathBuf::from(folder).join(name)
}

/// A folder of files, one for each package.
fn folder(name: &str) -> Catalog {
    let mut reader = Reader::default();
    for file in fs::read_dir(recorded(name)).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        reader.read(path.to_str().unwrap(), &bytes).unwrap();
    }
    reader.finish()
}

fn parse(text: &str) -> Catalog {
    let mut reader = Reader::default();
    reader.read("catalog.json", text.as_bytes()).unwrap();
    reader.finish()
}

fn lines(name: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(recorded(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
