//! Every overlay as it would be applied; and the same with a fault in it, each of which must be refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use mimeograph_tests::gap::copy_folder;
use serde_yaml::Value;

use crate::policy::refuse;
use crate::tree::{SIDES, Side, at, documents, text};

/// OpenShift 4.14, 4.18, and the newest that the validator knows.
const VERSIONS: [&str; 3] = ["1.27", "1.31", "1.37"];
/// Kinds of others, with schemas of what we use of them beside this file.
const KINDS: [&str; 3] = ["ObjectBucketClaim", "Bucket", "PrometheusRule"];

/// Where a CronJob has its Pod.
const POD: &str = "spec.jobTemplate.spec.template.spec";

fn tool(name: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name}, which `real-tools` needs: {error}"));
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (told(&ran.stdout), told(&ran.stderr));
    if ran.status.success() {
        assert!(!errors.contains("Warning"), "{name}: {errors}");
        Ok(out)
    } else {
        Err(format!("{out}{errors}"))
    }
}

/// What `kubectl apply -k` would send.
fn rendered(overlay: &Path) -> Vec<Value> {
    let rendered = tool("kubectl", &["kustomize", overlay.to_str().unwrap()]);
    documents(&rendered.unwrap_or_else(|error| panic!("{}: {error}", overlay.display())))
}

fn cron_jobs(documents: &[Value]) -> impl Iterator<Item = &Value> {
    documents
        .iter()
        .filter(|one| text(at(one, "kind")) == "CronJob")
}

/// Whether a CronJob is a stream's own, and not one of maintenance.
fn is_run(job: &Value) -> bool {
    let label = at(job, "metadata.labels").get("mimeograph.io/job");
    label.map(text) == Some("run")
}

fn overlays() -> Vec<(Side, String, Vec<Value>)> {
    let mut overlays = Vec::new();
    for side in SIDES {
        for entry in fs::read_dir(side.folder().join("overlays")).unwrap() {
            let path = entry.unwrap().path();
            overlays.push((side, path.display().to_string(), rendered(&path)));
        }
    }
    assert!(overlays.len() >= 12, "{} overlays", overlays.len());
    overlays
}

/// What schemas have against it.
fn invalid(documents: &[Value], folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let (others, ours): (Vec<_>, Vec<_>) = documents
        .iter()
        .partition(|one| KINDS.contains(&text(at(one, "kind"))));
    let whole: Vec<_> = ours
        .iter()
        .map(|one| serde_yaml::to_string(one).unwrap())
        .collect();
    let file = folder.join("ours.yaml");
    fs::write(&file, whole.join("---\n")).unwrap();
    for version in VERSIONS {
        let arguments = ["-k", version, "--strict", file.to_str().unwrap()];
        match tool("kubernetes-validate", &arguments) {
            // A kind that it does not know is only a warning.
            Ok(said) if said.contains("WARN") => wrong.push(said),
            Ok(_) => {}
            Err(said) => wrong.push(format!("Kubernetes {version}: {said}")),
        }
    }
    for one in others {
        let kind = text(at(one, "kind"));
        let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/schemas")
            .join(format!("{kind}.json"));
        let file = folder.join("other.yaml");
        fs::write(&file, serde_yaml::to_string(one).unwrap()).unwrap();
        let arguments = [
            "--schemafile",
            schema.to_str().unwrap(),
            file.to_str().unwrap(),
        ];
        wrong.extend(tool("check-jsonschema", &arguments).err());
    }
    wrong
}

#[test]
fn every_overlay_is_built_valid_and_within_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    for (side, name, documents) in overlays() {
        let wrong = [invalid(&documents, folder.path()), refuse(side, &documents)].concat();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn the_pod_for_the_volumes_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for side in SIDES {
        let pod = documents(&fs::read_to_string(side.folder().join("look.yaml")).unwrap());
        assert_eq!(invalid(&pod, folder.path()), Vec::<String>::new());
    }
}

#[test]
fn streams_in_one_namespace_share_nothing_that_they_write_to() {
    for (_, name, documents) in overlays() {
        if !name.ends_with("streams") {
            continue;
        }
        let jobs: Vec<_> = cron_jobs(&documents).filter(|one| is_run(one)).collect();
        assert_eq!(jobs.len(), 2, "{name}");
        let of = |job: &Value, volume: usize, path: &str| {
            text(at(job, &format!("{POD}.volumes.{volume}.{path}"))).to_owned()
        };
        for (volume, path) in [
            (0, "persistentVolumeClaim.claimName"),
            (1, "persistentVolumeClaim.claimName"),
            (3, "configMap.name"),
        ] {
            let [a, b] = [0, 1].map(|job| of(jobs[job], volume, path));
            assert!(!a.is_empty() && a != b, "{name}: {a} and {b}");
            for used in [a, b] {
                let is_there = |one: &Value| text(at(one, "metadata.name")) == used;
                assert!(documents.iter().any(is_there), "{name}: no {used}");
            }
        }
        assert_ne!(at(jobs[0], "spec.schedule"), at(jobs[1], "spec.schedule"));
    }
}

