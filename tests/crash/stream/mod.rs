//! A stream to which anything may happen, on both sides and between, and what holds all the same.
//!
//! The programs are the real ones; beside them a plain model keeps what was published, what was promised and how far
//! the far side came. Sequences of steps are random: always the same ones in the short form, ever others in the full
//! one. One that finds a fault is made as short as possible and kept in `tests/crash/stream/found.txt`, from where it
//! is tried first in both.

mod judge;
mod step;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestCaseError, TestRunner,
};

use self::step::{Step, steps};
use self::world::World;
use crate::form::{Form, tell};

/// Sequences at once, each of which waits for disks and programs most of its time.
const AT_ONCE: u64 = 6;

#[test]
fn whatever_happens_to_a_stream_no_image_that_was_promised_is_missing() {
    let (cases, seed) = match Form::asked_for() {
        Form::Short => (1, 1),
        Form::Full | Form::FullOf(_) => (12, u64::from(std::process::id())),
    };
    let stepped = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..AT_ONCE {
            let stepped = &stepped;
            scope.spawn(move || {
                let mut config = config(cases, seed * AT_ONCE + thread);
                // What was found once is tried once.
                if thread == 0 || cases > 1 {
                    let found = concat!(env!("CARGO_MANIFEST_DIR"), "/crash/stream/found.txt");
                    let found = FileFailurePersistence::Direct(found);
                    config.failure_persistence = Some(Box::new(found));
                }
                let mut runner = TestRunner::new(config);
                let ran = runner.run(&steps(), |steps| {
                    stepped.fetch_add(steps.len() as u64, Ordering::Relaxed);
                    holds(&steps).map_err(TestCaseError::fail)
                });
                if let Err(found) = ran {
                    panic!("seed {seed}: {found}");
                }
            });
        }
    });
    let (steps, ends) = (stepped.load(Ordering::Relaxed), judge::ends());
    tell(&format!("{steps} steps, seed {seed}: {ends:?}"));
    let applied = ends.get("populator: applied").copied();
    assert!(applied > Some(5), "hardly a bundle was applied");
}

fn config(cases: u32, seed: u64) -> Config {
    Config {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    }
}

/// Takes the steps, one after the other; then everything is carried over, and all must be well.
fn holds(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new();
    for (number, step) in steps.iter().enumerate() {
        world
            .take(step)
            .map_err(|why| format!("step {}, {step:?}: {why}", number + 1))?;
    }
    world.heals().map_err(|why| format!("at the end: {why}"))
}
