//! Two hosts on one stream: one is stopped at each of its steps while the other does all of its work, and then goes on.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use mimeograph_tests::gap::{Gap, Ran};
use mimeograph_tests::registry::gzip;
use mimeograph_tests::wrap;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::form::{Form, at_once, tell};
use crate::ground::{Ground, Side, done, drop_copy, run};

/// Stops of each of the two in the short form.
const FEW: usize = 3;

/// A host and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Drops bundle 1, with chunks that no bundle after it names.
    First,
    /// Makes bundle 3, which has what those chunks hold.
    Second,
}

impl Host {
    fn command(self, gap: &Gap) -> Command {
        let bundler = &gap.programs().bundler;
        match self {
            Self::First => gap.command(bundler, "connected", &["prune", "--keep-full", "1"]),
            Self::Second => gap.command(bundler, "second", &["run"]),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

#[test]
fn what_one_host_drops_while_another_publishes_is_there_in_the_end_or_somebody_says_so() {
    let form = Form::asked_for();
    if !form.names("meanwhile") {
        return;
    }
    let ground = two_hosts();
    let mut cases = Vec::new();
    for host in [Host::First, Host::Second] {
        let points = points(&ground, host);
        tell(&format!("{host:?} is stopped at {} points", points.len()));
        let all: Vec<_> = (1..=points.len()).map(|number| (host, number)).collect();
        // Those about the store's objects, of which it is.
        let is_of_store = |(_, number): &(Host, usize)| points[number - 1].starts_with("store-");
        cases.extend(form.choose(all.into_iter().filter(is_of_store).collect(), FEW));
    }
    at_once(&cases, |(host, number)| {
        let gap = copy(&ground);
        let result = holds(&gap, *host, *number);
        drop_copy(gap);
        result.map_err(|why| format!("{host:?}, stopped at {number}: {why}"))
    });
}

fn holds(gap: &Gap, host: Host, number: usize) -> Result<(), String> {
    let mut command = host.command(gap);
    command.env("MIMEOGRAPH_FAILPOINT", format!("*:{number}:stop"));
    let stopped = Stopped::start(command)?;
    let meanwhile = wrap::run(host.other().command(gap)).map_err(|e| e.to_string())?;
    let ended = stopped.go_on()?;
    let (dropped, published) = match host {
        Host::First => (&ended, &meanwhile),
        Host::Second => (&meanwhile, &ended),
    };
    if published.stderr.contains("[LOCKED]") || dropped.stderr.contains("[LOCKED]") {
        return Err(format!("they share no folder: {published}{dropped}"));
    }
    done(published)?;
    if dropped.status == 65 && dropped.stderr.contains("[STORE_DAMAGED]") {
        // It says which host must run again, and what to look at then.
        done(&wrap::run(Host::Second.command(gap)).map_err(|e| e.to_string())?)?;
    } else {
        done(dropped)?;
    }
    let whole = run(gap, Side::Connected, &["check-store"]);
    done(&whole).map_err(|why| format!("{why}{dropped}{published}"))?;
    done(&run(gap, Side::Disconnected, &["run"]))?;
    for n in 1..=3 {
        let image = format!("large/{n}");
        let source = gap.source.digest_of(&image, "v1");
        if source.is_none() || source != gap.target.digest_of(&format!("mirror/{image}"), "v1") {
            return Err(format!("{image} has not arrived"));
        }
    }
    Ok(())
}

/// Bundle 1 has images 1 and 2, bundle 2, a full one, 2 and 3. What is asked for now is all of them.
fn two_hosts() -> Ground {
    let ground = Ground::new();
    let gap = &ground.gap;
    for n in 1..=3 {
        gap.source
            .put_image(&format!("large/{n}"), "v1", &[large(n)]);
    }
    let publish = |images: &[&str], arguments: &[&str]| {
        gap.ask_for(images).unwrap();
        done(&run(gap, Side::Connected, arguments)).unwrap();
    };
    publish(&["large/1:v1", "large/2:v1"], &["run"]);
    publish(&["large/2:v1", "large/3:v1"], &["run", "--full"]);
    done(&run(gap, Side::Disconnected, &["run"])).unwrap();
    gap.ask_for(&["large/1:v1", "large/2:v1", "large/3:v1"])
        .unwrap();
    ground
}

fn copy(ground: &Ground) -> Gap {
    let gap = ground.again();
    let text = fs::read_to_string(gap.path("connected.yaml")).unwrap();
    fs::write(
        gap.path("second.yaml"),
        text.replace("/connected/", "/second/"),
    )
    .unwrap();
    gap
}

/// A layer that is a chunk of its own.
fn large(n: u8) -> Vec<u8> {
    let mut state = u64::from(n) * 2 + 1;
    let mut bytes = Vec::new();
    while bytes.len() < 1_200_000 {
        // xorshift64* (Marsaglia 2003, Vigna 2016)
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    gzip(&bytes)
}

fn points(ground: &Ground, host: Host) -> Vec<String> {
    let gap = copy(ground);
    let reached = gap.path("reached");
    let mut command = host.command(&gap);
    command.env("MIMEOGRAPH_FAILPOINTS_REACHED", &reached);
    done(&wrap::run(command).unwrap()).unwrap();
    let points = fs::read_to_string(&reached).unwrap();
    drop_copy(gap);
    points.lines().map(str::to_owned).collect()
}

/// A program that has stopped itself.
struct Stopped {
    child: Child,
    pid: Pid,
    command: String,
}

impl Stopped {
    fn start(mut command: Command) -> Result<Self, String> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let words = format!("{command:?}");
        let child = command.spawn().map_err(|e| e.to_string())?;
        let pid = Pid::from_child(&child);
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(Self {
                child,
                pid,
                command: words,
            }),
            other => Err(format!("it did not stop but: {other:?}")),
        }
    }

    fn go_on(mut self) -> Result<Ran, String> {
        let text = |error: std::io::Error| error.to_string();
        kill_process(self.pid, Signal::CONT).map_err(|e| e.to_string())?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout).map_err(text)?;
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr).map_err(text)?;
        }
        let status = self.child.wait().map_err(text)?;
        Ok(Ran {
            command: self.command,
            status: status.code().unwrap_or(-1),
            stdout,
            stderr,
        })
    }
}
