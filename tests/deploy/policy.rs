//! What every overlay must keep to, beyond being valid: Pod Security `restricted`, and rules of our own.

use std::collections::BTreeSet;

use serde_yaml::Value;

use crate::tree::{Side, at, list, text};

/// What is wrong with the documents of an overlay; nothing where all is right.
pub(crate) fn refuse(side: Side, documents: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in documents {
        let name = format!(
            "{} {}",
            text(at(document, "kind")),
            text(at(document, "metadata.name"))
        );
        let mut say = |what: String| wrong.push(format!("{name}: {what}"));
        match text(at(document, "kind")) {
            "CronJob" => cron_job(side, document, &mut say),
            "ConfigMap" => config_map(document, &mut say),
            "Secret" => say("a Secret in Git".into()),
            "Role" | "ClusterRole" => role(document, &mut say),
            _ => {}
        }
    }
    network(documents, &mut wrong);
    wrong
}

fn cron_job(side: Side, job: &Value, say: &mut dyn FnMut(String)) {
    let mut must = |holds: bool, what: &str| {
        if !holds {
            say(what.to_owned());
        }
    };
    let spec = at(job, "spec");
    let run = at(spec, "jobTemplate.spec");
    let pod = at(run, "template.spec");
    must(
        text(at(spec, "concurrencyPolicy")) == "Forbid",
        "`concurrencyPolicy` is not `Forbid`",
    );
    must(at(spec, "timeZone").is_string(), "no `timeZone`");
    for field in [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ] {
        must(at(spec, field).is_u64(), &format!("no `{field}`"));
    }
    for field in [
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ] {
        must(at(run, field).is_u64(), &format!("no `{field}`"));
    }
    let rules = list(at(run, "podFailurePolicy.rules"));
    let fails = |rule: &&Value| text(at(rule, "action")) == "FailJob";
    must(
        rules.iter().find(fails).is_some_and(|rule| {
            list(at(rule, "onExitCodes.values"))
                .iter()
                .filter_map(Value::as_u64)
                .eq(crate::told::lasting())
        }),
        "`podFailurePolicy` does not fail the Job at exactly the statuses that last",
    );
    must(
        text(at(pod, "restartPolicy")) == "Never",
        "`restartPolicy` is not `Never`",
    );
    must(
        at(pod, "automountServiceAccountToken").as_bool() == Some(false),
        "the service account's token is mounted",
    );
    must(
        at(pod, "enableServiceLinks").as_bool() == Some(false),
        "service links are on",
    );
    must(
        at(pod, "securityContext.runAsNonRoot").as_bool() == Some(true),
        "the Pod may run as root",
    );
    must(
        text(at(pod, "securityContext.seccompProfile.type")) == "RuntimeDefault",
        "no seccomp profile",
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        must(
            at(pod, field).as_bool() != Some(true),
            &format!("`{field}`"),
        );
    }
    let allowed = [
        "configMap",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(at(pod, "volumes")) {
        let name = text(at(volume, "name"));
        let kinds = volume.as_mapping().into_iter().flat_map(|one| one.keys());
        let is_allowed = kinds
            .filter(|kind| text(kind) != "name")
            .all(|kind| allowed.contains(&text(kind)));
        must(
            is_allowed,
            &format!("volume `{name}` is of a kind that is refused"),
        );
        must(
            at(volume, "emptyDir").is_null() || at(volume, "emptyDir.sizeLimit").is_string(),
            &format!("volume `{name}` has no `sizeLimit`"),
        );
        let key = text(at(volume, "secret.secretName")) == "mimeograph-signing-key";
        must(
            !(key && side == Side::Disconnected),
            "the signing key is on the disconnected side",
        );
    }
    let containers = ["initContainers", "containers"].map(|kind| list(at(pod, kind)));
    for one in containers.into_iter().flatten() {
        container(one, &mut must);
    }
    apart(pod, &mut must);
}

fn container(container: &Value, must: &mut dyn FnMut(bool, &str)) {
    let name = text(at(container, "name"));
    let mut must = |holds: bool, what: &str| must(holds, &format!("container `{name}`: {what}"));
    let image = text(at(container, "image"));
    must(
        image.split_once("@sha256:").is_some_and(|(_, digest)| {
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        }),
        "its image is not pinned by digest",
    );
    let context = at(container, "securityContext");
    for (field, value) in [
        ("allowPrivilegeEscalation", false),
        ("privileged", false),
        ("readOnlyRootFilesystem", true),
        ("runAsNonRoot", true),
    ] {
        must(
            at(context, field).as_bool() == Some(value),
            &format!("`{field}` is not `{value}`"),
        );
    }
    let dropped = list(at(context, "capabilities.drop"));
    must(
        dropped.iter().any(|one| text(one) == "ALL") && at(context, "capabilities.add").is_null(),
        "it keeps capabilities",
    );
    for field in ["memory", "ephemeral-storage"] {
        must(
            at(container, &format!("resources.limits.{field}")).is_string(),
            &format!("no limit for {field}"),
        );
    }
    must(
        at(container, "command").is_null(),
        "its command is another than the image's",
    );
    for variable in list(at(container, "env")) {
        let name = text(at(variable, "name"));
        let is_secret = ["SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY"]
            .iter()
            .any(|part| name.contains(part) && !name.ends_with("_FILE"));
        must(
            !is_secret || at(variable, "value").is_null(),
            &format!("`{name}` is written out"),
        );
    }
}

/// Where there are two phases, neither has what the other needs.
fn apart(pod: &Value, must: &mut dyn FnMut(bool, &str)) {
    let has = |container: &Value, mount: &str| {
        let mounts = list(at(container, "volumeMounts"));
        mounts.iter().any(|one| text(at(one, "name")) == mount)
    };
    let reads_secret = |container: &Value| {
        let from = list(at(container, "envFrom"));
        from.iter().any(|one| !at(one, "secretRef").is_null())
    };
    let of = |kind: &str| {
        let mounts = list(at(pod, kind))
            .iter()
            .flat_map(|one| list(at(one, "volumeMounts")));
        mounts
            .map(|one| text(at(one, "name")))
            .collect::<BTreeSet<_>>()
    };
    for shared in of("initContainers").intersection(&of("containers")) {
        let volumes = list(at(pod, "volumes")).iter();
        let mut dirs = volumes.filter(|one| !at(one, "emptyDir").is_null());
        must(
            dirs.all(|one| text(at(one, "name")) != *shared),
            &format!("both phases write to `{shared}`, where the second looks for settings"),
        );
    }
    for kind in ["initContainers", "containers"] {
        for container in list(at(pod, kind)) {
            match text(at(container, "args.0")) {
                "mirror" => must(
                    !has(container, "signing-key"),
                    "`mirror` has the signing key",
                ),
                "publish" => must(
                    !has(container, "registry-auth"),
                    "`publish` has the registries' credentials",
                ),
                "fetch" => must(
                    !has(container, "registry-auth"),
                    "`fetch` has the registry's credentials",
                ),
                "load" => must(
                    !reads_secret(container),
                    "`load` has the store's credentials",
                ),
                _ => {}
            }
        }
    }
}

fn config_map(map: &Value, say: &mut dyn FnMut(String)) {
    for (key, value) in at(map, "data").as_mapping().into_iter().flatten() {
        let (key, value) = (text(key), text(value));
        if value.contains("\"auths\"") {
            say(format!("`{key}` is a registry login"));
        }
        if value.contains("PRIVATE KEY-----") {
            say(format!("`{key}` is a private key"));
        }
        if key.contains("SECRET") || key.contains("ACCESS_KEY") {
            say(format!("`{key}` is a credential"));
        }
    }
}

fn role(role: &Value, say: &mut dyn FnMut(String)) {
    for rule in list(at(role, "rules")) {
        let everything = |field: &str| list(at(rule, field)).iter().any(|one| text(one) == "*");
        if ["apiGroups", "resources", "verbs"]
            .into_iter()
            .any(everything)
        {
            say("a wildcard".into());
        }
    }
}

/// Nothing may connect in, and nothing out that is not said.
fn network(documents: &[Value], wrong: &mut Vec<String>) {
    let policies: Vec<_> = documents
        .iter()
        .filter(|one| text(at(one, "kind")) == "NetworkPolicy")
        .collect();
    let denies_all = |policy: &&Value| {
        let types = list(at(policy, "spec.policyTypes"));
        at(policy, "spec.podSelector")
            .as_mapping()
            .is_some_and(serde_yaml::Mapping::is_empty)
            && types.len() == 2
            && at(policy, "spec.ingress").is_null()
            && at(policy, "spec.egress").is_null()
    };
    if !policies.iter().any(denies_all) {
        wrong.push("no NetworkPolicy denies everything that is not allowed".into());
    }
    for policy in policies {
        if !at(policy, "spec.ingress").is_null() {
            wrong.push("a NetworkPolicy lets something in".into());
        }
    }
}
