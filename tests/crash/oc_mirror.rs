//! `oc-mirror` is killed while it works, or we are while it does.

use mimeograph_tests::wrap;

use crate::end::{End, nothing_half_written};
use crate::form::{Form, at_once, gather};
use crate::ground::{Side, done, drop_copy};
use crate::scenario::{self, Laid};

/// What the stand-in plays on each side: death while it copies, and while it packs or unpacks.
const CONNECTED: [&str; 4] = [
    "kill-self",
    "kill-self-packing",
    "kill-parent",
    "kill-parent-packing",
];
const DISCONNECTED: [&str; 4] = [
    "kill-self",
    "kill-self-unpacking",
    "kill-parent",
    "kill-parent-unpacking",
];

/// Deaths in the short form.
const FEW: usize = 10;

#[test]
fn an_oc_mirror_that_dies_at_work_alone_or_with_us_costs_nothing() {
    let names = [
        "full",
        "delta",
        "populate full",
        "populate delta",
        "catch up",
    ];
    let laid = gather(names.into(), |name| {
        let laid = scenario::named(name).lay_out();
        let undisturbed = laid.again();
        done(&wrap::run(laid.command(&undisturbed)).unwrap()).unwrap();
        let end = laid.end(&undisturbed).unwrap();
        drop_copy(undisturbed);
        (laid, end)
    });
    let mut cases = Vec::new();
    for (laid, end) in &laid {
        let misdeeds = match laid.scenario.side {
            Side::Connected => CONNECTED,
            Side::Disconnected => DISCONNECTED,
        };
        cases.extend(misdeeds.map(|misdeed| (laid, end, misdeed)));
    }
    let cases = Form::asked_for().choose(cases, FEW);
    at_once(&cases, |(laid, end, misdeed)| {
        dies(laid, end, misdeed).map_err(|why| format!("{}, {misdeed}: {why}", laid.scenario.name))
    });
}

fn dies(laid: &Laid, expected: &End, misdeed: &str) -> Result<(), String> {
    let gap = laid.again();
    let play = format!("VERSION=5.2\nMISBEHAVE={misdeed}\n");
    gap.play(&play).unwrap();
    let ran = wrap::run(laid.command(&gap)).unwrap();
    let is_told = ran.status == 85 && ran.stderr.contains("[OC_MIRROR_UNFINISHED]");
    if !is_told && (misdeed.starts_with("kill-self") || ran.status != -1) {
        return Err(format!("it went on, or was called something else: {ran}"));
    }
    nothing_half_written(&gap, &*laid.store(&gap))?;
    gap.play("VERSION=5.2\n").unwrap();
    done(&wrap::run(laid.command(&gap)).unwrap())?;
    laid.end(&gap)?
        .differs_from(expected)
        .map_err(|why| format!("{why}\nafter {ran}"))?;
    drop_copy(gap);
    Ok(())
}
