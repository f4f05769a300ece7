//! Small bundles, and a store in memory that they lie in: what the tests of several stages stand on.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use mimeograph_manifest::archive::{ArchiveError, Headers, data_ranges, inspect};
use mimeograph_manifest::chunk::{Chunk, Encoding, compress, plan};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::inventory::{Inventory, Structure};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::{Fetch, Listed, StoreError};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{
    File, Generation, Kind, Link, Manifest, Producer, Role, TYPE, is_archive_name,
};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::{FoundSignature, Signed, Verified};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::{Resolved, Wish};

/// The key that everything here is signed with.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

/// Whoever trusts it alone.
pub(crate) fn trusted() -> TrustedKeys {
    TrustedKeys::new([key().public()], NonZeroUsize::MIN)
}

pub(crate) fn sign(manifest: &Manifest) -> Verified<Manifest> {
    let sealed = Signed::sign(manifest, &key()).unwrap();
    let found = FoundSignature {
        manifest: sealed.digest.short(),
        signer: key().public().id().short(),
        bytes: sealed.signature.1.to_vec(),
    };
    let signed = Signed::new(manifest.sequence, sealed.payload, vec![found]);
    signed.verify(&trusted()).unwrap()
}

/// Cuts a file where it is told to; of an archive every large entry is cut on its own, too.
pub(crate) fn cut(
    name: &str,
    role: Role,
    bytes: &[u8],
    chunk_size: u64,
    store: &mut Memory,
) -> File {
    let size = bytes.len() as u64;
    let entries = match role {
        Role::Archive => open(name, bytes).and_then(data_ranges).unwrap(),
        _ => vec![],
    };
    let chunks = plan(size, &entries, chunk_size).into_iter().map(|range| {
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        store.put_chunk(&bytes[start..end])
    });
    File {
        name: name.parse().unwrap(),
        role,
        size,
        chunks: chunks.collect(),
    }
}

fn open<'a>(name: &str, bytes: &'a [u8]) -> Result<Headers<Cursor<&'a [u8]>>, ArchiveError> {
    let generation = [Generation::V1, Generation::V2]
        .into_iter()
        .find(|generation| is_archive_name(name, *generation));
    Headers::new(name, generation.unwrap(), Cursor::new(bytes))
}

/// A store in memory, which remembers what chunks were read.
#[derive(Default)]
pub(crate) struct Memory {
    pub objects: BTreeMap<String, Vec<u8>>,
    read: Mutex<Vec<Digest>>,
}

impl Memory {
    pub(crate) fn put(&mut self, manifest: &Verified<Manifest>) {
        let name = Key::Manifest(manifest.sequence).to_string();
        self.objects.insert(name, manifest.payload().to_vec());
        for found in manifest.signatures() {
            let id = key().public().id();
            let name = Key::signature(manifest.sequence, &manifest.digest(), &id);
            self.objects.insert(name.to_string(), found.bytes.clone());
        }
    }

    /// Compressed where that pays.
    pub(crate) fn put_chunk(&mut self, raw: &[u8]) -> Chunk {
        let packed = compress(raw).unwrap();
        let encoding = packed.as_ref().map_or(Encoding::None, |_| Encoding::Zstd);
        let stored = packed.unwrap_or_else(|| raw.to_vec());
        let chunk = Chunk {
            stored: Digest::of(&stored),
            stored_size: stored.len() as u64,
            encoding,
            raw: Digest::of(raw),
            raw_size: raw.len() as u64,
        };
        let name = Key::Chunk(chunk.stored).to_string();
        self.objects.insert(name, stored);
        chunk
    }

    /// The bytes of a chunk as they lie here.
    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> &mut Vec<u8> {
        let name = Key::Chunk(chunk.stored).to_string();
        self.objects.get_mut(&name).unwrap()
    }

    pub(crate) fn without(&mut self, chunk: &Chunk) {
        let name = Key::Chunk(chunk.stored).to_string();
        self.objects.remove(&name).unwrap();
    }

