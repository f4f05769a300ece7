//! `unpack`: verified files for someone who runs `oc-mirror` by hand.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mimeograph_manifest::digest::Hasher;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::archives::Digests;
use mimeograph_manifest::io::console::Progress;
use mimeograph_manifest::io::disk::{self, Action, DiskError};
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::{failpoint, fetched};
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;

use crate::fetch::{Pace, fetch};
use crate::verified::check_archives;
use crate::verify::Side;

/// What is unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Unpack<'a> {
    /// The bundle.
    pub sequence: Sequence,
    /// Files of one role alone.
    pub role: Option<Role>,
    /// A directory that does not exist yet.
    pub to: &'a Path,
    /// Tells when to stop.
    pub interrupt: &'a Interrupt,
    /// Chunks on their way at once.
    pub parallel: usize,
    /// Bytes a second.
    pub throttle: &'a Throttle,
}

/// Why nothing is unpacked.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("`{}` is there already", .0.display())]
    There(PathBuf),
    #[error("there is no bundle {0} in the store")]
    NoBundle(Sequence),
    #[error("bundle {sequence} has no files of role `{role}`")]
    NoFiles { sequence: Sequence, role: String },
}

impl Fault for UnpackError {
    fn id(&self) -> ErrorId {
        match self {
            Self::There(_) => ErrorId::CannotCreate,
            Self::NoBundle(_) | Self::NoFiles { .. } => ErrorId::InputMissing,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::There(_) => Some("name a directory that does not exist yet".into()),
            Self::NoBundle(_) => Some("`mimeograph-populator list` shows what there is".into()),
            Self::NoFiles { .. } => None,
        }
    }
}

/// Unpacks into a folder beside the target, which gets its name only once everything was checked.
pub fn unpack(
    request: &Unpack<'_>,
    store: &dyn Fetch,
    trusted: &TrustedKeys,
    side: &Side,
) -> Result<Verified<Manifest>, Failure> {
    if request.to.exists() {
        return Err(UnpackError::There(request.to.to_owned()).into());
    }
    let sequence = request.sequence;
    let listing = Listing::of(store)?;
    let signed = listing
        .open(store, sequence, trusted)?
        .ok_or(UnpackError::NoBundle(sequence))?;
    let manifest = signed.verify(trusted)?;
    // An older one may well have expired: something newer has taken its place.
    side.accept(&manifest, listing.newest() == Some(sequence))?;
    side.check_places(std::slice::from_ref(&manifest))?;
    let files: Vec<_> = manifest
        .files
        .iter()
        .filter(|file| request.role.is_none_or(|role| role == file.role))
        .collect();
    if let Some(role) = request.role.filter(|_| files.is_empty()) {
        let role = serde_json::to_string(&role)
            .unwrap_or_default()
            .replace('"', "");
        return Err(UnpackError::NoFiles { sequence, role }.into());
    }
    let above = request
        .to
        .parent()
        .filter(|above| *above != Path::new(""))
        .unwrap_or(Path::new("."));
    disk::create_folder(above, 0o755)?;
    let created = |source| DiskError::new(Action::Create, request.to, source);
    failpoint::reach("make", above).map_err(created)?;
    let beside = tempfile::Builder::new()
        .prefix(".unpack-")
        .tempdir_in(above)
        .map_err(created)?;
    let progress = Progress::begin("unpacking", files.iter().map(|file| file.size).sum());
    let pace = Pace {
        parallel: request.parallel,
        throttle: request.throttle,
        interrupt: request.interrupt,
        progress: &|bytes| progress.add(bytes),
    };
    let mut sums = String::new();
    let mut known = Digests::of_chunks(&manifest);
    for role in [
        Role::Archive,
        Role::Imageset,
        Role::Inventory,
        Role::History,
        Role::Local,
        Role::Extra,
    ] {
        let of_role: Vec<_> = files
            .iter()
            .copied()
            .filter(|file| file.role == role)
            .collect();
        // `local` and `extra` names may repeat those of other roles.
        let folder = match role {
            Role::Local => "local/",
            Role::Extra => "extra/",
            _ => "",
        };
        let hashed = fetch(store, &of_role, &beside.path().join(folder), pace)?;
        if role == Role::Archive {
            known = known.and(hashed);
        }
        for file in of_role {
            let name = format!("{folder}{}", file.name);
            let digest = digest(&beside.path().join(&name))?;
            // Writing to a text cannot fail.
            let _ = writeln!(sums, "{digest}  {name}");
        }
    }
    if request.role.is_none_or(|role| role == Role::Archive) {
        let inventory = manifest
            .files(Role::Inventory)
            .next()
            .ok_or(UnpackError::NoBundle(sequence))?;
        let inventory = Inventory::from_bytes(&fetched::small_file(store, inventory)?)?;
        let parallel = request.parallel;
        check_archives(beside.path(), &manifest, &inventory, &known, parallel)?;
    }
    progress.finish();
    disk::write_durably(&beside.path().join("SHA256SUMS"), sums.as_bytes(), 0o644)?;
    disk::rename(beside.path(), request.to).map_err(created)?;
    // It has its name now, so there is nothing left to remove.
    let _ = beside.keep();
    disk::sync_folder(above)?;
    Ok(manifest)
}

/// The digest of a file, which is made to last.
fn digest(path: &Path) -> Result<mimeograph_manifest::digest::Digest, Failure> {
    let mut hasher = Hasher::default();
    let copied = File::open(path).and_then(|mut file| {
        io::copy(&mut file, &mut hasher)?;
        disk::sync(&file, path)
    });
    copied.map_err(|source| DiskError::new(Action::Read, path, source))?;
    Ok(hasher.finish())
}
