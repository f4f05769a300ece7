use std::path::Path;

use super::{HEAD, MIRROR, parse, parse_with, with};
use crate::io::config::{
    AbsolutePath, OcMirrorVersion, Operation, Parallel, StateCopy, Upkeep, Versions,
};
use crate::io::location::{Keeping, LockMode, ObjectLock, S3Location, StoreLocation};

/// The sample of the original's README, as it stands there.
const ORIGINAL: &str = include_str!("original.yaml");

#[test]
fn the_original_file_loads_unchanged_in_both_programs() {
    let populate = ORIGINAL.replace("operation: bundle  ", "operation: populate");
    for (text, program) in [
        (ORIGINAL, Operation::Bundle),
        (populate.as_str(), Operation::Populate),
    ] {
        let config = parse(text, program).unwrap();
        let imageset = config.mirror.imageset_config.as_deref().unwrap();
        assert_eq!(imageset, Path::new("/mimeograph/mimeograph-imageset.yaml"));
        assert_eq!(
            config.target().unwrap().as_str(),
            "onprem.registry.example.com/mimeograph"
        );
        let s3 = S3Location {
            bucket: "mimeograph-bucket".into(),
            prefix: "redhat-operators".into(),
            endpoint: Some("https://s3-endpoint.example.com".into()),
            ..S3Location::default()
        };
        assert_eq!(config.store, Some(StoreLocation::S3(s3)));
        assert_eq!(
            &*config.artefacts.bundle_dir,
            Path::new("/mimeograph/bundle")
        );
        assert_eq!(
            &*config.artefacts.metadata_dir,
            Path::new("/mimeograph/metadata")
        );
    }
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let config = parse(&format!("{HEAD}{MIRROR}"), Operation::Bundle).unwrap();
    let oc_mirror = &config.mirror.oc_mirror;
    assert_eq!(oc_mirror.path, Path::new("oc-mirror"));
    assert_eq!(oc_mirror.version, OcMirrorVersion::Auto);
    assert_eq!(oc_mirror.timeout.to_string(), "12h");
    assert_eq!(oc_mirror.deadline.to_string(), "1d");
    assert_eq!(oc_mirror.retries, 2);
    assert_eq!(oc_mirror.versions, Versions::MustFit);
    assert!(oc_mirror.source_tls_verify && oc_mirror.target_tls_verify);
    assert_eq!(&*config.mirror.local_dir, Path::new("/mimeograph/local"));
    assert_eq!(
        &*config.signing.key_file,
        Path::new("/mimeograph/keys/signing.pem")
    );
    assert_eq!(config.signing.expires_after.to_string(), "90d");
    assert_eq!(
        &*config.trust.keys[0],
        Path::new("/mimeograph/keys/trusted")
    );
    assert_eq!(config.trust.policy.threshold.get(), 1);
    assert_eq!(config.trust.wait_at_most.to_string(), "1d");
    assert_eq!(config.trust.clock_skew.to_string(), "5m");
    assert_eq!(config.transfer.parallel, Parallel::Auto);
    assert_eq!(config.transfer.chunk_size.to_string(), "32MiB");
    assert_eq!(
        &*config.artefacts.extra_dir,
        Path::new("/mimeograph/bundle/extra")
    );
    assert_eq!(config.artefacts.cache_dir, None);
    assert!(!config.bundle.allow_partial);
    assert_eq!(config.store, None);
}

