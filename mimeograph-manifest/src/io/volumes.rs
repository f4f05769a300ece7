//! Several volumes, read as one store: what lies on any of them lies there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dir::DirStore;
use super::disk;
use super::landing::Landing;
use super::store::{Fetch, Listed, StoreError};
use crate::digest::Digest;
use crate::layout::{CHUNKS, Key, MANIFESTS};
use crate::media::{PLAN, PLAN_SIZE, Plan};
use crate::time::Timestamp;

/// Folders, each a volume or what several were copied into.
#[derive(Debug)]
pub struct Volumes(Vec<DirStore>);

impl Volumes {
    /// Opens them. Of a folder that is none itself, those directly in it that are.
    pub fn open(folders: &[PathBuf]) -> Result<Self, StoreError> {
        let mut stores = Vec::new();
        for folder in folders {
            let mut found = Vec::new();
            if !is_volume(folder) {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                found = entries
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path())
                    .filter(|path| is_volume(path))
                    .collect();
                found.sort();
            }
            // An empty drop folder is none yet, and no error; one that is not there is.
            if found.is_empty() {
                found.push(folder.clone());
            }
            for path in found {
                stores.push(DirStore::open(&path)?);
            }
        }
        Ok(Self(stores))
    }

    /// The plans that lie there, each once, whoever wrote them.
    pub fn plans(&self) -> Vec<Plan> {
        let mut plans: Vec<Plan> = Vec::new();
        for store in &self.0 {
            let bytes = disk::read_if_there(&store.path().join(PLAN), PLAN_SIZE);
            let plan = bytes.ok().flatten().and_then(|bytes| Plan::parse(&bytes));
            plans.extend(plan.filter(|plan| !plans.contains(plan)));
        }
        plans
    }

    /// Each with the signatures of all: two of them may have another manifest under one number, and a signature may have
    /// come by another way than its manifest.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        let all = self;
        self.0.iter().map(move |own| View { own, all })
    }

    /// Reads a chunk wherever it is whole; else what is there of it, if anything is.
    pub fn chunk(&self, stored: Digest, size: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        let key = Key::Chunk(stored);
        let mut rest = Vec::new();
        let mut found = false;
        for store in &self.0 {
            if !store.get(&key, size, &mut rest)? {
                continue;
            }
            if rest.len() as u64 == size && Digest::of(&rest) == stored {
                std::mem::swap(into, &mut rest);
                return Ok(true);
            }
            if !found || rest.len() > into.len() {
                std::mem::swap(into, &mut rest);
            }
            found = true;
        }
        Ok(found)
    }

    /// Where an object lies: the files, for people.
    pub fn files(&self, key: &Key) -> Vec<PathBuf> {
        let paths = self
            .0
            .iter()
            .map(|store| store.path().join(key.to_string()));
        paths.filter(|path| path.is_file()).collect()
    }
}

/// One volume's manifests, beside what all volumes have.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    own: &'a DirStore,
    all: &'a Volumes,
}

impl Fetch for View<'_> {
    fn describe(&self) -> String {
        self.own.describe()
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let is_manifest =
            |object: &Listed| matches!(Key::parse(&object.name), Some(Key::Manifest(_)));
        self.own.list(prefix, &mut |object| {
            if is_manifest(&object) {
                each(object);
            }
        })?;
        self.all.list(prefix, &mut |object| {
            if !is_manifest(&object) {
                each(object);
            }
        })
    }

    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        match key {
            Key::Manifest(_) => self.own.get(key, limit, into),
            _ => self.all.get(key, limit, into),
        }
    }

    fn get_each(
        &self,
        key: &Key,
        limit: u64,
        each: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), StoreError> {
        match key {
            Key::Manifest(_) => self.own.get_each(key, limit, each),
            _ => self.all.get_each(key, limit, each),
        }
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

fn is_volume(folder: &Path) -> bool {
    [MANIFESTS, CHUNKS]
        .iter()
        .any(|name| folder.join(name).is_dir())
}

impl Fetch for Volumes {
    fn describe(&self) -> String {
        let names: Vec<_> = self.0.iter().map(Fetch::describe).collect();
        names.join(", ")
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let [store] = &*self.0 else {
            let mut seen = BTreeSet::new();
            for store in &self.0 {
                store.list(prefix, &mut |object| {
                    if seen.insert(object.name.clone()) {
                        each(object);
                    }
                })?;
            }
            return Ok(());
        };
        store.list(prefix, each)
    }

    /// The longest that is there, of a chunk one that is whole where there is one.
    fn get(&self, key: &Key, limit: u64, into: &mut Vec<u8>) -> Result<bool, StoreError> {
        if let [store] = &*self.0 {
            return store.get(key, limit, into);
        }
        into.clear();
        if let Key::Chunk(stored) = key {
            return self.chunk(*stored, limit, into);
        }
        let (mut rest, mut found) = (Vec::new(), false);
        for store in &self.0 {
            if store.get(key, limit, &mut rest)? && (!found || rest.len() > into.len()) {
                std::mem::swap(into, &mut rest);
                found = true;
            }
        }
        Ok(found)
    }

    /// All of them: one that is damaged or cut off hides none that is not.
    fn get_each(
        &self,
        key: &Key,
        limit: u64,
        each: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), StoreError> {
        self.0
            .iter()
            .try_for_each(|store| store.get_each(key, limit, each))
    }

    fn land(&self, key: &Key, landing: Landing) -> Result<Option<Landing>, StoreError> {
        if let [store] = &*self.0 {
            return store.land(key, landing);
        }
        let mut bytes = Vec::new();
        let found = self.get(key, landing.size(), &mut bytes)?;
        Ok(found.then(|| landing.filled(&bytes)))
    }

    fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, key: &Key, bytes: &[u8]) {
        let path = folder.join(key.to_string());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_chunk_is_read_where_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let key = Key::Chunk(Digest::of(b"whole"));
        put(&a, &key, b"who");
        put(&b, &key, b"whale");
        put(&c, &key, b"whole");
        let mut bytes = Vec::new();
        let volumes = Volumes::open(&[folder.path().to_owned()]).unwrap();
        assert!(volumes.get(&key, 5, &mut bytes).unwrap());
        assert_eq!(bytes, b"whole");
        assert_eq!(volumes.files(&key).len(), 3);
        std::fs::remove_dir_all(&c).unwrap();
        let volumes = Volumes::open(&[a.clone(), b]).unwrap();
        assert!(volumes.get(&key, 5, &mut bytes).unwrap());
        assert_eq!(bytes, b"whale");
        let mut listed = Vec::new();
        let name = |object: Listed| listed.push(object.name);
        let mut name = name;
        volumes.list("", &mut name).unwrap();
        assert_eq!(listed, [key.to_string()]);
        assert!(Volumes::open(&[a.join("absent")]).is_err());
    }
}