    /// The chunks that were read since this was asked last, in the order of their digests.
    pub(crate) fn read(&self) -> Vec<Digest> {
        let mut read = std::mem::take(&mut *self.read.lock().unwrap());
        read.sort_unstable();
        read
    }

    pub(crate) fn inventory(&self, manifest: &Manifest) -> Inventory {
        let file = manifest.files(Role::Inventory).next().unwrap();
        let bytes = fetched::small_file(self, file).unwrap();
        Inventory::from_bytes(&bytes).unwrap()
    }
}

impl Fetch for Memory {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let below = |(name, _): &(&String, _)| name.starts_with(prefix);
        for (name, bytes) in self.objects.iter().filter(below) {
            each(Listed {
                name: name.clone(),
                size: bytes.len() as u64,
                modified: Timestamp::from_unix(0),
            });
        }
        Ok(())
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        if let Key::Chunk(digest) = key {
            self.read.lock().unwrap().push(*digest);
        }
        into.clear();
        let found = self.objects.get(&key.to_string());
        if let Some(bytes) = found {
            let most = usize::try_from(limit).unwrap() + 1;
            into.extend_from_slice(&bytes[..bytes.len().min(most)]);
        }
        Ok(found.is_some())
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

/// The first of its stream, without files.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        r#type: TYPE.to_owned(),
        stream: StreamId::from_bytes([7; 16]),
        name: "lab".to_owned(),
        audience: vec![],
        sequence: Sequence::FIRST,
        kind: Kind::Full,
        previous: None,
        requires: None,
        created: Timestamp::from_unix(1000),
        // No test lives to see it.
        expires: Timestamp::from_unix(200_000_000_000),
        producer: Producer {
            mimeograph: env!("CARGO_PKG_VERSION").to_owned(),
            oc_mirror: "v4.20.0".to_owned(),
            oc_mirror_sha256: Digest::of(b"oc-mirror"),
            generation: Generation::V2,
            flags: vec![],
        },
        incomplete: vec![],
        local_dir: String::new(),
        files: vec![],
        annotations: BTreeMap::new(),
    }
}

/// A bundle with content, before it is signed. It asks for its own images.
pub(crate) struct Sample {
    manifest: Manifest,
    archives: Vec<Vec<(String, Vec<u8>)>>,
    wish: Wish,
    others: Vec<(Role, &'static str, Vec<u8>)>,
    chunk_size: u64,
}

const V2: &str = "docker/registry/v2";

impl Sample {
    /// The first of its stream.
    pub(crate) fn first() -> Self {
        Self {
            manifest: manifest(),
            archives: vec![vec![]],
            wish: Wish::default(),
            others: vec![],
            chunk_size: 1 << 20,
        }
    }

    /// The delta that comes next and builds on this one.
    pub(crate) fn after(before: &Verified<Manifest>) -> Self {
        Self::first().with(|manifest| {
            let link = Some(before.link());
            (manifest.previous, manifest.requires) = (link, link);
            manifest.sequence = before.sequence.next();
            manifest.kind = Kind::Delta;
        })
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }

    pub(crate) fn cut_at(mut self, chunk_size: u64) -> Self {
        self.chunk_size = chunk_size;
        self
    }

    /// What comes from here on lies in another archive.
    pub(crate) fn next_archive(mut self) -> Self {
        self.archives.push(vec![]);
        self
    }

    pub(crate) fn blob(mut self, data: &[u8]) -> Self {
        let hex = Digest::of(data).to_string();
        let path = match self.manifest.producer.generation {
            Generation::V1 => format!("blobs/sha256:{hex}"),
            Generation::V2 => format!("{V2}/blobs/sha256/{}/{hex}/data", &hex[..2]),
        };
        self.archives
            .last_mut()
            .unwrap()
            .push((path, data.to_vec()));
        self
    }

