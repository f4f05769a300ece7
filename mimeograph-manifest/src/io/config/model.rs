//! The configuration as the programs see it: checked, typed, with its defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::scalar::{
    AbsolutePath, Bandwidth, ChunkSize, EnclaveName, Parallel, Period, RegistryUri, RepositoryName,
    StreamName,
};
use super::source::Source;
use crate::io::location::StoreLocation;
use crate::io::throttle::Throttle;
use crate::name::StreamId;
use crate::trust::Policy;

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `stream`
    pub stream: Stream,
    /// `enclave`: who the populator is, against a bundle's audience.
    pub enclave: Option<EnclaveName>,
    /// `mirror`
    pub mirror: Mirror,
    /// `s3` or `store`; `None` where the file has neither: then `--store` must name one.
    pub store: Option<StoreLocation>,
    /// `store.drained`
    pub upkeep: Upkeep,
    /// `artefacts`
    pub artefacts: Artefacts,
    /// `bundle`
    pub bundle: Bundle,
    /// `signing`
    pub signing: Signing,
    /// `trust`
    pub trust: Trust,
    /// `state`
    pub state: State,
    /// `receipts`
    pub receipts: Receipts,
    /// `transfer`
    pub transfer: Transfer,
    /// `metrics`
    pub metrics: Metrics,
    pub(super) source: Source,
}

/// What people call the stream, and whom it is for.
#[derive(Clone, Debug)]
pub struct Stream {
    /// `name`
    pub name: Option<StreamName>,
    /// `audience`: the enclaves; empty = any.
    pub audience: Vec<EnclaveName>,
}

/// What is mirrored, where to, and by what.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// `imagesetConfig` as configured; [`Config::imageset`] also knows where else it may lie.
    pub imageset_config: Option<AbsolutePath>,
    /// `targetRegistryURI`; [`Config::target`] is the one that must be there.
    pub target: Option<RegistryUri>,
    /// `localDir`: where the files that an image set names must lie, on both sides.
    pub local_dir: AbsolutePath,
    /// `releaseKeys`: armoured OpenPGP keys that releases are signed with; [`Config::release_keys`] are those that are there.
    pub release_keys: Vec<AbsolutePath>,
    /// `ocMirror`
    pub oc_mirror: OcMirrorSettings,
}

/// How `oc-mirror` is run.
#[derive(Clone, Debug)]
pub struct OcMirrorSettings {
    /// `path`: a bare name is looked for in `PATH`. An explicit value wins over the environment variable
    /// `MIMEOGRAPH_OC_MIRROR`, that over the default `oc-mirror`.
    pub path: PathBuf,
    /// `version`
    pub version: OcMirrorVersion,
    /// `timeout`: one attempt.
    pub timeout: Period,
    /// `deadline`: all attempts of one run.
    pub deadline: Period,
    /// `retries`: whole runs after the first.
    pub retries: u32,
    /// `acceptVersionMismatch`
    pub versions: Versions,
    /// `extraArgs`
    pub extra_args: Vec<String>,
    /// `env`: what is added to the environment that it gets.
    pub env: BTreeMap<String, String>,
    /// `sourceTLSVerify`; off also means that plain HTTP may be tried, as `oc-mirror` does.
    pub source_tls_verify: bool,
    /// `targetTLSVerify`; off also means that plain HTTP may be tried, as `oc-mirror` does.
    pub target_tls_verify: bool,
    /// `removeSignatures`
    pub remove_signatures: RemoveSignatures,
    /// `authFile`; where it is absent the credentials are sought as `oc-mirror` would.
    pub auth_file: Option<AbsolutePath>,
}

/// Which command line `oc-mirror` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OcMirrorVersion {
    /// From the image set's `apiVersion`.
    #[default]
    Auto,
    /// The first.
    V1,
    /// The second.
    V2,
}

/// Whether cosign signatures (`.sig` tags) are left behind. Up to 4.18 they always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoveSignatures {
    /// As this `oc-mirror` does by itself: up to 4.20 they are, from 4.21 on they travel, and a release without one fails.
    #[default]
    Auto,
    /// They are.
    Always,
    /// They travel.
    Never,
    /// They travel, unless a release has none: then it is mirrored without any, and the manifest says so.
    IfMissing,
}

/// What becomes of versions of `oc-mirror` that do not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// They are refused.
    #[default]
    MustFit,
    /// They are accepted (`acceptVersionMismatch: true`).
    MayDiffer,
}

