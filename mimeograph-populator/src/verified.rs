//! Turn + chunks -> a verified bundle in a private folder: the only thing that `oc-mirror` may be given.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mimeograph_manifest::archive::{ArchiveError, Contents, Place};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::imageset::ImageSet;
use mimeograph_manifest::inventory::{Inventory, check_closure};
use mimeograph_manifest::io::archives::{self, Digests, Reading};
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::{self, Generation, Manifest, Role};
use mimeograph_manifest::release::ReleaseKeys;

use crate::cache::Cache;
use crate::course::Turn;
use crate::fetch::{Pace, fetch};
use crate::wished::{self, Signed};

/// A bundle of which every byte was verified, in a folder of its own that holds nothing else.
///
/// Only [`Previewed::fetch`] makes one. `oc-mirror` takes nothing else:
///
/// ```compile_fail
/// use mimeograph_populator::verified::VerifiedBundle;
/// let forged = VerifiedBundle { staging: "/tmp/x".into() };
/// ```
#[derive(Debug)]
pub struct VerifiedBundle {
    staging: PathBuf,
    turn: Turn,
    small: Small,
    blobs: BTreeMap<Digest, Place>,
}

/// What a bundle is verified for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its blobs go into the cache, under a newer bundle that is judged as a whole.
    Merge,
    /// It is loaded: what it holds must be what was asked for, and every image whole.
    Load,
}

/// The small files, which are verified before the large ones are fetched.
#[derive(Debug)]
struct Small {
    imageset_bytes: Vec<u8>,
    imageset: ImageSet,
    inventory_bytes: Vec<u8>,
    inventory: Inventory,
}

/// A bundle whose small files were verified: what it needs and changes is known before the rest is fetched.
#[derive(Debug)]
pub struct Previewed {
    turn: Turn,
    small: Small,
}

/// There is not room enough.
#[derive(Debug, thiserror::Error)]
#[error("{} has {free} bytes free, and bundle {sequence} needs {need}", folder.display())]
struct NoRoom {
    folder: PathBuf,
    free: u64,
    need: u64,
    sequence: mimeograph_manifest::name::Sequence,
}

impl Fault for NoRoom {
    fn id(&self) -> ErrorId {
        ErrorId::NoSpace
    }

    fn hint(&self) -> Option<String> {
        Some("make room there, or point `artefacts.bundleDir` and `artefacts.cacheDir` at a larger volume".into())
    }
}

