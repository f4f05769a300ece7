//! The fuzz targets' bodies over their seeds and deterministic mutations of each; and what we accept as an archive,
//! GNU `tar` lists identically.
#![expect(clippy::unwrap_used, reason = "a test helper outside a test function")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mimeograph_manifest::archive::{Entry, What};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::manifest::Generation;

/// Mutations of a seed at most, and how many bytes all of them may have, for large seeds.
const MUTATIONS: usize = 2000;
const BYTES: usize = 8 << 20;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

fn contents(folder: &str) -> Vec<Vec<u8>> {
    files(folder)
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

/// The documents among the vectors, each once.
fn documents() -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for (vectors, folder) in [("stores", "manifests"), ("lists", "pruned")] {
        for vector in files(&format!("tests/vectors/{vectors}")) {
            for object in fs::read_dir(vector.join(folder)).into_iter().flatten() {
                let path = object.unwrap().path();
                if path.extension().is_some_and(|end| end == "json") {
                    found.insert(fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

/// Xorshift (Marsaglia 2003, 13-7-17): the same mutations every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        const LIKELY: &[u8] = b"\0\n /.=+-0179axA\"\\{},:\xff\x80";
        match self.below(2) {
            0 => LIKELY[self.below(LIKELY.len())],
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }

    /// One to four changes: a byte, a bit, a stretch taken out, doubled, or put elsewhere, or the end cut off.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            // Blocks of an archive move as a whole now and then.
            let unit = if self.below(4) == 0 { 512 } else { 1 };
            let start = at / unit * unit;
            let end = bytes.len().min(start + unit * (1 + self.below(8)));
            match self.below(8) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0..=2 => bytes[at] = self.byte(),
                3 => bytes[at] ^= 1 << self.below(8),
                4 => drop(bytes.drain(start..end)),
                5 => {
                    let stretch = bytes[start..end].to_vec();
                    let to = self.below(bytes.len()) / unit * unit;
                    bytes.splice(to..to, stretch);
                }
                6 => bytes.insert(at, self.byte()),
                _ if self.below(8) == 0 => bytes.truncate(at),
                _ => bytes[at] = bytes[self.below(bytes.len())],
            }
        }
        bytes
    }
}

/// The seeds themselves, and their mutations.
fn each(seeds: impl IntoIterator<Item = Vec<u8>>, at_most: usize, mut body: impl FnMut(&[u8])) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut count = 0;
    for seed in seeds {
        body(&seed);
        for _ in 0..at_most.min(BYTES / seed.len().max(1)) {
            body(&chance.mutate(&seed));
        }
        count += 1;
    }
    assert!(count > 0, "no seeds");
}

#[test]
fn manifests_and_lists() {
    // Two hundred seeds, and every one is signed and verified twice.
    each(documents(), 20, bodies::manifest);
}

#[test]
fn names() {
    each(contents("fuzz/seeds/names"), MUTATIONS, bodies::names);
}

#[test]
fn chunk_plans() {
    let archives = contents("fuzz/seeds/archive_walk");
    each(contents("fuzz/seeds/chunk_plan"), 500, bodies::chunk_plan);
    each(archives, 100, bodies::chunk_plan);
}

#[test]
fn archives() {
    each(
        contents("fuzz/seeds/archive_walk"),
        MUTATIONS,
        bodies::archive_walk,
    );
    each(contents("tests/archives"), 10, bodies::archive_walk);
}

#[test]
fn chunks() {
    let stored = files("tests/vectors/chunks")
        .into_iter()
        .map(|vector| fs::read(vector.join("stored")).unwrap());
    each(stored, 500, bodies::chunk_open);
}

#[test]
fn gnu_tar_lists_what_we_accept() {
    const MUTANTS: usize = 300;
    let scratch = std::env::temp_dir().join(format!("mimeograph-fuzzed-{}", std::process::id()));
    let (mut seen, mut mutants) = (BTreeSet::new(), 0);
    let mut compare = |bytes: &[u8]| {
        for generation in [Generation::V1, Generation::V2] {
            let Some(entries) = bodies::accepted(bytes, generation) else {
                continue;
            };
            if seen.insert(Digest::of(bytes)) {
                fs::write(&scratch, bytes).unwrap();
                assert_eq!(
                    gnu(&scratch),
                    entries.iter().map(line).collect::<Vec<_>>(),
                    "kept in {}",
                    scratch.display()
                );
            }
        }
    };
    for bytes in contents("tests/archives") {
        compare(&bytes);
    }
    let seeds = contents("fuzz/seeds/archive_walk");
    let share = MUTANTS / seeds.len();
    for seed in &seeds {
        compare(seed);
        let mut chance = Chance(0x2545_f491_4f6c_dd1d);
        let mut of_this = 0;
        for _ in 0..MUTATIONS {
            let mutant = bodies::mended(&chance.mutate(seed));
            let is_accepted = [Generation::V1, Generation::V2]
                .iter()
                .any(|generation| bodies::accepted(&mutant, *generation).is_some());
            if is_accepted {
                compare(&mutant);
                of_this += 1;
                if of_this == share {
                    break;
                }
            }
        }
        mutants += of_this;
    }
    assert!(mutants > MUTANTS / 2, "only {mutants} mutants are accepted");
    fs::remove_file(scratch).unwrap();
}

/// An entry as `tar -tv` shows it: kind, size, path, where a link goes.
fn line(entry: &Entry) -> (char, String, String) {
    let path = entry.path.trim_end_matches('/').to_owned();
    let (kind, path) = match &entry.what {
        What::TagLink { digest, .. } => ('l', format!("{path} -> {}", digest.to_oci())),
        _ => ('-', path),
    };
    (kind, entry.size().to_string(), path)
}

fn gnu(archive: &Path) -> Vec<(char, String, String)> {
    let output = Command::new("tar")
        .args(["-tv", "--numeric-owner", "--quoting-style=literal", "-f"])
        .arg(archive)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut listed = Vec::new();
    for line in text(&output.stdout).lines() {
        let mut rest = line;
        let mut fields = Vec::new();
        for _ in 0..5 {
            let (field, after) = rest.trim_start_matches(' ').split_once(' ').unwrap();
            fields.push(field);
            rest = after;
        }
        let kind = match line.chars().next().unwrap() {
            'd' => '-',
            kind => kind,
        };
        listed.push((
            kind,
            fields[2].to_owned(),
            rest.trim_end_matches('/').to_owned(),
        ));
    }
    assert!(
        output.status.success(),
        "{}: {}",
        text(&output.stderr),
        archive.display()
    );
    listed
}
