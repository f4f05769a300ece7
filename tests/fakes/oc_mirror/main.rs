//! A stand-in for `oc-mirror`: a real program with the real command lines, files, lines and exit statuses,
//! which mirrors the `additionalImages` of an image set and can be told to misbehave.
//!
//! Settings are `STANDIN_<NAME>` variables and, because the programs under test pass few variables on,
//! `NAME=VALUE` lines in `<program>.settings`, which win. Tests copy or hard-link the program into a folder of
//! their own and write that file beside it. If `<program>.calls` exists, every call appends one JSON line to it:
//! `argv`, `cwd`, `env` (names alone), `umask`.
//!
//! | setting | meaning |
//! |---|---|
//! | `VERSION` | `4.17`, `4.20` or `5.2` (default). Only 4.17 and 5.2 are held against recorded runs |
//! | `GIT_VERSION` | what `version` prints |
//! | `RESOLVE` | `NAME=HOST:PORT,…`: registries that lie elsewhere, such as `quay.io` |
//! | `ARCHIVE_BYTES` | size of an archive in bytes, instead of the image set's `archiveSize` in GiB |
//! | `IMAGE` | part of the name of the image that a misdeed strikes; the last image if absent |
//! | `TRANSIENT` | how many runs `transient` fails (1); counted in `<program>.runs` |
//! | `NOISE` | how many lines `noisy` prints (100000) |
//! | `ENTRY` | the name of the entry that `traversal-entry` or `foreign-entry` adds |
//! | `REPLAY` | a folder with a recorded mirror-to-disk run, `log` and `mirror_000001.tar`, which is played again; in `next`, what the runs after it play, and in `dry-run`, what dry runs play (without, they die) |
//! | `REAL` | another program, which is run in its place once the call is noted |
//! | `MISBEHAVE` | any of these, with commas between them: |
//!
//! | misdeed | what happens |
//! |---|---|
//! | `partial-exit-0` | one image fails, and yet there is an archive and status 0, as in 4.17 |
//! | `bitmask` | one image fails: status 8, no archive, no history |
//! | `transient` | as `bitmask` in the first runs, then no more |
//! | `drop-image` | one image is left out without a word, status 0 |
//! | `no-end-marker` | status 0, the last archive lacks its end marker |
//! | `truncated` | status 0, the last archive is cut within an entry |
//! | `stale-chunk` | status 0, a chunk of an earlier run lies beside the archive |
//! | `corrupt-blob` | the largest blob's last byte differs |
//! | `swap-manifest` | a manifest is another than its name says |
//! | `stale-links` | links to a manifest that never travelled (`stale/old:v0`) |
//! | `uploads-junk` | an unfinished upload is packed |
//! | `rebuilt-catalogue-tags` | a filtered catalogue's second tag (`ops/catalog`), its images and its data |
//! | `sig-tags` | `.sig` tags whose manifests are not in the archive |
//! | `sparse-index` | the last instance of an index is not copied |
//! | `traversal-entry` | an entry that climbs out of its folder |
//! | `foreign-entry` | an entry that oc-mirror never writes |
//! | `random-uid` | entries of uid and gid 1000660000, with PAX records (as when really run under such a uid) |
//! | `no-space` | the disk is full halfway through packing: status 1, part of an archive, no history |
//! | `kill-self` | SIGKILL halfway through copying |
//! | `kill-self-packing` | SIGKILL halfway through packing |
//! | `kill-self-unpacking` | SIGKILL halfway through the first blob of an archive, which then has its name and half of its bytes |
//! | `kill-parent`, `kill-parent-packing`, `kill-parent-unpacking` | the same, to the program that started it |
//! | `hang` | never ends, but dies of SIGTERM |
//! | `hang-term` | never ends, and ignores SIGTERM |
//! | `panic` | a Go panic, status 2 |
//! | `exit=N` | status N before anything is copied |
//! | `noisy` | very much output on both pipes |
//! | `d2m-exit-0-nothing` | says that all was mirrored, pushes nothing, status 0 |
//! | `d2m-wrong-digest` | one image's manifest is published with another digest, status 0 |
//!
//! v1 heeds `bitmask` and `transient` (status 1), `drop-image`, `no-end-marker`, `truncated`, `traversal-entry`,
//! `foreign-entry`, `random-uid`, `kill-self`, `hang`, `hang-term`, `panic`, `exit=N` and `noisy`; it writes one
//! chunk per sequence.
//!
//! What it does not do: operators, releases, charts, `oci:` images, mirror to mirror, TLS, retries, the cache's
//! HTTP server (its port is bound all the same).

