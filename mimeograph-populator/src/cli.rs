//! The command line of the populator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::{Config, Operation, Period};
use mimeograph_manifest::io::console::{self, Front, Options, Report};
use mimeograph_manifest::io::keygen::keygen;
use mimeograph_manifest::io::locks::Locks;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::io::volumes::Volumes;
use mimeograph_manifest::io::{disk, interrupt, keys};
use mimeograph_manifest::manifest::{Link, Role};
use mimeograph_manifest::media::repair;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;

use crate::adopt;
use crate::approvals;
use crate::approve;
use crate::check::check;
use crate::course::Asked;
use crate::gather::{self, Fetched};
use crate::handover::{self, Draft};
use crate::import;
use crate::ledger::Ledger;
use crate::list;
use crate::origin::Start;
use crate::plan;
use crate::populate::{Populated, Request, populate};
use crate::prune::{self, Act, Unlisted};
use crate::resources::ResourceChange;
use crate::retired;
use crate::standing::Judge;
use crate::trim;
use crate::trust;
use crate::unpack::{Unpack, unpack};
use crate::verify::{self, Side, verify};

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
    /// Apply the newest bundle that can be applied, with all that it needs (what is done without a command)
    Run(RunArguments),
    /// The first half of a run: fetch and verify; needs no registry, loads nothing
    Fetch(RunArguments),
    /// The second half: load what was fetched, and verified again; needs no store
    Load(RunArguments),
    /// Say whether config, keys, oc-mirror, store, space, state and clock are fit; change nothing
    Check,
    /// Say what a run would do: bundles, changes, bytes to fetch, room needed; change nothing
    Plan,
    /// Take a bundle for applied without loading it: the deliberate way out of a lost state
    Adopt {
        /// The bundle's number
        sequence: Sequence,
        /// The SHA-256 of its manifest, as `mimeograph-bundler list` shows it
        #[arg(long, value_name = "SHA256")]
        manifest_sha256: Digest,
    },
    /// Say what oc-mirror's cache holds, and what of it nothing needs any more
    Cache {
        /// Remove what nothing needs any more
        #[arg(long)]
        trim: bool,
    },
    /// List tags in the target that no applied inventory names any more; delete nothing
    Retired {
        /// Write a delete configuration for `oc-mirror delete` to this file, which does not exist yet
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Make a pair of keys for receipts
    Keygen {
        /// The directory to write receipt.pem and receipt.pub.pem to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Check everything that lies in a store or on a drive; change nothing
    Verify(VerifyArguments),
    /// Move what is whole from media or a drop folder into this side's store
    Import(ImportArguments),
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
    /// Say who is trusted with what, and what of the store that accepts or refuses; change nothing
    Trust {
        /// A configuration with a change: say also what of the store it would accept or refuse
        #[arg(long, value_name = "CONFIG")]
        after: Option<PathBuf>,
    },
    /// Show what a bundle changes, and add a signature under `trust.approvalsDir`
    Approve {
        /// The bundle's number
        sequence: Sequence,
        /// The private key; none: only show
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
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

#[derive(Args, Debug)]
struct VerifyArguments {
    /// One bundle alone
    #[arg(value_name = "SEQUENCE")]
    sequence: Option<Sequence>,
    /// Media: a volume, several, or a folder that they were copied into, instead of the store
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "store")]
    from: Vec<PathBuf>,
    /// Write a record of it, one page, to be printed and filed
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

impl VerifyArguments {
    fn run(&self, front: &Front) -> Result<Report, Failure> {
        let trusted = &self.source.trusted(front)?;
        let side = &side(front, trusted)?;
        let verify = |store: &dyn Fetch, volumes| {
            verify(&verify::Request {
                store,
                volumes,
                trusted,
                only: self.sequence,
                side,
                record: self.report.as_deref(),
            })
        };
        if self.from.is_empty() {
            return verify(&*store(front)?, None);
        }
        let volumes = Volumes::open(&self.from)?;
        verify(&volumes, Some(&volumes))
    }
}

#[derive(Args, Debug)]
struct ImportArguments {
    /// A volume, several, or a folder that holds them
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    from: Vec<PathBuf>,
    /// Read what the store has already, too, and replace what is damaged there
    #[arg(long)]
    recheck: bool,
    /// Where damaged chunks are asked for; by itself `repair-request.json` in `artefacts.metadataDir`
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// For how long something may be missing before that is an error; by itself `trust.waitAtMost`
    #[arg(long, value_name = "TIME", value_parser = period)]
    overdue: Option<Period>,
}

impl ImportArguments {
    fn run(&self, front: &Front) -> Result<Report, Failure> {
        let config = front.config()?;
        let metadata = &config.artefacts.metadata_dir;
        disk::create_folder(metadata, 0o755)?;
        let _lock = disk::Lock::acquire(&metadata.join("import.lock"))?;
        let beside = metadata.join(repair::FILE);
        import::import(&import::Request {
            config: &config,
            from: &Volumes::open(&self.from)?,
            store: &*front.location()?.open()?,
            trusted: &keys::trusted(&config)?,
            recheck: self.recheck,
            request: self.request.as_deref().unwrap_or(&beside),
            overdue: self.overdue.unwrap_or(config.trust.wait_at_most),
            throttle: &config.transfer.throttle(),
            interrupt: &interrupt::watch()?,
        })
    }
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

#[derive(Args, Clone, Debug, Default)]
struct RunArguments {
    /// Where nothing was applied yet: begin at this full bundle instead of bundle 1
    #[arg(long, value_name = "SEQUENCE", requires = "manifest_sha256", conflicts_with_all = ["first", "sequence"])]
    join: Option<Sequence>,
    /// The SHA-256 of the manifest that is joined, as `mimeograph-bundler list` shows it
    #[arg(long, value_name = "SHA256", requires = "join")]
    manifest_sha256: Option<Digest>,
    /// This is the first run here (asked for where `state.copy` is `none`)
    #[arg(long)]
    first: bool,
    /// Apply this bundle instead of the newest
    #[arg(long, value_name = "SEQUENCE")]
    sequence: Option<Sequence>,
    /// Apply it even if a later one was applied: tags in the target go back to what they were
    #[arg(long, requires = "sequence")]
    allow_rollback: bool,
}

impl RunArguments {
    fn start(&self) -> Start {
        match (self.join, self.manifest_sha256) {
            (Some(sequence), Some(sha256)) => Start::Join(Link { sequence, sha256 }),
            _ if self.first => Start::First,
            _ => Start::Follow,
        }
    }

    /// What ends in the target.
    fn run(
        &self,
        front: &Front,
        body: impl FnOnce(&Request<'_>) -> Result<Populated, Failure>,
    ) -> Result<Report, Failure> {
        front.config()?.target()?;
        self.with_request(front, |request| report(&body(request)?, request.config))
    }

    fn fetch(&self, front: &Front) -> Result<Report, Failure> {
        self.with_request(front, |request| {
            let bundle_dir = &request.config.artefacts.bundle_dir;
            let draft = Draft::begin(bundle_dir)?;
            let bulk: Arc<dyn Fetch> = front.location()?.open_to_read()?.into();
            let store = approvals::with(draft.record(Arc::clone(&bulk))?, Some(request.config))?;
            let (fetched, note) = gather::fetch(request, &*store, &*bulk)?;
            draft.finish(&note)?;
            report_fetched(&fetched)
        })
    }

    fn with_request(
        &self,
        front: &Front,
        body: impl FnOnce(&Request<'_>) -> Result<Report, Failure>,
    ) -> Result<Report, Failure> {
        let interrupt = interrupt::watch()?;
        let trusted = keys::trusted(&front.config()?)?;
        front.note(|facts| {
            for key in trusted.keys() {
                if let Some(ends) = key.window.not_after {
                    facts.key_ends.insert(key.key.id().to_string(), ends);
                }
            }
        });
        let (config, _locks) = locked(front)?;
        body(&Request {
            config: &config,
            front,
            trusted: &trusted,
            start: self.start(),
            asked: self.asked(),
            interrupt: &interrupt,
        })
    }

    fn asked(&self) -> Asked {
        match self.sequence {
            Some(sequence) if self.allow_rollback => Asked::ThisOrOlder(sequence),
            Some(sequence) => Asked::This(sequence),
            None => Asked::Newest,
        }
    }
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
            let config = front.config_if_any()?;
            keys::trusted_files(&self.keys, config.as_ref())
        }
    }
}

fn period(text: &str) -> Result<Period, String> {
    text.parse().map_err(|mistake| format!("{mistake}"))
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
    match command.unwrap_or(Command::Run(RunArguments::default())) {
        Command::Run(arguments) => run("run", &|front| {
            arguments.run(front, |request| populate(request, &*store(front)?))
        }),
        Command::Fetch(arguments) => run("fetch", &|front| arguments.fetch(front)),
        Command::Load(arguments) => run("load", &|front| {
            arguments.run(front, |request| {
                let bundle_dir = &request.config.artefacts.bundle_dir;
                let (handed_over, note) = handover::open(bundle_dir)?;
                let store = approvals::with(handed_over, Some(request.config))?;
                gather::load(request, &*store, note)
            })
        }),
        Command::Plan => run("plan", &|front| {
            let config = front.config()?;
            let store = store(front)?;
            plan::plan(&config, &*store, &keys::trusted(&config)?)
        }),
        Command::Adopt {
            sequence,
            manifest_sha256,
        } => run("adopt", &|front| {
            let (config, _locks) = locked(front)?;
            let store = store(front)?;
            let link = Link {
                sequence,
                sha256: manifest_sha256,
            };
            adopt::adopt(&config, &*store, &keys::trusted(&config)?, link)
        }),
        Command::Cache { trim } => run("cache", &|front| {
            if trim {
                let (config, _locks) = locked(front)?;
                trim::trim(&config)
            } else {
                trim::report(&front.config()?)
            }
        }),
        Command::Retired { to } => run("retired", &|front| {
            let (config, _locks) = locked(front)?;
            retired::retired(&config, to.as_deref())
        }),
        Command::Trust { after } => run("trust", &|front| told_trust(front, after.as_deref())),
        Command::Approve { sequence, key } => run("approve", &|front| {
            let config = front.config()?;
            let trusted = keys::trusted(&config)?;
            approve::approve(&config, &*store(front)?, &trusted, sequence, key.as_deref())
        }),
        Command::Keygen { out } => run("keygen", &|_| new_keys(&out)),
        Command::Check => run("check", &|front| {
            check(&front.config()?, front.location()).report()
        }),
        Command::Prune(arguments) => run("prune", &|front| drop_old(front, arguments)),
        Command::Verify(arguments) => run("verify", &|front| arguments.run(front)),
        Command::Import(arguments) => run("import", &|front| arguments.run(front)),
        Command::List { source } => run("list", &|front| {
            let trusted = &source.trusted(front)?;
            let side = &side(front, trusted)?;
            let (rows, table) = list::list(&*store(front)?, Judge { trusted, side })?;
            Ok(Report::new("done", table).with(&rows)?)
        }),
        Command::Show { sequence, source } => run("show", &|front| {
            let trusted = &source.trusted(front)?;
            let side = &side(front, trusted)?;
            let bundle = list::show(&*store(front)?, Judge { trusted, side }, sequence)?;
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
            unpack_one(front, sequence, role, &to, &source)
        }),
    }
}

/// What bundles are held against on this side.
fn side(front: &Front, trusted: &TrustedKeys) -> Result<Side, Failure> {
    let config = front.config_if_any()?;
    let ledger = match &config {
        Some(config) => Ledger::read_by(&config.artefacts.metadata_dir, trusted)?,
        None => Ledger::default(),
    };
    Ok(Side { config, ledger })
}

fn unpack_one(
    front: &Front,
    sequence: Sequence,
    role: Option<RoleName>,
    to: &Path,
    source: &Source,
) -> Result<Report, Failure> {
    let store = store(front)?;
    let interrupt = interrupt::watch()?;
    let trusted = source.trusted(front)?;
    let side = side(front, &trusted)?;
    let config = side.config.as_ref();
    let transfer = config
        .map(|config| config.transfer.clone())
        .unwrap_or_default();
    let request = Unpack {
        sequence,
        role: role.map(Into::into),
        to,
        interrupt: &interrupt,
        parallel: transfer.parallel.fetches(),
        throttle: &transfer.throttle(),
    };
    let manifest = unpack(&request, &*store, &trusted, &side)?;
    let needs = manifest
        .requires
        .map(|link| format!("; it needs bundle {}", link.sequence))
        .unwrap_or_default();
    let text = format!(
        "bundle {sequence} is verified and unpacked in {} (with SHA256SUMS){needs}",
        to.display()
    );
    Ok(Report::new("done", text).with(&serde_json::json!({ "requires": manifest.requires }))?)
}

/// Whom the configuration trusts, and another one with a change.
fn told_trust(front: &Front, after: Option<&Path>) -> Result<Report, Failure> {
    let config = front.config()?;
    let metadata = config.artefacts.metadata_dir.clone();
    let judged_by = |config: Config| -> Result<(TrustedKeys, Side), Failure> {
        let trusted = keys::trusted_or_too_few(&config)?;
        let ledger = Ledger::read_by(&metadata, &trusted)?;
        let config = Some(config);
        Ok((trusted, Side { config, ledger }))
    };
    let now = judged_by(config)?;
    let after = after.map(|file| judged_by(front.config_of(file)?));
    let after = after.transpose()?;
    let judge = |(trusted, side)| Judge { trusted, side };
    let after = after.as_ref().map(|(trusted, side)| judge((trusted, side)));
    trust::trust(&*store(front)?, judge((&now.0, &now.1)), after)
}

/// The store, with the signatures that were added on this side.
fn store(front: &Front) -> Result<Box<dyn Fetch>, Failure> {
    let config = front.config_if_any()?;
    approvals::with(front.location()?.open_to_read()?, config.as_ref())
}

/// A pair of keys for receipts.
fn new_keys(folder: &Path) -> Result<Report, Failure> {
    let pair = keygen(folder, "receipt")?;
    let text = format!(
        "{} (keep it secret, name it as `receipts.keyFile`)\n{} (give it to the bundler as `receipts.trustedKeys`)\nkey id {}",
        pair.private.display(),
        pair.public.display(),
        pair.id
    );
    Ok(Report::new("done", text).with(&serde_json::json!({ "keyId": pair.id }))?)
}

fn drop_old(front: &Front, arguments: PruneArguments) -> Result<Report, Failure> {
    let (config, _locks) = if arguments.dry_run {
        (front.config()?, None)
    } else {
        let (config, locks) = locked(front)?;
        (config, Some(locks))
    };
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

/// The configuration, and the locks of whoever changes what is here.
fn locked(front: &Front) -> Result<(Config, Locks), Failure> {
    let config = front.config()?;
    let locks = Locks::acquire(&config.artefacts)?;
    Ok((config, locks))
}

fn report_fetched(fetched: &Fetched) -> Result<Report, Failure> {
    let mut lines = Vec::new();
    if !fetched.staged.is_empty() {
        let text = among("fetched and verified, for `load`: bundle ", &fetched.staged);
        lines.push(text);
    }
    if let Some(waiting) = &fetched.waiting {
        lines.push(waiting.to_string());
    }
    let outcome = match (fetched.staged.is_empty(), &fetched.waiting) {
        (false, _) => "fetched",
        (true, Some(_)) => "waiting",
        (true, None) => {
            lines.push("nothing to do: nothing newer is in the store".into());
            "nothing to do"
        }
    };
    Ok(Report::new(outcome, lines.join("\n")).with(fetched)?)
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
            .map(|folder| {
                format!(
                    "; cluster resources in {}{}",
                    folder.display(),
                    among_resources(&bundle.resource_changes)
                )
            })
            .unwrap_or_default();
        lines.push(format!(
            "applied bundle {} ({}{partial}{}) to {}: {}; {} destinations answer with the signed digest{rebuilt}{resources}",
            bundle.sequence,
            bundle.kind,
            among(", with the blobs of ", &bundle.merged),
            config.target()?.as_str(),
            bundle.content,
            bundle.confirmed,
        ));
    }
    if !populated.skipped.is_empty() {
        lines.push(among("not needed: bundle ", &populated.skipped));
    }
    if let Some(set_back) = &populated.set_back {
        lines.push(set_back.to_string());
    }
    if let Some(waiting) = &populated.waiting {
        lines.push(waiting.to_string());
    }
    if let Some(receipt) = &populated.receipt {
        lines.push(format!("the receipt is in {}", receipt.display()));
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
            lines.push(match &populated.newest {
                Some(newest) if Some(newest.sequence) != populated.mark => format!(
                    "nothing to do: {mark}, and {} {} of {} says that nothing changed since",
                    newest.kind, newest.sequence, newest.created
                ),
                _ => format!("nothing to do: {mark}, and nothing newer is in the store"),
            });
            "nothing to do"
        }
    };
    Ok(Report::new(outcome, lines.join("\n")).with(populated)?)
}

/// What cluster resources change, in a few words.
fn among_resources(changes: &[ResourceChange]) -> String {
    let rolls = changes.iter().filter(|one| one.rolls_nodes).count();
    match (changes.len(), rolls) {
        (0, _) => ", as they were".to_owned(),
        (all, 0) => format!(" ({all} are not as they were)"),
        (all, rolls) => format!(
            " ({all} are not as they were; applying {rolls} of them DRAINS AND REBOOTS the nodes of every MachineConfigPool: see CHANGES.txt there)"
        ),
    }
}

/// Numbers after a word; nothing where there are none.
fn among(word: &str, numbers: &[u64]) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    format!("{word}{}", numbers.join(", "))
}
