//! The lines and files that tell how copying went.

use std::fs;

use crate::failure::Failure;
use crate::log::Log;
use crate::plan::Planned;
use crate::release::Release;
use crate::stage::Stage;

/// The images that were copied, in the order in which they were done, and the others.
#[derive(Debug, Default)]
pub(crate) struct Results<'a> {
    pub(crate) copied: Vec<&'a Planned>,
    pub(crate) failed: Vec<(&'a Planned, String)>,
}

impl<'a> Results<'a> {
    /// Note how one image went, and say so where the release does. `to` is the cache, or where the image lies now.
    pub(crate) fn note(
        &mut self,
        image: &'a Planned,
        went: Result<(), String>,
        to: &str,
        log: &Log,
        release: Release,
    ) {
        let name = &image.source.name;
        match went {
            Ok(()) => {
                if release.is_strict() {
                    log.info(&format!("Success copying {name} ➡️ {to}"));
                }
                self.copied.push(image);
            }
            Err(why) => {
                if release.is_strict() {
                    log.error(&format!("Failed to copy generic {name}"));
                }
                self.failed.push((image, why));
            }
        }
    }

    /// `=== Results ===` and what follows; writes the errors file.
    pub(crate) fn report(&self, stage: &Stage, log: &Log, release: Release) -> Result<(), Failure> {
        log.info("=== Results ===");
        let (copied, all) = (self.copied.len(), self.copied.len() + self.failed.len());
        if all > 0 {
            log.info(&counts(copied, all, release));
        }
        let mut text = String::new();
        for (image, why) in &self.failed {
            let line = format!("error mirroring image {} error: {why}", image.source.name);
            log.error(&format!("[Worker] {line}"));
            text.push_str(&line);
            text.push('\n');
        }
        if !text.is_empty() {
            fs::write(stage.logs().join(errors_name(stage)), text)?;
        }
        Ok(())
    }

    /// What is said at the end about failed images.
    pub(crate) fn advice(&self, stage: &Stage) -> Option<String> {
        let path = stage.logs().join(errors_name(stage));
        let text = format!(
            "[Worker] some errors occurred during the mirroring.\n\
             \t Please review {} for a list of mirroring errors.\n\
             \t You may consider:\n\
             \t * removing images or operators that cause the error from the image set config, and retrying\n\
             \t * keeping the image set config (images are mandatory for you), and retrying\n\
             \t * mirroring the failing images manually, if retries also fail.",
            path.display()
        );
        (!self.failed.is_empty()).then_some(text)
    }
}

fn errors_name(stage: &Stage) -> String {
    format!("mirroring_errors_{}.txt", stage.stamp)
}

fn counts(copied: usize, all: usize, release: Release) -> String {
    let good = copied == all;
    let mark = match (release.is_strict(), good) {
        (true, true) => "\u{1b}[1;92m ✓ \u{1b}[0m",
        (true, false) => "\u{1b}[1;91m ✗ \u{1b}[0m",
        (false, true) => "✅",
        (false, false) => "❌",
    };
    let rest = match (release.is_strict(), good) {
        (_, true) => "additional images mirrored successfully",
        (true, false) => {
            "additional images mirrored: Some additional images failed to be mirrored - please check the logs"
        }
        (false, false) => {
            "addtional images mirrored: Some additional images failed to mirror - please check the logs"
        }
    };
    format!("{mark} {copied} / {all} {rest}")
}
