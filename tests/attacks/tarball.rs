//! Archives that only a thief of the key, or a broken `oc-mirror`, can have sent.

use std::io::{Cursor, Read as _};

use mimeograph_manifest::archive::{self, Headers};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::manifest::Role;
use serde::Deserialize;
use tar::{EntryType, Header};

use crate::bytes::{Byte, Content};
use crate::forge;
use crate::store::Store;

/// What is done to an archive. Entries are named by how their paths end.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Edit {
    /// An entry before all others, or after them.
    Add {
        path: String,
        /// Its type flag (POSIX.1-2017, pax, "ustar Interchange Format").
        #[serde(default = "regular", rename = "type")]
        kind: char,
        #[serde(default = "mode")]
        mode: u32,
        #[serde(default)]
        link: String,
        #[serde(default)]
        content: Option<Content>,
        #[serde(default)]
        last: bool,
    },
    /// An entry goes.
    Remove { entry: String },
    /// An entry's content becomes another.
    Content { entry: String, content: Content },
    /// A bit of an entry's content is flipped.
    Flip { entry: String, byte: Byte },
    /// An entry gets another path.
    Rename { entry: String, path: String },
    /// Bytes of an entry's header are written over; the checksum is made right where it is asked for.
    Header {
        entry: String,
        at: usize,
        hex: String,
        #[serde(default)]
        checksum: bool,
    },
    /// An entry's place is taken by all entries of the archive of another bundle, from a store as it was.
    Splice { store: String, bundle: u64 },
    /// Bytes are taken off the end, of which the last 1024 mark it.
    Cut(usize),
    /// Bytes come after it.
    Append(Content),
}

fn regular() -> char {
    '0'
}

fn mode() -> u32 {
    0o644
}

/// Header and content of every entry, extended headers among them.
struct Tar(Vec<(Header, Vec<u8>)>);

/// Changes the archive of a bundle, and signs it with the key of the bundler.
pub(crate) fn forge(store: &Store<'_>, bundle: u64, edits: &[Edit], inventory_agrees: bool) {
    let mut manifest = store.manifest(bundle);
    let mut tar = Tar::read(&forge::content(store, &manifest, Role::Archive));
    let (mut cut, mut after) = (0, Vec::new());
    for edit in edits {
        match edit {
            Edit::Cut(bytes) => cut += bytes,
            Edit::Append(content) => after.extend(content.bytes(store)),
            other => tar.edit(store, other),
        }
    }
    let mut bytes = tar.bytes();
    bytes.truncate(bytes.len() - cut);
    bytes.extend(after);
    set(store, &mut manifest, Role::Archive, &bytes);
    if inventory_agrees {
        let generation = manifest.producer.generation;
        let headers = Headers::new("forged.tar", generation, Cursor::new(&bytes));
        let found = archive::inspect([headers], &mut |_| ()).unwrap().structure;
        let signed = forge::content(store, &manifest, Role::Inventory);
        let wish = Inventory::from_bytes(&signed).unwrap().wish;
        let inventory = Inventory::new(found, wish).to_bytes().unwrap();
        set(store, &mut manifest, Role::Inventory, &inventory);
    }
    forge::resign(store, bundle, &manifest);
}

fn set(
    store: &Store<'_>,
    manifest: &mut mimeograph_manifest::manifest::Manifest,
    role: Role,
    bytes: &[u8],
) {
    let mut files = manifest.files.iter_mut();
    let file = files.find(|file| file.role == role).unwrap();
    forge::fill(store, file, bytes);
}

impl Tar {
    fn read(bytes: &[u8]) -> Self {
        let mut entries = Vec::new();
        for entry in tar::Archive::new(bytes).entries().unwrap().raw(true) {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            entries.push((entry.header().clone(), content));
        }
        Self(entries)
    }

    /// With the end marker.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, content) in &self.0 {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    fn entry(&mut self, ending: &str) -> &mut (Header, Vec<u8>) {
        let ends = |header: &Header| {
            let path = header.path_bytes();
            String::from_utf8_lossy(&path).ends_with(ending)
        };
        let found = self.0.iter_mut().find(|(header, _)| ends(header));
        found.unwrap_or_else(|| panic!("no entry ends with `{ending}`"))
    }

    fn edit(&mut self, store: &Store<'_>, edit: &Edit) {
        match edit {
            Edit::Add {
                path,
                kind,
                mode,
                link,
                content,
                last,
            } => {
                let content = content.as_ref().map(|content| content.bytes(store));
                let entry = entry(
                    &store.fill(path),
                    *kind,
                    *mode,
                    &store.fill(link),
                    content.unwrap_or_default(),
                );
                let at = if *last { self.0.len() } else { 0 };
                self.0.insert(at, entry);
            }
            Edit::Remove { entry } => {
                let ending = store.fill(entry);
                let path = self.entry(&ending).0.path_bytes().into_owned();
                self.0.retain(|(header, _)| *header.path_bytes() != *path);
            }
            Edit::Content { entry, content } => {
                let bytes = content.bytes(store);
                let (header, content) = self.entry(&store.fill(entry));
                header.set_size(bytes.len() as u64);
                header.set_cksum();
                *content = bytes;
            }
            Edit::Flip { entry, byte } => byte.flip(&mut self.entry(&store.fill(entry)).1),
            Edit::Rename { entry, path } => {
                let header = &mut self.entry(&store.fill(entry)).0;
                header.set_path(store.fill(path)).unwrap();
                header.set_cksum();
            }
            Edit::Header {
                entry,
                at,
                hex,
                checksum,
            } => {
                let bytes = Content::Hex(hex.clone()).bytes(store);
                let header = &mut self.entry(&store.fill(entry)).0;
                header.as_mut_bytes()[*at..at + bytes.len()].copy_from_slice(&bytes);
                if *checksum {
                    header.set_cksum();
                }
            }
            Edit::Splice {
                store: from,
                bundle,
            } => {
                let from = Store {
                    root: store.ground.store(from),
                    ..*store
                };
                let archive = forge::content(&from, &from.manifest(*bundle), Role::Archive);
                let mut more = Self::read(&archive).0;
                more.retain(|(header, _)| header.path_bytes().starts_with(b"docker"));
                self.0.extend(more);
            }
            Edit::Cut(_) | Edit::Append(_) => {}
        }
    }
}

fn entry(path: &str, kind: char, mode: u32, link: &str, content: Vec<u8>) -> (Header, Vec<u8>) {
    let mut header = Header::new_ustar();
    // What does not fit into the name goes before it, up to a slash.
    let cut = path.len().checked_sub(100);
    let slash = cut.and_then(|cut| Some(cut + path[cut..].find('/')?));
    let (prefix, name) = slash.map_or(("", path), |at| (&path[..at], &path[at + 1..]));
    let ustar = header.as_ustar_mut().unwrap();
    ustar.prefix[..prefix.len()].copy_from_slice(prefix.as_bytes());
    ustar.name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(EntryType::new(u8::try_from(kind).unwrap()));
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    (header, content)
}
