//! Three streams, made once, and copies of both sides at any point of two of them.
//!
//! The stream: 1 full (two images), 2 and 3 deltas (one image more each), 4 full, 5 a heartbeat. That of `oc-mirror` v1:
//! 1 full, 2 delta. The other stream, of another image set, is signed with the same key: 1 full, 2 delta.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::manifest::Generation;
use mimeograph_tests::gap::{Gap, Programs, Ran, copy_folder};
use mimeograph_tests::registry::gzip;
use mimeograph_tests::s3::S3Server;
use serde_json::Value;
use tempfile::TempDir;

use crate::case::Case;
use crate::store::Store;

/// Images of each bundle's image set.
const IMAGES: [u8; 5] = [2, 3, 4, 4, 4];

pub(crate) struct Ground {
    folder: TempDir,
    /// The far side after bundles 1 to N.
    applied: Vec<Gap>,
    /// The same with v1.
    applied_v1: Vec<Gap>,
    keys: BTreeMap<&'static str, SigningKey>,
    bucket: S3Server,
    copies: AtomicUsize,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("stores")).unwrap();
        let gap = with_images(&at("v2"), "apps");
        keygen(&gap);
        let with_its_keys = |name: &str, called: &str| {
            let other = with_images(&at(name), called);
            copy_folder(&gap.path("keys"), &other.path("keys")).unwrap();
            other
        };
        let other = with_its_keys("another", "evil");
        for images in [1, 2] {
            ask_for(&other, "evil", images);
            done(&other.bundler(&["run"]));
        }
        copy_folder(&other.path("store"), &at("stores/other")).unwrap();
        let v1 = with_its_keys("v1", "apps");
        v1.play("VERSION=4.17\n").unwrap();
        let applied_v1 = follow(&v1, folder.path(), &IMAGES[..2]);
        let applied = follow(&gap, folder.path(), &IMAGES);
        // What expires a second after it was made has expired.
        std::thread::sleep(Duration::from_secs(3));
        let release = fs::read_to_string(gap.path("keys/signing.pem")).unwrap();
        let keys = BTreeMap::from([
            ("release", SigningKey::from_pem(&release).unwrap()),
            ("second", SigningKey::from_seed(&[2; 32])),
            ("stranger", SigningKey::from_seed(&[7; 32])),
        ]);
        Self {
            folder,
            applied,
            applied_v1,
            keys,
            bucket: S3Server::start(),
            copies: AtomicUsize::new(0),
        }
    }

    /// The far side after `applied` bundles, with the first `holds` bundles in the store.
    pub(crate) fn copy(&self, case: &Case) -> Copied<'_> {
        let number = self.copies.fetch_add(1, Ordering::SeqCst);
        let folder = self.folder.path().join(format!("case-{number}"));
        let (applied, prefix) = match case.generation {
            Generation::V1 => (&self.applied_v1, "v1-"),
            Generation::V2 => (&self.applied, ""),
        };
        let applied = &applied[usize::try_from(case.applied).unwrap()];
        let gap = applied.again(&folder).unwrap();
        fs::remove_dir_all(gap.path("store")).unwrap();
        let store = self.store(&format!("{prefix}{}", case.holds));
        copy_folder(&store, &gap.path("store")).unwrap();
        for (name, key) in &self.keys {
            let file = gap.path(&format!("keys/{name}.pub.pem"));
            fs::write(file, key.public().to_pem()).unwrap();
        }
        let copied = Copied { ground: self, gap };
        let file = copied.gap.path("disconnected.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        if !case.about.is_empty() {
            let about = case.about.iter();
            let about = about.map(|(name, said)| (self.key(name).public().id().to_string(), said));
            let about: BTreeMap<_, _> = about.collect();
            let text = copied
                .store()
                .fill(&serde_json::json!({ "keys": about }).to_string());
            fs::write(copied.gap.path("keys/keys.yaml"), text).unwrap();
        }
        // Templates stand for what no case can know.
        let far = copied.store().fill(&case.far.to_string());
        merge(&mut config, &serde_json::from_str(&far).unwrap());
        fs::write(file, serde_yaml::to_string(&config).unwrap()).unwrap();
        copied
    }

    /// A store as it was: `0` to `5` by the newest bundle in it, `v1-0` to `v1-2`, or `other`.
    pub(crate) fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join("stores").join(name)
    }

    pub(crate) fn key(&self, name: &str) -> &SigningKey {
        let key = self.keys.get(name);
        key.unwrap_or_else(|| panic!("there is no key `{name}`"))
    }
}

/// What a case is played on; it goes with it.
pub(crate) struct Copied<'a> {
    ground: &'a Ground,
    pub(crate) gap: Gap,
}