/// The manifest has a file that every bundle must have. Verified manifests do.
#[derive(Debug, thiserror::Error)]
#[error("the manifest has no {0}")]
struct NoFile(&'static str);

impl Fault for NoFile {
    fn id(&self) -> ErrorId {
        ErrorId::ManifestMalformed
    }
}

impl Previewed {
    /// Fetches and reads image set and inventory.
    pub fn of(turn: Turn, store: &dyn Fetch) -> Result<Self, Failure> {
        let read = |role, what| -> Result<Vec<u8>, Failure> {
            let file = turn.manifest().files(role).next().ok_or(NoFile(what))?;
            Ok(fetched::small_file(store, file)?)
        };
        let imageset_bytes = read(Role::Imageset, "image set")?;
        let inventory_bytes = read(Role::Inventory, "inventory")?;
        let small = Small {
            imageset: ImageSet::parse(&imageset_bytes)?,
            inventory: Inventory::from_bytes(&inventory_bytes)?,
            imageset_bytes,
            inventory_bytes,
        };
        Ok(Self { turn, small })
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.turn.manifest()
    }

    /// What the image set says.
    pub fn imageset(&self) -> &ImageSet {
        &self.small.imageset
    }

    /// What the archives hold.
    pub fn inventory(&self) -> &Inventory {
        &self.small.inventory
    }

    /// Bytes that staging takes.
    pub fn staging_size(&self) -> u64 {
        staged(self.manifest()).map(|file| file.size).sum()
    }

    /// Bytes that the cache will grow by.
    pub fn cache_size(&self, cache: &Cache) -> Result<u64, Failure> {
        let lacking = cache.lacking(&self.small.inventory)?;
        Ok(lacking.iter().map(|(_, size)| size).sum())
    }

    /// Refuses where the folders cannot hold what is to come: staging, and the cache's blobs.
    pub fn check_room(&self, bundle_dir: &Path, cache: &Cache) -> Result<(), Failure> {
        let staging = self.staging_size();
        let blobs = self.cache_size(cache)?;
        let same = is_same_volume(bundle_dir, cache.root());
        let needs = if same {
            vec![(bundle_dir, staging + blobs)]
        } else {
            vec![(bundle_dir, staging), (cache.root(), blobs)]
        };
        for (folder, bytes) in needs {
            let (free, need) = (disk::free_space(folder)?, bytes + bytes / 20);
            if free < need {
                let sequence = self.manifest().sequence;
                return Err(NoRoom {
                    folder: folder.to_owned(),
                    free,
                    need,
                    sequence,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Fetches the rest, reads every archive to its end, and compares it with what was signed.
    pub fn fetch(
        self,
        store: &dyn Fetch,
        bundle_dir: &Path,
        pace: Pace<'_>,
        release_keys: &ReleaseKeys,
        purpose: Purpose,
    ) -> Result<VerifiedBundle, Failure> {
        let Self { turn, small } = self;
        let staging = bundle_dir.join(staging_name(turn.manifest().digest()));
        private(&staging)?;
        let mut known = Digests::of_chunks(turn.manifest());
        for (role, folder) in PLACES {
            let files: Vec<_> = turn.manifest().files(*role).collect();
            let folder = staging.join(folder);
            if *role == Role::Archive {
                // Whatever else lies there would be imported too (contract fact 8).
                remove_others(&folder, &files)?;
            }
            let hashed = fetch(store, &files, &folder, pace)?;
            if *role == Role::Archive {
                known = known.and(hashed);
                close(&folder, &files)?;
            }
        }
        let mut bundle = VerifiedBundle {
            staging,
            turn,
            small,
            blobs: BTreeMap::new(),
        };
        let (manifest, inventory) = (bundle.manifest(), bundle.inventory());
        let contents = check_archives(
            &bundle.archives(),
            manifest,
            inventory,
            &known,
            pace.parallel,
        )?;
        if purpose == Purpose::Load {
            bundle.judge(&contents, release_keys)?;
        }
        bundle.blobs = contents.places.blobs;
        Ok(bundle)
    }
}

/// Where files of each role are staged. Digits: `oc-mirror` refuses many words in paths.
/// The history is the other side's, and yet checked: a bundle is whole or it is not.
const PLACES: &[(Role, &str)] = &[
    (Role::Archive, "1"),
    (Role::Local, "2"),
    (Role::Extra, "3"),
    (Role::History, "4"),
];

/// The files that are staged; image set and inventory are kept in memory.
pub(crate) fn staged(manifest: &Manifest) -> impl Iterator<Item = &manifest::File> {
    manifest
        .files
        .iter()
        .filter(|file| PLACES.iter().any(|(role, _)| *role == file.role))
}

/// The bundle's folder: digits made of its manifest's digest, so that another try finds what was fetched.
fn staging_name(manifest: Digest) -> String {
    let number = manifest.as_bytes()[..8]
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    format!("{number:020}")
}

/// Removes what was staged of bundles other than these: nobody comes back for it.
pub fn sweep(bundle_dir: &Path, waited_for: &[Digest]) -> Result<(), Failure> {
    let kept: Vec<_> = waited_for.iter().copied().map(staging_name).collect();
    let read = |source| DiskError::new(Action::Read, bundle_dir, source);
    for entry in fs::read_dir(bundle_dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_staging = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        if is_staging && !kept.contains(&name) {
            let path = entry.path();
            disk::remove(&path).map_err(|source| DiskError::new(Action::Remove, &path, source))?;
        }
    }
    Ok(())
}

/// From here on nobody writes to these.
fn close(folder: &Path, files: &[&manifest::File]) -> Result<(), Failure> {
    for file in files {
        let path = folder.join(file.name.as_str());
        fs::set_permissions(&path, Permissions::from_mode(0o400))
            .map_err(|source| DiskError::new(Action::Write, &path, source))?;
    }
    Ok(())
}

fn private(folder: &Path) -> Result<(), Failure> {
    let made = disk::make(folder, 0o700);
    let closed = made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o700)));
    Ok(closed.map_err(|source| DiskError::new(Action::Create, folder, source))?)
}

fn remove_others(folder: &Path, files: &[&manifest::File]) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry.file_type().is_ok_and(|kind| kind.is_file())
            && files
                .iter()
                .any(|file| Some(file.name.as_str()) == entry.file_name().to_str());
        if !is_ours {
            disk::remove(&path).map_err(|source| DiskError::new(Action::Remove, &path, source))?;
        }
    }
    Ok(())
}

fn is_same_volume(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| {
        path.ancestors()
            .find_map(|folder| fs::metadata(folder).ok())
            .map(|metadata| metadata.dev())
    };
    device(a) == device(b)
}

/// A bundle's archives with their names, each opened when it is asked for.
fn opened<'a>(
    folder: &'a Path,
    manifest: &'a Manifest,
) -> impl Iterator<Item = Result<(&'a str, File), ArchiveError>> {
    manifest.files(Role::Archive).map(|file| {
        let name = file.name.as_str();
        let opened = File::open(folder.join(name)).map_err(|source| ArchiveError::Read {
            archive: name.into(),
            source,
        })?;
        Ok((name, opened))
    })
}

