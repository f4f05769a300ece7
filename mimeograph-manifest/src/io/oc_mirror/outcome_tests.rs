use super::*;
use crate::failure::{ErrorId, Fault};
use std::time::Duration;

const MAIN: Option<(u32, u32)> = None;
const OLD: Option<(u32, u32)> = Some((4, 17));

fn ended(status: Status) -> Ended {
    Ended {
        status,
        timed_out: false,
        interrupted: false,
        duration: Duration::ZERO,
    }
}

fn log(lines: &[&str]) -> LogSummary {
    let mut log = LogSummary::default();
    for line in lines {
        let leveled = line.starts_with('[');
        let line = if leveled {
            let (level, text) = line.split_once(' ').unwrap();
            format!("2026/11/23 15:47:30 \u{1b}[1;94m {level} \u{1b}[0m  : {text}")
        } else {
            (*line).to_owned()
        };
        log.take(&line);
    }
    log
}

const GOOD: &[&str] = &[
    "[INFO] 🔀 workflow mode: mirrorToDisk ",
    "[INFO] images to copy 2 ",
    "[INFO] === Results ===",
    "[INFO] ✅ 2 / 2 additional images mirrored successfully",
];

fn v2(minor: Option<(u32, u32)>, status: i32, lines: &[&str]) -> Outcome {
    judge(
        Generation::V2,
        minor,
        &ended(Status::Exited(status)),
        &log(lines),
        &[],
    )
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    GOOD.iter().chain(more).copied().collect()
}

fn id(outcome: &Outcome) -> Option<ErrorId> {
    outcome.error().map(|error| error.id())
}

#[test]
fn how_we_stopped_it_goes_before_what_it_said() {
    let interrupted = Ended {
        interrupted: true,
        ..ended(Status::Killed(15))
    };
    let timed_out = Ended {
        timed_out: true,
        ..ended(Status::Exited(0))
    };
    let judge = |ended| judge(Generation::V2, MAIN, &ended, &log(GOOD), &[]);
    assert_eq!(judge(interrupted), Outcome::Interrupted);
    assert_eq!(id(&judge(interrupted)), Some(ErrorId::Interrupted));
    assert_eq!(judge(timed_out), Outcome::TimedOut);
    assert!(judge(timed_out).is_retryable());
    let killed = judge(ended(Status::Killed(9)));
    assert_eq!(id(&killed), Some(ErrorId::OcMirrorUnfinished));
    assert_eq!(
        killed.error().unwrap().to_string(),
        "`oc-mirror` was killed by signal 9: its last line was `✅ 2 / 2 additional images mirrored successfully`"
    );
}

#[test]
fn exit_0_without_results_or_with_an_archive_without_end_is_a_failure() {
    assert_eq!(v2(MAIN, 0, GOOD), Outcome::Clean);
    let cut_off = v2(MAIN, 0, &GOOD[..2]);
    assert_eq!(id(&cut_off), Some(ErrorId::OcMirrorFailed));
    let warning = "[WARN] error closing archive writer : write /out/mirror_000001.tar: no space left on device";
    let no_end = v2(MAIN, 0, &with(&[warning]));
    assert_eq!(id(&no_end), Some(ErrorId::NoSpace));
    assert!(!no_end.is_retryable());
}

#[test]
fn warnings_that_are_noise_do_not_count() {
    let noise = [
        "[WARN] Registry shutdown failure: context deadline exceeded",
        "[WARN] ⚠️  --v2 flag identified, flow redirected to the oc-mirror v2 version.",
        "[WARN] Mirroring is ongoing. Total errors: 0.",
    ];
    assert_eq!(v2(OLD, 0, &with(&noise)), Outcome::Clean);
}

#[test]
fn what_only_the_error_files_list_counts() {
    let image = FailedImage::parse(
        "error mirroring image r/a:1 error: received unexpected HTTP status: 503",
    )
    .unwrap();
    let outcome = judge(
        Generation::V2,
        OLD,
        &ended(Status::Exited(0)),
        &log(GOOD),
        &[image.clone(), image],
    );
    let Outcome::Partial(partial) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(partial.failed.len(), 1);
    assert!(partial.retryable);
    // No one says what it is, so it is not for `--allow-partial`.
    assert!(!partial.is_of_single_images());
    assert_eq!(id(&outcome), Some(ErrorId::OcMirrorUnfinished));
}

