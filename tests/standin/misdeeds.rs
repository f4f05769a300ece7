//! Each misdeed does what the table says.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::lab::{Ended, Lab};
use crate::recorded;

fn lab(misdeed: &str) -> Lab {
    let lab = Lab::new("5.2");
    lab.source
        .put_image("a/one", "v1", &[b"layer one".to_vec(), vec![1; 3000]]);
    lab.source
        .put_image("b/two", "v1", &[b"layer two".to_vec()]);
    lab.images(&["a/one:v1", "b/two:v1"]);
    lab.misbehave(misdeed);
    lab
}

fn history(lab: &Lab) -> bool {
    lab.path("bundle/working-dir/.history").exists()
}

fn names(lab: &Lab) -> Vec<String> {
    recorded::entries(&lab.archive())
        .into_iter()
        .map(|entry| entry.name)
        .collect()
}

/// Blobs whose bytes are not what their name says.
fn wrong_blobs(lab: &Lab) -> usize {
    use sha2::{Digest, Sha256};
    let mut archive = tar::Archive::new(fs::File::open(lab.archive()).unwrap());
    let mut wrong = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let hex = format!("{:x}", Hex(Sha256::digest(&bytes).as_slice()));
        wrong += usize::from(name.starts_with("docker/registry/v2/blobs/") && !name.contains(&hex));
    }
    wrong
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Mirror to disk, which must go well, and on to the target.
fn through(lab: &Lab) -> Ended {
    let ended = lab.m2d(&[]);
    assert_eq!(ended.status, Some(0), "{}", ended.text);
    lab.carry();
    lab.d2m(&[])
}

#[test]
fn well_behaved_copies_are_identical() {
    let lab = lab("");
    assert_eq!(through(&lab).status, Some(0));
    assert_eq!(lab.target.snapshot(), lab.source.snapshot());
}

#[test]
fn partial_exit_0_ships_without_an_image() {
    let lab = lab("partial-exit-0");
    let ended = lab.m2d(&[]);
    assert_eq!(ended.status, Some(0));
    assert!(
        ended
            .text
            .contains("1 / 2 additional images mirrored: Some"),
        "{}",
        ended.text
    );
    assert!(lab.archive().exists() && history(&lab));
    assert!(!names(&lab).iter().any(|name| name.contains("b/two")));
}

#[test]
fn bitmask_leaves_nothing() {
    for release in ["4.17", "5.2"] {
        let lab = Lab { release, ..lab("") };
        lab.misbehave("bitmask");
        assert_eq!(lab.m2d(&[]).status, Some(8));
        assert!(!history(&lab));
    }
}

#[test]
fn transient_failures_pass() {
    let lab = lab("");
    lab.set("MISBEHAVE=transient\nTRANSIENT=2");
    let statuses: Vec<_> = (0..3).map(|_| lab.m2d(&[]).status).collect();
    assert_eq!(statuses, [Some(8), Some(8), Some(0)]);
}

#[test]
fn drop_image_says_nothing() {
    let lab = lab("");
    lab.set("MISBEHAVE=drop-image\nIMAGE=one");
    let ended = lab.m2d(&[]);
    assert_eq!(ended.status, Some(0));
    assert!(
        ended
            .text
            .contains("1 / 1 additional images mirrored successfully"),
        "{}",
        ended.text
    );
    assert!(!names(&lab).iter().any(|name| name.contains("a/one")));
}

#[test]
fn archives_can_lack_their_end() {
    let whole = lab("");
    assert_eq!(whole.m2d(&[]).status, Some(0));
    let bytes = fs::read(whole.archive()).unwrap();
    assert!(bytes.ends_with(&[0; 1024]));
    let unended = lab("no-end-marker");
    assert_eq!(unended.m2d(&[]).status, Some(0));
    assert!(!fs::read(unended.archive()).unwrap().ends_with(&[0; 1024]));
    assert_eq!(names(&unended).len(), names(&whole).len());
    let cut = lab("truncated");
    assert_eq!(cut.m2d(&[]).status, Some(0));
    assert_ne!(fs::metadata(cut.archive()).unwrap().len() % 512, 0);
    cut.carry();
    let ended = cut.d2m(&[]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.text.contains("unexpected EOF"), "{}", ended.text);
}

#[test]
fn stale_chunks_lie_beside_the_archive() {
    let lab = lab("stale-chunk");
    assert_eq!(lab.m2d(&[]).status, Some(0));
    assert!(lab.path("bundle/mirror_000002.tar").exists());
}

#[test]
fn corrupt_blobs_fail_at_the_push_and_swapped_manifests_do_not() {
    let corrupt = lab("corrupt-blob");
    assert_eq!(corrupt.m2d(&[]).status, Some(0));
    assert_eq!(wrong_blobs(&corrupt), 1);
    corrupt.carry();
    let ended = corrupt.d2m(&[]);
    assert_eq!(ended.status, Some(8));
    assert!(
        ended.text.contains("Digest did not match"),
        "{}",
        ended.text
    );
    let swapped = lab("swap-manifest");
    assert_eq!(swapped.m2d(&[]).status, Some(0));
    assert_eq!(wrong_blobs(&swapped), 1);
    swapped.carry();
    let ended = swapped.d2m(&[]);
    assert_eq!(ended.status, Some(0));
    assert!(
        ended
            .text
            .contains("2 / 2 additional images mirrored successfully")
    );
    assert_ne!(swapped.target.tags(), swapped.source.tags());
}

