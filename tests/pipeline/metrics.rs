//! What a run tells Prometheus.

#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "whole numbers and times of today, which a float holds exactly"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use crate::lab::{Lab, done, refused};

fn with_metrics(more: &str) -> Lab {
    let lab = Lab::new();
    for side in ["connected", "disconnected"] {
        let path = lab.path(&format!("{side}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        let folder = lab.path("metrics").display().to_string();
        let more = more.replace("FOLDER", &folder);
        fs::write(&path, format!("{text}metrics: {{ {more} }}\n")).unwrap();
    }
    lab
}

/// The samples of a file, by name and labels.
fn samples(path: &Path) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The one sample of a name whose labels hold this.
#[track_caller]
fn one(samples: &BTreeMap<String, f64>, name: &str, label: &str) -> f64 {
    let found: Vec<_> = samples
        .iter()
        .filter(|(key, _)| key.starts_with(&format!("mimeograph_{name}{{")) && key.contains(label))
        .collect();
    assert_eq!(found.len(), 1, "{name} {label}: {samples:#?}");
    *found[0].1
}

#[test]
fn a_run_tells_how_things_stand_and_a_failed_one_what_the_last_knew() {
    let lab = with_metrics("textfile: FOLDER");
    done(&lab.bundler(&["run"]));
    let bundler = lab.path("metrics/mimeograph-bundler_store_run.prom");
    let told = samples(&bundler);
    let now = jiff::Timestamp::now().as_second();
    let is_now = |at: f64| (at - now as f64).abs() < 60.0;
    assert!(is_now(one(
        &told,
        "last_success_timestamp_seconds",
        "command=\"run\""
    )));
    assert!(is_now(one(
        &told,
        "newest_bundle_created_timestamp_seconds",
        "stream=\"store\""
    )));
    assert_eq!(one(&told, "newest_bundle_sequence", ""), 1.0);
    assert_eq!(one(&told, "last_run_exit_status", ""), 0.0);
    assert_eq!(one(&told, "last_run_chunks", "what=\"skipped\""), 0.0);
    assert!(one(&told, "last_run_chunks", "what=\"shipped\"") > 1.0);
    assert!(one(&told, "last_run_bytes", "") > 1e6);
    assert!(one(&told, "last_run_stage_duration_seconds", "stage=\"mirror\"") > 0.0);
    assert_eq!(one(&told, "last_run_error", "\"PARTIAL\""), 0.0);
    let ninety_days = one(&told, "newest_bundle_expires_timestamp_seconds", "") - now as f64;
    assert!(
        (ninety_days - 90.0 * 86_400.0).abs() < 60.0,
        "{ninety_days}"
    );

    lab.play("VERSION=5.2\nMISBEHAVE=drop-image\n").unwrap();
    let ran = lab.bundler(&["run", "--full"]);
    assert_ne!(ran.status, 0, "{ran}");
    let again = samples(&bundler);
    assert_eq!(
        one(&again, "last_run_exit_status", ""),
        f64::from(ran.status)
    );
    let failed: Vec<_> = again
        .iter()
        .filter(|(name, value)| name.starts_with("mimeograph_last_run_error") && **value == 1.0)
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(one(&again, "failed_runs", "error_id="), 1.0);
    for kept in ["last_success_timestamp_seconds", "newest_bundle_sequence"] {
        assert_eq!(one(&again, kept, ""), one(&told, kept, ""), "{kept}");
    }
}

#[test]
fn the_populator_tells_what_is_applied_and_what_is_behind() {
    let lab = with_metrics("textfile: FOLDER");
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    let populator = lab.path("metrics/mimeograph-populator_store_run.prom");
    let told = samples(&populator);
    assert_eq!(one(&told, "applied_bundle_sequence", ""), 1.0);
    assert_eq!(one(&told, "bundles_behind", ""), 0.0);
    assert!(one(&told, "last_run_chunks", "what=\"fetched\"") > 1.0);

    lab.add_image(3);
    done(&lab.bundler(&["run"]));
    fs::remove_dir_all(lab.path("store/chunks")).unwrap();
    fs::create_dir(lab.path("store/chunks")).unwrap();
    done(&lab.populator(&["run"]));
    let told = samples(&populator);
    assert_eq!(one(&told, "newest_bundle_sequence", ""), 2.0);
    assert_eq!(one(&told, "applied_bundle_sequence", ""), 1.0);
    assert_eq!(one(&told, "bundles_behind", ""), 1.0);

    let other = lab.path("other").display().to_string();
    done(&lab.bundler(&["keygen", "--out", &other]));
    fs::copy(
        lab.path("other/signing.pub.pem"),
        lab.path("keys/signing.pub.pem"),
    )
    .unwrap();
    let ran = lab.populator(&["run"]);
    refused(&ran, 77, "UNTRUSTED", &[]);
    assert_eq!(
        one(&samples(&populator), "last_run_error", "\"UNTRUSTED\""),
        1.0
    );
}

/// Answers each request with this status, and hands on what was asked.
fn gateway(status: &'static str) -> (String, std::thread::JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap())
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn a_gateway_gets_the_group_of_program_stream_and_command() {
    let (url, served) = gateway("200 OK");
    let lab = with_metrics(&format!("pushgateway: '{url}'"));
    done(&lab.bundler(&["run"]));
    let (head, body) = served.join().unwrap();
    // `store` in base64
    let target = "PUT /metrics/job/mimeograph-bundler/stream@base64/c3RvcmU/command/run ";
    assert!(head.starts_with(target), "{head}");
    assert!(
        body.contains("mimeograph_newest_bundle_sequence{"),
        "{body}"
    );
}

#[test]
fn a_gateway_that_refuses_or_is_not_there_changes_nothing_of_the_run() {
    let (url, served) = gateway("400 Bad Request");
    let lab = with_metrics(&format!("pushgateway: '{url}'"));
    let ran = lab.bundler(&["run"]);
    done(&ran);
    drop(served.join());
    assert!(ran.stderr.contains("did not take them"), "{ran}");
    let ran = lab.bundler(&["run"]);
    done(&ran);
    assert!(ran.stderr.contains("did not take them"), "{ran}");
}

/// Rules and dashboard ask for nothing that no run tells.
#[test]
fn what_alerts_and_dashboard_ask_for_is_what_runs_tell() {
    let lab = with_metrics("textfile: FOLDER");
    let told = lab.populator(&["trust", "--output", "json"]).stdout;
    let id = told.split('"').find(|word| word.len() == 64).unwrap();
    let about = format!("keys: {{ {id}: {{ role: bundler, notAfter: 2099-01-01T00:00:00Z }} }}\n");
    fs::write(lab.path("keys/keys.yaml"), about).unwrap();
    done(&lab.bundler(&["run"]));
    let failed = lab.bundler(&["run", "--since-sequence", "7"]);
    assert_ne!(failed.status, 0, "{failed}");
    done(&lab.populator(&["run"]));
    let mut told = String::new();
    for entry in fs::read_dir(lab.path("metrics")).unwrap() {
        told.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut count = 0;
    for side in ["deploy-connected", "deploy-disconnected"] {
        let monitoring = root.join(side).join("components/monitoring");
        for file in ["rules.yaml", "dashboard.json"] {
            let text = fs::read_to_string(monitoring.join(file)).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for word in words.filter(|word| word.starts_with("mimeograph_")) {
                assert!(
                    told.contains(&format!("\n{word}{{")),
                    "{word} in {file}: {told}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// `promtool` is Prometheus's own parser and lint.
#[cfg(feature = "real-tools")]
#[test]
fn real_prometheus_reads_what_runs_tell() {
    use std::process::{Command, Stdio};
    let lab = with_metrics("textfile: FOLDER");
    done(&lab.bundler(&["run"]));
    done(&lab.populator(&["run"]));
    lab.play("VERSION=5.2\nMISBEHAVE=drop-image\n").unwrap();
    lab.add_image(3);
    assert_ne!(lab.bundler(&["run"]).status, 0);
    let mut count = 0;
    for entry in fs::read_dir(lab.path("metrics")).unwrap() {
        let file = fs::File::open(entry.unwrap().path()).unwrap();
        let ran = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::from(file))
            .output()
            .unwrap_or_else(|error| panic!("promtool, which `real-tools` needs: {error}"));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        count += 1;
    }
    assert_eq!(count, 2);
}

/// Debian's `prometheus-pushgateway`.
#[cfg(feature = "real-tools")]
#[test]
fn real_gateway_takes_what_runs_tell() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let mut gateway = Command::new("prometheus-pushgateway")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("prometheus-pushgateway, which `real-tools` needs: {error}")
        });
    let url = format!("http://127.0.0.1:{port}");
    let begun = Instant::now();
    while ureq::get(format!("{url}/-/ready")).call().is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not start"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let lab = with_metrics(&format!("pushgateway: '{url}'"));
    let runs = [lab.bundler(&["run"]), lab.populator(&["run"])];
    let mut answer = ureq::get(format!("{url}/metrics")).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    for ran in &runs {
        done(ran);
        assert!(!ran.stderr.contains("did not take them"), "{ran}");
    }
    for program in ["mimeograph-bundler", "mimeograph-populator"] {
        let is_it = |line: &&str| {
            line.starts_with("mimeograph_newest_bundle_sequence{")
                && line.contains(&format!("job=\"{program}\""))
                && line.contains("stream=\"store\"")
                && line.ends_with("} 1")
        };
        assert_eq!(text.lines().filter(is_it).count(), 1, "{program}: {text}");
    }
}
