//! A whole store read as FORMAT.md says, by the crate's own parts: keys, signatures, manifests,
//! chunks, archives, inventory, closure.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use mimeograph_manifest::archive::{Headers, inspect};
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory::{Before, Inventory, check_closure};
use mimeograph_manifest::key::PublicKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::manifest::{File, Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::pruned::Pruned;
use mimeograph_manifest::signed::{FoundSignature, Signed, Verified};
use mimeograph_manifest::trust::TrustedKeys;

use super::{committed, entries};

/// What was read.
pub(crate) struct Read {
    pub(crate) bundles: Vec<Verified<Manifest>>,
    pub(crate) foreign: Vec<String>,
}

/// Reads all of a store; the first thing that is refused ends it.
pub(crate) fn read(store: &Path) -> Result<Read, ErrorId> {
    let trusted = trusted(store)?;
    let (mut payloads, mut signatures, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for path in files(store) {
        let name = path.strip_prefix(store).unwrap().to_str().unwrap();
        match Key::parse(name) {
            Some(Key::Manifest(sequence)) => payloads.push((sequence, fs::read(&path).unwrap())),
            Some(Key::Signature {
                sequence,
                manifest,
                signer,
            }) => {
                let bytes = fs::read(&path).unwrap();
                signatures.push((
                    sequence,
                    FoundSignature {
                        manifest,
                        signer,
                        bytes,
                    },
                ));
            }
            Some(_) => {}
            None => foreign.push(name.to_owned()),
        }
    }
    assert!(!payloads.is_empty(), "{}: no manifest", store.display());
    let (mut bundles, mut before) = (Vec::new(), Before::default());
    for (sequence, payload) in payloads {
        let of_it =
            |(n, found): &(Sequence, FoundSignature)| (*n == sequence).then(|| found.clone());
        let found = signatures.iter().filter_map(of_it).collect();
        let bundle = Signed::<Manifest>::new(sequence, payload, found)
            .verify(&trusted)
            .map_err(|error| error.id())?;
        check_contents(store, &bundle, &mut before)?;
        bundles.push(bundle);
    }
    Ok(Read { bundles, foreign })
}

/// Reads the one list of what is dropped in a store.
pub(crate) fn read_list(store: &Path) -> Result<Verified<Pruned>, ErrorId> {
    let trusted = trusted(store)?;
    let (mut payload, mut signatures) = (Vec::new(), Vec::new());
    for path in files(store) {
        let name = path.strip_prefix(store).unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        match Key::parse(name).unwrap() {
            Key::Pruned(Sequence::FIRST) => payload = bytes,
            Key::PrunedSignature { list, signer, .. } => signatures.push(FoundSignature {
                manifest: list,
                signer,
                bytes,
            }),
            other => panic!("{other}"),
        }
    }
    Signed::<Pruned>::new(Sequence::FIRST, payload, signatures)
        .verify(&trusted)
        .map_err(|error| error.id())
}

/// `trusted/*.pem` and `threshold` beside the store; the release key alone where there are none.
fn trusted(store: &Path) -> Result<TrustedKeys, ErrorId> {
    let folder = store.join("trusted");
    let keys = if folder.exists() {
        entries(&folder)
    } else {
        vec![committed("release.pub.pem")]
    };
    let keys: Result<Vec<_>, _> = keys
        .iter()
        .map(|path| PublicKey::from_pem(&fs::read_to_string(path).unwrap()))
        .collect();
    let threshold =
        fs::read_to_string(store.join("threshold")).map_or(1, |text| text.trim().parse().unwrap());
    Ok(TrustedKeys::new(
        keys.map_err(|error| error.id())?,
        NonZeroUsize::new(threshold).unwrap(),
    ))
}

/// All files below a folder but those that say what is trusted, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let inside = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries(folder)
        .into_iter()
        .filter(|path| !path.ends_with("trusted") && !path.ends_with("threshold"))
        .flat_map(inside)
        .collect()
}

fn check_contents(store: &Path, bundle: &Manifest, before: &mut Before) -> Result<(), ErrorId> {
    let mut contents = BTreeMap::new();
    for file in &bundle.files {
        contents.insert((file.role, file.name.to_string()), assemble(store, file)?);
    }
    let only = |role| {
        contents
            .iter()
            .find(|((of, _), _)| *of == role)
            .map(|(_, bytes)| bytes)
    };
    let (Some(inventory), Some(imageset)) = (only(Role::Inventory), only(Role::Imageset)) else {
        return Ok(()); // a heartbeat
    };
    let inventory = Inventory::from_bytes(inventory).map_err(|error| error.id())?;
    let imageset = ImageSet::parse(imageset).map_err(|error| error.id())?;
    let archives = contents
        .iter()
        .filter(|((role, _), _)| *role == Role::Archive)
        .map(|((_, name), bytes)| {
            Headers::new(name, bundle.producer.generation, Cursor::new(bytes))
        });
    let found = inspect(archives, &mut |_| {}).map_err(|error| error.id())?;
    inventory
        .matches(&found.structure)
        .map_err(|error| error.id())?;
    let wanted = inventory.wish.digests();
    let members = inventory.wish.index_members(&imageset);
    check_closure(&found.structure, before, wanted, &members).map_err(|error| error.id())?;
    before.add_newer(inventory);
    Ok(())
}

/// A file's bytes, chunk by chunk.
pub(crate) fn assemble(store: &Path, file: &File) -> Result<Vec<u8>, ErrorId> {
    let (mut whole, mut room) = (Vec::new(), Vec::new());
    for chunk in &file.chunks {
        let stored = fs::read(store.join(Key::Chunk(chunk.stored).to_string()))
            .map_err(|_| ErrorId::Incomplete)?;
        if (stored.len() as u64) < chunk.stored_size {
            return Err(ErrorId::Incomplete);
        }
        let raw = chunk
            .open(&stored, &mut room)
            .map_err(|_| ErrorId::ChunkDamaged)?;
        whole.extend_from_slice(raw);
    }
    assert_eq!(whole.len() as u64, file.size);
    Ok(whole)
}