#[test]
fn two_phases_have_different_secrets() {
    let mut found = 0;
    for (side, name, documents) in overlays() {
        for job in cron_jobs(&documents) {
            let init = text(at(job, &format!("{POD}.initContainers.0.args.0")));
            if init.is_empty() {
                continue;
            }
            found += 1;
            let main = text(at(job, &format!("{POD}.containers.0.args.0")));
            let expected = match side {
                Side::Connected => ("mirror", "publish"),
                Side::Disconnected => ("fetch", "load"),
            };
            assert_eq!((init, main), expected, "{name}");
        }
    }
    assert!(found >= 3, "{found}");
}

/// Also those that no overlay lists.
#[test]
fn every_component_is_built_valid_and_within_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    for side in SIDES {
        let copy = folder.path().join(format!("{side:?}"));
        copy_folder(&side.folder(), &copy).unwrap();
        let overlay = copy.join("overlays/tried");
        fs::create_dir(&overlay).unwrap();
        let mut count = 0;
        for entry in fs::read_dir(copy.join("components")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let components = match name.as_str() {
                "openshift" | "plain-kubernetes" => vec![],
                "two-phases" => vec!["plain-kubernetes", "static-keys"],
                _ => vec!["plain-kubernetes"],
            };
            let namespace = match side {
                Side::Connected => "mimeograph-connected",
                Side::Disconnected => "mimeograph-disconnected",
            };
            let listed: Vec<_> = components
                .iter()
                .chain([&name.as_str()])
                .map(|one| format!("- ../../components/{one}\n"))
                .collect();
            let listed = listed.concat();
            // Of these an overlay has its own.
            let own = ["s3", "proxy"].map(|one| {
                format!("- name: mimeograph-{one}\n  literals: [AWS_REGION=us-east-1]\n")
            });
            let text = format!(
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {namespace}\n\
                 resources: [../../base]\ncomponents:\n{listed}configMapGenerator:\n{}",
                own.concat()
            );
            fs::write(overlay.join("kustomization.yaml"), text).unwrap();
            let documents = rendered(&overlay);
            let wrong = [invalid(&documents, folder.path()), refuse(side, &documents)].concat();
            assert!(wrong.is_empty(), "{side:?} {name}: {wrong:#?}");
            count += 1;
        }
        assert!(count >= 10, "{count}");
    }
}

/// One fault: what it is planted in, where, and what stands there instead (null: nothing).
struct Fault {
    kind: &'static str,
    path: &'static str,
    value: &'static str,
    /// What the check that refuses it says.
    says: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.image",
        value: "registry.example.com/mimeograph:latest",
        says: "not pinned by digest",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.securityContext.readOnlyRootFilesystem",
        value: "false",
        says: "`readOnlyRootFilesystem` is not `true`",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.securityContext.allowPrivilegeEscalation",
        value: "true",
        says: "`allowPrivilegeEscalation` is not `false`",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.securityContext.capabilities",
        value: "{add: [NET_ADMIN]}",
        says: "keeps capabilities",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.resources.limits",
        value: "null",
        says: "no limit for memory",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.command",
        value: "[/bin/sh, -c, mimeograph-bundler]",
        says: "another than the image's",
    },
    Fault {
        kind: "CronJob",
        path: "POD.containers.0.env.0",
        value: "{name: AWS_SECRET_ACCESS_KEY, value: TopSecretValue}",
        says: "`AWS_SECRET_ACCESS_KEY` is written out",
    },
    Fault {
        kind: "CronJob",
        path: "POD.securityContext",
        value: "null",
        says: "may run as root",
    },
    Fault {
        kind: "CronJob",
        path: "POD.automountServiceAccountToken",
        value: "true",
        says: "token is mounted",
    },
    Fault {
        kind: "CronJob",
        path: "POD.restartPolicy",
        value: "OnFailure",
        says: "`restartPolicy` is not `Never`",
    },
    Fault {
        kind: "CronJob",
        path: "POD.volumes.0",
        value: "{name: bundle, hostPath: {path: /srv}}",
        says: "of a kind that is refused",
    },
    Fault {
        kind: "CronJob",
        path: "POD.hostNetwork",
        value: "true",
        says: "`hostNetwork`",
    },
    Fault {
        kind: "CronJob",
        path: "spec.concurrencyPolicy",
        value: "Allow",
        says: "is not `Forbid`",
    },
    Fault {
        kind: "CronJob",
        path: "spec.jobTemplate.spec.activeDeadlineSeconds",
        value: "null",
        says: "no `activeDeadlineSeconds`",
    },
    Fault {
        kind: "CronJob",
        path: "spec.jobTemplate.spec.podFailurePolicy.rules.1.onExitCodes.values",
        value: "[64, 75]",
        says: "statuses that last",
    },
    Fault {
        kind: "CronJob",
        path: "spec.jobTemplate.spec.backofLimit",
        value: "3",
        says: "backofLimit",
    },
    Fault {
        kind: "CronJob",
        path: "spec.schedule",
        value: "null",
        says: "schedule",
    },
    Fault {
        kind: "ConfigMap",
        path: "data",
        value: "{auth.json: '{\"auths\": {}}'}",
        says: "a registry login",
    },
    Fault {
        kind: "ConfigMap",
        path: "data",
        value: "{k: '-----BEGIN PRIVATE KEY-----'}",
        says: "a private key",
    },
    Fault {
        kind: "ConfigMap",
        path: "data",
        value: "{AWS_SECRET_ACCESS_KEY: x}",
        says: "a credential",
    },
    Fault {
        kind: "ConfigMap",
        path: "kind",
        value: "Secret",
        says: "a Secret in Git",
    },
    Fault {
        kind: "NetworkPolicy",
        path: "spec.ingress",
        value: "[{}]",
        says: "lets something in",
    },
    Fault {
        kind: "NetworkPolicy",
        path: "spec.policyTypes",
        value: "[Ingress]",
        says: "denies everything",
    },
    Fault {
        kind: "ObjectBucketClaim",
        path: "spec.bucketname",
        value: "b",
        says: "bucketname",
    },
    Fault {
        kind: "PrometheusRule",
        path: "spec.groups.0.rules.0.expr",
        value: "null",
        says: "'expr' is a required property",
    },
    Fault {
        kind: "Bucket",
        path: "spec.versioning.status",
        value: "On",
        says: "'On' is not one of",
    },
    // ACK leaves this one out, and an API server refuses what it does not know.
    Fault {
        kind: "Bucket",
        path: "spec.objectLockConfiguration.objectLockEnabled",
        value: "Enabled",
        says: "objectLockEnabled",
    },
];

