//! The command line of the bundler.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::{Config, Operation, Period};
use mimeograph_manifest::io::console::{self, Front, Options, Report};
use mimeograph_manifest::io::keygen::keygen;
use mimeograph_manifest::io::locks::Locks;
use mimeograph_manifest::io::{interrupt, keys};
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::media::VolumeSize;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::trust::TrustedKeys;
use mimeograph_manifest::wish::named::Named;

use crate::ack::ack;
use crate::acknowledged::{self, Acknowledged};
use crate::bundle::{Beginning, Bundled, Extent, Part, Request, Sending, bundle};
use crate::check::check;
use crate::check_store;
use crate::diff;
use crate::export::{self, Which};
use crate::list;
use crate::mirror::PartialRuns;
use crate::plan;
use crate::prune::{self, Act, Keep, Orphans};
use crate::ship::Tally;
use crate::sign;

/// Mirrors what an image set asks for, cuts it into chunks, signs the list of them, and puts all into a store.
#[derive(Debug, Parser)]
#[command(name = "mimeograph-bundler", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mirror, ship and seal one bundle (what is done without a command)
    Run(RunArguments),
    /// The first half of a run: mirror into this side's outbox; needs no signing key, writes nothing to the store
    Mirror(RunArguments),
    /// The second half: ship and seal what was mirrored; needs no registry, starts no oc-mirror
    Publish {
        #[command(flatten)]
        resend: Resend,
    },
    /// Say whether config, keys, oc-mirror, store, space and clock are fit; change nothing
    Check,
    /// Say what a run would mirror and what cannot be met, by oc-mirror's dry run; change nothing
    Plan,
    /// Make a pair of keys
    Keygen {
        /// The directory to write signing.pem and signing.pub.pem to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Record a receipt: which bundle an enclave has applied
    Ack {
        /// The file that its populator wrote, or `-` for standard input
        #[arg(value_name = "RECEIPT")]
        receipt: PathBuf,
    },
    /// List the published bundles, and which enclave is where
    List {
        #[command(flatten)]
        signers: Signers,
    },
    /// Say what one bundle holds that another does not, by name and version
    Diff {
        /// The earlier bundle's number
        before: Sequence,
        /// The later one's
        after: Sequence,
        #[command(flatten)]
        signers: Signers,
    },
    /// Show the manifest of one bundle
    Show {
        /// The bundle's number
        sequence: Sequence,
        #[command(flatten)]
        signers: Signers,
    },
    /// Show what a bundle changes, and add a signature: a second person's, or a new key's after a theft
    Sign {
        /// The bundle's number
        sequence: Sequence,
        /// The private key; none: only show
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        signers: Signers,
    },
    /// Copy bundles onto media, one volume at a time, with papers that say what they are and how to check them
    Export(ExportArguments),
    /// Drop old bundles from the store, and the chunks that no kept bundle names
    Prune(PruneArguments),
    /// Read all that the stream names, and say what is missing or damaged
    CheckStore {
        /// Mend it from the archives of the last bundle, as far as they have it
        #[arg(long)]
        repair: bool,
    },
}

/// Whose bundles are looked at.
#[derive(Args, Clone, Debug)]
struct Signers {
    /// A public key that bundles are signed with, or a directory of them, instead of the configuration's own
    #[arg(long = "trust", value_name = "FILE|DIR")]
    keys: Vec<PathBuf>,
}

impl Signers {
    fn trusted(&self, front: &Front) -> Result<TrustedKeys, Failure> {
        if self.keys.is_empty() {
            keys::own(&front.config()?)
        } else {
            keys::trusted_files(&self.keys, None)
        }
    }
}

#[derive(Args, Debug, Default)]
struct RunArguments {
    /// Publish also where single images failed, and say so in the manifest
    #[arg(long)]
    allow_partial: bool,
    #[command(flatten)]
    extent: ExtentArguments,
    #[command(flatten)]
    resend: Resend,
    /// This is the first run: a new stream begins (asked for where `store.drained` is set)
    #[arg(long)]
    first: bool,
}

