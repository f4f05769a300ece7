//! The figures of each run, for Prometheus: to a folder that node_exporter reads, to a Pushgateway, or both.
//!
//! A run is short, and what is asked about it later is how things stood after it: so all are gauges. What a failed
//! run does not know is told as the last run knew it (`metrics.json` in `metadataDir`).

mod families;
mod kept;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::families::encode;
use self::kept::Kept;
use super::summary::Summary;
use crate::digest::Digest;
use crate::failure::{ErrorId, chain};
use crate::io::config::Config;
use crate::io::disk;

/// The commands that run by a schedule.
const COMMANDS: [&str; 8] = [
    "run",
    "mirror",
    "publish",
    "fetch",
    "load",
    "import",
    "check-store",
    "prune",
];

/// How long a Pushgateway is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a command's end is told. Of one that found another running nothing is: the other will tell.
pub(super) fn are_of(summary: &Summary) -> bool {
    COMMANDS.contains(&summary.command) && summary.error_id != Some(ErrorId::Locked)
}

/// Tells it. What goes wrong is a warning.
pub(super) fn tell(config: &Config, summary: &Summary, took: Duration) {
    let metrics = &config.metrics;
    if metrics.pushgateway.is_none() && metrics.textfile.is_none() {
        return;
    }
    let stream = config.stream_label();
    let mut kept = Kept::read(&config.artefacts.metadata_dir);
    kept.add(summary);
    if let Err(error) = kept.write(&config.artefacts.metadata_dir) {
        tracing::warn!("metrics: {}", chain(&error));
    }
    let text = encode(&stream, summary, kept.of(summary.command), took);
    if let Some(folder) = &metrics.textfile
        && let Err(error) = write(folder, &stream, summary, &text)
    {
        tracing::warn!("metrics: {}", chain(&error));
    }
    if let Some(gateway) = &metrics.pushgateway
        && let Err(error) = push(gateway, &stream, summary, text)
    {
        tracing::warn!(
            "metrics: the Pushgateway `{gateway}` did not take them: {}",
            chain(&error)
        );
    }
}

/// A file for each stream and command, always whole: the textfile collector reads `*.prom` at any time.
fn write(
    folder: &Path,
    stream: &str,
    summary: &Summary,
    text: &str,
) -> Result<(), disk::DiskError> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let mut label: String = stream.chars().map(plain).collect();
    if label != stream {
        // Another stream's would become the same.
        let digest = Digest::of(stream.as_bytes()).to_string();
        label = format!("{label}-{}", &digest[..8]);
    }
    let name = format!("{}_{label}_{}.prom", summary.program, summary.command);
    disk::create_folder(folder, 0o755)?;
    disk::write_durably(&folder.join(name), text.as_bytes(), 0o644)
}

/// Replaces the group of this program, stream and command.
fn push(
    gateway: &str,
    stream: &str,
    summary: &Summary,
    text: String,
) -> Result<(), reqwest::Error> {
    // Names may hold anything, so they go in base64 (Pushgateway, "URL").
    let url = format!(
        "{gateway}/metrics/job/{}/stream@base64/{}/command/{}",
        summary.program,
        URL_SAFE_NO_PAD.encode(stream),
        summary.command
    );
    let client = reqwest::blocking::Client::builder()
        .timeout(PATIENCE)
        .build()?;
    let sent = client.put(url).body(text).send()?;
    sent.error_for_status().map(drop)
}