#[test]
fn links_and_uploads_of_other_times_are_packed() {
    for (misdeed, part) in [
        (
            "stale-links",
            "repositories/stale/old/_manifests/tags/v0/current/link",
        ),
        ("uploads-junk", "a/one/_uploads/"),
        ("sig-tags", ".sig/current/link"),
        (
            "rebuilt-catalogue-tags",
            "ops/catalog/_manifests/tags/3f1d6a3bb5e2f0b0a0f5d3c1e4b7a692/current/link",
        ),
        (
            "rebuilt-catalogue-tags",
            "/catalog-config/alpha/catalog.json",
        ),
    ] {
        let lab = lab(misdeed);
        assert_eq!(lab.m2d(&[]).status, Some(0));
        assert!(
            names(&lab).iter().any(|name| name.contains(part)),
            "{misdeed}"
        );
        assert_eq!(wrong_blobs(&lab), 0);
    }
}

#[test]
fn sparse_indexes_lack_an_instance() {
    let lab = lab("sparse-index");
    let members: Vec<String> = ["x", "y"]
        .iter()
        .map(|&tag| lab.source.put_image("m", tag, &[tag.as_bytes().to_vec()]))
        .collect();
    lab.source.put_index("m", "v1", &members);
    lab.images(&["m:v1"]);
    assert_eq!(lab.m2d(&[]).status, Some(0));
    let held = |digest: &String| names(&lab).iter().any(|name| name.contains(&digest[7..]));
    assert!(held(&members[0]) && !held(&members[1]));
}

#[test]
fn entries_can_climb_or_be_foreign() {
    for (misdeed, entry) in [
        ("traversal-entry", "working-dir/../../../evil"),
        ("foreign-entry", "foreign.txt"),
    ] {
        let lab = lab(misdeed);
        assert_eq!(lab.m2d(&[]).status, Some(0));
        assert!(names(&lab).iter().any(|name| name == entry), "{misdeed}");
    }
    let lab = lab("traversal-entry");
    let ended = through(&lab);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.text.contains("content filepath is tainted"),
        "{}",
        ended.text
    );
}

#[test]
fn random_uids_travel_as_pax_records() {
    let lab = lab("random-uid");
    assert_eq!(through(&lab).status, Some(0));
    let archive = lab.path("in/mirror_000001.tar");
    for entry in recorded::entries(&archive) {
        let of = |key: &str| {
            entry
                .extensions
                .iter()
                .find(|pair| pair.0 == key)
                .map(|pair| pair.1.as_str())
        };
        assert_eq!(
            (of("uid"), of("gid")),
            (Some("1000660000"), Some("1000660000"))
        );
        assert!(of("path").is_none_or(|path| recorded::stamps(path) == entry.name));
    }
    assert_eq!(lab.target.snapshot(), lab.source.snapshot());
}

#[test]
fn runs_end_in_every_other_way() {
    let full = lab("no-space");
    let ended = full.m2d(&[]);
    assert!(
        ended.status == Some(1) && ended.text.contains("no space left on device"),
        "{}",
        ended.text
    );
    assert!(full.archive().exists() && !history(&full));
    for misdeed in ["kill-self", "kill-self-packing"] {
        let lab = lab(misdeed);
        assert_eq!(
            lab.start(&lab.m2d_arguments(&[])).wait().unwrap().signal(),
            Some(9)
        );
        assert!(!history(&lab), "{misdeed}");
        assert_eq!(lab.archive().exists(), misdeed == "kill-self-packing");
    }
    let panicking = lab("panic").m2d(&[]);
    assert_eq!(panicking.status, Some(2));
    assert!(panicking.text.contains("goroutine 1 [running]"));
    assert_eq!(lab("exit=77").m2d(&[]).status, Some(77));
}

#[test]
fn hanging_runs_heed_sigterm_or_not() {
    for (misdeed, dies) in [("hang", true), ("hang-term", false)] {
        let lab = lab(misdeed);
        let mut child = lab.start(&lab.m2d_arguments(&[]));
        let started = Instant::now();
        while !fs::read_to_string(lab.path("output"))
            .unwrap_or_default()
            .contains("images to copy")
        {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let status = child.try_wait().unwrap();
        assert_eq!(
            status.and_then(|status| status.signal()),
            dies.then_some(15),
            "{misdeed}"
        );
        let _ = child.kill();
        child.wait().unwrap();
    }
}

#[test]
fn a_reader_that_goes_away_kills_the_run() {
    let lab = lab("noisy");
    let mut child = lab
        .command(&lab.m2d_arguments(&[]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().signal(), Some(13));
    lab.set("MISBEHAVE=noisy\nNOISE=1000");
    assert!(lab.m2d(&[]).text.lines().count() > 2000);
}

#[test]
fn targets_can_stay_empty_or_differ() {
    let nothing = lab("d2m-exit-0-nothing");
    let ended = through(&nothing);
    assert_eq!(ended.status, Some(0));
    assert!(
        ended
            .text
            .contains("2 / 2 additional images mirrored successfully")
    );
    assert_eq!(nothing.target.snapshot().len(), 0);
    let wrong = lab("d2m-wrong-digest");
    assert_eq!(through(&wrong).status, Some(0));
    let (found, genuine) = (wrong.target.tags(), wrong.source.tags());
    assert_eq!(found["a/one:v1"], genuine["a/one:v1"]);
    assert_ne!(found["b/two:v1"], genuine["b/two:v1"]);
}