#[derive(Args, Clone, Copy, Debug, Default)]
struct Resend {
    /// Send all chunks again, whatever the store has or has lost (a swapped drive, an emptied folder)
    #[arg(long)]
    resend: bool,
}

/// What the bundle is to hold; by itself what is new since the last one.
#[derive(Args, Debug, Default)]
struct ExtentArguments {
    /// Make a bundle that holds everything and needs none before it
    #[arg(long, conflicts_with = "since_sequence")]
    full: bool,
    /// Make a bundle that holds everything that came after this one, and needs none between
    #[arg(long, value_name = "SEQUENCE")]
    since_sequence: Option<Sequence>,
    /// The same, after the last bundle that all enclaves have applied, by their receipts
    #[arg(long, conflicts_with_all = ["full", "since_sequence"])]
    since_acknowledged: bool,
}

impl ExtentArguments {
    fn extent(&self, config: &Config) -> Result<Extent, Failure> {
        Ok(match self.since_sequence {
            Some(sequence) => Extent::Since(sequence),
            None if self.since_acknowledged => Extent::Acknowledged(acknowledged::since(config)?),
            None if self.full => Extent::Everything,
            None => Extent::New,
        })
    }
}

#[derive(Args, Debug)]
struct ExportArguments {
    /// The folder that becomes a volume
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// From the first to the second of these; by itself the newest full bundle and all after it
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "since")]
    bundles: Option<(Sequence, Sequence)>,
    /// What came after this bundle
    #[arg(long, value_name = "SEQUENCE")]
    since: Option<Sequence>,
    /// How much goes onto a volume: `dvd`, `bd`, `fat32`, `4GiB-1`, `64GB`; by itself all goes onto one
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<VolumeSize>,
    /// What the volumes are labelled with; by itself the stream's name
    #[arg(long, value_name = "NAME")]
    volume_label: Option<String>,
    /// Which volume is written now; the first fixes what lies on which
    #[arg(long, value_name = "NUMBER")]
    volume: Option<NonZeroUsize>,
    /// Do not read back and hash what was written
    #[arg(long)]
    no_read_back: bool,
    /// Copy only the chunks that a far side's `import` asks for
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bundles", "since", "volume_size", "volume"])]
    repair: Option<PathBuf>,
}

impl ExportArguments {
    fn run(&self, front: &Front) -> Result<Report, Failure> {
        let config = front.config()?;
        let request = export::Request {
            config: &config,
            ours: &keys::own(&config)?,
            to: &self.to,
            which: match (self.bundles, self.since) {
                (Some((first, last)), _) => Which::Range(first, last),
                (None, Some(since)) => Which::Since(since),
                (None, None) => Which::FromFull,
            },
            size: self.volume_size,
            label: self.volume_label.as_deref(),
            volume: self.volume.map(NonZeroUsize::get),
            read_back: !self.no_read_back,
            interrupt: &interrupt::watch()?,
        };
        let store = front.location()?.open_to_read()?;
        match &self.repair {
            Some(file) => export::repair(&request, &*store, file),
            None => export::export(&request, &*store),
        }
    }
}

fn range(text: &str) -> Result<(Sequence, Sequence), String> {
    let number = |text: &str| {
        text.parse()
            .map_err(|_| format!("`{text}` is no bundle's number: write `A..B`, such as `3..7`"))
    };
    match text.split_once("..") {
        Some((first, last)) => Ok((number(first)?, number(last)?)),
        None => Ok((number(text)?, number(text)?)),
    }
}

#[derive(Args, Debug)]
struct PruneArguments {
    /// Keep so many full bundles, and all that came after the oldest of them
    #[arg(long, value_name = "COUNT")]
    keep_full: NonZeroUsize,
    /// Keep all that is younger than so many days, too
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u16>,
    /// Drop chunks that nothing names, too, once they are older than the grace period
    #[arg(long)]
    orphans: bool,
    /// How long a chunk that nothing names may be one of a run under way on another host
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = period)]
    grace: Period,
    /// Say what would go; change nothing
    #[arg(long)]
    dry_run: bool,
}

fn period(text: &str) -> Result<Period, String> {
    text.parse().map_err(|mistake| format!("{mistake}"))
}