fn plant(documents: &mut [Value], fault: &Fault) -> bool {
    let path = fault.path.replace("POD", POD);
    let steps: Vec<_> = path.split('.').collect();
    let (last, way) = steps.split_last().unwrap();
    // Of NetworkPolicies, the one that denies everything.
    let is_it = |one: &&mut Value| {
        text(at(one, "kind")) == fault.kind
            && (fault.kind != "NetworkPolicy" || at(one, "spec.egress").is_null())
    };
    let Some(document) = documents.iter_mut().find(is_it) else {
        return false;
    };
    let mut place = document;
    for step in way {
        place = match step.parse::<usize>() {
            Ok(index) if place.is_sequence() => &mut place[index],
            _ => &mut place[*step],
        };
    }
    let value: Value = serde_yaml::from_str(fault.value).unwrap();
    match last.parse::<usize>() {
        Ok(index) if place.is_sequence() => place[index] = value,
        _ if value.is_null() => drop(place.as_mapping_mut().unwrap().remove(*last)),
        _ => place[*last] = value,
    }
    true
}

#[test]
fn a_planted_fault_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let overlays = overlays();
    for fault in FAULTS {
        let planted = overlays.iter().find_map(|(side, _, documents)| {
            let mut documents = documents.clone();
            plant(&mut documents, fault).then_some((*side, documents))
        });
        let (side, documents) = planted.unwrap_or_else(|| panic!("no {}", fault.kind));
        let mut wrong = refuse(side, &documents);
        if !wrong.iter().any(|one| one.contains(fault.says)) {
            wrong = invalid(&documents, folder.path());
        }
        let is_refused = wrong.iter().any(|one| one.contains(fault.says));
        assert!(is_refused, "{} {}: {wrong:#?}", fault.kind, fault.path);
    }
}

#[test]
fn two_phases_with_one_home_are_refused() {
    let mut count = 0;
    for (side, _, mut documents) in overlays() {
        for job in &mut documents {
            let pod = &mut job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
            if pod["initContainers"].is_sequence() {
                pod["initContainers"][0]["volumeMounts"][2]["name"] = "tmp".into();
                count += 1;
            }
        }
        let wrong = refuse(side, &documents);
        let is_it = |one: &String| one.contains("both phases write to `tmp`");
        let phased = documents
            .iter()
            .any(|job| at(job, &format!("{POD}.initContainers")).is_sequence());
        assert_eq!(wrong.iter().any(is_it), phased, "{wrong:?}");
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn the_signing_key_is_refused_on_the_disconnected_side() {
    let overlays = overlays();
    let (_, _, connected) = overlays
        .iter()
        .find(|(side, name, _)| *side == Side::Connected && name.ends_with("drive"))
        .unwrap();
    let wrong = refuse(Side::Disconnected, connected);
    let is_it = |one: &String| one.contains("signing key is on the disconnected side");
    assert!(wrong.iter().any(is_it), "{wrong:?}");
}
