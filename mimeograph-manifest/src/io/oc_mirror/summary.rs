//! What a run's log says, gathered line by line in bounded space.

use std::collections::{BTreeMap, VecDeque};

use super::image::{Category, FailedImage, Role, bare};
use super::log::{Level, LogLine, cut};

/// Texts that are kept from the beginning and from the end, of each kind.
const KEPT: usize = 100;
/// Copied images that are kept.
const COPIED: usize = 50_000;
/// Failed images that are kept.
const FAILED: usize = 5_000;
/// Longest text that is kept, in bytes.
const TEXT_SIZE: usize = 4 << 10;
/// Last lines that are kept as they are.
const TAIL: usize = 20;

/// Warnings that mean that something of the image set was left out.
const LOSSES: &[&str] = &[
    "SKIPPING",
    "not found in catalog",
    "no bundles matching",
    "mirroring skipped",
    "Requested platform(s) not found",
    "kubevirt: ",
];

/// What it was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `mirrorToDisk`
    MirrorToDisk,
    /// `diskToMirror`
    DiskToMirror,
}

/// A results line, `8 / 9 operator images mirrored`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Of what.
    pub category: Category,
    /// How many were mirrored.
    pub mirrored: u64,
    /// How many there are.
    pub wanted: u64,
    /// Whether it ends with `successfully`, as it does where nothing failed.
    pub successful: bool,
}

impl Tally {
    /// How many are missing.
    pub fn missing(&self) -> u64 {
        self.wanted.saturating_sub(self.mirrored)
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().take(8).collect();
        let at = words.windows(5).position(|five| {
            five[1] == "/"
                && five[4] == "images"
                && five[0].bytes().all(|byte| byte.is_ascii_digit())
        })?;
        Some(Self {
            category: Category::of_word(words[at + 3])?,
            mirrored: words[at].parse().ok()?,
            wanted: words[at + 2].parse().ok()?,
            successful: text.ends_with("mirrored successfully"),
        })
    }
}

/// Texts, the first and the last of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    first: Vec<String>,
    last: VecDeque<String>,
    dropped: u64,
}

impl Kept {
    fn add(&mut self, text: &str) {
        let text = cut(text, TEXT_SIZE).to_owned();
        if self.first.len() < KEPT {
            self.first.push(text);
            return;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
            self.dropped += 1;
        }
        self.last.push_back(text);
    }

    fn continue_last(&mut self, text: &str) {
        let last = self.last.back_mut().or_else(|| self.first.last_mut());
        if let Some(last) = last.filter(|last| last.len() + text.len() < TEXT_SIZE) {
            last.push(' ');
            last.push_str(text.trim());
        }
    }

    /// Those that were kept, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.first.iter().chain(&self.last).map(String::as_str)
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        let kept = self.first.len() + self.last.len();
        self.dropped + u64::try_from(kept).unwrap_or(u64::MAX)
    }
}

/// What the log of one run says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// Local time of the first line, as in the names of `oc-mirror`'s own logs.
    pub begun: Option<String>,
    /// What it was told to do (v2).
    pub mode: Option<Mode>,
    /// `images to copy N` (v2).
    pub images_to_copy: Option<u64>,
    /// Whether it came to its results (v2).
    pub has_results: bool,
    /// Whether it only rehearsed (v2).
    pub is_dry_run: bool,
    /// The results (v2).
    pub tallies: Vec<Tally>,
    /// Images that were copied (v2), the first of them, as the log names them.
    pub copied: Vec<String>,
    /// Images that failed (v2), the first of them.
    pub failed: Vec<FailedImage>,
    /// Errors that are not about one image: a failed collection, an invalid image set, no space.
    pub errors: Kept,
    /// Warnings that mean that something was left out.
    pub losses: Kept,
    /// The archive's end was not written: `error closing archive writer` (v2, exit 0).
    pub archive_without_end: Option<String>,
    /// The file of errors that it says it wrote (v2).
    pub error_file: Option<String>,
    /// It found nothing new and wrote no archive (v1).
    pub nothing_new: bool,
    /// The first line of a panic.
    pub panic: Option<String>,
    roles: BTreeMap<String, Role>,
    tail: VecDeque<String>,
    last: Option<Continues>,
}

/// What a line without level would continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continues {
    Error,
    Trailer,
}

impl LogSummary {
    /// Passes a line on to our own log and takes note of it.
    pub fn take(&mut self, line: &str) {
        let line = LogLine::parse(line);
        line.pass_on();
        if !line.text.trim().is_empty() {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail
                .push_back(cut(line.text.trim(), TEXT_SIZE).to_owned());
        }
        if self.begun.is_none() {
            self.begun.clone_from(&line.stamp);
        }
        match line.level {
            Some(level) => {
                self.last = None;
                self.take_leveled(level, &line.text);
            }
            None => self.take_bare(&line.text),
        }
    }

