//! The command line of the populator.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::{Config, Operation};
use mimeograph_manifest::io::console::{self, Front, Options, Report};
use mimeograph_manifest::io::disk::{self, Lock};
use mimeograph_manifest::io::{interrupt, keys};
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::Role;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;

use crate::check::check;
use crate::ledger::Ledger;
use crate::list;
use crate::populate::{Populated, Request, parallel, populate};
use crate::prune::{self, Act, Unlisted};
use crate::unpack::{Unpack, unpack};
use crate::verify::{Side, verify};

/// Verifies bundles that were carried over a gap and, only then, has oc-mirror load them into a registry.
#[derive(Debug, Parser)]
#[command(name = "mimeograph-populator", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply every bundle whose turn it is (what is done without a command)
    Run,
    /// Say whether config, keys, oc-mirror, store, space, state and clock are fit; change nothing
    Check,
    /// Check everything that lies in a store or on a drive; change nothing
    Verify {
        /// One bundle alone
        #[arg(value_name = "SEQUENCE")]
        sequence: Option<Sequence>,
        #[command(flatten)]
        source: Source,
    },
    /// List the bundles of the store, and what became of them here
    List {
        #[command(flatten)]
        source: Source,
    },
    /// Show the manifest of one bundle
    Show {
        /// The bundle's number
        sequence: Sequence,
        #[command(flatten)]
        source: Source,
    },
    /// Drop from the store what the connected side has dropped, below the last full bundle that was applied
    Prune(PruneArguments),
    /// Write a bundle's verified files to a directory, for running oc-mirror by hand
    Unpack {
        /// The bundle's number
        sequence: Sequence,
        /// A directory that does not exist yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Files of one role alone
        #[arg(long, value_enum)]
        role: Option<RoleName>,
        #[command(flatten)]
        source: Source,
    },
}

/// What is dropped of the store.
#[derive(Args, Clone, Copy, Debug)]
struct PruneArguments {
    /// Drop also what the connected side has not dropped: it must then send all again
    #[arg(long)]
    unlisted: bool,
    /// Say what would go; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What can be looked at without a configuration: a store, and whom to trust.
#[derive(Args, Clone, Debug)]
struct Source {
    /// A trusted public key, or a directory of them, instead of those in the configuration
    #[arg(long = "trust", value_name = "FILE|DIR")]
    keys: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Archive,
    Imageset,
    Inventory,
    History,
    Local,
    Extra,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Archive => Self::Archive,
            RoleName::Imageset => Self::Imageset,
            RoleName::Inventory => Self::Inventory,
            RoleName::History => Self::History,
            RoleName::Local => Self::Local,
            RoleName::Extra => Self::Extra,
        }
    }
}

impl Source {
    fn trusted(&self, front: &Front) -> Result<TrustedKeys, Failure> {
        if self.keys.is_empty() {
            keys::trusted(&front.config()?)
        } else {
            keys::trusted_files(&self.keys)
        }
    }
}

/// The program.
pub fn main() -> ExitCode {
    let Arguments { options, command } = match console::parse::<Arguments>(Operation::Populate) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let run = |name, body: &dyn Fn(&Front) -> Result<Report, Failure>| {
        console::run(Operation::Populate, name, options.clone(), body)
    };
    match command.unwrap_or(Command::Run) {
        Command::Run => run("run", &run_once),
        Command::Check => run("check", &|front| {
            check(&front.config()?, front.location()).report()
        }),
        Command::Prune(arguments) => run("prune", &|front| drop_old(front, arguments)),
        Command::Verify { sequence, source } => run("verify", &|front| {
            let store = front.location()?.open_to_read()?;
            let config = front.config_if_any()?;
            let ledger = state(config.as_ref())?;
            let side = Side { config, ledger };
            verify(&*store, &source.trusted(front)?, sequence, &side)
        }),
        Command::List { source } => run("list", &|front| {
            let store = front.location()?.open_to_read()?;
            let ledger = state(front.config_if_any()?.as_ref())?;
            let (rows, table) = list::list(&*store, &source.trusted(front)?, &ledger)?;
            Ok(Report::new("done", table).with(&rows)?)
        }),
        Command::Show { sequence, source } => run("show", &|front| {
            let store = front.location()?.open_to_read()?;
            let bundle = list::show(&*store, &source.trusted(front)?, sequence)?;
            Ok(
                Report::new("done", String::from_utf8_lossy(Verified::payload(&bundle)))
                    .with(&*bundle)?,
            )
        }),
        Command::Unpack {
            sequence,
            to,
            role,
            source,
        } => run("unpack", &|front| {
            let store = front.location()?.open_to_read()?;
            let interrupt = interrupt::watch()?;
            let parallel = front.config_if_any()?.map_or(4, |config| parallel(&config));
            let request = Unpack {
                sequence,
                role: role.map(Into::into),
                to: &to,
                interrupt: &interrupt,
                parallel,
            };
            let manifest = unpack(&request, &*store, &source.trusted(front)?)?;
            let needs = manifest
                .requires
                .map(|link| format!("; it needs bundle {}", link.sequence))
                .unwrap_or_default();
            let text = format!(
                "bundle {sequence} is verified and unpacked in {} (with SHA256SUMS){needs}",
                to.display()
            );
            Ok(Report::new("done", text)
                .with(&serde_json::json!({ "requires": manifest.requires }))?)
        }),
    }
}

