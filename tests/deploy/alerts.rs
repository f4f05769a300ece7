//! Each alert fires where it must, and not before (`promtool test rules`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_yaml::Value;

use crate::tree::{SIDES, Side, at, read, text};

/// An alert, the series that make it fire from the beginning on, its labels, and sets of series that do not.
struct Case {
    alert: &'static str,
    fires: &'static str,
    rests: &'static [&'static str],
    labels: &'static str,
}

const CONNECTED: &[Case] = &[
    Case {
        alert: "MimeographNoNewBundle",
        fires: r#"mimeograph_newest_bundle_created_timestamp_seconds{program="mimeograph-bundler",command="run",stream="s"} 0"#,
        rests: &[
            r#"mimeograph_newest_bundle_created_timestamp_seconds{program="mimeograph-bundler",command="run",stream="s"} 200000"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographBundlerFailing",
        fires: r#"mimeograph_last_run_exit_status{program="mimeograph-bundler",command="run",stream="s"} 84;mimeograph_last_run_timestamp_seconds{program="mimeograph-bundler",command="run",stream="s"} 0"#,
        rests: &[
            r#"mimeograph_last_run_exit_status{program="mimeograph-bundler",command="run",stream="s"} 0;mimeograph_last_run_timestamp_seconds{program="mimeograph-bundler",command="run",stream="s"} 0"#,
            // It is run no more: another alert says so where it should be.
            r#"mimeograph_last_run_exit_status{program="mimeograph-bundler",command="run",stream="s"} 84;mimeograph_last_run_timestamp_seconds{program="mimeograph-bundler",command="run",stream="s"} -700000"#,
        ],
        labels: "stream: s, command: run, severity: warning",
    },
    Case {
        alert: "MimeographStoreCheckFailed",
        fires: r#"mimeograph_last_run_error{program="mimeograph-bundler",command="check-store",stream="s",error_id="STORE_DAMAGED"} 1"#,
        rests: &[
            r#"mimeograph_last_run_error{program="mimeograph-bundler",command="check-store",stream="s",error_id="STORE_DAMAGED"} 0"#,
            r#"mimeograph_last_run_error{program="mimeograph-bundler",command="check-store",stream="s",error_id="STORE_UNREACHABLE"} 1"#,
        ],
        labels: "stream: s, severity: critical",
    },
    Case {
        alert: "MimeographJobFailed",
        fires: r#"kube_job_failed{namespace="mimeograph-connected",job_name="mimeograph-bundler-1",condition="true"} 1;kube_job_status_start_time{namespace="mimeograph-connected",job_name="mimeograph-bundler-1"} 100000"#,
        rests: &[
            r#"kube_job_failed{namespace="mimeograph-connected",job_name="mimeograph-bundler-1",condition="true"} 0;kube_job_status_start_time{namespace="mimeograph-connected",job_name="mimeograph-bundler-1"} 100000"#,
            // Of the day before: what came after it tells more.
            r#"kube_job_failed{namespace="mimeograph-connected",job_name="mimeograph-bundler-1",condition="true"} 1;kube_job_status_start_time{namespace="mimeograph-connected",job_name="mimeograph-bundler-1"} 0"#,
        ],
        labels: "namespace: mimeograph-connected, job_name: mimeograph-bundler-1, condition: true, severity: warning",
    },
    Case {
        alert: "MimeographNoSuccess",
        fires: r#"kube_cronjob_status_last_successful_time{namespace="other",cronjob="mimeograph-bundler-releases"} 0"#,
        rests: &[
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-bundler-prune"} 0"#,
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-bundler-check"} 0"#,
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-bundler-prune-releases"} 0"#,
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-bundler-check-store-operators"} 0"#,
        ],
        labels: "namespace: other, cronjob: mimeograph-bundler-releases, severity: warning",
    },
    Case {
        alert: "MimeographSuspended",
        fires: r#"kube_cronjob_spec_suspend{namespace="other",cronjob="mimeograph-bundler-releases"} 1"#,
        rests: &[
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-bundler-prune"} 1"#,
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-bundler-check"} 1"#,
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-bundler-prune-releases"} 1"#,
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-bundler-check-store-operators"} 1"#,
        ],
        labels: "namespace: other, cronjob: mimeograph-bundler-releases, severity: info",
    },
    Case {
        alert: "MimeographVolumeFillingUp",
        fires: r#"kubelet_volume_stats_available_bytes{namespace="mimeograph-connected",persistentvolumeclaim="mimeograph-bundler-bundle"} 1;kubelet_volume_stats_capacity_bytes{namespace="mimeograph-connected",persistentvolumeclaim="mimeograph-bundler-bundle"} 10"#,
        rests: &[
            r#"kubelet_volume_stats_available_bytes{namespace="mimeograph-connected",persistentvolumeclaim="mimeograph-bundler-bundle"} 5;kubelet_volume_stats_capacity_bytes{namespace="mimeograph-connected",persistentvolumeclaim="mimeograph-bundler-bundle"} 10"#,
        ],
        labels: "namespace: mimeograph-connected, persistentvolumeclaim: mimeograph-bundler-bundle, severity: warning",
    },
];

const DISCONNECTED: &[Case] = &[
    Case {
        alert: "MimeographPopulateFailing",
        fires: r#"mimeograph_last_run_exit_status{program="mimeograph-populator",command="run",stream="s"} 77;mimeograph_last_run_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} 0"#,
        rests: &[
            r#"mimeograph_last_run_exit_status{program="mimeograph-populator",command="run",stream="s"} 0;mimeograph_last_run_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} 0"#,
            // It is run no more: another alert says so where it should be.
            r#"mimeograph_last_run_exit_status{program="mimeograph-populator",command="run",stream="s"} 77;mimeograph_last_run_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} -700000"#,
        ],
        labels: "stream: s, command: run, severity: warning",
    },
    Case {
        alert: "MimeographPopulateSilent",
        fires: r#"mimeograph_last_success_timestamp_seconds{program="mimeograph-populator",command="load",stream="s"} 0"#,
        rests: &[
            r#"mimeograph_last_success_timestamp_seconds{program="mimeograph-populator",command="load",stream="s"} 200000"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographGap",
        fires: r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="GAP"} 1"#,
        rests: &[
            r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="GAP"} 0"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographUntrusted",
        fires: r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="UNTRUSTED"} 1"#,
        rests: &[
            r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="STORE_UNREACHABLE"} 1"#,
        ],
        labels: "stream: s, error_id: UNTRUSTED, severity: critical",
    },
    Case {
        alert: "MimeographDamaged",
        fires: r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="CHUNK_DAMAGED"} 1"#,
        rests: &[
            r#"mimeograph_last_run_error{program="mimeograph-populator",command="run",stream="s",error_id="CHUNK_DAMAGED"} 0"#,
        ],
        labels: "stream: s, error_id: CHUNK_DAMAGED, severity: warning",
    },
    Case {
        alert: "MimeographStreamStale",
        fires: r#"mimeograph_newest_bundle_created_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} -300000"#,
        rests: &[
            r#"mimeograph_newest_bundle_created_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} 0"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographBehind",
        fires: r#"mimeograph_bundles_behind{program="mimeograph-populator",command="run",stream="s"} 2"#,
        rests: &[
            r#"mimeograph_bundles_behind{program="mimeograph-populator",command="run",stream="s"} 0"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographBundleExpiring",
        fires: r#"mimeograph_newest_bundle_expires_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} 600000"#,
        rests: &[
            r#"mimeograph_newest_bundle_expires_timestamp_seconds{program="mimeograph-populator",command="run",stream="s"} 900000"#,
        ],
        labels: "stream: s, severity: warning",
    },
    Case {
        alert: "MimeographKeyEnding",
        fires: r#"mimeograph_key_ends_timestamp_seconds{program="mimeograph-populator",command="run",stream="s",key_id="k"} 2000000"#,
        rests: &[
            r#"mimeograph_key_ends_timestamp_seconds{program="mimeograph-populator",command="run",stream="s",key_id="k"} 3000000"#,
        ],
        labels: "stream: s, key_id: k, severity: warning",
    },
    Case {
        alert: "MimeographJobFailed",
        fires: r#"kube_job_failed{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1",condition="true"} 1;kube_job_status_start_time{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1"} 100000"#,
        rests: &[
            r#"kube_job_failed{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1",condition="true"} 0;kube_job_status_start_time{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1"} 100000"#,
            // Of the day before: what came after it tells more.
            r#"kube_job_failed{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1",condition="true"} 1;kube_job_status_start_time{namespace="mimeograph-disconnected",job_name="mimeograph-populator-1"} 0"#,
        ],
        labels: "namespace: mimeograph-disconnected, job_name: mimeograph-populator-1, condition: true, severity: warning",
    },
    Case {
        alert: "MimeographNoSuccess",
        fires: r#"kube_cronjob_status_last_successful_time{namespace="other",cronjob="mimeograph-populator-releases"} 0"#,
        rests: &[
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-populator-import"} 0"#,
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-populator-check"} 0"#,
            r#"kube_cronjob_status_last_successful_time{namespace="n",cronjob="mimeograph-populator-prune-releases"} 0"#,
        ],
        labels: "namespace: other, cronjob: mimeograph-populator-releases, severity: warning",
    },
    Case {
        alert: "MimeographSuspended",
        fires: r#"kube_cronjob_spec_suspend{namespace="other",cronjob="mimeograph-populator-releases"} 1"#,
        rests: &[
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-populator-import"} 1"#,
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-populator-check"} 1"#,
            r#"kube_cronjob_spec_suspend{namespace="n",cronjob="mimeograph-populator-prune-releases"} 1"#,
        ],
        labels: "namespace: other, cronjob: mimeograph-populator-releases, severity: info",
    },
    Case {
        alert: "MimeographVolumeFillingUp",
        fires: r#"kubelet_volume_stats_available_bytes{namespace="mimeograph-disconnected",persistentvolumeclaim="mimeograph-populator-bundle"} 1;kubelet_volume_stats_capacity_bytes{namespace="mimeograph-disconnected",persistentvolumeclaim="mimeograph-populator-bundle"} 10"#,
        rests: &[
            r#"kubelet_volume_stats_available_bytes{namespace="mimeograph-disconnected",persistentvolumeclaim="mimeograph-populator-bundle"} 5;kubelet_volume_stats_capacity_bytes{namespace="mimeograph-disconnected",persistentvolumeclaim="mimeograph-populator-bundle"} 10"#,
        ],
        labels: "namespace: mimeograph-disconnected, persistentvolumeclaim: mimeograph-populator-bundle, severity: warning",
    },
];

/// Long after everything has been as it is for as long as any alert waits.
const LATE: &str = "30h";

#[test]
fn each_alert_fires_where_it_must_and_only_there() {
    for (side, cases) in SIDES.into_iter().zip([CONNECTED, DISCONNECTED]) {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, mut names) = (Vec::new(), BTreeSet::new());
        for name in ["rules.yaml", "rules-platform.yaml"] {
            let mut spec = at(&read(&side.files(name)[0]), "spec").clone();
            promtool(&spec, name, folder.path(), "check");
            for rule in rules_of(&mut spec) {
                names.insert(text(at(rule, "alert")).to_owned());
                // They are words, and would be compared.
                let gone = rule.as_mapping_mut().unwrap().remove("annotations");
                assert!(gone.is_some(), "{name} has an alert without words");
            }
            fs::write(
                folder.path().join(name),
                serde_yaml::to_string(&spec).unwrap(),
            )
            .unwrap();
            files.push(name);
        }
        let tried: BTreeSet<_> = cases.iter().map(|case| case.alert.to_owned()).collect();
        assert_eq!(names, tried, "{side:?}");
        let mut tests = format!(
            "rule_files: [{}]\nevaluation_interval: 5m\ntests:\n",
            files.join(", ")
        );
        for case in cases {
            write_test(&mut tests, case.fires, case.alert, Some(case.labels));
            for rests in case.rests {
                write_test(&mut tests, rests, case.alert, None);
            }
        }
        fs::write(folder.path().join("tests.yaml"), &tests).unwrap();
        promtool(&Value::String(tests), "tests.yaml", folder.path(), "test");
    }
}

