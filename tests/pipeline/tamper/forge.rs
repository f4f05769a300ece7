//! A signer who has the real key and bad intentions: only the walk of the archives and the inventory stand
//! between what he signs and `oc-mirror`.

use std::fs;
use std::io::{Cursor, Read as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use mimeograph_manifest::archive::{self, Headers};
use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::inventory::{Inventory, Structure};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{Generation, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{FoundSignature, Signed};
use mimeograph_manifest::trust::TrustedKeys;
use tar::{EntryType, Header};

use crate::lab::Lab;

/// Header and content of every entry, extended headers among them.
#[derive(Clone)]
pub(crate) struct Tar(pub(crate) Vec<(Header, Vec<u8>)>);

impl Tar {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut entries = Vec::new();
        for entry in tar::Archive::new(bytes).entries().unwrap().raw(true) {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            entries.push((entry.header().clone(), content));
        }
        Self(entries)
    }

    /// Without the end marker.
    pub(crate) fn entries(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, content) in &self.0 {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.entries();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    /// Puts an entry before all others.
    pub(crate) fn add(&mut self, path: &str, kind: EntryType, content: &[u8]) -> &mut Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.0.insert(0, (header, content.to_vec()));
        &mut self.0[0].0
    }

    /// The content of the entry whose path ends so.
    pub(crate) fn content(&mut self, ending: &str) -> &mut Vec<u8> {
        let found = self
            .0
            .iter_mut()
            .find(|(header, _)| header.path().unwrap().to_str().unwrap().ends_with(ending));
        &mut found.unwrap_or_else(|| panic!("no entry `{ending}`")).1
    }
}

/// Where a blob lies in an archive.
pub(crate) fn blob(digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    format!("blobs/sha256/{}/{hex}/data", &hex[..2])
}

/// What the archive really holds.
fn structure(archive: &[u8]) -> Structure {
    let headers = Headers::new("forged.tar", Generation::V2, Cursor::new(archive));
    archive::inspect([headers], &mut |_| ()).unwrap().structure
}

/// The lab's signing key.
pub(crate) fn key(lab: &Lab) -> SigningKey {
    SigningKey::from_pem(&fs::read_to_string(lab.path("keys/signing.pem")).unwrap()).unwrap()
}

/// The names of the files that make bundle `sequence` exist: its manifest and signatures.
pub(crate) fn papers(lab: &Lab, sequence: Sequence) -> Vec<PathBuf> {
    let number = format!("{}.", sequence.padded());
    let mut files = lab.store_files();
    files.retain(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(&number)
    });
    files
}

/// The manifest in the store.
pub(crate) fn manifest(lab: &Lab, sequence: Sequence) -> Manifest {
    let papers = papers(lab, sequence);
    let (mut payload, mut signatures) = (Vec::new(), Vec::new());
    for path in papers {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        match *name.split('.').collect::<Vec<_>>() {
            [_, manifest, signer, "sig"] => signatures.push(FoundSignature {
                manifest: manifest.to_owned(),
                signer: signer.to_owned(),
                bytes,
            }),
            _ => payload = bytes,
        }
    }
    let trusted = TrustedKeys::new([key(lab).public()], NonZeroUsize::MIN);
    let verified = Signed::<Manifest>::new(sequence, payload, signatures).verify(&trusted);
    (*verified.unwrap()).clone()
}

/// The bytes of a bundle's file of this role.
pub(crate) fn file(lab: &Lab, manifest: &Manifest, role: Role) -> Vec<u8> {
    let (mut whole, mut room) = (Vec::new(), Vec::new());
    for chunk in &manifest.files(role).next().unwrap().chunks {
        let stored = fs::read(lab.path("store").join(Key::Chunk(chunk.stored).to_string()));
        whole.extend_from_slice(chunk.open(&stored.unwrap(), &mut room).unwrap());
    }
    whole
}

/// Makes a file of the bundle hold these bytes.
pub(crate) fn set_file(lab: &Lab, manifest: &mut Manifest, role: Role, bytes: &[u8]) {
    let file = manifest.files.iter_mut().find(|file| file.role == role);
    let file = file.unwrap();
    file.size = bytes.len() as u64;
    file.chunks.clear();
    for piece in bytes.chunks(32 << 20) {
        let digest = Digest::of(piece);
        let path = lab.path("store").join(Key::Chunk(digest).to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, piece).unwrap();
        file.chunks.push(Chunk {
            stored: digest,
            stored_size: piece.len() as u64,
            encoding: Encoding::None,
            raw: digest,
            raw_size: piece.len() as u64,
        });
    }
}

/// Signs a manifest and puts it in the place of the one that lies there.
pub(crate) fn publish(lab: &Lab, manifest: &Manifest, key: &SigningKey) {
    for path in papers(lab, manifest.sequence) {
        fs::remove_file(path).unwrap();
    }
    let sealed = Signed::sign(manifest, key).unwrap();
    let (name, signature) = &sealed.signature;
    let store = lab.path("store");
    fs::write(store.join(name.to_string()), signature).unwrap();
    let name = Key::Manifest(manifest.sequence).to_string();
    fs::write(store.join(name), &sealed.payload).unwrap();
}

/// Changes the archive of a bundle, and signs it with the real key.
pub(crate) fn forge_archive(lab: &Lab, number: u64, change: impl FnOnce(Tar) -> Vec<u8>) {
    let sequence = Sequence::try_from(number).unwrap();
    let mut manifest = manifest(lab, sequence);
    let archive = change(Tar::read(&file(lab, &manifest, Role::Archive)));
    set_file(lab, &mut manifest, Role::Archive, &archive);
    publish(lab, &manifest, &key(lab));
}

/// The same with an inventory that agrees with the changed archive.
pub(crate) fn forge_all(lab: &Lab, number: u64, change: impl FnOnce(Tar) -> Vec<u8>) {
    forge_archive(lab, number, change);
    let mut manifest = manifest(lab, Sequence::try_from(number).unwrap());
    let found = structure(&file(lab, &manifest, Role::Archive));
    let signed = Inventory::from_bytes(&file(lab, &manifest, Role::Inventory)).unwrap();
    let inventory = Inventory::new(found, signed.wish).to_bytes().unwrap();
    set_file(lab, &mut manifest, Role::Inventory, &inventory);
    publish(lab, &manifest, &key(lab));
}
