//! What a run really did. The exit status alone says little: v2 up to 4.17 ends with 0 when every image failed, and
//! each version has losses that it only mentions in its log. What it does not even mention is found elsewhere, by
//! comparing the archives with the image set.

use crate::io::process::{Ended, Status};

use super::Generation;
use super::image::{Category, FailedImage, Role};
use super::nature::{Nature, is_no_space};
use super::summary::{LogSummary, Mode};

/// A run's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that the run itself shows is wrong.
    Clean,
    /// v1 found nothing new and wrote no archive. The old one must not be taken for a new one.
    NothingToDo,
    /// Some images failed or were left out. v2 from late 4.18 builds on wrote no archive then.
    Partial(Partial),
    /// It failed as a whole.
    Failed(Failed),
    /// We were told to stop.
    Interrupted,
    /// Its time was up.
    TimedOut,
}

/// A partial run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The images that failed, each once.
    pub failed: Vec<FailedImage>,
    /// How many are missing by the results; more than are listed where a failed release stopped the rest.
    pub missing: u64,
    /// What was left out with no more than a warning: a catalogue, a package, a reference that it cannot parse.
    pub lost: Vec<String>,
    /// Whether trying again may help.
    pub retryable: bool,
    /// Its exit status.
    pub status: i32,
}

/// A failed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether trying again may help.
    pub retryable: bool,
    /// Why, in `oc-mirror`'s words.
    pub reason: String,
    /// The categories that its exit status names.
    pub categories: Vec<Category>,
    /// Images that failed beside it.
    pub failed: Vec<FailedImage>,
    /// A disk is full.
    pub no_space: bool,
    /// How it ended.
    pub status: Status,
}

impl Partial {
    /// Whether this is what `--allow-partial` is for: single additional or operator images, every one of them
    /// known; never a release, a chart, a catalogue, or what was left out unseen.
    pub fn is_of_single_images(&self) -> bool {
        let single = |image: &FailedImage| {
            matches!(
                image.role,
                Some(Role::Additional | Role::Bundle | Role::Related)
            )
        };
        let listed = u64::try_from(self.failed.len()).unwrap_or(u64::MAX);
        !self.failed.is_empty()
            && self.lost.is_empty()
            && listed >= self.missing
            && self.failed.iter().all(single)
    }
}

impl Failed {
    /// Whether a release component has no cosign signature at its source: `--remove-signatures` gets past that
    /// (4.21 on).
    pub fn lacks_a_signature(&self) -> bool {
        self.reason.contains(".sig in localhost:") && self.reason.contains("manifest unknown")
    }
}

impl Outcome {
    /// The images that could not be copied.
    pub fn failed_images(&self) -> &[FailedImage] {
        match self {
            Self::Partial(partial) => &partial.failed,
            Self::Failed(failed) => &failed.failed,
            Self::Clean | Self::NothingToDo | Self::TimedOut | Self::Interrupted => &[],
        }
    }

    /// Whether trying again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Partial(partial) => partial.retryable,
            Self::Failed(failed) => failed.retryable,
            Self::TimedOut => true,
            Self::Clean | Self::NothingToDo | Self::Interrupted => false,
        }
    }
}

/// Judges a run by its end, its log and its own error files (empty for v1). `minor` is `None` for a program that
/// does not know its version: it is taken for a new one.
pub fn judge(
    generation: Generation,
    minor: Option<(u32, u32)>,
    ended: &Ended,
    log: &LogSummary,
    error_files: &[FailedImage],
) -> Outcome {
    if ended.interrupted {
        return Outcome::Interrupted;
    }
    if ended.timed_out {
        return Outcome::TimedOut;
    }
    let run = Run {
        generation,
        minor,
        status: ended.status,
        log,
        failed: all_failed(log, error_files),
    };
    match (ended.status, generation) {
        (Status::Killed(_), _) => Outcome::Failed(Failed {
            retryable: true,
            ..run.failure(&run.last_word())
        }),
        (Status::Exited(0), Generation::V1) => run.v1_ended_well(),
        (Status::Exited(0), Generation::V2) => run.v2_ended_well(),
        (Status::Exited(status), Generation::V1) => Outcome::Failed(run.failure(&run.why(status))),
        (Status::Exited(status), Generation::V2) => run.v2_failed(status),
    }
}

/// The failed images of log and files, each once, with what they are.
fn all_failed(log: &LogSummary, error_files: &[FailedImage]) -> Vec<FailedImage> {
    let mut all: Vec<FailedImage> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for image in log.failed.iter().chain(error_files) {
        if known.insert(image.reference.as_str()) {
            all.push(FailedImage {
                role: log.role(image),
                ..image.clone()
            });
        }
    }
    all
}

struct Run<'a> {
    generation: Generation,
    minor: Option<(u32, u32)>,
    status: Status,
    log: &'a LogSummary,
    failed: Vec<FailedImage>,
}

