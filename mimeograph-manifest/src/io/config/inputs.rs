//! The files that the configuration names, looked for when a command needs them.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::model::Config;
use super::place::Field;
use super::scalar::{AbsolutePath, EnclaveName, RegistryUri};
use crate::failure::ErrorId;
use crate::io::disk;
use crate::io::location::{S3Location, StoreLocation};

/// Where the original's Podman line mounts the image set.
const MOUNTED: &str = "/mimeograph/imageset-config.yaml";
const BUNDLER_KEYGEN: &str = "make one with `mimeograph-bundler keygen --out DIR`";

impl Config {
    /// The file that was read.
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    /// Where the stream lies: `flag` (`--store`), else what the file says. A bucket named by the flag is
    /// reached as the file's `s3` says: endpoint, region and CA certificates stay.
    pub fn location(&self, flag: Option<StoreLocation>) -> Result<StoreLocation, ConfigError> {
        match (flag, self.store.clone()) {
            (Some(StoreLocation::S3(named)), Some(StoreLocation::S3(configured))) => {
                Ok(StoreLocation::S3(S3Location {
                    bucket: named.bucket,
                    prefix: named.prefix,
                    ..configured
                }))
            }
            (None, Some(StoreLocation::S3(place))) if place.bucket.is_empty() => {
                let remedy = "write the bucket's name, or set `BUCKET_NAME` as an ObjectBucketClaim does";
                Err(self.source.required("s3.bucket.name", remedy))
            }
            (Some(location), _) | (None, Some(location)) => Ok(location),
            (None, None) => Err(self.source.at(
                None,
                "there is neither `s3` nor `store.directory`".into(),
                "write one of them, or name the store with `--store dir:PATH` or `--store s3://BUCKET/PREFIX`",
                ErrorId::ConfigInvalid,
            )),
        }
    }

    /// What the stream is called in metrics: `stream.name`, else the last folder of the store's place.
    pub fn stream_label(&self) -> String {
        let folder = match &self.store {
            Some(StoreLocation::S3(place)) => place.prefix.rsplit('/').next().map(str::to_owned),
            Some(StoreLocation::Directory(path)) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
            None => None,
        };
        let name = self
            .stream
            .name
            .as_ref()
            .map(|name| name.as_str().to_owned());
        let label = name.or(folder).filter(|name| !name.is_empty());
        label.unwrap_or_else(|| "default".to_owned())
    }

    /// The target registry.
    pub fn target(&self) -> Result<&RegistryUri, ConfigError> {
        let remedy = "write the target registry as `host[:port][/namespace]`";
        self.mirror
            .target
            .as_ref()
            .ok_or_else(|| self.source.required("mirror.targetRegistryURI", remedy))
    }

    pub(super) fn imageset_field(&self) -> Result<&AbsolutePath, ConfigError> {
        let remedy = "write the path of the `ImageSetConfiguration` file";
        self.mirror
            .imageset_config
            .as_ref()
            .ok_or_else(|| self.source.required("mirror.imagesetConfig", remedy))
    }

    /// The image set's file; one that is missing at its place may lie at
    /// `/mimeograph/imageset-config.yaml` instead.
    pub fn imageset(&self) -> Result<PathBuf, ConfigError> {
        self.imageset_or(Path::new(MOUNTED))
    }

    pub(super) fn imageset_or(&self, mounted: &Path) -> Result<PathBuf, ConfigError> {
        let configured = self.imageset_field()?;
        for place in [configured, mounted] {
            if place.is_file() {
                return Ok(place.to_owned());
            }
        }
        Err(self.absent(
            &Field::named("mirror.imagesetConfig"),
            configured,
            &format!("put the image set there, or at `{}`", mounted.display()),
            ErrorId::InputMissing,
        ))
    }

    /// The private key's file.
    pub fn signing_key(&self) -> Result<PathBuf, ConfigError> {
        let key = &self.signing.key_file;
        if key.is_file() {
            return Ok(key.to_path_buf());
        }
        let field = Field::named("signing.keyFile");
        Err(self.absent(&field, key, BUNDLER_KEYGEN, ErrorId::KeyMissing))
    }

    /// The file of the key that receipts are signed with, where one is configured.
    pub fn receipt_key(&self) -> Result<Option<PathBuf>, ConfigError> {
        match &self.receipts.key_file {
            Some(file) if !file.is_file() => Err(self.absent(
                &Field::named("receipts.keyFile"),
                file,
                "make one with `mimeograph-populator keygen --out DIR`, or take the field out",
                ErrorId::KeyMissing,
            )),
            file => Ok(file.as_ref().map(|file| file.to_path_buf())),
        }
    }

    /// The files of the keys that count for receipts.
    pub fn receipt_keys(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let remedy = "put the public keys (`*.pub.pem`, made by `mimeograph-populator keygen --out DIR`) there";
        if self.receipts.trusted_keys.is_empty() {
            return Err(self.source.required("receipts.trustedKeys", remedy));
        }
        self.keys("receipts.trustedKeys", &self.receipts.trusted_keys, remedy)
    }

    /// Who we are, where something needs it.
    pub fn enclave(&self) -> Result<&EnclaveName, ConfigError> {
        let remedy = "write the name of this network, which its receipts then have";
        let missing = || self.source.required("enclave", remedy);
        self.enclave.as_ref().ok_or_else(missing)
    }

