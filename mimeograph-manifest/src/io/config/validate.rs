//! [`RawConfig`] -> [`Config`]: every value through its constructor, then what they must be together.

use std::path::PathBuf;
use std::str::FromStr;

use super::check::Check;
use super::error::ConfigError;
use super::model::{
    Artefacts, Bundle, Config, Metrics, Mirror, OcMirrorSettings, OcMirrorVersion, Peer, Receipts,
    RemoveSignatures, Signing, State, StateCopy, Stream, Transfer, Trust, Upkeep, Versions,
};
use super::place::Field;
use super::raw::{
    RawArtefacts, RawBundle, RawConfig, RawMetrics, RawMirror, RawObjectLock, RawOcMirror, RawPeer,
    RawReceipts, RawS3, RawSigning, RawState, RawStore, RawStream, RawTransfer, RawTrust, Scalar,
};
use super::scalar::{
    AbsolutePath, BucketName, Endpoint, Mistake, Period, Prefix, Region, program as program_path,
};
use super::source::Source;
use super::{Environment, Operation};
use crate::failure::ErrorId;
use crate::io::location::{Keeping, LockMode, ObjectLock, S3Location, StoreLocation};
use crate::limits;
use crate::name::StreamId;
use crate::trust::Policy;

/// Turns the raw form into the checked one.
pub(super) fn validate(
    raw: RawConfig,
    source: &Source,
    program: Operation,
    environment: Environment<'_>,
) -> Result<Config, ConfigError> {
    let check = Check {
        source,
        environment,
    };
    check.header(&raw, program)?;
    let config = Config {
        stream: check.stream(raw.stream.unwrap_or_default())?,
        enclave: check.one("enclave", raw.enclave)?,
        mirror: check.mirror(raw.mirror.unwrap_or_default())?,
        upkeep: match raw.store.as_ref().and_then(|store| store.drained) {
            Some(true) => Upkeep::Drained,
            _ => Upkeep::Kept,
        },
        store: check.store(raw.s3, raw.store)?,
        artefacts: check.artefacts(raw.artefacts.unwrap_or_default())?,
        bundle: check.bundle(&raw.bundle.unwrap_or_default())?,
        signing: check.signing(raw.signing.unwrap_or_default())?,
        trust: check.trust(raw.trust.unwrap_or_default())?,
        state: check.state(raw.state.unwrap_or_default())?,
        receipts: check.receipts(raw.receipts.unwrap_or_default())?,
        transfer: check.transfer(raw.transfer.unwrap_or_default())?,
        metrics: check.metrics(raw.metrics.unwrap_or_default())?,
        source: source.clone(),
    };
    match program {
        Operation::Bundle => config.imageset_field().map(|_| ())?,
        Operation::Populate => config.target().map(|_| ())?,
    }
    Ok(config)
}

/// The longest chain that can be asked for: a day's bundles for a hundred years.
const FULL_EVERY: u32 = 36_500;