/// What was accepted here; an officer's laptop has no state.
fn state(config: Option<&Config>) -> Result<Ledger, Failure> {
    match config {
        Some(config) => Ok(Ledger::read(&config.artefacts.metadata_dir)?),
        None => Ok(Ledger::default()),
    }
}

fn drop_old(front: &Front, arguments: PruneArguments) -> Result<Report, Failure> {
    let config = front.config()?;
    let folder = &config.artefacts.metadata_dir;
    disk::create_folder(folder, 0o755)?;
    let _lock = Lock::acquire(&folder.join("lock"))?;
    let request = prune::Request {
        config: &config,
        trusted: &keys::trusted(&config)?,
        unlisted: if arguments.unlisted {
            Unlisted::Drop
        } else {
            Unlisted::Keep
        },
        act: if arguments.dry_run {
            Act::Tell
        } else {
            Act::Drop
        },
        interrupt: &interrupt::watch()?,
    };
    prune::prune(&request, &*front.location()?.open_to_discard()?)
}

fn run_once(front: &Front) -> Result<Report, Failure> {
    let config = front.config()?;
    config.target()?;
    let interrupt = interrupt::watch()?;
    let trusted = keys::trusted(&config)?;
    for folder in [&config.artefacts.metadata_dir, &config.artefacts.bundle_dir] {
        disk::create_folder(folder, 0o755)?;
    }
    let _lock = Lock::acquire(&config.artefacts.metadata_dir.join("lock"))?;
    let store = front.location()?.open_to_read()?;
    let request = Request {
        config: &config,
        front,
        trusted: &trusted,
        interrupt: &interrupt,
    };
    report(&populate(&request, &*store)?, &config)
}

fn report(populated: &Populated, config: &Config) -> Result<Report, Failure> {
    let mut lines = Vec::new();
    for bundle in &populated.applied {
        let partial = if bundle.incomplete > 0 {
            format!(", PARTIAL ({} missing)", bundle.incomplete)
        } else {
            String::new()
        };
        let rebuilt = if bundle.rebuilt > 0 {
            format!(", {} rebuilt there", bundle.rebuilt)
        } else {
            String::new()
        };
        let resources = bundle
            .resources
            .as_ref()
            .map(|folder| format!("; cluster resources in {}", folder.display()))
            .unwrap_or_default();
        lines.push(format!(
            "applied bundle {} ({}{partial}) to {}: {}; {} destinations answer with the signed digest{rebuilt}{resources}",
            bundle.sequence,
            bundle.kind,
            config.target()?.as_str(),
            bundle.content,
            bundle.confirmed,
        ));
    }
    if let Some(waiting) = &populated.waiting {
        lines.push(format!(
            "waiting for bundle {}: {}",
            waiting.sequence, waiting.because
        ));
    }
    let outcome = match (populated.waiting.is_some(), populated.applied.is_empty()) {
        (true, _) => "waiting",
        (false, false) => "applied",
        (false, true) => {
            let mark = populated
                .mark
                .map_or("no bundle was applied yet".into(), |mark| {
                    format!("bundle {mark} is applied")
                });
            lines.push(format!(
                "nothing to do: {mark}, and nothing newer is in the store"
            ));
            "nothing to do"
        }
    };
    Ok(Report::new(outcome, lines.join("\n")).with(populated)?)
}
