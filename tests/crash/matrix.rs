//! Every scenario is struck at every point that it reaches, and run again: it ends as if nothing had happened.

use std::fs;
use std::time::Instant;

use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::wrap;

use crate::end::{End, nothing_half_written};
use crate::form::{self, Form, at_once, tell};
use crate::ground::{done, drop_copy};
use crate::scenario::{Laid, all};

/// Kills that the full form must come to.
const KILLS: usize = 500;

/// Scenarios whose steps are made to fail, too: between them they have every kind of step.
const FAIL: &[&str] = &["delta", "delta over S3", "catch up", "prune", "prune far"];
/// What takes no space.
const FREES: &[&str] = &["empty", "remove", "store-remove"];
/// What is not ours to fail.
const FOREIGN: &[&str] = &["start", "s3-put", "s3-delete"];
/// Where a failure goes unheard.
const LAST: &[&str] = &["end", "registry-put"];

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    /// The process is killed before it.
    Kill,
    /// It fails with an input/output error.
    Eio,
    /// It finds no space.
    Enospc,
}

impl Strike {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Eio => "eio",
            Self::Enospc => "enospc",
        }
    }

    /// Cases of each scenario in the short form.
    fn few(self) -> usize {
        match self {
            Self::Kill => 3,
            Self::Eio | Self::Enospc => 1,
        }
    }

    /// Whether it is tried at a point of a scenario.
    fn fits(self, scenario: &str, point: &str) -> bool {
        let name = point.split(' ').next().unwrap_or_default();
        let is_tried = FAIL.contains(&scenario) && !LAST.contains(&name);
        match self {
            Self::Kill => true,
            Self::Eio => is_tried,
            Self::Enospc => is_tried && !FREES.contains(&name) && !FOREIGN.contains(&name),
        }
    }
}

/// A scenario, its points, and where it ends undisturbed.
struct Measured {
    laid: Laid,
    points: Vec<String>,
    end: End,
}

/// A strike at one point of one scenario.
struct Case<'a> {
    of: &'a Measured,
    /// Counted from 1.
    number: usize,
    strike: Strike,
}

#[test]
fn a_run_that_is_struck_anywhere_and_run_again_ends_as_an_undisturbed_one() {
    let (form, begun) = (Form::asked_for(), Instant::now());
    let scenarios: Vec<_> = all()
        .into_iter()
        .filter(|one| form.names(one.name))
        .collect();
    let measured = form::gather(scenarios, |scenario| measure(scenario.lay_out()));
    let mut cases = Vec::new();
    for of in &measured {
        for strike in [Strike::Kill, Strike::Eio, Strike::Enospc] {
            let points = of.points.iter().enumerate();
            let points = points.filter(|(_, point)| of.laid.is_of_interest(point));
            let points = points.filter(|(_, point)| strike.fits(of.laid.scenario.name, point));
            let all = points.map(|(place, _)| Case {
                of,
                number: place + 1,
                strike,
            });
            cases.extend(form.choose(all.collect(), strike.few()));
        }
    }
    let kills = cases
        .iter()
        .filter(|case| case.strike == Strike::Kill)
        .count();
    let failures = cases.len() - kills;
    at_once(&cases, Case::hold);
    for of in &measured {
        tell(&format!(
            "{}: {} points",
            of.laid.scenario.name,
            of.points.len()
        ));
    }
    let seconds = begun.elapsed().as_secs();
    tell(&format!(
        "{kills} kills and {failures} failures, {seconds} s"
    ));
    assert!(form != Form::Full || kills >= KILLS, "{kills} kills");
}

/// Runs it undisturbed.
fn measure(laid: Laid) -> Measured {
    let gap = laid.again();
    let reached = gap.path("reached");
    let mut command = laid.command(&gap);
    command.env("MIMEOGRAPH_FAILPOINTS_REACHED", &reached);
    done(&wrap::run(command).unwrap()).unwrap();
    let points = fs::read_to_string(&reached).unwrap();
    let points = points.lines().map(str::to_owned).collect();
    let end = laid.end(&gap).unwrap();
    assert!(end.len() > 0, "nothing was published");
    drop_copy(gap);
    Measured { laid, points, end }
}

impl Case<'_> {
    fn hold(&self) -> Result<(), String> {
        let gap = self.of.laid.again();
        let struck = self.strike(&gap);
        let result = self
            .is_as_it_should(&struck)
            .and_then(|()| nothing_half_written(&gap, &*self.of.laid.store(&gap)))
            .and_then(|()| done(&wrap::run(self.of.laid.command(&gap)).map_err(|e| e.to_string())?))
            .and_then(|()| self.of.laid.end(&gap))
            .and_then(|mut end| {
                if self.strike != Strike::Kill {
                    end.forgive_a_private_folder();
                }
                end.differs_from(&self.of.end)
            });
        drop_copy(gap);
        result.map_err(|why| format!("{}: {why}\nafter {struck}", self.name()))
    }

    fn strike(&self, gap: &Gap) -> Ran {
        let mut command = self.of.laid.command(gap);
        let strike = format!("*:{}:{}", self.number, self.strike.name());
        command.env("MIMEOGRAPH_FAILPOINT", strike);
        wrap::run(command).unwrap()
    }

    /// Killed; or refused by name, with the status that goes with it. What only clears away may fail unheard.
    fn is_as_it_should(&self, struck: &Ran) -> Result<(), String> {
        let expected: &[(i32, &str)] = match self.strike {
            Strike::Kill => &[(-1, "")],
            Strike::Eio => &[(74, "[IO]"), (0, "")],
            Strike::Enospc => &[(73, "[NO_SPACE]"), (0, "")],
        };
        let is_so =
            |(status, id): &(i32, &str)| struck.status == *status && struck.stderr.contains(id);
        if expected.iter().any(is_so) {
            return Ok(());
        }
        Err(format!("not one of {expected:?}"))
    }

    fn name(&self) -> String {
        let Measured { laid, points, .. } = self.of;
        let (scenario, point) = (laid.scenario.name, &points[self.number - 1]);
        format!(
            "{scenario}, {} at {} ({point})",
            self.strike.name(),
            self.number
        )
    }
}
