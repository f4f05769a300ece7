//! `keys.yaml` beside the keys of a folder: by key id, the role of each and when it counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{KeyFileError, public};
use crate::digest::Digest;
use crate::io::disk;
use crate::limits;
use crate::time::Timestamp;
use crate::trust::{KeyRole, TrustedKey, Window};

const FILE: &str = "keys.yaml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    keys: Entries,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    // Not the default of a key that is not named: a forgotten role would make an approver a bundler.
    role: KeyRole,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    not_after: Option<Timestamp>,
}

/// Each id once.
#[derive(Debug, Default)]
struct Entries(BTreeMap<Digest, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("key ids (64 hexadecimal digits), each with what is said of it")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((id, entry)) = map.next_entry::<Digest, Entry>()? {
                    if entries.insert(id, entry).is_some() {
                        return Err(serde::de::Error::custom(format!("{id} stands there twice")));
                    }
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(Visitor)
    }
}

/// The keys of these files, with what the `keys.yaml` say of them that lie in the places named, folders or files. What is
/// said twice must be the same: one key fills one role.
pub(super) fn read(
    files: &[PathBuf],
    places: impl IntoIterator<Item = PathBuf>,
) -> Result<Vec<TrustedKey>, KeyFileError> {
    let mut keys: BTreeMap<Digest, TrustedKey> = BTreeMap::new();
    for path in files {
        let key = public(path)?;
        keys.insert(key.id(), key.into());
    }
    let mut told: BTreeMap<Digest, TrustedKey> = BTreeMap::new();
    for place in places {
        let is_folder = place.is_dir();
        let folder = if is_folder {
            place
        } else {
            place.parent().map(Path::to_owned).unwrap_or_default()
        };
        let path = folder.join(FILE);
        if let Some(other) = misnamed(&folder) {
            return Err(KeyFileError::About {
                path: other,
                problem: format!("what is said of keys is read from `{FILE}` alone"),
            });
        }
        let Some(About {
            keys: Entries(entries),
        }) = parse(&path)?
        else {
            continue;
        };
        for (id, entry) in entries {
            let wrong = |problem: String| KeyFileError::About {
                path: path.clone(),
                problem,
            };
            let Some(known) = keys.get_mut(&id) else {
                if !is_folder && lies_in(&folder, &id) {
                    continue; // of a key beside the one that is named
                }
                return Err(wrong(format!("no key with id {id} lies there")));
            };
            let window = Window {
                not_before: entry.not_before,
                not_after: entry.not_after,
            };
            let ends = entry.not_before.zip(entry.not_after);
            if ends.is_some_and(|(begin, end)| end < begin) {
                return Err(wrong(format!("the window of {id} ends before it begins")));
            }
            *known = TrustedKey {
                role: entry.role,
                window,
                ..*known
            };
            if told
                .insert(id, *known)
                .is_some_and(|before| before != *known)
            {
                return Err(wrong(format!("another `{FILE}` says otherwise of {id}")));
            }
        }
    }
    Ok(keys.into_values().collect())
}

/// A file that somebody may take for it: windows and roles in it would count for nothing.
fn misnamed(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let end = path.extension().and_then(|end| end.to_str());
        let [stem, end] = [stem, end].map(|part| part.unwrap_or_default().to_lowercase());
        let is_near = matches!(&*stem, "keys" | "key") && matches!(&*end, "yaml" | "yml" | "json");
        is_near && path.file_name().is_some_and(|name| name != FILE)
    })
}

/// Whether a key with this id lies in the folder.
fn lies_in(folder: &Path, id: &Digest) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| {
        path.extension().is_some_and(|end| end == "pem")
            && public(&path).is_ok_and(|key| key.id() == *id)
    })
}

fn parse(path: &Path) -> Result<Option<About>, KeyFileError> {
    let bytes = disk::read_if_there(path, limits::KEYS_FILE_SIZE).map_err(KeyFileError::Disk)?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    if crate::yaml::expanded_size(&bytes) > bytes.len() {
        return Err(KeyFileError::About {
            path: path.to_owned(),
            problem: "aliases have no place there".into(),
        });
    }
    let about = serde_yaml::from_slice(&bytes);
    about.map(Some).map_err(|error| KeyFileError::About {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn folder(about: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for n in [1, 2] {
            let key = SigningKey::from_seed(&[n; 32]).public();
            std::fs::write(folder.path().join(format!("{n}.pem")), key.to_pem()).unwrap();
        }
        std::fs::write(folder.path().join(FILE), about).unwrap();
        folder
    }

    fn id(n: u8) -> Digest {
        SigningKey::from_seed(&[n; 32]).public().id()
    }

    fn read_all(about: &str) -> Result<Vec<TrustedKey>, String> {
        let folder = folder(about);
        let files = [1, 2].map(|n| folder.path().join(format!("{n}.pem")));
        read(&files, [folder.path().to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn roles_and_windows_are_read_by_key_id() {
        let about = format!(
            "keys:\n  {}: {{ role: approver, notBefore: 2026-01-01T00:00:00Z }}\n",
            id(2)
        );
        let keys = read_all(&about).unwrap();
        let of = |n| keys.iter().find(|one| one.key.id() == id(n)).unwrap();
        assert_eq!(of(1).role, KeyRole::Bundler);
        assert_eq!(of(1).window, Window::default());
        assert_eq!(of(2).role, KeyRole::Approver);
        assert!(of(2).window.not_before.is_some() && of(2).window.not_after.is_none());
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        let one = id(1);
        for (about, word) in [
            (
                format!("keys:\n  {}: {{ role: bundler }}\n", Digest::of(b"x")),
                "no key with id",
            ),
            (
                format!("keys:\n  {one}: {{ notAfter: 2026-01-01T00:00:00Z }}\n"),
                "missing field `role`",
            ),
            (
                format!("keys:\n  {one}: {{ role: bundler }}\n  {one}: {{ role: approver }}\n"),
                "twice",
            ),
            (format!("keys:\n  {one}: {{ role: admin }}\n"), "admin"),
            (
                format!("keys:\n  {one}: {{ role: approver, rôle: approver }}\n"),
                "unknown field",
            ),
            (
                format!("keys:\n  {one}: {{ role: bundler, notAfter: tomorrow }}\n"),
                "tomorrow",
            ),
            (
                format!(
                    "keys:\n  {one}: {{ role: bundler, notBefore: 2026-02-01T00:00:00Z, notAfter: 2026-01-01T00:00:00Z }}\n"
                ),
                "ends before it begins",
            ),
            ("keys: 5\n".to_owned(), "key ids"),
            ("revoked: []\n".to_owned(), "unknown field"),
            (
                format!("keys:\n  {one}: &x {{ role: bundler }}\n  {}: *x\n", id(2)),
                "aliases",
            ),
        ] {
            let error = read_all(&about).unwrap_err();
            assert!(error.contains(word), "{about}{error}");
        }
    }
}
