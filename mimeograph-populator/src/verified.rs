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
    let first = manifest.as_bytes().first_chunk().copied();
    let number = u64::from_be_bytes(first.unwrap_or_default());
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
        known,
        progress: &|_| (),
    };
    let contents = archives::read(&paths, manifest.producer.generation, &reading)?;
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, SeekFrom};
    use std::os::unix::fs::symlink;

    use mimeograph_manifest::inventory::Before;
    use mimeograph_manifest::io::interrupt::Interrupt;
    use mimeograph_manifest::io::throttle::Throttle;
    use mimeograph_manifest::signed::Verified;
    use tempfile::TempDir;

    use super::*;
    use crate::course::tests::turn;
    use crate::sample::{Memory, Sample, noise};

    fn previewed(manifest: &Verified<Manifest>, before: &Before, store: &Memory) -> Previewed {
        Previewed::of(turn(manifest, before), store).unwrap()
    }

    fn fetched(
        previewed: Previewed,
        store: &Memory,
        bundle_dir: &Path,
        purpose: Purpose,
    ) -> Result<VerifiedBundle, ErrorId> {
        let pace = Pace {
            parallel: 2,
            throttle: &Throttle::default(),
            interrupt: &Interrupt::default(),
            progress: &|_| (),
        };
        let keys = ReleaseKeys::default();
        let fetched = previewed.fetch(store, bundle_dir, pace, &keys, purpose);
        fetched.map_err(|failure| failure.id())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A bundle of two archives with a file of every role.
    fn sample() -> (Memory, Verified<Manifest>) {
        let mut store = Memory::default();
        let layers = [noise(1, 3000), noise(2, 100_000)];
        let manifest = Sample::first()
            .cut_at(10_000)
            .blob(&layers[0])
            .next_archive()
            .blob(&layers[1])
            .image("a", &layers.map(|layer| Digest::of(&layer)))
            .file(Role::Local, "charts/x.tgz", b"local")
            .file(Role::Extra, "charts/x.tgz", b"extra")
            .file(Role::History, "history.json", b"history")
            .put(&mut store);
        (store, manifest)
    }

    const ARCHIVES: [&str; 2] = ["mirror_000001.tar", "mirror_000002.tar"];

    #[test]
    fn a_bundle_lies_in_a_private_folder_that_holds_nothing_else() {
        let (store, manifest) = sample();
        let folder = tempfile::tempdir().unwrap();
        let number = u64::from_str_radix(&manifest.digest().short(), 16).unwrap();
        let staging = folder.path().join(format!("{number:020}"));
        // What an earlier try, or somebody, left there.
        let victim = folder.path().join("victim");
        fs::write(&victim, "victim").unwrap();
        fs::create_dir_all(staging.join("1/mirror_000002.tar/x")).unwrap();
        fs::write(staging.join("1/mirror_000001.tar.bak"), "").unwrap();
        symlink(&victim, staging.join("1/mirror_000001.tar")).unwrap();
        fs::set_permissions(&staging, Permissions::from_mode(0o755)).unwrap();

        let preview = previewed(&manifest, &Before::default(), &store);
        let bundle = fetched(preview, &store, folder.path(), Purpose::Load).unwrap();
        assert_eq!(mode(&staging), 0o700);
        assert_eq!(bundle.archives(), staging.join("1"));
        assert_eq!(names(&bundle.archives()), ARCHIVES);
        for (name, file) in ARCHIVES.iter().zip(manifest.files(Role::Archive)) {
            let path = bundle.archives().join(name);
            assert!(file.is(&fs::read(&path).unwrap()), "{name}");
            assert_eq!(mode(&path), 0o400);
        }
        assert_eq!(fs::read(&victim).unwrap(), b"victim");
        let read = |folder: PathBuf, name| fs::read(folder.join(name)).unwrap();
        assert_eq!(read(bundle.local(), "charts/x.tgz"), b"local");
        assert_eq!(read(bundle.extra(), "charts/x.tgz"), b"extra");
        assert_eq!(read(staging.join("4"), "history.json"), b"history");
        // Cluster resources wait beside them, in a folder of their own.
        let staged = names(&staging);
        assert_eq!(staged, ["1", "2", "3", "4"]);
        assert_eq!(bundle.resources(), staging.join("5"));
        assert_eq!(bundle.rehearsal(), staging.join("6"));

        bundle.discard();
        assert_eq!(names(folder.path()), ["victim"]);
    }

    #[test]
    fn what_was_signed_is_given_on_byte_for_byte() {
        let (store, manifest) = sample();
        let folder = tempfile::tempdir().unwrap();
        let preview = previewed(&manifest, &Before::default(), &store);
        assert_eq!(*preview.manifest(), *manifest);
        assert_eq!(*preview.inventory(), store.inventory(&manifest));
        let asked = &preview.imageset().mirror.additional_images;
        assert_eq!(asked[0].name.value, "lab.example/a:v1");
        let bundle = fetched(preview, &store, folder.path(), Purpose::Load).unwrap();
        let is = |role, bytes| manifest.files(role).next().unwrap().is(bytes);
        assert!(is(Role::Imageset, bundle.imageset_bytes()));
        assert!(is(Role::Inventory, bundle.inventory_bytes()));
        assert_eq!(*bundle.inventory(), store.inventory(&manifest));
        assert_eq!(bundle.turn().manifest().digest(), manifest.digest());
        assert_eq!(bundle.generation(), Generation::V2);
    }

    #[test]
    fn every_blob_is_found_in_its_archive() {
        let (store, manifest) = sample();
        let folder = tempfile::tempdir().unwrap();
        let preview = previewed(&manifest, &Before::default(), &store);
        let bundle = fetched(preview, &store, folder.path(), Purpose::Merge).unwrap();
        let mut archives = bundle.open_archives().unwrap();
        let mut of = [0, 0];
        for (blob, size) in &bundle.inventory().structure.blobs {
            let (archive, at) = bundle.place(blob).unwrap();
            of[archive] += 1;
            let mut bytes = vec![0; usize::try_from(*size).unwrap()];
            archives[archive].seek(SeekFrom::Start(at)).unwrap();
            archives[archive].read_exact(&mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), *blob);
        }
        assert_eq!(of, [1, 2]);
        assert_eq!(bundle.place(&Digest::of(b"other")), None);
    }

    #[test]
    fn what_is_loaded_is_what_was_asked_for_and_whole_over_what_came_before() {
        let mut store = Memory::default();
        let layer = noise(1, 100);
        let first = Sample::first().blob(&layer).put(&mut store);
        let mut before = Before::default();
        before.add_newer(store.inventory(&first));
        let nothing = Before::default();
        let image = || Sample::after(&first).image("a", &[Digest::of(&layer)]);
        let whole = image().put(&mut store);
        let other = image().unwished().put(&mut store);
        let folder = tempfile::tempdir().unwrap();
        let fetched = |manifest, before, purpose| {
            let preview = previewed(manifest, before, &store);
            fetched(preview, &store, folder.path(), purpose).map(drop)
        };
        assert_eq!(fetched(&whole, &before, Purpose::Load), Ok(()));
        let not_closed = Err(ErrorId::NotClosed);
        assert_eq!(fetched(&whole, &nothing, Purpose::Load), not_closed);
        let mismatch = Err(ErrorId::InventoryMismatch);
        assert_eq!(fetched(&other, &before, Purpose::Load), mismatch);
        // Under a newer bundle that is judged as a whole.
        assert_eq!(fetched(&whole, &nothing, Purpose::Merge), Ok(()));
        assert_eq!(fetched(&other, &before, Purpose::Merge), Ok(()));
    }

    #[test]
    fn only_what_was_staged_of_others_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let waited = Digest::of(b"waited for");
        let mut kept = vec![
            "2".to_owned(),
            "0000000000000000007".to_owned(),
            "000000000000000000007".to_owned(),
            "0000000000000000000x".to_owned(),
            staging_name(waited),
        ];
        kept.sort_unstable();
        let old = "00000000000000000007".to_owned();
        for name in kept.iter().chain([&old]) {
            fs::create_dir_all(folder.path().join(name).join("1")).unwrap();
        }
        sweep(folder.path(), &[waited]).unwrap();
        assert_eq!(names(folder.path()), kept);
        assert!(sweep(&folder.path().join("absent"), &[]).is_err());
    }

    /// On every Linux, and never with a free byte.
    const FULL: &str = "/proc";

    fn lacks_room(preview: &Previewed, bundle_dir: &Path, cache: &Path) -> Option<String> {
        let room = preview.check_room(bundle_dir, &Cache::at(cache.to_owned()));
        let failure = room.err()?;
        assert_eq!(failure.id(), ErrorId::NoSpace);
        Some(failure.as_error().to_string())
    }

    #[test]
    fn staging_and_cache_must_have_room_and_a_twentieth_more() {
        let (store, manifest) = sample();
        let preview = previewed(&manifest, &Before::default(), &store);
        let sizes = manifest.files.iter().map(|file| file.size);
        let small = [Role::Imageset, Role::Inventory].map(|role| manifest.files(role).next());
        let small: u64 = small.into_iter().flatten().map(|file| file.size).sum();
        let staging = sizes.sum::<u64>() - small;
        assert_eq!(preview.staging_size(), staging);

        let folder: TempDir = tempfile::tempdir().unwrap();
        let (here, full) = (folder.path(), Path::new(FULL));
        let cache = Cache::at(here.to_owned());
        let blobs: u64 = store.inventory(&manifest).structure.blobs.values().sum();
        assert_eq!(preview.cache_size(&cache).unwrap(), blobs);

        let says = |bytes: u64| {
            let need = bytes + bytes / 20;
            Some(format!("/proc has 0 bytes free, and bundle 1 needs {need}"))
        };
        assert_eq!(lacks_room(&preview, here, here), None);
        assert_eq!(lacks_room(&preview, here, &here.join("a/b")), None);
        assert_eq!(lacks_room(&preview, full, here), says(staging));
        assert_eq!(lacks_room(&preview, here, full), says(blobs));
        // One volume holds both.
        assert_eq!(lacks_room(&preview, full, full), says(staging + blobs));

        // What the cache has takes no room.
        let layer = noise(2, 100_000);
        cache.put(&Digest::of(&layer), &layer[..]).unwrap();
        assert_eq!(preview.cache_size(&cache).unwrap(), blobs - 100_000);
    }

    #[test]
    fn what_needs_no_room_finds_room_anywhere() {
        let mut store = Memory::default();
        let manifest = Sample::first().put(&mut store);
        let nothing = previewed(&manifest, &Before::default(), &store);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(lacks_room(&nothing, folder.path(), Path::new(FULL)), None);
    }
}
