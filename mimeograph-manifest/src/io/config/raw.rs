//! The file as it is written: every field that exists, none required, nothing checked but its shape.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A text, or a whole number kept as text, so that a unit that was forgotten can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

macro_rules! part {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
        pub(super) struct $name { $($(#[$meta])* pub(super) $field: Option<$type>,)* }
    };
}

part! {
    /// The whole file.
    RawConfig {
        api_version: Scalar,
        kind: Scalar,
        operation: Scalar,
        stream: RawStream,
        enclave: Scalar,
        mirror: RawMirror,
        s3: RawS3,
        store: RawStore,
        artefacts: RawArtefacts,
        bundle: RawBundle,
        signing: RawSigning,
        trust: RawTrust,
        state: RawState,
        receipts: RawReceipts,
        transfer: RawTransfer,
        metrics: RawMetrics,
    }
}
part! {
    /// `stream`
    RawStream { name: Scalar, audience: Vec<Scalar>, }
}
part! {
    /// `mirror`
    RawMirror {
        imageset_config: Scalar,
        #[serde(rename = "targetRegistryURI")]
        target_registry_uri: Scalar,
        local_dir: Scalar,
        release_keys: Vec<Scalar>,
        oc_mirror: RawOcMirror,
    }
}
part! {
    /// `mirror.ocMirror`
    RawOcMirror {
        path: Scalar,
        version: Scalar,
        timeout: Scalar,
        deadline: Scalar,
        retries: u32,
        accept_version_mismatch: bool,
        extra_args: Vec<Scalar>,
        env: BTreeMap<String, Scalar>,
        remove_signatures: Scalar,
        #[serde(rename = "sourceTLSVerify")]
        source_tls_verify: bool,
        #[serde(rename = "targetTLSVerify")]
        target_tls_verify: bool,
        auth_file: Scalar,
    }
}
part! {
    /// `s3`
    RawS3 { bucket: RawBucket, ca_bundle: Scalar, sse: RawSse, object_lock: RawObjectLock, }
}
part! {
    /// `s3.sse`
    RawSse { kms_key_id: Scalar, }
}
part! {
    /// `s3.objectLock`
    RawObjectLock { mode: Scalar, days: u32, }
}
part! {
    /// `s3.bucket`
    RawBucket {
        name: Scalar,
        endpoint: Scalar,
        sub_dir: Scalar,
        region: Scalar,
        force_path_style: bool,
    }
}
part! {
    /// `store`
    RawStore { directory: Scalar, drained: bool, }
}
part! {
    /// `artefacts`
    RawArtefacts {
        bundle_dir: Scalar,
        metadata_dir: Scalar,
        cache_dir: Scalar,
        extra_files: Vec<Scalar>,
        extra_dir: Scalar,
        resources_dir: Scalar,
        resources_image: Scalar,
    }
}
part! {
    /// `bundle`
    RawBundle { allow_partial: bool, full_every: u32, }
}
part! {
    /// `signing`
    RawSigning { key_file: Scalar, expires_after: Scalar, also_trust: Vec<Scalar>, }
}
part! {
    /// `trust`
    RawTrust {
        keys: Vec<Scalar>,
        revoked: Vec<Scalar>,
        threshold: u32,
        require: RawRequire,
        stream: Scalar,
        wait_at_most: Scalar,
        max_age: Scalar,
        clock_skew: Scalar,
        approvals_dir: Scalar,
    }
}
part! {
    /// `trust.require`
    RawRequire { bundler: u32, approver: u32, }
}
part! {
    /// `state`
    RawState { copy: Scalar, peers: Vec<RawPeer>, }
}
part! {
    /// `state.peers[…]`
    RawPeer { stream: Scalar, keys: Vec<Scalar>, }
}
part! {
    /// `receipts`
    RawReceipts { key_file: Scalar, trusted_keys: Vec<Scalar>, }
}
part! {
    /// `transfer`
    RawTransfer { parallel: Scalar, chunk_size: Scalar, bandwidth: Scalar, }
}
part! {
    /// `metrics`
    RawMetrics { pushgateway: Scalar, textfile: Scalar, }
}
