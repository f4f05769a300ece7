//! Both programs, killed at any moment, with the real `oc-mirror` where `MIMEOGRAPH_OC_MIRROR` names one.

#[cfg_attr(
    feature = "real-servers",
    expect(dead_code, reason = "here nothing is pushed")
)]
#[path = "../pipeline/client.rs"]
mod client;

use std::hash::{BuildHasher as _, RandomState};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mimeograph_tests::gap::Gap;

use crate::ground::{Ground, Side, ask_for, command, done, drop_copy, run};

#[test]
fn three_growing_runs_each_killed_once_on_both_sides_end_with_every_image_to_be_had() {
    let ground = Ground::new();
    let gap = &ground.gap;
    for images in [2, 4, 6] {
        ask_for(gap, images);
        for side in [Side::Connected, Side::Disconnected] {
            let lasts = time_of(&ground, side);
            let moment = random(lasts);
            killed_at(gap, side, moment);
            let ran = run(gap, side, &["run"]);
            done(&ran)
                .map_err(|why| format!("after a kill at {moment:?} of {lasts:?} {why}"))
                .unwrap();
        }
        for n in 1..=images {
            let sent = client::read(&gap.source_host, &format!("apps/{n}"), "v1");
            let arrived = client::read(&gap.target_host, &format!("mirror/apps/{n}"), "v1");
            // Not `assert_eq`, which would print all bytes.
            assert!(arrived == sent, "apps/{n} of {images} is not what it was");
        }
    }
}

/// How long an undisturbed run takes.
fn time_of(ground: &Ground, side: Side) -> Duration {
    let copy = ground.again();
    let begun = Instant::now();
    done(&run(&copy, side, &["run"])).unwrap();
    let lasts = begun.elapsed();
    drop_copy(copy);
    lasts
}

fn random(below: Duration) -> Duration {
    // The standard library's only source of randomness.
    let random = RandomState::new().hash_one(0_u8) % 1000;
    below * u32::try_from(random).unwrap() / 1000
}

fn killed_at(gap: &Gap, side: Side, moment: Duration) {
    let mut command = command(gap, side, &["run"]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}