#[test]
fn every_field_is_read() {
    let config = parse(include_str!("every-field.yaml"), Operation::Populate).unwrap();
    assert_eq!(
        config.stream.name.as_ref().unwrap().as_str(),
        "Red Hat operators"
    );
    assert_eq!(config.stream.audience[1].as_str(), "south");
    assert_eq!(config.enclave.as_ref().unwrap().as_str(), "north");
    let oc_mirror = &config.mirror.oc_mirror;
    assert_eq!(oc_mirror.path, Path::new("/etc/m/bin/oc-mirror"));
    assert_eq!(oc_mirror.version, OcMirrorVersion::V2);
    assert_eq!(oc_mirror.timeout.seconds(), 5_400);
    assert_eq!(oc_mirror.deadline.seconds(), 7_200);
    assert_eq!(oc_mirror.retries, 0);
    assert_eq!(oc_mirror.versions, Versions::MayDiffer);
    assert_eq!(oc_mirror.extra_args, ["--image-timeout", "20m"]);
    assert_eq!(oc_mirror.env["GODEBUG"], "netdns=go");
    assert_eq!(oc_mirror.env["LEVEL"], "3");
    assert!(!oc_mirror.source_tls_verify && !oc_mirror.target_tls_verify);
    let auth = oc_mirror.auth_file.as_deref().unwrap();
    assert_eq!(auth, Path::new("/etc/m/pull-secret.json"));
    let at = |path: &str| AbsolutePath::resolve(path, Path::new("/")).unwrap();
    let s3 = S3Location {
        bucket: "b".into(),
        prefix: "team/operators".into(),
        endpoint: None,
        region: Some("eu-central-1".into()),
        force_path_style: Some(true),
        ca_bundle: Some("/etc/m/ca.pem".into()),
        keeping: Keeping {
            kms_key: Some("alias/mimeograph".into()),
            lock: Some(ObjectLock {
                mode: LockMode::Compliance,
                days: 90,
            }),
        },
    };
    let image = config.artefacts.resources_image.as_ref().unwrap();
    assert_eq!(image.as_str(), "cluster/resources");
    assert_eq!(config.metrics.textfile, Some(at("/etc/m/metrics")));
    assert_eq!(
        config.metrics.pushgateway.as_deref(),
        Some("http://pushgateway.example.com:9091")
    );
    assert_eq!(config.store, Some(StoreLocation::S3(s3)));
    assert_eq!(config.upkeep, Upkeep::Drained);
    assert_eq!(config.state.copy, StateCopy::Folder(at("/srv/state")));
    assert_eq!(
        config.state.peers[0].keys,
        [at("/etc/m/keys/other.pub.pem")]
    );
    let receipts = &config.receipts;
    assert_eq!(receipts.key_file, Some(at("/etc/m/keys/receipts.pem")));
    assert_eq!(receipts.trusted_keys, [at("/etc/m/keys/north.pub.pem")]);
    assert_eq!(
        config.artefacts.cache_dir.as_deref().unwrap(),
        Path::new("/var/cache/m")
    );
    assert_eq!(
        &*config.artefacts.extra_files[0],
        Path::new("/etc/m/notes.txt")
    );
    assert_eq!(&*config.artefacts.extra_dir, Path::new("/srv/extra"));
    assert_eq!(
        &*config.artefacts.resources_dir,
        Path::new("/srv/resources")
    );
    assert!(config.bundle.allow_partial);
    assert_eq!(
        &*config.signing.key_file,
        Path::new("/etc/m/keys/signing.pem")
    );
    assert_eq!(config.signing.expires_after.to_string(), "30d");
    assert_eq!(config.trust.keys.len(), 2);
    assert_eq!(config.trust.policy.threshold.get(), 2);
    let stream = config.trust.stream.as_ref().unwrap().to_string();
    assert_eq!(stream, "00000000000000000000000000000abc");
    assert_eq!(config.trust.wait_at_most.seconds(), 0);
    assert_eq!(config.trust.clock_skew.to_string(), "1m");
    let eight = Parallel::Fixed(8.try_into().unwrap());
    assert_eq!(config.transfer.parallel, eight);
    assert_eq!(config.transfer.chunk_size.bytes(), 4 << 20);
}

#[test]
fn without_an_operation_one_file_serves_both_programs() {
    let text = with("store: { directory: drop }\n");
    for program in [Operation::Bundle, Operation::Populate] {
        let config = parse(&text, program).unwrap();
        let drop = StoreLocation::Directory("/etc/m/drop".into());
        assert_eq!(config.store, Some(drop));
    }
}

#[test]
fn each_program_asks_only_for_its_own() {
    let bundler = format!("{HEAD}mirror: {{ imagesetConfig: i.yaml }}\n");
    let populator = format!("{HEAD}mirror: {{ targetRegistryURI: r.example.com }}\n");
    assert!(parse(&bundler, Operation::Bundle).is_ok());
    assert!(parse(&populator, Operation::Populate).is_ok());
    assert!(parse(&bundler, Operation::Populate).is_err());
    assert!(parse(&populator, Operation::Bundle).is_err());
}

#[test]
fn an_explicit_oc_mirror_wins_over_the_environment_and_that_over_the_default() {
    let set = |name: &str| (name == "MIMEOGRAPH_OC_MIRROR").then(|| "/opt/oc-mirror".to_owned());
    let config = parse_with(&with(""), Operation::Bundle, &set).unwrap();
    assert_eq!(config.mirror.oc_mirror.path, Path::new("/opt/oc-mirror"));
    let text = format!(
        "{HEAD}mirror: {{ imagesetConfig: i, ocMirror: {{ path: /usr/bin/oc-mirror }} }}\n"
    );
    let config = parse_with(&text, Operation::Bundle, &set).unwrap();
    assert_eq!(
        config.mirror.oc_mirror.path,
        Path::new("/usr/bin/oc-mirror")
    );
}

#[test]
fn the_bucket_may_come_from_a_claim_and_empty_settings_are_unset() {
    let set = |name: &str| (name == "BUCKET_NAME").then(|| "claimed-1234".to_owned());
    let text = with("s3: { bucket: { endpoint: '', region: \"\", subDir: / } }\n");
    let config = parse_with(&text, Operation::Bundle, &set).unwrap();
    let s3 = S3Location {
        bucket: "claimed-1234".into(),
        ..S3Location::default()
    };
    assert_eq!(config.store, Some(StoreLocation::S3(s3)));
}