/// Reads a bundle's archives to their end and compares them with the signed inventory. They were put together from
/// verified chunks: what of them is `known` has been hashed.
pub fn check_archives(
    folder: &Path,
    manifest: &Manifest,
    inventory: &Inventory,
    known: &Digests,
    parallel: usize,
) -> Result<Contents, Failure> {
    let names = manifest.files(Role::Archive);
    let paths: Vec<_> = names.map(|file| folder.join(file.name.as_str())).collect();
    let reading = Reading {
        parallel,
        chunk_size: u64::MAX,
        known,
        progress: &|_| (),
    };
    let (contents, _) = archives::read(&paths, manifest.producer.generation, &reading)?;
    inventory.matches(&contents.structure)?;
    Ok(contents)
}

impl VerifiedBundle {
    /// Whether it is what was asked for, and whole.
    fn judge(&self, contents: &Contents, release_keys: &ReleaseKeys) -> Result<(), Failure> {
        let inventory = self.inventory();
        let signed = Signed {
            manifest: self.manifest(),
            imageset: self.imageset(),
            inventory,
            before: self.turn.before(),
            release_keys,
        };
        wished::check(signed, contents, self.open_archives()?)?;
        Ok(check_closure(
            &inventory.structure,
            self.turn.before(),
            inventory.wish.digests(),
            &inventory.wish.index_members(self.imageset()),
        )?)
    }

    /// Its archives, to be read from.
    pub(crate) fn open_archives(&self) -> Result<Vec<File>, Failure> {
        let folder = self.archives();
        let files = opened(&folder, self.manifest()).map(|opened| opened.map(|(_, file)| file));
        Ok(files.collect::<Result<_, _>>()?)
    }

    /// In which archive a blob lies, and at which byte.
    pub(crate) fn place(&self, blob: &Digest) -> Option<(usize, u64)> {
        let place = self.blobs.get(blob)?;
        Some((place.archive, place.data.start))
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.turn.manifest()
    }

    /// The leave that it was fetched by.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// v1 or v2.
    pub fn generation(&self) -> Generation {
        self.manifest().producer.generation
    }

    /// The folder that holds the archives and nothing else.
    pub fn archives(&self) -> PathBuf {
        self.staging.join("1")
    }

    /// The folder of staged local files.
    pub fn local(&self) -> PathBuf {
        self.staging.join("2")
    }

    /// The folder of staged extra files.
    pub fn extra(&self) -> PathBuf {
        self.staging.join("3")
    }

    /// Where cluster resources wait until the load is confirmed.
    pub fn resources(&self) -> PathBuf {
        self.staging.join("5")
    }

    /// Where `oc-mirror` is asked what went where: beside the archives, which another try may need.
    pub fn rehearsal(&self) -> PathBuf {
        self.staging.join("6")
    }

    /// The image set, byte for byte as it was signed.
    pub fn imageset_bytes(&self) -> &[u8] {
        &self.small.imageset_bytes
    }

    /// What it says.
    pub fn imageset(&self) -> &ImageSet {
        &self.small.imageset
    }

    /// What the archives hold.
    pub fn inventory(&self) -> &Inventory {
        &self.small.inventory
    }

    /// The inventory's exact bytes.
    pub fn inventory_bytes(&self) -> &[u8] {
        &self.small.inventory_bytes
    }

    /// Drops the folder, once the bundle was applied.
    pub fn discard(self) {
        if let Err(error) = disk::remove(&self.staging) {
            tracing::warn!(folder = %self.staging.display(), %error, "failed to remove what was staged");
        }
    }
}
