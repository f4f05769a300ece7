//! A case is played, and judged by a shell script, by `verify`, by `run` and by `import`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, chain};
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::fetched::{self, Lies};
use mimeograph_manifest::io::listing::{self, Listing};
use mimeograph_manifest::io::store::Fetch as _;
use mimeograph_manifest::layout::Key;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::wrap;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::case::{Case, Meanwhile, Outcome, Says};
use crate::ground::{Copied, Ground};
use crate::left::{Left, lies, same};
use crate::step::Step;

/// No judgement takes longer; what waits for a pipe, or reads without an end, does.
const PATIENCE: &str = "120";

pub(crate) fn judge(ground: &Ground, case: &Case) -> Result<(), String> {
    let copied = ground.copy(case);
    let gap = &copied.gap;
    apply(&copied, &case.steps);
    by_hand(gap, case)?;

    let (before, store) = (Left::of(gap), lies(&gap.path("store")));
    let verified = run(gap, &["verify", "--output", "json"]);
    let expected = case.verify.as_ref().unwrap_or(&case.run);
    let was = same("the store", &store, &lies(&gap.path("store")));
    was.and(before.changed(&Left::of(gap)))
        .and(came_to(&verified, expected, "verified"))
        .map_err(|why| format!("verify: {why}\n{verified}"))?;

    let in_bucket = case.over_s3.as_ref().unwrap_or(expected);
    over_s3(&copied, in_bucket).map_err(|why| format!("verify, over S3: {why}"))?;

    apply(&copied, &case.after_verify);
    let mut arguments = vec!["run", "--output", "json"];
    arguments.extend(case.arguments.iter().map(String::as_str));
    let ran = match &case.while_running {
        None => run(gap, &arguments),
        Some(meanwhile) => interrupted(&copied, &arguments, meanwhile)?,
    };
    // Steps that are in the middle of it are the attacker's, too: the store is what he left.
    let touched = case.after_verify.is_empty() && case.while_running.is_none();
    let store_is = if touched {
        same("the store", &store, &lies(&gap.path("store")))
    } else {
        Ok(())
    };
    store_is
        .and_then(|()| came_to(&ran, &case.run, "applied"))
        .and_then(|()| ended(&copied, case, &before, &ran))
        .and_then(|()| says(&ran, &case.says))
        .map_err(|why| format!("run: {why}\n{ran}"))?;
    imported(&copied)
}

/// Whatever the store has become: what `import` brings from it into an empty one is whole, and signed by a key that somebody
/// trusts; and nothing else is brought.
fn imported(copied: &Copied<'_>) -> Result<(), String> {
    let (from, into) = (copied.gap.path("store"), copied.gap.path("imported"));
    fs::create_dir(&into).unwrap();
    let (place, from) = (
        format!("dir:{}", into.display()),
        from.display().to_string(),
    );
    let ran = run(&copied.gap, &["import", "--store", &place, "--from", &from]);
    let known = ErrorId::ALL.iter().map(|id| i32::from(id.exit().code()));
    let wrong = |why: String| format!("import: {why}\n{ran}");
    if !known.chain([0]).any(|status| status == ran.status) {
        return Err(wrong("it ended otherwise than it may".into()));
    }
    let store = DirStore::open(&into).map_err(|error| wrong(error.to_string()))?;
    let listing = Listing::of_everything(&store, |_, _| ()).unwrap();
    if listing.foreign_count > 0 {
        return Err(wrong(format!("{:?} is not ours", listing.foreign)));
    }
    let keys = ["release", "second"].map(|name| copied.key(name).public());
    let trusted = TrustedKeys::new(keys, NonZeroUsize::MIN);
    for sequence in listing.sequences() {
        let signed = listing.open(&store, sequence, &trusted).unwrap().unwrap();
        let manifest = signed.verify(&trusted);
        let manifest = manifest.map_err(|error| wrong(chain(&error)))?;
        for chunk in manifest.chunks() {
            match fetched::look(&store, chunk) {
                Ok(Lies::Whole) => {}
                lies => return Err(wrong(format!("a chunk of {sequence}: {lies:?}"))),
            }
        }
    }
    for (stored, size) in listing::chunks(&store).unwrap() {
        let mut bytes = Vec::new();
        store.get(&Key::Chunk(stored), size, &mut bytes).unwrap();
        if Digest::of(&bytes) != stored {
            return Err(wrong(format!("the chunk {stored} is something else")));
        }
    }
    Ok(())
}

