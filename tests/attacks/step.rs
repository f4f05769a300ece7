//! What can be done to a store: the vocabulary of the cases. Names and texts may have templates (see [`crate::store`]).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use mimeograph_manifest::manifest::Role;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde::Deserialize;

use crate::bytes::{Byte, Content, RoleText};
use crate::chunks::{self, How};
use crate::forge::{self, Spoilt};
use crate::store::Store;
use crate::tarball::{self, Edit};

/// One thing that is done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Step {
    /// An object is written, whatever lay there; with `times`, as many, numbered by `{i}` (16 digits) in the name.
    Write {
        at: String,
        content: Content,
        #[serde(default = "once")]
        times: u64,
    },
    /// An object, or a folder with all in it, is copied. `N:NAME` and `other:NAME` lie in the stores as they were.
    Copy { from: String, to: String },
    /// Two objects change places.
    Swap { a: String, b: String },
    /// A bit of an object is flipped.
    Flip { at: String, byte: Byte },
    /// An object is cut, or grows with zeros: to so many bytes, or, where that is negative, by so many.
    Resize { at: String, to: i64 },
    /// Bytes are put at the end of an object.
    Append { at: String, content: Content },
    /// Objects are removed: one, or all whose names begin so where it ends with `*`.
    Remove { at: String },
    /// Something that is no regular file is put in a place.
    Special {
        at: String,
        kind: Special,
        #[serde(default)]
        to: String,
    },
    /// A manifest is changed and signed anew, in its own place or in another; what lay there goes.
    Forge {
        bundle: u64,
        /// Another place.
        #[serde(default, rename = "as")]
        place: Option<u64>,
        /// New values by JSON pointer, in a manifest that stays in its form.
        #[serde(default)]
        set: serde_json::Map<String, serde_json::Value>,
        /// Regular expressions, and what the first that matches becomes, in the bytes.
        #[serde(default)]
        replace: Vec<(String, String)>,
        /// Other bytes altogether.
        #[serde(default)]
        content: Option<Content>,
        /// Who signs.
        #[serde(default = "release")]
        by: Vec<String>,
    },
    /// A signature is put beside a manifest, by one key, perhaps under another's name, perhaps spoilt.
    Sign {
        bundle: u64,
        by: String,
        #[serde(default)]
        named: Option<String>,
        #[serde(default)]
        spoilt: Option<Spoilt>,
    },
    /// A bundle's file gets another content, is added, or goes; the key of the bundler signs.
    File {
        bundle: u64,
        #[serde(with = "RoleText")]
        role: Role,
        /// A new file of this name.
        #[serde(default)]
        name: Option<String>,
        /// Its content; none: the file goes.
        #[serde(default)]
        content: Option<Content>,
    },
    /// A chunk is stored in another way, under a true digest; the key of the bundler signs.
    Recode {
        bundle: u64,
        #[serde(with = "RoleText")]
        role: Role,
        how: How,
    },
    /// A bundle's archive is changed; the key of the bundler signs.
    Archive {
        bundle: u64,
        edits: Vec<Edit>,
        /// The inventory is made to agree.
        #[serde(default)]
        inventory: bool,
    },
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Special {
    /// A symbolic link to a path; one that is not absolute lies beside it.
    Link,
    /// Another name of an object.
    HardLink,
    Fifo,
    Socket,
    /// `/dev/zero`, which has no end.
    Device,
    Folder,
}

fn once() -> u64 {
    1
}

fn release() -> Vec<String> {
    vec!["release".to_owned()]
}

