//! A run -> OpenMetrics text, with the units in the names as Prometheus has them: seconds and bytes.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::super::summary::Summary;
use super::kept::OfCommand;
use crate::failure::ErrorId;
use crate::time::Timestamp;

type Labels = Vec<(String, String)>;
type Number = Gauge<f64, AtomicU64>;

/// All of it.
pub(super) fn encode(stream: &str, summary: &Summary, known: OfCommand, took: Duration) -> String {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let labels = [
        (Cow::Borrowed("program"), owned(summary.program)),
        (Cow::Borrowed("stream"), owned(stream)),
        (Cow::Borrowed("command"), owned(summary.command)),
    ];
    let mut registry = Registry::with_prefix_and_labels("mimeograph", labels.into_iter());
    let mut told = Told(&mut registry);
    told.of_the_run(summary, took);
    told.of_all_runs(known);
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = text::encode(&mut text, &registry);
    text
}

struct Told<'a>(&'a mut Registry);

impl Told<'_> {
    fn of_the_run(&mut self, summary: &Summary, took: Duration) {
        let facts = &summary.facts;
        let oc_mirror = facts.oc_mirror.as_ref().map(|run| run.version.clone());
        self.by(
            "build_info",
            "Versions",
            [(
                vec![
                    ("version".to_owned(), summary.version.to_owned()),
                    ("oc_mirror".to_owned(), oc_mirror.unwrap_or_default()),
                ],
                1.0,
            )],
        );
        self.one(
            "last_run_exit_status",
            "How the last run ended",
            Some(f64::from(summary.exit)),
        );
        let is_it = |id: &ErrorId| f64::from(u8::from(summary.error_id == Some(*id)));
        self.by(
            "last_run_error",
            "What the last run failed with: 1 for that one",
            ErrorId::ALL
                .iter()
                .map(|id| (label("error_id", id.as_str()), is_it(id))),
        );
        let seconds = "How long the last run took, in seconds";
        self.one(
            "last_run_duration_seconds",
            seconds,
            Some(took.as_secs_f64()),
        );
        self.by(
            "last_run_stage_duration_seconds",
            "How long its stages took, in seconds",
            facts
                .durations
                .iter()
                .map(|(stage, seconds)| (label("stage", stage), *seconds)),
        );
        self.one(
            "last_run_bytes",
            "Bytes of the bundles that it was about",
            facts.bytes.map(number),
        );
        let skipped = facts.chunks.zip(facts.chunks_sent);
        let skipped = skipped.map(|(all, sent)| all.saturating_sub(sent));
        let chunks = match (facts.chunks_sent, skipped) {
            (Some(sent), Some(skipped)) => vec![("shipped", sent), ("skipped", skipped)],
            _ => facts
                .chunks
                .map(|all| ("fetched", all))
                .into_iter()
                .collect(),
        };
        self.by(
            "last_run_chunks",
            "Chunks of these bundles",
            chunks
                .into_iter()
                .map(|(what, count)| (label("what", what), number(count))),
        );
        self.one(
            "bundles_behind",
            "Bundles with content that are in the store and not applied",
            facts.behind.map(number),
        );
    }

    fn of_all_runs(&mut self, known: OfCommand) {
        self.at(
            "last_run_timestamp_seconds",
            "When the last run ended",
            known.ended,
        );
        self.at(
            "last_success_timestamp_seconds",
            "When the last run that succeeded ended",
            known.succeeded,
        );
        let newest = known.newest;
        self.one(
            "newest_bundle_sequence",
            "The newest bundle that was published, or accepted",
            newest.map(|newest| number(newest.sequence)),
        );
        self.at(
            "newest_bundle_created_timestamp_seconds",
            "When it was made",
            newest.map(|newest| newest.created),
        );
        self.at(
            "newest_bundle_expires_timestamp_seconds",
            "When it expires",
            newest.map(|newest| newest.expires),
        );
        self.one(
            "applied_bundle_sequence",
            "The highest applied bundle",
            known.applied.map(number),
        );
        self.by(
            "key_ends_timestamp_seconds",
            "Until when a trusted key counts",
            known
                .key_ends
                .into_iter()
                .map(|(id, ends)| (label("key_id", &id), seconds(ends))),
        );
        self.by(
            "failed_runs",
            "Runs that failed so far, by error id",
            known
                .failures
                .into_iter()
                .map(|(id, count)| (label("error_id", &id), number(count))),
        );
    }

    fn one(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.by(name, help, value.map(|value| (Labels::new(), value)));
    }

    fn at(&mut self, name: &str, help: &str, at: Option<Timestamp>) {
        self.one(name, help, at.map(seconds));
    }

    fn by(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let family = Family::<Labels, Number>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }
}

fn label(name: &str, value: &str) -> Labels {
    vec![(name.to_owned(), value.to_owned())]
}

/// Whole beyond any size that we see: 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn number(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 are whole up to 2^53"
)]
fn seconds(at: Timestamp) -> f64 {
    at.unix() as f64
}