impl Run<'_> {
    fn v1_ended_well(&self) -> Outcome {
        if !self.log.losses.is_empty() {
            Outcome::Partial(self.partial(0, self.left_out()))
        } else if self.log.nothing_new {
            Outcome::NothingToDo
        } else {
            Outcome::Clean
        }
    }

    fn v2_ended_well(&self) -> Outcome {
        let log = self.log;
        if let Some(warning) = &log.archive_without_end {
            return Outcome::Failed(self.failure(warning));
        }
        if !log.errors.is_empty() {
            return Outcome::Failed(self.failure(&self.why(0)));
        }
        if !log.has_results && !log.is_dry_run {
            return Outcome::Failed(self.failure("it ended with status 0 but printed no results"));
        }
        let all_there = log
            .tallies
            .iter()
            .all(|tally| tally.successful && tally.missing() == 0);
        let lost = self.left_out();
        if all_there && self.failed.is_empty() && lost.is_empty() {
            Outcome::Clean
        } else {
            Outcome::Partial(self.partial(0, lost))
        }
    }

    fn v2_failed(&self, status: i32) -> Outcome {
        let log = self.log;
        let lost = self.left_out();
        let short = log.missing() > 0 || !self.failed.is_empty() || !lost.is_empty();
        if log.panic.is_none() && self.causes().next().is_none() && short {
            Outcome::Partial(self.partial(status, lost))
        } else {
            Outcome::Failed(self.failure(&self.why(status)))
        }
    }

    /// What was left out with no more than a warning, or without a word: no image set asks for nothing.
    fn left_out(&self) -> Vec<String> {
        let mut lost: Vec<String> = self.log.losses.iter().map(str::to_owned).collect();
        if self.log.images_to_copy == Some(0) {
            lost.push("there were no images to copy".to_owned());
        }
        lost
    }

    /// The errors that are not about one image. Up to 4.17 an empty cache adds one of its own to every failure.
    fn causes(&self) -> impl DoubleEndedIterator<Item = &str> {
        let consequence = "unable to add cache repositories to the archive";
        self.log
            .errors
            .iter()
            .filter(move |error| !error.contains(consequence))
    }

    fn partial(&self, status: i32, lost: Vec<String>) -> Partial {
        // What is passed over because nothing answered may be there the next time.
        let may_come = Nature::of_all(lost.iter().map(String::as_str)) == Nature::Transient;
        Partial {
            retryable: (lost.is_empty() || may_come) && self.nature() != Nature::Permanent,
            failed: self.failed.clone(),
            missing: self.log.missing(),
            lost,
            status,
        }
    }

    fn failure(&self, reason: &str) -> Failed {
        let no_space = self.texts().chain([reason]).any(is_no_space);
        Failed {
            retryable: !no_space && self.is_worth_retrying(),
            reason: reason.to_owned(),
            categories: self.categories(),
            failed: self.failed.clone(),
            no_space,
            status: self.status,
        }
    }

    /// The best reason that the log gives.
    fn why(&self, status: i32) -> String {
        let log = self.log;
        let executor = self
            .causes()
            .rev()
            .find_map(|error| error.strip_prefix("[Executor] "));
        let told = executor
            .or_else(|| self.causes().next())
            .or_else(|| log.errors.iter().next_back())
            .or(log.panic.as_deref())
            .or_else(|| log.tail().next_back());
        match told {
            Some(text) => text.to_owned(),
            None => format!("it ended with status {status} and no word"),
        }
    }

    /// What it said last before it was killed from outside: by the kernel when memory ran out, for instance.
    fn last_word(&self) -> String {
        match self.log.tail().next_back() {
            Some(line) => format!("its last line was `{line}`"),
            None => "it said nothing".to_owned(),
        }
    }

    /// The categories by bits; earlier versions only have 1, and 2 for a panic.
    fn categories(&self) -> Vec<Category> {
        let has_bits = self.generation == Generation::V2
            && self.minor.is_none_or(|minor| minor >= (4, 18))
            && self.log.panic.is_none();
        match self.status {
            Status::Exited(status) if has_bits => Category::of_status(status),
            _ => Vec::new(),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let images = self.failed.iter().filter(|image| !image.is_consequence());
        self.causes()
            .chain(images.map(|image| image.error.as_str()))
            .chain(self.log.panic.as_deref())
            .chain(self.log.archive_without_end.as_deref())
    }

    fn nature(&self) -> Nature {
        Nature::of_all(self.texts())
    }

    /// The versions that embed the other program end with 255 when that is killed, without a word of it.
    fn was_killed_inside(&self) -> bool {
        self.status == Status::Exited(255) && self.log.begun.is_some() && self.log.errors.is_empty()
    }

    fn is_worth_retrying(&self) -> bool {
        match self.nature() {
            Nature::Transient => true,
            Nature::Permanent => false,
            // From 4.20 on an update service that does not answer and a channel that does not exist read the
            // same, on the side that asks for it.
            Nature::Unknown => {
                let ambiguous = self.log.mode == Some(Mode::MirrorToDisk)
                    && self
                        .texts()
                        .any(|text| text.contains("no release images found"));
                ambiguous || self.was_killed_inside()
            }
        }
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