    /// The last lines.
    pub fn tail(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }

    /// Images that are missing by the results.
    pub fn missing(&self) -> u64 {
        self.tallies.iter().map(Tally::missing).sum()
    }

    /// What an image is, as far as the log says so: by its own line, or because one category alone has failed.
    pub(super) fn role(&self, image: &FailedImage) -> Option<Role> {
        let told = self.roles.get(&image.reference).copied();
        told.or(image.role).or_else(|| {
            let mut short = self.tallies.iter().filter(|tally| tally.missing() > 0);
            let category = short.next().filter(|_| short.next().is_none())?.category;
            match category {
                Category::Release => Some(Role::Release),
                Category::Additional => Some(Role::Additional),
                Category::Helm => Some(Role::Helm),
                Category::Operator | Category::Generic => None,
            }
        })
    }

    fn take_leveled(&mut self, level: Level, text: &str) {
        match level {
            Level::Error => self.take_error(text),
            Level::Warn => self.take_warning(text),
            Level::Info => self.take_info(text),
            Level::Debug | Level::Trace => {}
        }
    }

    fn take_info(&mut self, text: &str) {
        if let Some((_, mode)) = text.split_once("workflow mode: ") {
            self.mode = match mode.trim() {
                "mirrorToDisk" => Some(Mode::MirrorToDisk),
                "diskToMirror" => Some(Mode::DiskToMirror),
                _ => None,
            };
        } else if let Some((_, number)) = text.split_once("images to copy ") {
            self.images_to_copy = number.trim().parse().ok();
        } else if text.contains("=== Results ===") {
            self.has_results = true;
        } else if text.contains("list of all images for mirroring in") {
            self.is_dry_run = true;
        } else if let Some((_, copied)) = text.split_once("Success copying ") {
            let name = copied.split_whitespace().next().unwrap_or_default();
            if self.copied.len() < COPIED {
                self.copied.push(cut(name, TEXT_SIZE).to_owned());
            }
        } else if let Some(tally) = Tally::parse(text).filter(|_| self.tallies.len() < KEPT) {
            self.tallies.push(tally);
        }
    }

    fn take_warning(&mut self, text: &str) {
        if is_trailer(text) {
            self.last = Some(Continues::Trailer);
        } else if text.contains("error closing archive writer")
            || text.contains("error flushing archive writer")
        {
            self.archive_without_end = Some(cut(text, TEXT_SIZE).to_owned());
        } else if LOSSES.iter().any(|loss| text.contains(loss)) {
            self.losses.add(text);
        }
    }

    fn take_error(&mut self, text: &str) {
        let bare_text = text.strip_prefix("[Executor] ").unwrap_or(text);
        let bare_text = bare_text.strip_prefix("[Worker] ").unwrap_or(bare_text);
        if is_trailer(text) {
            self.last = Some(Continues::Trailer);
        } else if let Some(image) = FailedImage::parse(bare_text) {
            if self.failed.len() < FAILED {
                self.failed.push(image);
            }
        } else if let Some(copy) = bare_text.strip_prefix("Failed to copy ") {
            let (kind, reference) = copy.split_once(' ').unwrap_or(("", copy));
            if let Some(role) = Role::of_word(kind).filter(|_| self.roles.len() < FAILED) {
                self.roles.insert(bare(reference).to_owned(), role);
            }
        } else {
            self.errors.add(text);
            self.last = Some(Continues::Error);
        }
    }

    fn take_bare(&mut self, text: &str) {
        if let Some(rest) = text.trim().strip_prefix("Please review ") {
            let path = rest.split(" for a list").next().unwrap_or(rest);
            self.error_file = path
                .rsplit('/')
                .next()
                .map(|name| cut(name, TEXT_SIZE).to_owned());
        } else if text.starts_with("panic: ") || text.starts_with("fatal error: ") {
            self.panic
                .get_or_insert_with(|| cut(text, TEXT_SIZE).to_owned());
            self.last = None;
        } else if let Some(error) = text.strip_prefix("error: ") {
            self.errors.add(error);
        } else if let Some((_, list)) = text.split_once("error image list ") {
            if list.trim() != "[]" {
                self.losses.add(text);
            }
        } else if text.contains("No new images detected")
            || text.contains("No diff from previous mirror")
        {
            self.nothing_new = true;
        } else if self.last == Some(Continues::Error) && text.starts_with(['\t', ' ']) {
            self.errors.continue_last(text);
        }
    }
}

/// The line that only announces the list of failed images.
fn is_trailer(text: &str) -> bool {
    text.contains("some errors occurred during the mirroring")
}