    /// The files of the trusted keys: those that are named, and every `*.pem` of the folders that are.
    pub fn trusted_keys(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let remedy = "put the public keys (`*.pub.pem`, made by `mimeograph-bundler keygen --out DIR`) there";
        self.keys("trust.keys", &self.trust.keys, remedy)
    }

    /// What lies in the folders of the trusted keys and is none of them, though it may have been meant.
    pub fn overlooked_keys(&self) -> Vec<PathBuf> {
        let places = self.trust.keys.iter();
        let folders = places.filter(|place| place.is_dir());
        let all = folders.flat_map(|folder| all_at(folder).unwrap_or_default());
        let is_overlooked = |path: &PathBuf| {
            let is_key = is_pem(path) && path.is_file() && !is_hidden(path);
            !is_key && path.file_name().is_some_and(|name| name != "keys.yaml")
        };
        all.filter(is_overlooked).collect()
    }

    /// The files of the keys that count no more. A folder may be empty: nobody was robbed yet.
    pub fn revoked_keys(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let field = Field::named("trust.revoked");
        let mut files = Vec::new();
        for (index, place) in self.trust.revoked.iter().enumerate() {
            // A key that is overlooked here goes on counting: so nothing may be, whatever it is called.
            let found = all_at(place).map_err(|_| {
                let remedy =
                    "put the public keys that count no more there, readable, and nothing else; or take it out of the list";
                self.absent(&field.index(index), place, remedy, ErrorId::KeyMissing)
            })?;
            files.extend(found);
        }
        Ok(files)
    }

    /// The files of the public keys that this stream was signed with besides the signing key.
    pub fn own_keys(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let remedy = "put the public keys there that this stream was signed with before";
        self.keys("signing.alsoTrust", &self.signing.also_trust, remedy)
    }

    fn keys(
        &self,
        field: &'static str,
        places: &[AbsolutePath],
        remedy: &str,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let field = Field::named(field);
        let mut files = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let found = keys_at(place);
            if found.is_empty() {
                let field = field.index(index);
                return Err(self.absent(&field, place, remedy, ErrorId::KeyMissing));
            }
            files.extend(found);
        }
        Ok(files)
    }

    /// The extra files, all of which are there.
    pub fn extra_files(&self) -> Result<&[AbsolutePath], ConfigError> {
        for (index, file) in self.artefacts.extra_files.iter().enumerate() {
            let field = Field::named("artefacts.extraFiles").index(index);
            if !file.exists() {
                let remedy = "put the file there, or take it out of the list";
                return Err(self.absent(&field, file, remedy, ErrorId::InputMissing));
            }
            if !stays_in_its_folder(file) {
                let message = format!(
                    "`{field}` is `{}`, a link out of its folder",
                    file.display()
                );
                let remedy = "name the file itself";
                return Err(self
                    .source
                    .named(&field, message, remedy, ErrorId::InputMissing));
            }
        }
        Ok(&self.artefacts.extra_files)
    }

    /// The keys that releases are signed with, all of which are there.
    pub fn release_keys(&self) -> Result<&[AbsolutePath], ConfigError> {
        let field = Field::named("mirror.releaseKeys");
        for (index, file) in self.mirror.release_keys.iter().enumerate() {
            if !file.is_file() {
                let remedy = "put the armoured OpenPGP key there, or take it out of the list";
                return Err(self.absent(&field.index(index), file, remedy, ErrorId::KeyMissing));
            }
        }
        Ok(&self.mirror.release_keys)
    }

    /// The credentials' file for registries, where one is configured.
    pub fn auth_file(&self) -> Result<Option<&AbsolutePath>, ConfigError> {
        match &self.mirror.oc_mirror.auth_file {
            Some(file) if !file.is_file() => Err(self.absent(
                &Field::named("mirror.ocMirror.authFile"),
                file,
                "put the pull secret there, or take the field out",
                ErrorId::InputMissing,
            )),
            file => Ok(file.as_ref()),
        }
    }

    fn absent(&self, field: &Field, path: &Path, remedy: &str, id: ErrorId) -> ConfigError {
        let closed = disk::closed_to_us();
        let (what, remedy) = match path.try_exists() {
            Err(_) => ("which cannot be reached", &*closed),
            Ok(true) if path.is_dir() && fs::read_dir(path).is_err() => {
                ("which cannot be read", &*closed)
            }
            Ok(true) if path.is_dir() && id == ErrorId::KeyMissing => {
                ("where no key (`*.pem`) is", remedy)
            }
            Ok(true) => ("which is not a file", remedy),
            Ok(false) => ("which is not there", remedy),
        };
        let message = format!("`{field}` is `{}`, {what}", path.display());
        self.source.named(field, message, remedy, id)
    }
}

/// As ConfigMaps have it, a link may stay within its folder; one that leaves it might name the signing key.
fn stays_in_its_folder(file: &Path) -> bool {
    let folder = file.parent().map(fs::canonicalize);
    match (folder, fs::canonicalize(file)) {
        (Some(Ok(folder)), Ok(file)) => file.starts_with(folder),
        _ => false,
    }
}

/// A file, or everything in a folder but for dot names, among them a ConfigMap's own links: `..data`. One that is called a
/// key is meant.
fn all_at(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(place)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let path = entry.path();
        if !is_hidden(&path) || is_pem(&path) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn is_pem(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "pem")
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn keys_at(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let Ok(entries) = fs::read_dir(place) else {
        return Vec::new();
    };
    let is_key = |path: &PathBuf| is_pem(path) && path.is_file() && !is_hidden(path);
    let mut keys: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(is_key)
        .collect();
    keys.sort();
    keys
}