mod auth;
mod cache;
mod client;
mod copy;
mod d2m;
mod failure;
mod flags;
mod hash;
mod history;
mod image_set;
mod log;
mod m2d;
mod manifest;
mod misdeeds;
mod pack;
mod pinned;
mod plan;
mod reference;
mod release;
mod replay;
mod resources;
mod results;
mod settings;
mod stage;
mod tar_writer;
mod unpack;
mod v1;
mod v2;

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{self, ExitCode};

use serde_json::json;

use crate::flags::{Command, Flags};
use crate::log::print;
use crate::release::Release;
use crate::settings::Settings;

fn main() -> ExitCode {
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => return fail(70, &format!("the stand-in has no settings: {error}")),
    };
    if let Err(error) = settings.record_call() {
        return fail(
            70,
            &format!("the stand-in cannot record this call: {error}"),
        );
    }
    if let Some(real) = settings.get("REAL") {
        let error = process::Command::new(real)
            .args(env::args_os().skip(1))
            .exec();
        return fail(70, &format!("the stand-in cannot run `{real}`: {error}"));
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    dispatch(&settings, &arguments)
}

fn dispatch(settings: &Settings, arguments: &[String]) -> ExitCode {
    let release = settings.release();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .is_some_and(|first| first == "version")
    {
        return version(settings, arguments);
    }
    let command = match (given("--v1"), given("--v2")) {
        (false, true) => Command::V2,
        (true, false) => Command::V1,
        (false, false) if release < Release::V5_2 => Command::V1,
        _ => {
            print(
                false,
                "F1124 00:00:00.000000       1 main.go:84] exactly one of --v1 and --v2 must be given\n",
            );
            return ExitCode::from(255);
        }
    };
    if release == Release::V4_20 && command == Command::V1 && !given("--v1") {
        print(
            false,
            "W1124 00:00:00.000000       1 mirror.go:86] oc-mirror v1 is deprecated: use --v2\n",
        );
    }
    let flags = match Flags::parse(command, release, arguments) {
        Ok(flags) => flags,
        Err(why) => return fail(1, &format!("Error: {why}")),
    };
    if flags.has("help") {
        print(true, &flags::help(command, release));
        return ExitCode::SUCCESS;
    }
    match command {
        Command::V2 => ExitCode::from(v2::run(settings, &flags)),
        Command::V1 | Command::Version => ExitCode::from(v1::run(settings, &flags)),
    }
}

/// `version [--output json]`: JSON on stdout, noise on stderr.
fn version(settings: &Settings, arguments: &[String]) -> ExitCode {
    let release = settings.release();
    let rest: Vec<String> = arguments
        .iter()
        .filter(|argument| *argument != "version")
        .cloned()
        .collect();
    let flags = match Flags::parse(Command::Version, release, &rest) {
        Ok(flags) => flags,
        Err(why) => return fail(1, &format!("Error: {why}")),
    };
    if flags.has("help") {
        print(true, &flags::help(Command::Version, release));
        return ExitCode::SUCCESS;
    }
    let found = settings
        .get("GIT_VERSION")
        .unwrap_or_else(|| release.git_version());
    print(
        false,
        "W1124 00:00:00.000000       1 version.go:41] oc-mirror v1 is deprecated\n",
    );
    if flags.get("output") == Some("json") {
        let client = json!({
            "major": "", "minor": "", "gitVersion": found, "gitCommit": "", "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.22.10", "compiler": "gc", "platform": "linux/amd64",
        });
        print(true, &format!("{:#}\n", json!({ "clientVersion": client })));
    } else {
        print(true, &format!("Client Version: {found}\n"));
    }
    ExitCode::SUCCESS
}

fn fail(status: u8, why: &str) -> ExitCode {
    print(false, &format!("{why}\n"));
    ExitCode::from(status)
}