impl Check<'_> {
    fn header(&self, raw: &RawConfig, program: Operation) -> Result<(), ConfigError> {
        self.constant(
            "apiVersion",
            raw.api_version.as_ref(),
            "mimeograph.io/v1alpha1",
        )?;
        self.constant("kind", raw.kind.as_ref(), "MimeographConfiguration")?;
        let Some(Scalar(operation)) = &raw.operation else {
            return Ok(());
        };
        let field = Field::named("operation");
        let configured = match operation.as_str() {
            "bundle" => Operation::Bundle,
            "populate" => Operation::Populate,
            other => {
                let mistake = Mistake::new(
                    "which is neither `bundle` nor `populate`",
                    "write `bundle` on the connected side, `populate` on the disconnected side",
                );
                return Err(self.source.mistake(&field, other, &mistake));
            }
        };
        if configured == program {
            return Ok(());
        }
        Err(self.source.named(
            &field,
            format!(
                "`operation` is `{configured}`, which `{}` does not do",
                program.program()
            ),
            &format!(
                "run `{}` with this file, or name another with `--config FILE`",
                configured.program()
            ),
            ErrorId::WrongOperation,
        ))
    }

    fn stream(&self, raw: RawStream) -> Result<Stream, ConfigError> {
        Ok(Stream {
            name: self.one("stream.name", raw.name)?,
            audience: self.list("stream.audience", raw.audience, str::parse)?,
        })
    }

    fn mirror(&self, raw: RawMirror) -> Result<Mirror, ConfigError> {
        Ok(Mirror {
            imageset_config: self.path("mirror.imagesetConfig", raw.imageset_config)?,
            target: self.one("mirror.targetRegistryURI", raw.target_registry_uri)?,
            local_dir: self
                .path("mirror.localDir", raw.local_dir)?
                .unwrap_or_else(|| AbsolutePath::known("/mimeograph/local")),
            release_keys: self.list("mirror.releaseKeys", raw.release_keys, |text| {
                AbsolutePath::resolve(text, self.source.folder())
            })?,
            oc_mirror: self.oc_mirror(raw.oc_mirror.unwrap_or_default())?,
        })
    }

    fn oc_mirror(&self, raw: RawOcMirror) -> Result<OcMirrorSettings, ConfigError> {
        Ok(OcMirrorSettings {
            path: self.oc_mirror_path(raw.path)?,
            version: self
                .one("mirror.ocMirror.version", raw.version)?
                .unwrap_or_default(),
            timeout: self.period("mirror.ocMirror.timeout", raw.timeout, Period::hours(12))?,
            deadline: self.period("mirror.ocMirror.deadline", raw.deadline, Period::hours(24))?,
            retries: self.at_most("mirror.ocMirror.retries", raw.retries.unwrap_or(2), 0, 100)?,
            versions: match raw.accept_version_mismatch {
                Some(true) => Versions::MayDiffer,
                _ => Versions::MustFit,
            },
            extra_args: self.list("mirror.ocMirror.extraArgs", raw.extra_args, argument)?,
            env: self.variables(raw.env)?,
            remove_signatures: self
                .one("mirror.ocMirror.removeSignatures", raw.remove_signatures)?
                .unwrap_or_default(),
            source_tls_verify: raw.source_tls_verify.unwrap_or(true),
            target_tls_verify: raw.target_tls_verify.unwrap_or(true),
            auth_file: self.path("mirror.ocMirror.authFile", raw.auth_file)?,
        })
    }

    /// The file's value, else that of `MIMEOGRAPH_OC_MIRROR`, else `oc-mirror`.
    fn oc_mirror_path(&self, raw: Option<Scalar>) -> Result<PathBuf, ConfigError> {
        let make = |text: &str| program_path(text, self.source.folder());
        let configured = self.with("mirror.ocMirror.path", raw, make)?;
        let variable = || (self.environment)("MIMEOGRAPH_OC_MIRROR").map(PathBuf::from);
        Ok(configured
            .or_else(variable)
            .unwrap_or_else(|| PathBuf::from("oc-mirror")))
    }

    fn variables(
        &self,
        raw: Option<std::collections::BTreeMap<String, Scalar>>,
    ) -> Result<std::collections::BTreeMap<String, String>, ConfigError> {
        let env = Field::named("mirror.ocMirror.env");
        raw.unwrap_or_default()
            .into_iter()
            .map(|(name, Scalar(value))| {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                let field = env.key(&name);
                if name.is_empty()
                    || !name.bytes().all(allowed)
                    || name.as_bytes()[0].is_ascii_digit()
                {
                    let message = format!("`{field}` is not named as an environment variable");
                    let remedy = "write letters, digits and `_`, no digit first";
                    return Err(self.source.wrong(&field, message, remedy));
                }
                if value.contains('\0') {
                    let message = format!("`{field}` has a NUL character");
                    return Err(self.source.wrong(&field, message, "take it out"));
                }
                Ok((name, value))
            })
            .collect()
    }

    fn store(
        &self,
        s3: Option<RawS3>,
        store: Option<RawStore>,
    ) -> Result<Option<StoreLocation>, ConfigError> {
        let directory = store.and_then(|store| store.directory);
        match (s3, directory) {
            (Some(_), Some(_)) => Err(self.source.wrong(
                &Field::named("store.directory"),
                "`store.directory` and `s3` are both there, and a stream lies in one place".into(),
                "take one of them out",
            )),
            (Some(s3), None) => self.s3(s3).map(|s3| Some(StoreLocation::S3(s3))),
            (None, directory) => Ok(self
                .path("store.directory", directory)?
                .map(|path| StoreLocation::Directory(path.into()))),
        }
    }

    fn s3(&self, raw: RawS3) -> Result<S3Location, ConfigError> {
        let bucket = raw.bucket.unwrap_or_default();
        let name = bucket
            .name
            .or_else(|| (self.environment)("BUCKET_NAME").map(Scalar));
        let name: Option<BucketName> = self.one("s3.bucket.name", name)?;
        let prefix: Option<Prefix> = self.one("s3.bucket.subDir", bucket.sub_dir)?;
        // Filled in by a template, these may be empty: that is unset.
        let endpoint: Option<Endpoint> = self.one("s3.bucket.endpoint", set(bucket.endpoint))?;
        let region: Option<Region> = self.one("s3.bucket.region", set(bucket.region))?;
        Ok(S3Location {
            // Whoever needs the store asks for it: see `Config::location`.
            bucket: name.map(|BucketName(name)| name).unwrap_or_default(),
            prefix: prefix.map(|Prefix(prefix)| prefix).unwrap_or_default(),
            endpoint: endpoint.map(|Endpoint(url)| url),
            region: region.map(|Region(region)| region),
            force_path_style: bucket.force_path_style,
            ca_bundle: self.path("s3.caBundle", raw.ca_bundle)?.map(PathBuf::from),
            keeping: Keeping {
                kms_key: self.with(
                    "s3.sse.kmsKeyId",
                    raw.sse.unwrap_or_default().kms_key_id,
                    kms_key,
                )?,
                lock: raw
                    .object_lock
                    .map(|lock| self.object_lock(lock))
                    .transpose()?,
            },
        })
    }

    fn object_lock(&self, raw: RawObjectLock) -> Result<ObjectLock, ConfigError> {
        let mode = self.with("s3.objectLock.mode", raw.mode, lock_mode)?;
        let remedy = "write `governance` or `compliance`";
        let mode = mode.ok_or_else(|| self.source.required("s3.objectLock.mode", remedy))?;
        let remedy = "write for how many days an object may not be removed";
        let days = raw
            .days
            .ok_or_else(|| self.source.required("s3.objectLock.days", remedy))?;
        Ok(ObjectLock {
            mode,
            days: self.at_most("s3.objectLock.days", days, 1, 36_500)?,
        })
    }

    fn metrics(&self, raw: RawMetrics) -> Result<Metrics, ConfigError> {
        let pushgateway: Option<Endpoint> =
            self.one("metrics.pushgateway", set(raw.pushgateway))?;
        Ok(Metrics {
            pushgateway: pushgateway.map(|Endpoint(url)| url),
            textfile: self.path("metrics.textfile", raw.textfile)?,
        })
    }

    fn artefacts(&self, raw: RawArtefacts) -> Result<Artefacts, ConfigError> {
        let folder = |text: &str| AbsolutePath::resolve(text, self.source.folder());
        let bundle_dir = self
            .path("artefacts.bundleDir", raw.bundle_dir)?
            .unwrap_or_else(|| AbsolutePath::known("/mimeograph/bundle"));
        let metadata_dir = self
            .path("artefacts.metadataDir", raw.metadata_dir)?
            .unwrap_or_else(|| AbsolutePath::known("/mimeograph/metadata"));
        Ok(Artefacts {
            cache_dir: self.path("artefacts.cacheDir", raw.cache_dir)?,
            extra_files: self.list("artefacts.extraFiles", raw.extra_files, folder)?,
            extra_dir: self
                .path("artefacts.extraDir", raw.extra_dir)?
                .unwrap_or_else(|| bundle_dir.below("extra")),
            resources_dir: self
                .path("artefacts.resourcesDir", raw.resources_dir)?
                .unwrap_or_else(|| metadata_dir.below("resources")),
            resources_image: self.one("artefacts.resourcesImage", raw.resources_image)?,
            bundle_dir,
            metadata_dir,
        })
    }

    fn signing(&self, raw: RawSigning) -> Result<Signing, ConfigError> {
        Ok(Signing {
            key_file: self
                .path("signing.keyFile", raw.key_file)?
                .unwrap_or_else(|| AbsolutePath::known("/mimeograph/keys/signing.pem")),
            expires_after: self.period(
                "signing.expiresAfter",
                raw.expires_after,
                Period::hours(90 * 24),
            )?,
            also_trust: self.list("signing.alsoTrust", raw.also_trust, |text| {
                AbsolutePath::resolve(text, self.source.folder())
            })?,
        })
    }

    fn bundle(&self, raw: &RawBundle) -> Result<Bundle, ConfigError> {
        let full_every = raw
            .full_every
            .map(|count| self.at_most("bundle.fullEvery", count, 1, FULL_EVERY));
        Ok(Bundle {
            allow_partial: raw.allow_partial.unwrap_or(false),
            full_every: full_every.transpose()?.map(|count| count as usize),
        })
    }

    fn trust(&self, raw: RawTrust) -> Result<Trust, ConfigError> {
        let folder = |text: &str| AbsolutePath::resolve(text, self.source.folder());
        let keys = self.list("trust.keys", raw.keys, folder)?;
        let most = u32::try_from(limits::SIGNATURES).unwrap_or(u32::MAX);
        let threshold = self.at_most("trust.threshold", raw.threshold.unwrap_or(1), 1, most)?;
        let require = raw.require.unwrap_or_default();
        let of_role = |field, count: Option<u32>| {
            let count = count.map(|count| self.at_most(field, count, 1, most));
            Ok::<_, ConfigError>(count.transpose()?.unwrap_or(0) as usize)
        };
        let approvers = of_role("trust.require.approver", require.approver)?;
        // Whoever approves approves what a bundler made.
        let bundlers = of_role("trust.require.bundler", require.bundler)?.max(approvers.min(1));
        Ok(Trust {
            keys: if keys.is_empty() {
                vec![AbsolutePath::known("/mimeograph/keys/trusted")]
            } else {
                keys
            },
            revoked: self.list("trust.revoked", raw.revoked, folder)?,
            policy: Policy {
                threshold: (threshold as usize)
                    .try_into()
                    .unwrap_or(std::num::NonZeroUsize::MIN),
                bundlers,
                approvers,
            },
            stream: self.with("trust.stream", raw.stream, stream_id)?,
            wait_at_most: self
                .one("trust.waitAtMost", raw.wait_at_most)?
                .unwrap_or(Period::hours(24)),
            max_age: self.with("trust.maxAge", raw.max_age, some_time)?,
            approvals_dir: self.path("trust.approvalsDir", raw.approvals_dir)?,
            clock_skew: self
                .one("trust.clockSkew", raw.clock_skew)?
                .unwrap_or(Period::minutes(5)),
        })
    }

    fn state(&self, raw: RawState) -> Result<State, ConfigError> {
        let copy = |text: &str| match text {
            "registry" => Ok(StateCopy::Registry),
            "none" => Ok(StateCopy::None),
            path => AbsolutePath::resolve(path, self.source.folder()).map(StateCopy::Folder),
        };
        let peers = raw.peers.unwrap_or_default().into_iter().enumerate();
        Ok(State {
            copy: self.with("state.copy", raw.copy, copy)?.unwrap_or_default(),
            peers: peers
                .map(|(index, raw)| self.peer(&Field::named("state.peers").index(index), raw))
                .collect::<Result<_, _>>()?,
        })
    }

    fn peer(&self, field: &Field, raw: RawPeer) -> Result<Peer, ConfigError> {
        let missing = |name: &str, remedy| {
            let message = format!("`{}` is missing", field.key(name));
            self.source.wrong(field, message, remedy)
        };
        let Some(Scalar(stream)) = raw.stream else {
            return Err(missing(
                "stream",
                "write the other stream's id, as `list` shows it there",
            ));
        };
        let keys = raw.keys.unwrap_or_default();
        if keys.is_empty() {
            return Err(missing(
                "keys",
                "name the public keys that the other stream is signed with",
            ));
        }
        let (at, folder) = (field.key("keys"), self.source.folder());
        Ok(Peer {
            stream: stream_id(&stream)
                .map_err(|wrong| self.source.mistake(&field.key("stream"), &stream, &wrong))?,
            keys: keys
                .iter()
                .enumerate()
                .map(|(index, Scalar(text))| {
                    AbsolutePath::resolve(text, folder)
                        .map_err(|wrong| self.source.mistake(&at.index(index), text, &wrong))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    fn receipts(&self, raw: RawReceipts) -> Result<Receipts, ConfigError> {
        let folder = |text: &str| AbsolutePath::resolve(text, self.source.folder());
        Ok(Receipts {
            key_file: self.path("receipts.keyFile", raw.key_file)?,
            trusted_keys: self.list("receipts.trustedKeys", raw.trusted_keys, folder)?,
        })
    }

    fn transfer(&self, raw: RawTransfer) -> Result<Transfer, ConfigError> {
        Ok(Transfer {
            parallel: self
                .one("transfer.parallel", raw.parallel)?
                .unwrap_or_default(),
            chunk_size: self
                .one("transfer.chunkSize", raw.chunk_size)?
                .unwrap_or_default(),
            bandwidth: self.one("transfer.bandwidth", raw.bandwidth)?,
        })
    }
}

impl FromStr for OcMirrorVersion {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        match text {
            "auto" => Ok(Self::Auto),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(Mistake::new(
                "which is not a version of its command line",
                "write `auto`, `v1` or `v2`",
            )),
        }
    }
}

impl FromStr for RemoveSignatures {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            "ifMissing" => Ok(Self::IfMissing),
            _ => Err(Mistake::new(
                "which is not a way to treat signatures",
                "write `auto`, `always`, `never` or `ifMissing`",
            )),
        }
    }
}

/// Nothing is younger than no time at all.
fn some_time(text: &str) -> Result<Period, Mistake> {
    let period: Period = text.parse()?;
    if period.seconds() == 0 {
        return Err(Mistake::new(
            "which nothing can meet",
            "write how old the newest bundle or heartbeat may be, such as `3d`; leave it out where that does not matter",
        ));
    }
    Ok(period)
}

fn stream_id(text: &str) -> Result<StreamId, Mistake> {
    text.parse().map_err(|error| {
        let remedy = "write the id as `list` shows it, in quotes";
        Mistake::new(format!("which is {error}"), remedy)
    })
}

fn kms_key(text: &str) -> Result<String, Mistake> {
    let fits = (1..=2048).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        "which is not a key of AWS KMS",
        "write its id, its ARN, or `alias/NAME`",
    ))
}

fn lock_mode(text: &str) -> Result<LockMode, Mistake> {
    match text {
        "governance" => Ok(LockMode::Governance),
        "compliance" => Ok(LockMode::Compliance),
        _ => Err(Mistake::new(
            "which is not a mode of S3 Object Lock",
            "write `governance` or `compliance`",
        )),
    }
}

fn argument(text: &str) -> Result<String, Mistake> {
    if text.is_empty() || text.contains('\0') {
        return Err(Mistake::new(
            "which is not an argument",
            "write each argument as its own element",
        ));
    }
    Ok(text.to_owned())
}

fn set(raw: Option<Scalar>) -> Option<Scalar> {
    raw.filter(|Scalar(text)| !text.is_empty())
}
