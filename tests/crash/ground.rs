//! Both sides of a gap, small and quick, as often as they are needed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use mimeograph_tests::gap::{Gap, Programs, Ran};
use mimeograph_tests::registry::gzip;
use mimeograph_tests::wrap;
use tempfile::TempDir;

/// Images that the source has; image sets ask for the first few.
const IMAGES: u8 = 6;

/// A side of the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Connected,
    Disconnected,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A gap, and copies of it.
pub(crate) struct Ground {
    pub(crate) gap: Gap,
    folder: TempDir,
    copies: AtomicUsize,
}

impl Ground {
    /// Keys, a source with images, both sides over a directory store, and an image set of two images.
    pub(crate) fn new() -> Self {
        let folder = in_memory();
        let gap = Gap::new(&folder.path().join("0"), programs()).unwrap();
        for n in 1..=IMAGES {
            let layers = [layer(0), layer(n)];
            gap.source.put_image(&format!("apps/{n}"), "v1", &layers);
        }
        let ground = Self {
            gap,
            folder,
            copies: AtomicUsize::new(0),
        };
        ground.configure(&format!(
            "store:\n  directory: {}\n",
            ground.gap.path("store").display()
        ));
        ask_for(&ground.gap, 2);
        let keys = ground.gap.path("keys").display().to_string();
        done(&ground.gap.bundler(&["keygen", "--out", &keys])).unwrap();
        ground
    }

    /// One worker, so that each run reaches the same points in the same order, and an extra file.
    pub(crate) fn configure(&self, store: &str) {
        let extra = self.gap.path("extra.txt");
        fs::write(&extra, "an extra file\n").unwrap();
        let more = "transfer: { parallel: 1 }\n";
        self.gap.configure_with(store, "", more).unwrap();
        let file = self.gap.path("connected.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let with = format!("artefacts:\n  extraFiles: [{}]\n", extra.display());
        fs::write(file, text.replace("artefacts:\n", &with)).unwrap();
    }

    /// The gap as it is now, once more.
    pub(crate) fn again(&self) -> Gap {
        let number = self.copies.fetch_add(1, Ordering::SeqCst) + 1;
        let folder = self.folder.path().join(number.to_string());
        self.gap.again(&folder).unwrap()
    }
}

/// A folder in memory, where there is such: what a kill leaves is there without any disk, and thousands of syncs cost
/// nothing.
pub(crate) fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Removes what a copy lay in.
pub(crate) fn drop_copy(gap: Gap) {
    let folder = gap.path("");
    drop(gap);
    fs::remove_dir_all(folder).unwrap();
}

/// A layer that no other number gives, and that nothing can compress.
pub(crate) fn layer(n: u8) -> Vec<u8> {
    let mut state = u64::from(n) + 1;
    let mut next = || {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    gzip(&(0..600).map(|_| next()).collect::<Vec<u8>>())
}

/// Asks for the first images of the source.
pub(crate) fn ask_for(gap: &Gap, images: u8) {
    let names: Vec<String> = (1..=images).map(|n| format!("apps/{n}:v1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    gap.ask_for(&names).unwrap();
}

fn programs() -> Programs {
    Programs {
        bundler: PathBuf::from(env!("CARGO_BIN_EXE_bundler")),
        populator: PathBuf::from(env!("CARGO_BIN_EXE_populator")),
        standin: PathBuf::from(env!("CARGO_BIN_EXE_oc-mirror-standin")),
    }
}

/// The program of a side, told to do so.
pub(crate) fn command(gap: &Gap, side: Side, arguments: &[&str]) -> Command {
    let program = match side {
        Side::Connected => &gap.programs().bundler,
        Side::Disconnected => &gap.programs().populator,
    };
    gap.command(program, side.name(), arguments)
}

/// Runs it.
pub(crate) fn run(gap: &Gap, side: Side, arguments: &[&str]) -> Ran {
    wrap::run(command(gap, side, arguments)).unwrap()
}

/// The program ended with 0.
pub(crate) fn done(ran: &Ran) -> Result<(), String> {
    if ran.status == 0 {
        return Ok(());
    }
    Err(format!("did not end with 0: {ran}"))
}
