//! A store that is written to at will, and the names in it that no case can know beforehand.
//!
//! In names and texts of a case stand for themselves:
//!
//! | template | what |
//! |---|---|
//! | `{manifest:N}` | the name of manifest N |
//! | `{sig:N:KEY}` | the name of KEY's signature over manifest N as it lies there |
//! | `{chunk:N:ROLE:I}` | the name of a chunk of the file of this role; the I-th, counted from 0 |
//! | `{digest:N}`, `{short:N}` | the digest of manifest N as it lies there, and the first 16 digits of it |
//! | `{key:KEY}` | the first 16 digits of the key's id |
//! | `{created:N}`, `{created:N+S}` | when bundle N was made, and S seconds later |
//! | `{now}`, `{now+S}`, `{now-S}` | the time now, and so many seconds later or earlier |
//! | `{stream}`, `{stream:other}` | the stream's id; the other one's |
//! | `{keys}` | the folder of public keys, `KEY.pub.pem` each |
//! | `{source}` | the host that images come from |
//! | `{image:N}` | the digest of image `apps/N`, without `sha256:` |

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::SignedDuration;
use mimeograph_manifest::chunk::Chunk;
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::io::clock;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_tests::gap::Gap;
use regex::{Captures, Regex};

use crate::ground::Ground;

pub(crate) struct Store<'a> {
    pub(crate) root: PathBuf,
    pub(crate) ground: &'a Ground,
    pub(crate) gap: &'a Gap,
}

static TEMPLATE: LazyLock<Regex> = LazyLock::new(|| {
    let words = "manifest|sig|chunk|digest|short|key|created|now|stream|keys|source|image";
    Regex::new(&format!(r"\{{({words})((?::[a-z0-9]+)*)([+-][0-9]+)?\}}")).unwrap()
});

pub(crate) fn number(n: u64) -> Sequence {
    Sequence::try_from(n).unwrap()
}

impl Store<'_> {
    /// A text with its templates filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let fill = |found: &Captures<'_>| {
            let words: Vec<&str> = found[2].split(':').skip(1).collect();
            let later = found
                .get(3)
                .map_or(0, |later| later.as_str().parse().unwrap());
            self.template(&found[1], &words, later)
        };
        TEMPLATE.replace_all(text, fill).into_owned()
    }

    fn template(&self, word: &str, words: &[&str], later: i64) -> String {
        let bundle = || -> u64 { words[0].parse().unwrap() };
        let later = SignedDuration::from_secs(later);
        match (word, words.len()) {
            ("manifest", 1) => Key::Manifest(number(bundle())).to_string(),
            ("sig", 2) => {
                let id = self.ground.key(words[1]).public().id();
                Key::signature(number(bundle()), &self.digest(bundle()), &id).to_string()
            }
            ("chunk", 3) => {
                let role = role(words[1]);
                let index: usize = words[2].parse().unwrap();
                Key::Chunk(self.chunk(bundle(), role, index).stored).to_string()
            }
            ("digest", 1) => self.digest(bundle()).to_string(),
            ("short", 1) => self.digest(bundle()).short(),
            ("key", 1) => self.ground.key(words[0]).public().id().short(),
            ("created", 1) => self.manifest(bundle()).created.plus(later).to_string(),
            ("now", 0) => clock::now().plus(later).to_string(),
            ("stream", 0) => stream_of(&self.ground.store("1")),
            ("stream", 1) => stream_of(&self.ground.store(words[0])),
            ("keys", 0) => self.gap.path("keys").display().to_string(),
            ("source", 0) => self.gap.source_host.clone(),
            ("image", 1) => {
                let image = format!("apps/{}", words[0]);
                let digest = self.gap.source.digest_of(&image, "v1").unwrap();
                digest.trim_start_matches("sha256:").to_owned()
            }
            _ => panic!("there is no template `{word}` of {words:?}"),
        }
    }

    /// Where an object lies; below `N:` or `other:` in one of the stores as they were.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let name = self.fill(name);
        match name.split_once(':') {
            Some((store, name)) => self.ground.store(store).join(name),
            None => self.root.join(name),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes an object anew, whatever lay there.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::remove_file(&path).ok();
        fs::write(path, bytes).unwrap();
    }

    /// The objects whose names are this, or begin with it where it ends with `*`.
    pub(crate) fn matching(&self, name: &str) -> Vec<PathBuf> {
        let path = self.path(name);
        let text = path.display().to_string();
        let Some(prefix) = text.strip_suffix('*') else {
            return vec![path];
        };
        let mut found: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        found.retain(|path| path.display().to_string().starts_with(prefix));
        found.sort();
        found
    }

    fn digest(&self, bundle: u64) -> Digest {
        Digest::of(&self.read(&format!("{{manifest:{bundle}}}")))
    }

    /// A manifest that can be read, whoever signed it.
    pub(crate) fn manifest(&self, bundle: u64) -> Manifest {
        serde_json::from_slice(&self.read(&format!("{{manifest:{bundle}}}"))).unwrap()
    }

    fn chunk(&self, bundle: u64, role: Role, index: usize) -> Chunk {
        let manifest = self.manifest(bundle);
        let mut files = manifest.files(role);
        files.next().unwrap().chunks[index]
    }
}

pub(crate) fn role(text: &str) -> Role {
    serde_json::from_value(text.into()).unwrap()
}

fn stream_of(store: &Path) -> String {
    let bytes = fs::read(store.join("manifests/0000000001.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
    manifest.stream.to_string()
}