/// Where things lie on this side.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// `bundleDir`: large, can be made again at a cost.
    pub bundle_dir: AbsolutePath,
    /// `metadataDir`: small, must last.
    pub metadata_dir: AbsolutePath,
    /// `cacheDir`: `oc-mirror`'s cache, where it is not to be below `bundleDir`.
    pub cache_dir: Option<AbsolutePath>,
    /// `extraFiles`: files that travel along; [`Config::extra_files`] are those that are there.
    pub extra_files: Vec<AbsolutePath>,
    /// `extraDir`: where they arrive (default: `extra` below `bundleDir`).
    pub extra_dir: AbsolutePath,
    /// `resourcesDir`: where cluster resources are put (default: `resources` below `metadataDir`).
    pub resources_dir: AbsolutePath,
    /// `resourcesImage`: the repository below the target's namespace that they are pushed to, too.
    pub resources_image: Option<RepositoryName>,
}

/// How a bundle is made.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// `allowPartial`: whether a partial mirror may be published.
    pub allow_partial: bool,
    /// `fullEvery`: how many bundles with content a chain may have, the full one included; none: any number.
    pub full_every: Option<usize>,
}

/// How a bundle is signed.
#[derive(Clone, Debug)]
pub struct Signing {
    /// `keyFile`; [`Config::signing_key`] is the one that must be there.
    pub key_file: AbsolutePath,
    /// `expiresAfter`
    pub expires_after: Period,
    /// `alsoTrust`: other keys that this stream was signed with; [`Config::own_keys`] are the files.
    pub also_trust: Vec<AbsolutePath>,
}

/// Whom the populator trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `keys`: files, or folders of `*.pem`; [`Config::trusted_keys`] are the files.
    pub keys: Vec<AbsolutePath>,
    /// `revoked`: files, or folders of `*.pem`, of keys that count no more; [`Config::revoked_keys`] are the files.
    pub revoked: Vec<AbsolutePath>,
    /// `threshold` and `require`: how many distinct keys, in all and of each role.
    pub policy: Policy,
    /// `stream`: the one to follow, where it is not pinned at first use.
    pub stream: Option<StreamId>,
    /// `waitAtMost`: how long a bundle may be arriving.
    pub wait_at_most: Period,
    /// `maxAge`: how old the newest bundle or heartbeat may be.
    pub max_age: Option<Period>,
    /// `approvalsDir`: where signatures lie that were added on this side.
    pub approvals_dir: Option<AbsolutePath>,
    /// `clockSkew`: how far ahead of our clock a manifest may be.
    pub clock_skew: Period,
}

/// What becomes of what lies in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upkeep {
    /// It stays: what a published bundle names is there, or is missed.
    #[default]
    Kept,
    /// A transport takes away what it has carried (`store.drained: true`).
    Drained,
}

/// The populator's state outside its volume.
#[derive(Clone, Debug)]
pub struct State {
    /// `copy`
    pub copy: StateCopy,
    /// `peers`: the other streams that fill the same target.
    pub peers: Vec<Peer>,
}

/// Where the state's second copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateCopy {
    /// `registry`: in the target, as `<namespace>/mimeograph-state:<stream id>`.
    #[default]
    Registry,
    /// In a folder outside the volume.
    Folder(AbsolutePath),
    /// `none`: a lost volume cannot be told from a first run.
    None,
}

/// Another stream that fills the same target.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `stream`
    pub stream: StreamId,
    /// `keys`: files, or folders of `*.pem`.
    pub keys: Vec<AbsolutePath>,
}

/// Signed lines that say what was applied.
#[derive(Clone, Debug, Default)]
pub struct Receipts {
    /// `keyFile`: the populator's own key; none: it writes no receipts.
    pub key_file: Option<AbsolutePath>,
    /// `trustedKeys`: the populators' public keys, for the bundler.
    pub trusted_keys: Vec<AbsolutePath>,
}

/// How chunks are moved.
#[derive(Clone, Debug, Default)]
pub struct Transfer {
    /// `parallel`
    pub parallel: Parallel,
    /// `chunkSize`
    pub chunk_size: ChunkSize,
    /// `bandwidth`
    pub bandwidth: Option<Bandwidth>,
}

/// Where the figures of each run go.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// `pushgateway`: the URL of a Prometheus Pushgateway.
    pub pushgateway: Option<String>,
    /// `textfile`: a folder that node_exporter's textfile collector reads.
    pub textfile: Option<AbsolutePath>,
}

impl Transfer {
    /// The limit on bytes a second, for one command.
    pub fn throttle(&self) -> Throttle {
        Throttle::new(self.bandwidth.map(Bandwidth::bytes))
    }
}
