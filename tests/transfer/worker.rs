//! What is measured of ours, in a process of its own: the same functions that `run` calls on either side.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Subcommand;
use jiff::SignedDuration;
use mimeograph_bundler::held::{Belief, Held};
use mimeograph_bundler::ship::{self, Outgoing, ship};
use mimeograph_manifest::chunk::{self, Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::inventory::{
    self, Before, IndexMembers, Inventory, Structure, check_closure,
};
use mimeograph_manifest::io::archives::{self, Digests, Reading};
use mimeograph_manifest::io::config::Parallel;
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::interrupt::Interrupt;
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::io::location::StoreLocation;
use mimeograph_manifest::io::s3::S3Store;
use mimeograph_manifest::io::store::{Shelve, Store};
use mimeograph_manifest::io::throttle::Throttle;
use mimeograph_manifest::io::{clock, fetched};
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{self, Generation, Kind, Link, Manifest, Producer, Role};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::pruned::Dropped;
use mimeograph_manifest::signed::{FoundSignature, Signed};
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::Wish;
use mimeograph_populator::fetch::{self, fetch};
use mimeograph_populator::verified::check_archives;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Work {
    /// Archives -> chunks, manifest and signature in a store
    Ship {
        archives: PathBuf,
        store: StoreLocation,
    },
    /// The newest bundle of a store -> archives in a folder, verified
    Fetch { store: StoreLocation, into: PathBuf },
    /// Archives of about so many bytes in a folder; of another generation than 0, one byte in a hundred is new
    Data {
        folder: PathBuf,
        size: u64,
        generation: u64,
    },
    /// A manifest of 100,000 chunks and an inventory of 200,000 links: made, signed, verified, planned
    Manifest,
    /// An S3 server, until its input ends; a line asks for the number of requests
    Serve,
    /// A proxy to that port that delays each direction by so many milliseconds, until its input ends
    Delay { port: u16, milliseconds: u64 },
}

/// The same in every process.
fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn private_key() -> String {
    key().to_pem().to_string()
}

/// Its other half.
pub(crate) fn public_key() -> String {
    key().public().to_pem()
}

fn trusted() -> TrustedKeys {
    TrustedKeys::new([key().public()], NonZeroUsize::MIN)
}

fn open(place: &StoreLocation) -> Result<Store> {
    Ok(match place {
        StoreLocation::Directory(path) => Box::new(DirStore::open(path)?),
        StoreLocation::S3(place) => Box::new(S3Store::open(place)?),
    })
}

impl Work {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Ship { archives, store } => ship_all(&archives, &*open(&store)?),
            Self::Fetch { store, into } => fetch_all(&*open(&store)?, &into),
            Self::Data {
                folder,
                size,
                generation,
            } => crate::data::write(&folder, size, generation),
            Self::Manifest => manifest_alone(),
            Self::Serve => crate::server::serve(),
            Self::Delay { port, milliseconds } => crate::server::delay(port, milliseconds),
        }
    }
}

fn ship_all(folder: &Path, store: &dyn Shelve) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    let names: Vec<_> = names.iter().filter_map(|name| name.to_str()).collect();
    let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    let reading = Reading {
        parallel: Parallel::Auto.count(),
        known: &Digests::default(),
        progress: &|_| (),
    };
    let (contents, unread) = archives::survey_for_chunks(&paths, Generation::V2, &reading)?;
    check_closure(
        &contents.structure,
        &Before::default(),
        [],
        &IndexMembers::Every,
    )?;
    let beside = tempfile::tempdir()?;
    let inventory = Inventory::new(contents.structure, Wish::default()).to_bytes()?;
    let write = |name: &str, bytes: &[u8], role| -> Result<Outgoing> {
        let path = beside.path().join(name);
        fs::write(&path, bytes)?;
        Ok(Outgoing {
            name: name.parse()?,
            role,
            path,
        })
    };
    let mut files = vec![
        write(
            "imageset-config.yaml",
            b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror: {}\n",
            Role::Imageset,
        )?,
        write(inventory::FILE_NAME, &inventory, Role::Inventory)?,
    ];
    for name in names {
        files.push(Outgoing {
            name: name.parse()?,
            role: Role::Archive,
            path: folder.join(name),
        });
    }
    let mut held = Held::new(listing::chunks(store)?, Dropped::default(), Belief::Listing);
    let listing = Listing::of(store)?;
    let mut previous = None;
    for sequence in listing.sequences() {
        let signed = listing.open(store, sequence, &trusted())?;
        let before = signed.context("it was listed")?.verify(&trusted())?;
        held.add(&before);
        previous = Some(before.link());
    }
    let pace = ship::Pace {
        parallel: Parallel::Auto.count(),
        chunk_size: limits::CHUNK_SIZE,
        unread: &unread,
        throttle: &Throttle::default(),
        interrupt: &Interrupt::default(),
    };
    let shipped = ship(&files, Generation::V2, store, held, pace, &|_| ())?;
    publish(store, &bundle(shipped.files, previous))
}

