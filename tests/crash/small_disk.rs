//! A disk that is really full, wherever that shows.

use std::path::Path;

use mimeograph_tests::wrap::{self, on_a_small_disk};

use crate::end::{End, files, nothing_half_written};
use crate::form::{Form, at_once, gather};
use crate::ground::{done, drop_copy};
use crate::scenario::{self, Laid};

/// Which folder of which run, and what of it may be full.
const DISKS: [(&str, &str); 6] = [
    ("delta", "store"),
    ("delta", "connected/metadata"),
    ("delta", "connected/bundle"),
    ("populate delta", "disconnected/metadata"),
    ("populate delta", "disconnected/bundle"),
    ("catch up", "disconnected/bundle"),
];
/// A page of a tmpfs, in KiB: the least that a file takes.
const PAGE: u64 = 4;
/// Sizes of each disk in the short form.
const FEW: usize = 1;

struct Disk {
    laid: Laid,
    folder: &'static str,
    /// What lies there, and what lies there after an undisturbed run, in pages.
    pages: (u64, u64),
    end: End,
}

#[test]
fn a_disk_that_is_full_is_called_that_and_the_next_run_with_space_ends_as_it_should() {
    let lay_out = |(scenario, folder)| measure(scenario::named(scenario).lay_out(), folder);
    let disks = gather(DISKS.into(), lay_out);
    let mut cases = Vec::new();
    for disk in &disks {
        let (before, after) = disk.pages;
        // While it runs it may need more than what stays.
        let sizes = (before..=after + 24).step_by(2);
        let sizes = sizes.map(|pages| (disk, pages * PAGE)).collect();
        cases.extend(Form::asked_for().choose(sizes, FEW));
    }
    at_once(&cases, |(disk, kib)| {
        let name = disk.laid.scenario.name;
        disk.holds(*kib)
            .map_err(|why| format!("{name}, {kib} KiB for {}: {why}", disk.folder))
    });
}

fn measure(laid: Laid, folder: &'static str) -> Disk {
    let gap = laid.again();
    let before = pages(&gap.path(folder));
    done(&wrap::run(laid.command(&gap)).unwrap()).unwrap();
    let after = pages(&gap.path(folder));
    let end = laid.end(&gap).unwrap();
    drop_copy(gap);
    Disk {
        laid,
        folder,
        pages: (before, after),
        end,
    }
}

fn pages(folder: &Path) -> u64 {
    let size = |file: &std::path::PathBuf| file.metadata().unwrap().len();
    let pages = files(folder);
    pages
        .iter()
        .map(|file| size(file).div_ceil(PAGE << 10))
        .sum()
}

impl Disk {
    fn holds(&self, kib: u64) -> Result<(), String> {
        let gap = self.laid.again();
        let command = on_a_small_disk(&self.laid.command(&gap), &gap.path(self.folder), kib);
        let ran = wrap::run(command).unwrap();
        let told = ran.status == 73 && ran.stderr.contains("[NO_SPACE]");
        if ran.status != 0 && !told {
            return Err(format!("not called that: {ran}"));
        }
        nothing_half_written(&gap, &*self.laid.store(&gap))
            .and_then(|()| done(&wrap::run(self.laid.command(&gap)).unwrap()))
            .and_then(|()| self.laid.end(&gap)?.differs_from(&self.end))
            .map_err(|why| format!("{why}\nafter {ran}"))?;
        drop_copy(gap);
        Ok(())
    }
}