impl Copied<'_> {
    /// Its store.
    pub(crate) fn store(&self) -> Store<'_> {
        Store {
            root: self.gap.path("store"),
            ground: self.ground,
            gap: &self.gap,
        }
    }

    /// A key by its name.
    pub(crate) fn key(&self, name: &str) -> &SigningKey {
        self.ground.key(name)
    }

    /// The store as it is now, in a bucket too: its place; none where it holds what no bucket can.
    ///
    /// Each case has a bucket of its own: to list one, the server walks all of it, and fails where something goes meanwhile.
    pub(crate) fn in_a_bucket(&self) -> Option<String> {
        if !is_plain(&self.store().root) {
            return None;
        }
        let folder = self.bucket();
        fs::create_dir_all(&folder).unwrap();
        copy_folder(&self.store().root, &folder.join("stream")).unwrap();
        Some(format!("s3://{}/stream", folder.file_name()?.to_str()?))
    }

    /// The folder of the case's bucket, beside that of the server's first.
    fn bucket(&self) -> PathBuf {
        let case = self.gap.path("").file_name().map(PathBuf::from);
        let first = self.ground.bucket.objects();
        first.with_file_name(case.unwrap_or_default())
    }

    /// How a program finds the bucket, and may read it.
    pub(crate) fn bucket_environment(&self) -> Vec<(&'static str, String)> {
        self.ground.bucket.environment()
    }

    /// What of the images of bundle `n` the target does not have as the source does.
    pub(crate) fn missing(&self, n: u64) -> Vec<String> {
        let images = IMAGES[usize::try_from(n - 1).unwrap()];
        let differs = |image: &String| {
            let sent = self.gap.source.digest_of(image, "v1");
            sent.is_none() || sent != self.gap.target.digest_of(&format!("mirror/{image}"), "v1")
        };
        let images = (1..=images).map(|image| format!("apps/{image}"));
        images.filter(differs).collect()
    }
}

impl Drop for Copied<'_> {
    fn drop(&mut self) {
        // The whole ground goes in the end.
        let _ = fs::remove_dir_all(self.gap.path(""));
        let _ = fs::remove_dir_all(self.bucket());
    }
}

/// Whether there are files and folders alone.
fn is_plain(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().all(|entry| {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        kind.is_file() || (kind.is_dir() && is_plain(&entry.path()))
    })
}

fn with_images(folder: &Path, called: &str) -> Gap {
    let programs = Programs {
        bundler: PathBuf::from(env!("CARGO_BIN_EXE_bundler")),
        populator: PathBuf::from(env!("CARGO_BIN_EXE_populator")),
        standin: PathBuf::from(env!("CARGO_BIN_EXE_oc-mirror-standin")),
    };
    let gap = Gap::new(folder, programs).unwrap();
    let salt = called.len() as u64 + u64::from(called.as_bytes()[0]);
    for n in 1..=4_u64 {
        let layers = [layer(salt), layer(salt * 256 + n)];
        gap.source
            .put_image(&format!("{called}/{n}"), "v1", &layers);
    }
    gap
}

/// Publishes and applies bundle after bundle. The stores are kept, and the far side after each.
fn follow(gap: &Gap, folder: &Path, images: &[u8]) -> Vec<Gap> {
    let name = gap.path("").file_name().unwrap().to_os_string();
    let is_v1 = name == "v1";
    let prefix = if is_v1 { "v1-" } else { "" };
    let store = |n: usize| folder.join(format!("stores/{prefix}{n}"));
    let again = |n: usize| {
        gap.again(&folder.join(format!("{prefix}applied-{n}")))
            .unwrap()
    };
    copy_folder(&gap.path("store"), &store(0)).unwrap();
    let mut applied = vec![again(0)];
    for (before, images) in images.iter().enumerate() {
        let n = before + 1;
        ask_for(gap, "apps", *images);
        if is_v1 {
            let file = gap.path("imageset.yaml");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(file, text.replace("v2alpha1", "v1alpha2")).unwrap();
        }
        let arguments: &[&str] = if n == 4 { &["run", "--full"] } else { &["run"] };
        done(&gap.bundler(arguments));
        copy_folder(&gap.path("store"), &store(n)).unwrap();
        done(&gap.populator(&["run"]));
        applied.push(again(n));
    }
    applied
}

/// A stream whose images are so small that each of its bytes can be changed once.
pub(crate) fn tiny(folder: &Path) -> Gap {
    let gap = with_images(folder, "tiny");
    keygen(&gap);
    ask_for(&gap, "tiny", 1);
    done(&gap.bundler(&["run"]));
    gap
}

fn keygen(gap: &Gap) {
    let keys = gap.path("keys").display().to_string();
    done(&gap.bundler(&["keygen", "--out", &keys]));
}

fn ask_for(gap: &Gap, called: &str, images: u8) {
    let names: Vec<String> = (1..=images).map(|n| format!("{called}/{n}:v1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    gap.ask_for(&names).unwrap();
}

/// A layer that no other number gives, and that nothing can compress.
fn layer(n: u64) -> Vec<u8> {
    let mut state = n + 1;
    let mut next = || {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    gzip(&(0..600).map(|_| next()).collect::<Vec<u8>>())
}

#[track_caller]
fn done(ran: &Ran) {
    assert_eq!(ran.status, 0, "{ran}");
}

/// Members of `more` are put into `into`; `null` takes one away.
fn merge(into: &mut Value, more: &Value) {
    let (Value::Object(into), Value::Object(more)) = (&mut *into, more) else {
        if !more.is_null() {
            *into = more.clone();
        }
        return;
    };
    for (name, value) in more {
        if value.is_null() {
            into.remove(name);
        } else {
            merge(into.entry(name).or_insert(Value::Null), value);
        }
    }
}
