//! The command lines of mirror-to-disk, and nothing else (contract §1).

use std::ffi::OsString;
use std::path::Path;

use mimeograph_manifest::io::oc_mirror::port::Port;
use mimeograph_manifest::io::oc_mirror::probe::OcMirror;
use mimeograph_manifest::manifest::Generation;

/// What a mirror-to-disk needs to be told.
#[derive(Clone, Copy, Debug)]
pub struct MirrorToDisk<'a> {
    /// v1 or v2.
    pub generation: Generation,
    /// The image set configuration.
    pub imageset: &'a Path,
    /// Where to: `file://` and this.
    pub output: &'a str,
    /// v2's cache.
    pub cache: &'a Path,
    /// The port of v2's cache registry.
    pub port: &'a Port,
    /// v2's credentials.
    pub auth_file: &'a Path,
    /// Whether the sources' certificates are checked; else plain HTTP is tried too.
    pub source_tls_verify: bool,
    /// Whether cosign signatures are left behind; none: as it does by itself (v2).
    pub remove_signatures: Option<bool>,
    /// Whether it is only to say what it would do (v2).
    pub dry_run: bool,
    /// Which try this is, from 0: each later one is gentler.
    pub attempt: u32,
    /// The user's own.
    pub extra: &'a [String],
}

impl MirrorToDisk<'_> {
    /// The arguments for this `oc-mirror`.
    pub fn arguments(&self, oc_mirror: &OcMirror) -> Vec<OsString> {
        let mut args: Vec<OsString> = oc_mirror
            .selector(self.generation)
            .map(Into::into)
            .into_iter()
            .collect();
        args.extend(["-c".into(), self.imageset.into()]);
        match self.generation {
            Generation::V1 => self.v1(&mut args),
            Generation::V2 => self.v2(oc_mirror, &mut args),
        }
        args.extend(self.extra.iter().map(Into::into));
        args.push(format!("file://{}", self.output).into());
        args
    }

    fn v1(&self, args: &mut Vec<OsString>) {
        if !self.source_tls_verify {
            args.extend(["--source-use-http".into(), "--source-skip-tls".into()]);
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
        args.extend(["-p".into(), self.port.number.to_string().into()]);
        args.extend(["--authfile".into(), self.auth_file.into()]);
        if oc_mirror.has("--cache-dir") {
            args.extend(["--cache-dir".into(), self.cache.into()]);
        }
        if !self.source_tls_verify {
            args.push("--src-tls-verify=false".into());
        }
        if let Some(remove) = self.remove_signatures
            && oc_mirror.has("--remove-signatures")
        {
            args.push(format!("--remove-signatures={remove}").into());
        }
        if self.dry_run {
            args.push("--dry-run".into());
        }
        args.extend(oc_mirror.gentler(self.attempt));
    }
}