impl Step {
    pub(crate) fn apply(&self, store: &Store<'_>) {
        match self {
            Self::Write { at, content, times } => write(store, at, content, *times),
            Self::Copy { from, to } => copy(store, &store.path(from), &store.path(to)),
            Self::Swap { a, b } => {
                let (a, b, between) = (store.path(a), store.path(b), store.path(".between"));
                fs::rename(&a, &between).unwrap();
                fs::rename(&b, a).unwrap();
                fs::rename(between, b).unwrap();
            }
            Self::Flip { at, byte } => {
                let mut bytes = store.read(at);
                byte.flip(&mut bytes);
                store.write(at, &bytes);
            }
            Self::Resize { at, to } => {
                let file = OpenOptions::new().write(true).open(store.path(at)).unwrap();
                let size = file.metadata().unwrap().len();
                let to = if *to < 0 {
                    size.checked_add_signed(*to)
                } else {
                    u64::try_from(*to).ok()
                };
                file.set_len(to.unwrap()).unwrap();
            }
            Self::Append { at, content } => {
                let bytes = [store.read(at), content.bytes(store)].concat();
                store.write(at, &bytes);
            }
            Self::Remove { at } => {
                let found = store.matching(at);
                assert!(!found.is_empty(), "there is no {at}");
                for path in found {
                    remove(&path);
                }
            }
            Self::Special { at, kind, to } => special(store, at, *kind, to),
            Self::Forge {
                bundle,
                place,
                set,
                replace,
                content,
                by,
            } => {
                let bytes = match content {
                    Some(content) => content.bytes(store),
                    None => store.read(&format!("{{manifest:{bundle}}}")),
                };
                let bytes = forge::set(store, bytes, set);
                let bytes = forge::replace(store, bytes, replace);
                forge::publish(store, place.unwrap_or(*bundle), &bytes, by);
            }
            Self::Sign {
                bundle,
                by,
                named,
                spoilt,
            } => forge::sign(store, *bundle, by, named.as_deref().unwrap_or(by), *spoilt),
            Self::File {
                bundle,
                role,
                name,
                content,
            } => {
                let content = content.as_ref().map(|content| content.bytes(store));
                forge::file(store, *bundle, *role, name.as_deref(), content.as_deref());
            }
            Self::Recode { bundle, role, how } => chunks::recode(store, *bundle, *role, *how),
            Self::Archive {
                bundle,
                edits,
                inventory,
            } => tarball::forge(store, *bundle, edits, *inventory),
        }
    }
}

fn write(store: &Store<'_>, at: &str, content: &Content, times: u64) {
    for i in 0..times {
        let at = at.replace("{i}", &format!("{i:016x}"));
        match content {
            Content::Zeros(size) => {
                store.write(&at, b"");
                let file = OpenOptions::new().write(true).open(store.path(&at));
                file.unwrap().set_len(*size).unwrap();
            }
            content => store.write(&at, &content.bytes(store)),
        }
    }
}

fn copy(store: &Store<'_>, from: &Path, to: &Path) {
    if !from.is_dir() {
        return store.write(&to.display().to_string(), &fs::read(from).unwrap());
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(store, &entry.path(), &to.join(entry.file_name()));
    }
}

fn remove(path: &Path) {
    let removed = if fs::symlink_metadata(path).unwrap().is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.unwrap();
}

fn special(store: &Store<'_>, at: &str, kind: Special, to: &str) {
    let path = store.path(at);
    let to = store.fill(to);
    if fs::symlink_metadata(&path).is_ok() {
        remove(&path);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = Mode::from_raw_mode(0o644);
    match kind {
        Special::Link => symlink(&to, &path).unwrap(),
        Special::HardLink => fs::hard_link(store.path(&to), &path).unwrap(),
        Special::Fifo => mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap(),
        Special::Device => {
            // Major 1, minor 5. Who may not make one makes a pipe, which is refused for the same reason.
            let zero = makedev(1, 5);
            let device = mknodat(CWD, &path, FileType::CharacterDevice, mode, zero);
            device
                .or_else(|_| mknodat(CWD, &path, FileType::Fifo, mode, 0))
                .unwrap();
        }
        Special::Socket => drop(UnixListener::bind(&path).unwrap()),
        Special::Folder => fs::create_dir(&path).unwrap(),
    }
}