fn rules_of(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = spec["groups"].as_sequence_mut().unwrap();
    groups
        .iter_mut()
        .flat_map(|group| group["rules"].as_sequence_mut().unwrap())
}

/// Has it check rules, or test them.
fn promtool(content: &Value, name: &str, folder: &Path, what: &str) {
    let text = match content {
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap(),
    };
    fs::write(folder.join(name), &text).unwrap();
    let ran = Command::new("promtool")
        .args([what, "rules", name])
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("promtool, which `real-tools` needs: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{text}");
}

fn write_test(tests: &mut String, series: &str, alert: &str, labels: Option<&str>) {
    // Writing to a text cannot fail.
    let _ = writeln!(tests, "- interval: 5m\n  input_series:");
    for one in series.split(';') {
        let (name, value) = one.rsplit_once(' ').unwrap();
        let _ = writeln!(tests, "  - series: '{name}'\n    values: '{value}+0x400'");
    }
    let _ = writeln!(
        tests,
        "  alert_rule_test:\n  - eval_time: {LATE}\n    alertname: {alert}"
    );
    match labels {
        Some(labels) => {
            let _ = writeln!(tests, "    exp_alerts: [{{exp_labels: {{{labels}}}}}]");
        }
        None => {
            let _ = writeln!(tests, "    exp_alerts: []");
        }
    }
}

#[test]
fn a_side_has_rules_of_both_kinds() {
    for side in [Side::Connected, Side::Disconnected] {
        assert_eq!(side.files("rules.yaml").len(), 1);
        assert_eq!(side.files("rules-platform.yaml").len(), 1);
    }
}
