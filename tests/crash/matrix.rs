//! Every scenario is struck at every point that it reaches, and run again: it ends as if nothing had happened.

use std::fs;
use std::time::Instant;

use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::wrap;

use crate::end::{End, nothing_half_written};
use crate::form::{Form, at_once};
use crate::ground::{done, drop_copy};
use crate::scenario::{Laid, all};

/// Kills that the full form must come to.
const KILLS: usize = 500;
/// Cases of each scenario in the short form.
const FEW: usize = 4;

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

    /// Whether it can happen at a point: nothing on our side takes space where a program is started or a store asked.
    fn fits(self, point: &str) -> bool {
        let is_of = |names: &[&str]| names.contains(&point.split(' ').next().unwrap_or_default());
        match self {
            Self::Kill => true,
            Self::Eio => !is_of(&["end", "registry-put"]),
            Self::Enospc => !is_of(&["end", "registry-put", "start", "s3-put", "s3-delete"]),
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
fn a_run_that_is_killed_anywhere_and_run_again_ends_as_an_undisturbed_one() {
    let kills = struck(&[Strike::Kill]);
    if std::env::var("MIMEOGRAPH_CRASH").as_deref() == Ok("full") {
        assert!(kills >= KILLS, "{kills} kills");
    }
}

#[test]
fn a_step_that_fails_is_named_leaves_nothing_half_done_and_is_done_by_the_next_run() {
    struck(&[Strike::Eio, Strike::Enospc]);
}

/// Strikes at all that reach a point, and returns how often.
fn struck(strikes: &[Strike]) -> usize {
    let (form, begun) = (Form::asked_for(), Instant::now());
    let mut number = 0;
    for scenario in all().into_iter().filter(|one| Form::names(one.name)) {
        let measured = measure(scenario.lay_out());
        let mut cases = Vec::new();
        for strike in strikes {
            let points = measured.points.iter().enumerate();
            let points = points.filter(|(_, point)| measured.laid.is_of_interest(point));
            let fitting = points.filter(|(_, point)| strike.fits(point));
            let fitting = fitting.map(|(place, _)| Case {
                of: &measured,
                number: place + 1,
                strike: *strike,
            });
            cases.extend(form.choose(fitting.collect(), FEW));
        }
        at_once(&cases, Case::hold);
        number += cases.len();
        let (name, count) = (measured.laid.scenario.name, cases.len());
        let reached = measured.points.len();
        let seconds = begun.elapsed().as_secs();
        tell(&format!("{name}: {count} strikes at {reached} points, {seconds} s"));
    }
    tell(&format!("{number} strikes"));
    number
}

#[expect(clippy::print_stdout, reason = "the full form is there to be read")]
fn tell(line: &str) {
    println!("{line}");
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
            .and_then(|end| end.differs_from(&self.of.end));
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
        let is_so = |(status, id): &(i32, &str)| struck.status == *status && struck.stderr.contains(id);
        if expected.iter().any(is_so) {
            return Ok(());
        }
        Err(format!("not one of {expected:?}"))
    }

    fn name(&self) -> String {
        let Measured { laid, points, .. } = self.of;
        let (scenario, point) = (laid.scenario.name, &points[self.number - 1]);
        format!("{scenario}, {} at {} ({point})", self.strike.name(), self.number)
    }
}