/// The program.
pub fn main() -> ExitCode {
    let Arguments { options, command } = match console::parse::<Arguments>(Operation::Bundle) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let run = |name, body: &dyn Fn(&Front) -> Result<Report, Failure>| {
        console::run(Operation::Bundle, name, options.clone(), body)
    };
    match command.unwrap_or(Command::Run(RunArguments::default())) {
        Command::Run(arguments) => run("run", &|front| {
            let key = keys::signing(&front.config()?)?;
            arguments.run(front, Part::All(&key))
        }),
        Command::Mirror(arguments) => run("mirror", &|front| arguments.run(front, Part::Mirror)),
        Command::Publish { resend } => run("publish", &|front| {
            let key = keys::signing(&front.config()?)?;
            let arguments = RunArguments {
                resend,
                ..RunArguments::default()
            };
            arguments.run(front, Part::Publish(&key))
        }),
        Command::Prune(arguments) => run("prune", &|front| arguments.run(front)),
        Command::Export(arguments) => run("export", &|front| arguments.run(front)),
        Command::CheckStore { repair } => run("check-store", &|front| check_store(front, repair)),
        Command::Sign {
            sequence,
            key,
            signers,
        } => run("sign", &|front| {
            let trusted = signers.trusted(front)?;
            sign::sign(
                &*front.location()?.open()?,
                trusted,
                sequence,
                key.as_deref(),
            )
        }),
        Command::Check => run("check", &|front| {
            check(&front.config()?, front.location()).report()
        }),
        Command::Plan => run("plan", &|front| {
            plan::report(&front.config()?, &interrupt::watch()?)
        }),
        Command::Keygen { out } => run("keygen", &|_| {
            let pair = keygen(&out, "signing")?;
            let text = format!(
                "{} (keep it secret, give it to the bundler as `signing.keyFile`)\n{} (give it to every populator as `trust.keys`)\nkey id {}",
                pair.private.display(),
                pair.public.display(),
                pair.id
            );
            Ok(Report::new("done", text).with(&serde_json::json!({ "keyId": pair.id }))?)
        }),
        Command::Ack { receipt } => run("ack", &|front| {
            let config = front.config()?;
            let store = front.location()?.open_to_read()?;
            ack(&config, &*store, &keys::own(&config)?, &receipt)
        }),
        Command::List { signers } => run("list", &|front| {
            let config = front.config()?;
            let store = front.location()?.open_to_read()?;
            let acknowledged = Acknowledged::read(&config.artefacts.metadata_dir)?;
            let trusted = signers.trusted(front)?;
            let (rows, table) = list::list(&*store, &trusted, acknowledged.as_ref())?;
            Ok(Report::new("done", table).with(&rows)?)
        }),
        Command::Diff {
            before,
            after,
            signers,
        } => run("diff", &|front| {
            let store = front.location()?.open_to_read()?;
            diff::report(&*store, &signers.trusted(front)?, [before, after])
        }),
        Command::Show { sequence, signers } => run("show", &|front| {
            let store = front.location()?.open_to_read()?;
            let bundle = list::show(&*store, &signers.trusted(front)?, sequence)?;
            Ok(
                Report::new("done", String::from_utf8_lossy(Verified::payload(&bundle)))
                    .with(&*bundle)?,
            )
        }),
    }
}

impl RunArguments {
    fn run(&self, front: &Front, part: Part<'_>) -> Result<Report, Failure> {
        let config = front.config()?;
        let interrupt = interrupt::watch()?;
        let _locks = Locks::acquire(&config.artefacts)?;
        let store = front.location()?.open()?;
        if !matches!(part, Part::Mirror) && !store.refuses_overwrite()? {
            tracing::warn!(
                store = store.describe(),
                "this store ignores `If-None-Match`: a second bundler on another host would not be noticed in time"
            );
        }
        let request = Request {
            config: &config,
            front,
            part,
            partial: if self.allow_partial || config.bundle.allow_partial {
                PartialRuns::Allow
            } else {
                PartialRuns::Refuse
            },
            extent: self.extent.extent(&config)?,
            beginning: if self.first {
                Beginning::Said
            } else {
                Beginning::NotSaid
            },
            sending: if self.resend.resend {
                Sending::All
            } else {
                Sending::Missing
            },
            interrupt: &interrupt,
        };
        report(&bundle(&request, &*store)?, &store.describe(), front)
    }
}