fn publish(store: &dyn Shelve, manifest: &Manifest) -> Result<()> {
    let sealed = Signed::sign(manifest, &key())?;
    let (name, signature) = sealed.signature;
    let digest = Digest::of(&signature);
    store.put(&name, Bytes::copy_from_slice(&signature), &digest)?;
    store.put(
        &Key::Manifest(manifest.sequence),
        sealed.payload.into(),
        &sealed.digest,
    )?;
    Ok(())
}

fn bundle(files: Vec<manifest::File>, previous: Option<Link>) -> Manifest {
    let now = clock::now();
    Manifest {
        r#type: manifest::TYPE.to_owned(),
        stream: StreamId::from_bytes([1; 16]),
        name: "transfer".to_owned(),
        audience: Vec::new(),
        sequence: previous.map_or(Sequence::FIRST, |link| link.sequence.next()),
        kind: Kind::Full,
        previous,
        requires: None,
        created: now,
        expires: now.plus(SignedDuration::from_hours(24)),
        producer: Producer {
            mimeograph: env!("CARGO_PKG_VERSION").to_owned(),
            oc_mirror: "none".to_owned(),
            oc_mirror_sha256: Digest::of(b""),
            generation: Generation::V2,
            flags: Vec::new(),
        },
        incomplete: Vec::new(),
        local_dir: "/nowhere".to_owned(),
        files,
        annotations: BTreeMap::new(),
    }
}

fn fetch_all(store: &dyn Shelve, into: &Path) -> Result<()> {
    let listing = Listing::of(store)?;
    let newest = listing.newest().context("the store is empty")?;
    let signed = listing.open(store, newest, &trusted())?;
    let manifest = signed.context("it was listed")?.verify(&trusted())?;
    let file = manifest
        .files(Role::Inventory)
        .next()
        .context("no inventory")?;
    let inventory = Inventory::from_bytes(&fetched::small_file(store, file)?)?;
    let archives: Vec<_> = manifest.files(Role::Archive).collect();
    let pace = fetch::Pace {
        parallel: Parallel::Auto.fetches(),
        throttle: &Throttle::default(),
        interrupt: &Interrupt::default(),
        progress: &|_| (),
    };
    let failed = |failure: mimeograph_manifest::failure::Failure| anyhow::anyhow!("{failure:?}");
    let hashed = fetch(store, &archives, into, pace).map_err(failed)?;
    let known = Digests::of_chunks(&manifest).and(hashed);
    let contents = check_archives(
        into,
        &manifest,
        &inventory,
        &known,
        Parallel::Auto.fetches(),
    );
    let contents = contents.map_err(failed)?;
    check_closure(
        &contents.structure,
        &Before::default(),
        [],
        &IndexMembers::Every,
    )?;
    Ok(())
}

fn manifest_alone() -> Result<()> {
    const CHUNKS: u64 = 100_000;
    const LINKS: u64 = 200_000;
    let digest = |number: u64| Digest::of(&number.to_le_bytes());
    let chunks = (0..CHUNKS).map(|number| Chunk {
        stored: digest(number),
        stored_size: 8 << 20,
        encoding: Encoding::None,
        raw: digest(number),
        raw_size: 8 << 20,
    });
    let file = |name: &str, role, chunks: Vec<Chunk>| -> Result<manifest::File> {
        Ok(manifest::File {
            name: name.parse()?,
            role,
            size: chunks.iter().map(|chunk| chunk.raw_size).sum(),
            chunks,
        })
    };
    let mut structure = Structure::default();
    for number in 0..LINKS {
        let repository = structure
            .repositories
            .entry(format!("repository/{}", number % 1000))
            .or_default();
        repository.tags.insert(format!("v{number}"), digest(number));
    }
    let inventory = Inventory::new(structure, Wish::default());
    let bytes = inventory.to_bytes()?;
    let small = Chunk {
        stored: Digest::of(&bytes),
        stored_size: bytes.len() as u64,
        encoding: Encoding::None,
        raw: Digest::of(&bytes),
        raw_size: bytes.len() as u64,
    };
    let files = vec![
        file(
            "imageset-config.yaml",
            Role::Imageset,
            vec![Chunk {
                stored_size: 1,
                raw_size: 1,
                ..small
            }],
        )?,
        file(inventory::FILE_NAME, Role::Inventory, vec![small])?,
        file("mirror_000001.tar", Role::Archive, chunks.collect())?,
    ];
    let sealed = Signed::sign(&bundle(files, None), &key())?;
    let (name, signature) = sealed.signature;
    let Key::Signature {
        manifest, signer, ..
    } = name
    else {
        anyhow::bail!("the signature's name");
    };
    let found = FoundSignature {
        manifest,
        signer,
        bytes: signature.to_vec(),
    };
    let signed = Signed::<Manifest>::new(Sequence::FIRST, sealed.payload, vec![found]);
    let verified = signed.verify(&trusted())?;
    ensure!(
        Inventory::from_bytes(&bytes)? == inventory,
        "another inventory"
    );
    let entries: Vec<_> = (0..CHUNKS)
        .map(|n| n << 23..(n << 23) + (8 << 20))
        .collect();
    let plan = chunk::plan(CHUNKS << 23, &entries, limits::CHUNK_SIZE);
    ensure!(plan.len() == verified.files[2].chunks.len(), "another plan");
    Ok(())
}
