//! The command lines of disk-to-mirror, and nothing else (contract §1).

use std::ffi::OsString;
use std::path::Path;

use mimeograph_manifest::io::config::RegistryUri;
use mimeograph_manifest::io::oc_mirror::port::Port;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::manifest::{Generation, Kind};

/// What a disk-to-mirror needs to be told.
#[derive(Clone, Copy, Debug)]
pub struct DiskToMirror<'a> {
    /// v1 or v2.
    pub generation: Generation,
    /// Whether the bundle is a full one.
    pub kind: Kind,
    /// v2: the bundle's image set configuration.
    pub imageset: &'a Path,
    /// The folder that holds the verified archives and nothing else.
    pub from: &'a str,
    /// The target registry.
    pub target: &'a RegistryUri,
    /// v2's cache.
    pub cache: &'a Path,
    /// The port of v2's cache registry.
    pub port: &'a Port,
    /// v2's credentials.
    pub auth_file: &'a Path,
    /// Whether the target's certificate is checked; else plain HTTP is tried too.
    pub target_tls_verify: bool,
    /// Which try this is, from 0: each later one is gentler.
    pub attempt: u32,
    /// Whether the bundle was made without cosign signatures (v2).
    pub remove_signatures: bool,
    /// Only say where everything would go.
    pub dry_run: bool,
    /// The user's own.
    pub extra: &'a [String],
}

impl DiskToMirror<'_> {
    /// The arguments for this `oc-mirror`.
    pub fn arguments(&self, oc_mirror: &OcMirror) -> Vec<OsString> {
        let mut args: Vec<OsString> = oc_mirror
            .selector(self.generation)
            .map(Into::into)
            .into_iter()
            .collect();
        match self.generation {
            Generation::V1 => self.v1(&mut args),
            Generation::V2 => self.v2(oc_mirror, &mut args),
        }
        args.extend(self.extra.iter().map(Into::into));
        args.push(format!("docker://{}", self.target.as_str()).into());
        args
    }

    fn v1(&self, args: &mut Vec<OsString>) {
        args.extend(["--from".into(), self.from.into()]);
        // Without it v1 deletes from the target what this image set no longer names (contract §4.1).
        args.push("--skip-pruning".into());
        if self.kind == Kind::Full {
            args.push("--skip-metadata-check".into());
        }
        if !self.target_tls_verify {
            args.extend(["--dest-use-http".into(), "--dest-skip-tls".into()]);
        }
        if self.attempt > 0 {
            args.push(
                format!(
                    "--max-per-registry={}",
                    (6_u32 >> self.attempt.min(31)).max(1)
                )
                .into(),
            );
        }
    }

    fn v2(&self, oc_mirror: &OcMirror, args: &mut Vec<OsString>) {
        args.extend(["-c".into(), self.imageset.into()]);
        args.extend(["--from".into(), format!("file://{}", self.from).into()]);
        args.extend(["-p".into(), self.port.number.to_string().into()]);
        args.extend(["--authfile".into(), self.auth_file.into()]);
        if oc_mirror.has("--cache-dir") {
            args.extend(["--cache-dir".into(), self.cache.into()]);
        }
        if !self.target_tls_verify {
            args.push("--dest-tls-verify=false".into());
        }
        if self.remove_signatures && oc_mirror.has("--remove-signatures") {
            args.push("--remove-signatures=true".into());
        }
        if self.dry_run {
            args.push("--dry-run".into());
        }
        args.extend(oc_mirror.gentler(self.attempt));
    }
}