impl PruneArguments {
    fn run(&self, front: &Front) -> Result<Report, Failure> {
        let config = front.config()?;
        let _locks = (!self.dry_run)
            .then(|| Locks::acquire(&config.artefacts))
            .transpose()?;
        let request = prune::Request {
            config: &config,
            front,
            key: &keys::signing(&config)?,
            keep: Keep {
                full: self.keep_full,
                days: self.keep_days,
                applied: acknowledged::lowest(&config)?,
            },
            orphans: if self.orphans {
                Orphans::Drop
            } else {
                Orphans::Keep
            },
            grace: self.grace,
            act: if self.dry_run { Act::Tell } else { Act::Drop },
            interrupt: &interrupt::watch()?,
        };
        let location = front.location()?;
        prune::prune(&request, &*location.open()?, &*location.open_to_discard()?)
    }
}

fn check_store(front: &Front, repair: bool) -> Result<Report, Failure> {
    let config = front.config()?;
    let request = check_store::Request {
        config: &config,
        ours: keys::own(&config)?,
        interrupt: &interrupt::watch()?,
    };
    if !repair {
        return check_store::check(&request, &*front.location()?.open_to_read()?);
    }
    let _locks = Locks::acquire(&config.artefacts)?;
    check_store::repair(&request, &*front.location()?.open()?)
}

fn report(bundled: &Bundled, place: &str, front: &Front) -> Result<Report, Failure> {
    Ok(match bundled {
        Bundled::Sealed {
            manifest,
            content,
            tally,
        } => return published(manifest, content, tally, place, front),
        Bundled::NothingNew => Report::new(
            "nothing new",
            "nothing new: `oc-mirror` wrote no archive, no bundle was published",
        ),
        Bundled::Mirrored { archives, content } => Report::new(
            "mirrored",
            format!("mirrored: {content}; {archives} archives wait for `publish`"),
        ),
        Bundled::Unpublished => Report::new(
            "unpublished",
            "nothing was mirrored: what an earlier run mirrored waits for `publish`",
        ),
        Bundled::Finished(sequence) => Report::new(
            "published",
            format!("published bundle {sequence} in {place}, which an earlier run had signed"),
        ),
        Bundled::NothingToPublish => Report::new(
            "nothing to do",
            "nothing to do: nothing was mirrored that waits to be published",
        ),
    })
}

fn published(
    manifest: &Manifest,
    content: &Named,
    tally: &Tally,
    place: &str,
    front: &Front,
) -> Result<Report, Failure> {
    front.note(|facts| facts.sequence = Some(manifest.sequence.number()));
    for lack in &manifest.incomplete {
        tracing::error!(
            image = lack.reference,
            "PARTIAL BUNDLE: this image is missing from it"
        );
    }
    let text = match manifest.requires {
        Some(last) if manifest.kind == Kind::Heartbeat => format!(
            "published bundle {} (heartbeat) in {place}: nothing changed since bundle {}; {content}",
            manifest.sequence, last.sequence
        ),
        _ => text_of_content(manifest, content, tally, place),
    };
    let result = serde_json::json!({
        "kind": manifest.kind,
        "requires": manifest.requires,
        "incomplete": manifest.incomplete,
        "content": content,
        "chunksSent": tally.chunks_sent,
        "bytesSent": tally.bytes_sent,
    });
    Ok(Report::new("published", text).with(&result)?)
}

fn text_of_content(manifest: &Manifest, content: &Named, tally: &Tally, place: &str) -> String {
    format!(
        "published bundle {} ({}{}) in {place}: {content}; {} files, {} bytes in {} chunks, of which {} ({} bytes) were sent",
        manifest.sequence,
        manifest.kind.as_str(),
        if manifest.incomplete.is_empty() {
            ""
        } else {
            ", PARTIAL"
        },
        manifest.files.len(),
        tally.bytes,
        tally.chunks,
        tally.chunks_sent,
        tally.bytes_sent,
    )
}
