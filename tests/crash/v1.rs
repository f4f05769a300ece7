//! Streams of `oc-mirror` v1: it counts its archives itself, has no cache on the far side, and cannot be re-based.

use std::fs;

use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::wrap;

use crate::end::files;
use crate::form::{Form, at_once};
use crate::ground::{Ground, Side, command, done, drop_copy, run};

const GOOD: &str = "VERSION=4.17\n";
/// Kills on each side in the short form.
const FEW: usize = 5;
/// Archives of v1 are other bytes each time, and the folders of their chunks may be there already: a run may reach so many
/// points less than the one that was measured.
const LOOSE: usize = 6;

/// Both sides, with an image set of two images.
fn ground() -> Ground {
    let ground = Ground::new();
    ground.gap.play(GOOD).unwrap();
    ask_for(&ground.gap, 2);
    ground
}

fn ask_for(gap: &Gap, images: u8) {
    let name = |n| format!("  - name: {}/apps/{n}:v1\n", gap.source_host);
    let names: String = (1..=images).map(name).collect();
    let text = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror:\n  additionalImages:\n{names}"
    );
    fs::write(gap.path("imageset.yaml"), text).unwrap();
}

fn publish(gap: &Gap, images: u8, arguments: &[&str]) {
    ask_for(gap, images);
    done(&run(gap, Side::Connected, arguments)).unwrap();
}

fn arrives(gap: &Gap, images: u8) -> Result<(), String> {
    done(&run(gap, Side::Disconnected, &["run"]))?;
    for n in 1..=images {
        let sent = gap.source.digest_of(&format!("apps/{n}"), "v1");
        let arrived = gap.target.digest_of(&format!("mirror/apps/{n}"), "v1");
        if sent != arrived {
            return Err(format!("apps/{n} is {arrived:?} instead of {sent:?}"));
        }
    }
    Ok(())
}

#[track_caller]
fn refused(ran: &Ran, status: i32, id: &str) {
    let is_so = ran.status == status && ran.stderr.contains(&format!("[{id}]"));
    assert!(is_so, "not {status} [{id}]: {ran}");
}

/// Takes a bundle away on its way.
fn lose(gap: &Gap, sequence: u64) {
    let number = format!("{sequence:010}.");
    for path in files(&gap.path("store/manifests")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(&number) {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn v1_deltas_are_loaded_one_after_the_other_and_a_lost_one_is_a_gap_until_a_full_bundle_comes() {
    let ground = ground();
    let gap = &ground.gap;
    let file = gap.path("disconnected.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let impatient = text.replace("trust:\n", "trust:\n  waitAtMost: 0s\n");
    fs::write(&file, impatient).unwrap();
    publish(gap, 2, &["run"]);
    publish(gap, 3, &["run"]);
    arrives(gap, 3).unwrap();
    publish(gap, 4, &["run"]);
    publish(gap, 5, &["run"]);
    // The way over loses the third of them.
    fs::create_dir(gap.path("aside")).unwrap();
    let near = gap.path("aside/store");
    mimeograph_tests::gap::copy_folder(&gap.path("store"), &near).unwrap();
    lose(gap, 3);
    let before = gap.target.snapshot();
    refused(&run(gap, Side::Disconnected, &["run"]), 80, "GAP");
    assert!(gap.target.snapshot() == before, "something was loaded");

    fs::remove_dir_all(gap.path("store")).unwrap();
    fs::rename(near, gap.path("store")).unwrap();
    publish(gap, 5, &["run", "--full"]);
    lose(gap, 3);
    arrives(gap, 5).unwrap();
    let calls = fs::read_to_string(gap.path("bin/oc-mirror.calls")).unwrap();
    let last = calls.lines().rfind(|call| call.contains("docker://"));
    let last = last.unwrap();
    assert!(last.contains("--skip-metadata-check"), "{last}");
    publish(gap, 6, &["run"]);
    arrives(gap, 6).unwrap();
}

#[test]
fn a_v1_stream_cannot_be_re_based() {
    let ground = ground();
    let gap = &ground.gap;
    publish(gap, 2, &["run"]);
    publish(gap, 3, &["run"]);
    ask_for(gap, 4);
    let ran = run(gap, Side::Connected, &["run", "--since-sequence", "1"]);
    refused(&ran, 78, "CONFIG_INVALID");
    assert!(ran.stderr.contains("--full"), "{ran}");
    publish(gap, 4, &["run"]);
    arrives(gap, 4).unwrap();
}

#[test]
fn a_v1_run_that_is_killed_is_taken_up_by_the_next_one() {
    let ground = ground();
    publish(&ground.gap, 2, &["run"]);
    done(&run(&ground.gap, Side::Disconnected, &["run"])).unwrap();
    ask_for(&ground.gap, 3);
    let mut cases = Vec::new();
    for side in [Side::Connected, Side::Disconnected] {
        if side == Side::Disconnected {
            publish(&ground.gap, 3, &["run"]);
        }
        let points = points(&ground, side);
        let numbers = Form::asked_for().choose((1..=points).collect(), FEW);
        let copies = numbers
            .into_iter()
            .map(|number| (side, number, number + LOOSE > points, ground.again()));
        cases.extend(copies);
    }
    at_once(&cases, |(side, number, may_be_past_the_end, gap)| {
        let mut command = command(gap, *side, &["run"]);
        command.env("MIMEOGRAPH_FAILPOINT", format!("*:{number}:kill"));
        let killed = wrap::run(command).unwrap();
        let is_past_the_end = *may_be_past_the_end && killed.status == 0;
        if killed.status != -1 && !is_past_the_end {
            return Err(format!("not killed at {number}: {killed}"));
        }
        // Of one that was killed at its very end nothing is left to be done.
        done(&run(gap, Side::Connected, &["run"]))?;
        arrives(gap, 3).map_err(|why| format!("{side:?}, killed at {number}: {why}"))
    });
    for (_, _, _, gap) in cases {
        drop_copy(gap);
    }
}

/// How many points an undisturbed run reaches.
fn points(ground: &Ground, side: Side) -> usize {
    let gap = ground.again();
    let reached = gap.path("reached");
    let mut command = command(&gap, side, &["run"]);
    command.env("MIMEOGRAPH_FAILPOINTS_REACHED", &reached);
    done(&wrap::run(command).unwrap()).unwrap();
    let points = fs::read_to_string(&reached).unwrap().lines().count();
    drop_copy(gap);
    points
}
