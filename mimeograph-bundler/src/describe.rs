//! What is known of a bundle -> the manifest that will be signed.

use std::collections::BTreeMap;

use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::{Config, EnclaveName, StreamName};
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::manifest::{self, File, Flag, Generation, Kind, Manifest, Producer};
use mimeograph_manifest::signed::Verified;

use crate::journal::{Journal, Mirrored};

/// The manifest of the next bundle; without files it is a heartbeat.
pub fn manifest(
    config: &Config,
    journal: &Journal,
    head: Option<&Verified<Manifest>>,
    mirrored: Mirrored,
    files: Vec<File>,
) -> Manifest {
    // The clock was checked before hours of mirroring; whatever it did since, time does not go back.
    let now = clock::now();
    let created = journal.head.map_or(now, |head| head.created.max(now));
    let name = config.stream.name.as_ref().map(StreamName::as_str);
    let (kind, audience) = match (mirrored.based_on, head) {
        (None, _) => (Kind::Full, audience(config)),
        // Constant within a stream, but at a full one.
        (Some(_), Some(head)) if files.is_empty() => (Kind::Heartbeat, head.audience.clone()),
        (Some(_), Some(head)) => (Kind::Delta, head.audience.clone()),
        (Some(_), None) => (Kind::Delta, audience(config)),
    };
    Manifest {
        r#type: manifest::TYPE.to_owned(),
        stream: journal.stream.clone(),
        name: name.unwrap_or_default().to_owned(),
        audience,
        sequence: journal.next_sequence(),
        kind,
        previous: journal.head.map(|head| head.link),
        requires: mirrored.based_on,
        created,
        expires: created.plus(config.signing.expires_after.signed()),
        producer: mirrored.producer,
        incomplete: mirrored.incomplete,
        local_dir: config.mirror.local_dir.display().to_string(),
        files,
        annotations: BTreeMap::new(),
    }
}

/// The enclaves that the configuration makes the stream for.
pub fn audience(config: &Config) -> Vec<String> {
    let enclaves = config.stream.audience.iter();
    enclaves
        .map(EnclaveName::as_str)
        .map(str::to_owned)
        .collect()
}

/// What made the archives.
pub fn producer(
    config: &Config,
    oc_mirror: &OcMirror,
    generation: Generation,
    removes_signatures: bool,
) -> Producer {
    let args = &config.mirror.oc_mirror.extra_args;
    let is_given = |flag: &Flag| {
        let given = args.iter().map(|arg| arg.trim_start_matches("--"));
        let mut given = given.map(|arg| arg.strip_suffix("=true").unwrap_or(arg));
        given.any(|arg| arg == flag.as_str())
    };
    let ours = |flag: &Flag| removes_signatures && *flag == Flag::RemoveSignatures;
    let flags = Flag::ALL
        .into_iter()
        .filter(|flag| ours(flag) || is_given(flag));
    Producer {
        mimeograph: env!("CARGO_PKG_VERSION").to_owned(),
        oc_mirror: oc_mirror.version.clone(),
        oc_mirror_sha256: oc_mirror.sha256,
        generation,
        flags: flags.map(|flag| flag.as_str().to_owned()).collect(),
    }
}
