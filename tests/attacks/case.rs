//! A case: what is tried, and what must come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mimeograph_manifest::manifest::Generation;
use serde::Deserialize;
use serde_json::Value;

use crate::step::Step;

/// `case.yaml`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Case {
    /// The folder's name, `WHAT_IT_TRIES__OUTCOME`.
    #[serde(skip)]
    pub(crate) name: String,
    /// What is tried, in a sentence.
    tries: String,
    /// What the attacker has.
    #[serde(rename = "has")]
    _has: Has,
    /// Which `oc-mirror`'s stream it is.
    #[serde(default = "v2")]
    pub(crate) generation: Generation,
    /// Up to which bundle the far side has applied the stream before.
    #[serde(default = "one")]
    pub(crate) applied: u64,
    /// The bundles of the stream that lie in the store, up to this one.
    #[serde(default = "two")]
    pub(crate) holds: u64,
    /// What the far side's configuration has besides, or instead.
    #[serde(default)]
    pub(crate) far: Value,
    /// What the far side's `keys.yaml` says of keys, by their names here.
    #[serde(default)]
    pub(crate) about: BTreeMap<String, Value>,
    /// What is done to the store.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// What is done to it between `verify` and `run`.
    #[serde(default)]
    pub(crate) after_verify: Vec<Step>,
    /// What is done to it while `run` is stopped.
    #[serde(default)]
    pub(crate) while_running: Option<Meanwhile>,
    /// More words for `run`.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// What `run` comes to.
    pub(crate) run: Outcome,
    /// What `verify` comes to, where it is something else.
    #[serde(default)]
    pub(crate) verify: Option<Outcome>,
    /// What `verify` comes to over S3, where it is something else again.
    #[serde(default)]
    pub(crate) over_s3: Option<Outcome>,
    /// The highest bundle that is applied in the end, where anything is.
    #[serde(default)]
    pub(crate) applies: Option<u64>,
    /// What `run` says, among other things.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// What a person finds with a shell.
    pub(crate) by_hand: ByHand,
}

/// What an attacker has.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Has {
    /// He can write to the store, or to the drive on its way.
    Store,
    /// The same, and a key of the bundler.
    StolenKey,
    /// The same, and one of two keys that are needed.
    OneOfTwoKeys,
    /// Nothing, or not on purpose: a transport, a clock, a person who errs.
    Nothing,
}

/// While a program stands still.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Meanwhile {
    /// The failpoint, `NAME:N`.
    pub(crate) at: String,
    /// What is done.
    pub(crate) steps: Vec<Step>,
}

/// `ERROR_ID STATUS`; or `accepted 0`, `verified 0`, `waiting 0`, `unchanged 0`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Outcome {
    pub(crate) word: String,
    pub(crate) status: i32,
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(' ');
        let parsed = parts.and_then(|(word, status)| Some((word, status.parse().ok()?)));
        let Some((word, status)) = parsed else {
            return Err(format!("`{text}` is not an outcome and a status"));
        };
        let is_id = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if is_id == (status == 0) {
            return Err(format!("`{text}`: an error has a status, and nothing else"));
        }
        let word = word.to_owned();
        Ok(Self { word, status })
    }
}

impl Outcome {
    /// Whether it is an error.
    pub(crate) fn is_error(&self) -> bool {
        self.status != 0
    }
}

/// The judgement of `by-hand.sh` over one bundle.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ByHand {
    /// Which.
    #[serde(default = "two")]
    pub(crate) bundle: u64,
    /// What it says.
    pub(crate) says: Says,
    /// Why that is something else than what `run` does, on purpose.
    #[serde(default)]
    differs: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Says {
    Accept,
    Refuse,
}

fn v2() -> Generation {
    Generation::V2
}

fn one() -> u64 {
    1
}

fn two() -> u64 {
    2
}

impl Case {
    /// All that there are.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/cases");
        let mut folders: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        let read: Vec<_> = folders.iter().map(|folder| Self::read(folder)).collect();
        let wrong: Vec<_> = read.iter().filter_map(|case| case.as_ref().err()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        read.into_iter().flatten().collect()
    }

    fn read(folder: &Path) -> Result<Self, String> {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(folder.join("case.yaml")).map_err(|e| e.to_string());
        let case = text.and_then(|text| Self::parse(&text)?.check(name));
        case.map_err(|why| format!("{name}/case.yaml: {why}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // By way of JSON, where the name of a step is its only member.
        let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        let json = serde_json::to_value(yaml).map_err(|e| e.to_string())?;
        serde_json::from_value(json).map_err(|e| e.to_string())
    }

    fn check(mut self, name: &str) -> Result<Self, String> {
        name.clone_into(&mut self.name);
        let outcome = name.split_once("__").map(|(_, outcome)| outcome);
        if outcome != Some(&*self.run.word) {
            return Err(format!(
                "the folder's name does not end with __{}",
                self.run.word
            ));
        }
        if self.tries.trim().is_empty() {
            return Err("it does not say what it tries".into());
        }
        let applies = matches!(&*self.run.word, "accepted");
        if applies && self.applies.is_none() {
            return Err("it does not say what is applied".into());
        }
        let differ = (self.by_hand.says == Says::Accept) == self.run.is_error();
        if differ != self.by_hand.differs.is_some() {
            return Err("`differs` belongs where the two judges do".into());
        }
        Ok(self)
    }
}

#[test]
fn a_case_with_a_member_or_a_step_that_is_unknown_is_none() {
    let good = "{tries: x, has: store, run: FORK 82, by-hand: {says: refuse}, \
                steps: [{remove: {at: x}}]}";
    assert!(Case::parse(good).is_ok());
    for (from, to) in [
        ("steps:", "step:"),
        ("says:", "say:"),
        ("remove:", "burn:"),
        ("at: x", "at: x, by: y"),
        ("has: store", "has: luck"),
        ("FORK 82", "FORK 0"),
        ("FORK 82", "FORK"),
        ("tries: x", "tries: x, tries: y"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && Case::parse(&bad).is_err(), "{bad}");
    }
}