    /// An image that has these layers, which came with this bundle or with an earlier one.
    pub(crate) fn image(mut self, name: &str, layers: &[Digest]) -> Self {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| format!("{{\"digest\":\"{}\"}}", layer.to_oci()))
            .collect();
        let image = format!("{{\"schemaVersion\":2,\"layers\":[{}]}}", layers.join(","));
        let digest = Digest::of(image.as_bytes());
        let links = format!("{V2}/repositories/{name}/_manifests");
        self = self.blob(image.as_bytes());
        self.archives.last_mut().unwrap().extend([
            (
                format!("{links}/revisions/sha256/{digest}/link"),
                digest.to_oci().into(),
            ),
            (
                format!("{links}/tags/v1/current/link"),
                digest.to_oci().into(),
            ),
        ]);
        self.wish.images.push(Resolved {
            reference: format!("lab.example/{name}:v1"),
            repository: name.to_owned(),
            tag: "v1".to_owned(),
            digest,
        });
        self
    }

    pub(crate) fn file(mut self, role: Role, name: &'static str, bytes: &[u8]) -> Self {
        self.others.push((role, name, bytes.to_vec()));
        self
    }

    /// The same, but what is signed says that it came to nothing.
    pub(crate) fn unwished(mut self) -> Self {
        self.others
            .push((Role::Imageset, "imageset.yaml", self.imageset().into()));
        self.wish = Wish::default();
        self
    }

    fn imageset(&self) -> String {
        let images = self.wish.images.iter();
        let images = images.map(|image| format!("    - name: {}\n", image.reference));
        let begins = "apiVersion: mirror.openshift.io/v2alpha1\nkind: ImageSetConfiguration\n\
                      mirror:\n  additionalImages:\n";
        [begins.to_owned()].into_iter().chain(images).collect()
    }

    /// Signs it, and puts all of it in a store.
    pub(crate) fn put(mut self, store: &mut Memory) -> Verified<Manifest> {
        let generation = self.manifest.producer.generation;
        let named = |number: usize| match generation {
            Generation::V1 => format!("mirror_seq1_{number:06}.tar"),
            Generation::V2 => format!("mirror_{:06}.tar", number + 1),
        };
        let archives: Vec<_> = self.archives.iter().map(|entries| tar(entries)).collect();
        let numbered = archives.iter().enumerate();
        let opened = numbered.map(|(number, bytes)| open(&named(number), bytes));
        let structure: Structure = inspect(opened, &mut |_| ()).unwrap().structure;
        if !self.others.iter().any(|(role, ..)| *role == Role::Imageset) {
            let imageset = self.imageset().into_bytes();
            self.others
                .push((Role::Imageset, "imageset.yaml", imageset));
        }
        let inventory = Inventory::new(structure, self.wish).to_bytes().unwrap();
        self.others
            .push((Role::Inventory, "inventory.json", inventory));
        for (number, bytes) in archives.iter().enumerate() {
            let file = cut(&named(number), Role::Archive, bytes, self.chunk_size, store);
            self.manifest.files.push(file);
        }
        for (role, name, bytes) in &self.others {
            let file = cut(name, *role, bytes, self.chunk_size, store);
            self.manifest.files.push(file);
        }
        let manifest = sign(&self.manifest);
        store.put(&manifest);
        manifest
    }
}

fn tar(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, data) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        archive.append_data(&mut header, path, &data[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Says that nothing changed since `before`.
pub(crate) fn heartbeat(before: &Verified<Manifest>, requires: Link) -> Manifest {
    Manifest {
        sequence: before.sequence.next(),
        kind: Kind::Heartbeat,
        previous: Some(before.link()),
        requires: Some(requires),
        files: vec![],
        ..Manifest::clone(before)
    }
}

/// Bytes that are no image manifest, different for each seed, and do not compress.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    while bytes.len() < size {
        // xorshift64*: what compresses would be stored as something else.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
