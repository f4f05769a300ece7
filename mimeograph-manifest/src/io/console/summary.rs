//! The one JSON line that a command ends with: at most 4096 bytes, always whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outlet::one_line;
use crate::failure::{ErrorId, Failure, chain};
use crate::manifest::Manifest;
use crate::name::StreamId;
use crate::time::Timestamp;

/// What Kubernetes keeps of a termination message, the newline included.
pub(super) const LONGEST: usize = 4096;

/// What a run found out on its way, whether it then succeeds or fails.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// The bundle that the run was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The newest bundle that was published, or accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestBundle>,
    /// Populator: the highest applied bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// Populator: bundles with content that are in the store and not applied, nor made unnecessary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// The keys that signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_ids: Vec<String>,
    /// The child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oc_mirror: Option<OcMirrorRun>,
    /// Bytes that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Chunks that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    /// Of these, chunks that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks_sent: Option<u64>,
    /// Until when trusted keys count, by their ids; for metrics alone.
    #[serde(skip)]
    pub key_ends: BTreeMap<String, Timestamp>,
    /// Seconds by stage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub durations: BTreeMap<&'static str, f64>,
}

/// How fresh the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewestBundle {
    /// Its number.
    pub sequence: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
}

impl From<&Manifest> for NewestBundle {
    fn from(manifest: &Manifest) -> Self {
        Self {
            sequence: manifest.sequence.number(),
            created: manifest.created,
            expires: manifest.expires,
        }
    }
}

/// Which `oc-mirror` ran, and how it ended.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OcMirrorRun {
    /// Its version.
    pub version: String,
    /// Its exit status, where it ran and was not killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
}

/// The line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) program: &'static str,
    pub(super) version: &'static str,
    pub(super) command: &'static str,
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_id: Option<ErrorId>,
    pub(super) exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    #[serde(flatten)]
    pub(super) facts: Facts,
    /// Members that were cut to fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cut: Vec<&'static str>,
}

/// Makes a line shorter.
type Cut = fn(&mut Summary);

impl Summary {
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.error_id = Some(failure.id());
        self.exit = failure.id().exit().code();
        self.message = Some(one_line(&chain(failure.as_error())));
        self.hint = failure.hint().map(|hint| one_line(&hint));
    }

    /// Cuts what is long until the line fits, least needed first; `cut` names what was cut.
    pub(super) fn fitted(mut self) -> Self {
        let steps: [(&'static str, Cut); 5] = [
            ("keyIds", |line| line.facts.key_ids.truncate(4)),
            ("hint", |line| shorten(line.hint.as_mut(), 512)),
            ("message", |line| shorten(line.message.as_mut(), 1024)),
            ("ocMirror", |line| {
                shorten(
                    line.facts.oc_mirror.as_mut().map(|run| &mut run.version),
                    64,
                );
            }),
            ("durations", |line| line.facts.durations.clear()),
        ];
        for (name, step) in steps {
            if self.fits() {
                return self;
            }
            step(&mut self);
            self.cut.push(name);
        }
        // What is left may still be long where many characters are escaped.
        for longest in [256, 64, 0] {
            if self.fits() {
                return self;
            }
            shorten(self.hint.as_mut(), longest);
            shorten(self.message.as_mut(), longest);
            shorten(
                self.facts.oc_mirror.as_mut().map(|run| &mut run.version),
                longest,
            );
            let each = |id: &mut String| shorten(Some(id), longest);
            self.facts.key_ids.iter_mut().for_each(each);
        }
        self
    }

    fn fits(&self) -> bool {
        self.line(None).len() <= LONGEST
    }

    /// The line with its newline; `result` is what the command itself has to say.
    pub(super) fn line(&self, result: Option<&serde_json::Value>) -> String {
        let whole = Whole {
            summary: self,
            result,
        };
        // Texts, numbers and JSON values: this cannot fail.
        let mut line = serde_json::to_string(&whole).unwrap_or_else(|_| "{}".to_owned());
        line.push('\n');
        line
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a serde_json::Value>,
}

/// Cuts a text to at most so many bytes, at a character, and marks the cut.
fn shorten(text: Option<&mut String>, longest: usize) {
    let Some(text) = text.filter(|text| text.len() > longest) else {
        return;
    };
    text.truncate(text.floor_char_boundary(longest.saturating_sub('…'.len_utf8())));
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            program: "mimeograph-bundler",
            version: "0.1.0",
            command: "run",
            outcome: "failed",
            error_id: Some(ErrorId::OcMirrorFailed),
            exit: 84,
            message: Some("short".into()),
            hint: None,
            facts: Facts::default(),
            cut: Vec::new(),
        }
    }

    #[test]
    fn a_short_line_is_left_as_it_is() {
        let mut line = summary();
        line.facts.sequence = Some(42);
        line.facts.durations.insert("mirror", 1.5);
        line.facts.oc_mirror = Some(OcMirrorRun {
            version: "4.20.0".into(),
            status: Some(8),
        });
        assert_eq!(
            line.fitted().line(Some(&serde_json::json!([1]))),
            concat!(
                r#"{"program":"mimeograph-bundler","version":"0.1.0","command":"run","#,
                r#""outcome":"failed","errorId":"OC_MIRROR_FAILED","exit":84,"message":"short","#,
                r#""sequence":42,"ocMirror":{"version":"4.20.0","status":8},"#,
                r#""durations":{"mirror":1.5},"result":[1]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_long_line_is_cut_and_says_what_was_cut() {
        let mut line = summary();
        line.message = Some("é".repeat(4000));
        line.facts.key_ids = vec!["a".repeat(64); 60];
        let line = line.fitted();
        assert_eq!(line.cut, ["keyIds", "hint", "message"]);
        assert_eq!(line.facts.key_ids.len(), 4);
        assert!(line.message.as_ref().unwrap().len() <= 1024);
        assert!(line.line(None).len() <= LONGEST);
    }

    #[test]
    fn even_a_line_of_nothing_but_escapes_fits_and_is_whole() {
        let mut line = summary();
        let long = "\u{1}".repeat(9000);
        line.message = Some(long.clone());
        line.hint = Some(long.clone());
        line.facts.oc_mirror = Some(OcMirrorRun {
            version: long.clone(),
            status: None,
        });
        line.facts.key_ids = vec![long; 100];
        let text = line.fitted().line(None);
        assert!(text.len() <= LONGEST, "{}", text.len());
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["errorId"], "OC_MIRROR_FAILED");
    }
}