#[test]
fn a_target_that_refuses_us_is_partial_though_4_17_ends_with_0() {
    let error = "[ERROR] [Worker] error mirroring image docker://r/a:1 error: writing blob: requested access to the resource is denied";
    let outcome = v2(
        OLD,
        0,
        &[
            "[INFO] images to copy 3 ",
            "[INFO] === Results ===",
            "[INFO] ❌ 0 / 3 addtional images mirrored: Some additional images failed to mirror - please check the logs",
            error,
        ],
    );
    assert_eq!(id(&outcome), Some(ErrorId::Partial));
    assert_eq!(
        outcome.error().unwrap().to_string(),
        "`oc-mirror` did not mirror `r/a:1` (writing blob: requested access to the resource is denied), and 2 more"
    );
}

#[test]
fn bits_have_names_only_where_the_version_has_bits() {
    let error = ["[ERROR] [Executor] collection error: no"];
    let named = |minor| match v2(minor, 12, &error) {
        Outcome::Failed(failed) => failed.categories,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(MAIN), [Category::Operator, Category::Additional]);
    assert_eq!(
        named(Some((4, 19))),
        [Category::Operator, Category::Additional]
    );
    assert_eq!(named(OLD), []);
    let message = v2(MAIN, 12, &error).error().unwrap().to_string();
    assert_eq!(
        message,
        "`oc-mirror` failed (status 12: operator, additional): collection error: no"
    );
}

#[test]
fn a_lost_race_for_the_port_is_worth_another_try_and_a_bad_variable_is_not() {
    let race = v2(
        MAIN,
        2,
        &["panic: listen tcp 127.0.0.1:23999: bind: address already in use"],
    );
    assert_eq!(id(&race), Some(ErrorId::OcMirrorUnfinished));
    let variable = v2(
        MAIN,
        2,
        &["panic: multiple auth types", "goroutine 1 [running]:"],
    );
    assert_eq!(id(&variable), Some(ErrorId::OcMirrorFailed));
    assert!(matches!(&variable, Outcome::Failed(failed) if failed.categories.is_empty()));
    let bound = v2(
        MAIN,
        1,
        &["[ERROR] [Executor] 23999 is already bound and cannot be used"],
    );
    assert!(bound.is_retryable());
}

#[test]
fn a_missing_signature_is_told_apart() {
    let error = "[ERROR] [Executor] unable to add image blobs to the archive : archive error: reading manifest sha256-96.sig in localhost:23999/openshift/release: manifest unknown";
    let outcome = v2(MAIN, 1, &with(&[error]));
    assert!(matches!(&outcome, Outcome::Failed(failed) if failed.lacks_a_signature()));
    assert!(
        outcome
            .error()
            .unwrap()
            .hint()
            .unwrap()
            .contains("removeSignatures: ifMissing")
    );
}

#[test]
fn errors_over_several_lines_are_one() {
    let outcome = v2(
        MAIN,
        4,
        &[
            "[ERROR] [Executor] collection error: first",
            "\tsecond",
            "third",
        ],
    );
    let Outcome::Failed(failed) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failed.reason, "collection error: first second");
}

#[test]
fn v1_says_what_it_did_in_words() {
    let v1 = |status, lines: &[&str]| {
        judge(
            Generation::V1,
            OLD,
            &ended(Status::Exited(status)),
            &log(lines),
            &[],
        )
    };
    assert_eq!(
        v1(
            0,
            &[
                "error image list []",
                "Creating archive /out/mirror_seq1_000000.tar"
            ]
        ),
        Outcome::Clean
    );
    for idle in [
        "No new images detected, process stopping",
        "No diff from previous mirror (sequence 1), nothing to do",
    ] {
        assert_eq!(v1(0, &["error image list []", idle]), Outcome::NothingToDo);
    }
    let skipped = v1(
        0,
        &[
            "error image list [{{r/a:1} manifest unknown}]",
            "Creating archive x",
        ],
    );
    assert_eq!(id(&skipped), Some(ErrorId::ImagesetUnsatisfied));
    let order = v1(
        1,
        &["error: error during publishing: invalid mirror sequence order, want 1, got 2"],
    );
    assert_eq!(id(&order), Some(ErrorId::OcMirrorFailed));
    assert_eq!(
        order.error().unwrap().to_string(),
        "`oc-mirror` failed (status 1): error during publishing: invalid mirror sequence order, want 1, got 2"
    );
    let network = v1(
        1,
        &["error: Get \"https://quay.io/v2/\": net/http: TLS handshake timeout"],
    );
    assert_eq!(id(&network), Some(ErrorId::OcMirrorUnfinished));
}