/// The same objects in a bucket come to the same; it knows neither links nor pipes.
fn over_s3(copied: &Copied<'_>, expected: &Outcome) -> Result<(), String> {
    let Some(place) = copied.in_a_bucket() else {
        return Ok(());
    };
    let arguments = ["verify", "--output", "json", "--store", &place];
    let gap = &copied.gap;
    let mut command = gap.command(&gap.programs().populator, "disconnected", &arguments);
    command.envs(copied.bucket_environment());
    let ran = wrap::run(wrap::wrapped(&["timeout", PATIENCE], &command)).unwrap();
    came_to(&ran, expected, "verified").map_err(|why| format!("{why}\n{ran}"))
}

fn apply(copied: &Copied<'_>, steps: &[Step]) {
    for step in steps {
        step.apply(&copied.store());
    }
}

/// What a person finds.
fn by_hand(gap: &Gap, case: &Case) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/by-hand.sh");
    let mut command = Command::new("timeout");
    command
        .args([PATIENCE, "sh"])
        .arg(script)
        .arg(gap.path("store"))
        .arg(gap.path("keys/signing.pub.pem"))
        .arg(case.by_hand.bundle.to_string());
    let ran = wrap::run(command).map_err(|error| error.to_string())?;
    let says = match ran.status {
        0 => Says::Accept,
        1 => Says::Refuse,
        _ => return Err(format!("by hand: {ran}")),
    };
    if says == case.by_hand.says {
        return Ok(());
    }
    Err(format!("by hand: {says:?}\n{ran}"))
}

fn run(gap: &Gap, arguments: &[&str]) -> Ran {
    let command = gap.command(&gap.programs().populator, "disconnected", arguments);
    wrap::run(wrap::wrapped(&["timeout", PATIENCE], &command)).unwrap()
}

/// Whether a program ended as it must; `done` is what it says where nothing is wrong.
fn came_to(ran: &Ran, expected: &Outcome, done: &str) -> Result<(), String> {
    let Outcome { word, status } = expected;
    if ran.status != *status {
        return Err(format!("not {word} with status {status}"));
    }
    if expected.is_error() {
        let named = ran.stderr.contains(&format!("[{word}]"));
        return if named {
            Ok(())
        } else {
            Err(format!("not {word}"))
        };
    }
    let outcome = match word.as_str() {
        "accepted" => done,
        "unchanged" if done == "verified" => done,
        "unchanged" => "nothing to do",
        other => other,
    };
    if ran.json()["outcome"] == outcome {
        return Ok(());
    }
    Err(format!("not `{outcome}`"))
}

/// Nothing has changed; or what must be applied is.
fn ended(copied: &Copied<'_>, case: &Case, before: &Left, ran: &Ran) -> Result<(), String> {
    let Some(applies) = case.applies else {
        return before.changed(&Left::of(&copied.gap));
    };
    let missing = copied.missing(applies);
    if !missing.is_empty() {
        return Err(format!("{} has not arrived", missing.join(", ")));
    }
    let foreign: Vec<_> = copied.gap.target.tags().into_keys().collect();
    // v1 keeps its metadata in the target.
    let ours = [
        "mirror/apps/",
        "mirror/mimeograph-state:",
        "mirror/oc-mirror:",
    ];
    let is_foreign = |name: &&String| !ours.iter().any(|ours| name.starts_with(ours));
    if let Some(foreign) = foreign.iter().find(is_foreign) {
        return Err(format!("{foreign} was loaded"));
    }
    if !case.run.is_error() && ran.json()["result"]["mark"].as_u64() != Some(applies) {
        return Err(format!("bundle {applies} is not what is applied"));
    }
    Ok(())
}

fn says(ran: &Ran, words: &[String]) -> Result<(), String> {
    let missing = words
        .iter()
        .find(|word| !ran.stderr.contains(word.as_str()));
    missing.map_or(Ok(()), |word| Err(format!("it does not say `{word}`")))
}

/// A run that stops at a point, and goes on once the steps are done.
fn interrupted(
    copied: &Copied<'_>,
    arguments: &[&str],
    meanwhile: &Meanwhile,
) -> Result<Ran, String> {
    let gap = &copied.gap;
    let mut command = gap.command(&gap.programs().populator, "disconnected", arguments);
    command.env("MIMEOGRAPH_FAILPOINT", format!("{}:stop", meanwhile.at));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| error.to_string())?;
    let process = pid(&child);
    match waitpid(Some(process), WaitOptions::UNTRACED) {
        Ok(Some((_, status))) if status.stopped() => {}
        other => {
            return Err(format!(
                "it did not stop at {}, but: {other:?}",
                meanwhile.at
            ));
        }
    }
    apply(copied, &meanwhile.steps);
    kill_process(process, Signal::CONT).map_err(|error| error.to_string())?;
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    Ok(Ran {
        command: format!("run, stopped at {}", meanwhile.at),
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
