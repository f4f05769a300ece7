//! The command line of the bundler.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimeograph_manifest::failure::Failure;
use mimeograph_manifest::io::config::{Config, Operation};
use mimeograph_manifest::io::console::{self, Front, Options, Report};
use mimeograph_manifest::io::disk::{self, Lock};
use mimeograph_manifest::io::keygen::keygen;
use mimeograph_manifest::io::{interrupt, keys};
use mimeograph_manifest::key::TrustedKeys;
use mimeograph_manifest::manifest::{Kind, Manifest};
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::named::Named;

use crate::ack::ack;
use crate::acknowledged::{self, Acknowledged};
use crate::bundle::{Bundled, Extent, Request, bundle};
use crate::check::check;
use crate::diff;
use crate::list;
use crate::mirror::PartialRuns;
use crate::plan;
use crate::ship::Tally;

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
    Run {
        /// Publish also where single images failed, and say so in the manifest
        #[arg(long)]
        allow_partial: bool,
        /// Make a bundle that holds everything and needs none before it
        #[arg(long, conflicts_with = "since_sequence")]
        full: bool,
        /// Make a bundle that holds everything that came after this one, and needs none between
        #[arg(long, value_name = "SEQUENCE")]
        since_sequence: Option<Sequence>,
        /// The same, after the last bundle that all enclaves have applied, by their receipts
        #[arg(long, conflicts_with_all = ["full", "since_sequence"])]
        since_acknowledged: bool,
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
    List,
    /// Say what one bundle holds that another does not, by name and version
    Diff {
        /// The earlier bundle's number
        before: Sequence,
        /// The later one's
        after: Sequence,
    },
    /// Show the manifest of one bundle
    Show {
        /// The bundle's number
        sequence: Sequence,
    },
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
    match command.unwrap_or(Command::Run {
        allow_partial: false,
        full: false,
        since_sequence: None,
        since_acknowledged: false,
    }) {
        Command::Run {
            allow_partial,
            full,
            since_sequence,
            since_acknowledged,
        } => run("run", &|front| {
            let extent = match since_sequence {
                Some(sequence) => Extent::Since(sequence),
                None if since_acknowledged => {
                    Extent::Acknowledged(acknowledged::since(&front.config()?)?)
                }
                None if full => Extent::Everything,
                None => Extent::New,
            };
            run_once(front, allow_partial, extent)
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
            ack(&config, &*store, &own_key(&config)?, &receipt)
        }),
        Command::List => run("list", &|front| {
            let config = front.config()?;
            let store = front.location()?.open_to_read()?;
            let acknowledged = Acknowledged::read(&config.artefacts.metadata_dir)?;
            let (rows, table) = list::list(&*store, &own_key(&config)?, acknowledged.as_ref())?;
            Ok(Report::new("done", table).with(&rows)?)
        }),
        Command::Diff { before, after } => run("diff", &|front| {
            let store = front.location()?.open_to_read()?;
            diff::report(&*store, &own_key(&front.config()?)?, [before, after])
        }),
        Command::Show { sequence } => run("show", &|front| {
            let store = front.location()?.open_to_read()?;
            let bundle = list::show(&*store, &own_key(&front.config()?)?, sequence)?;
            Ok(
                Report::new("done", String::from_utf8_lossy(Verified::payload(&bundle)))
                    .with(&*bundle)?,
            )
        }),
    }
}

fn run_once(front: &Front, allow_partial: bool, extent: Extent) -> Result<Report, Failure> {
    let config = front.config()?;
    let interrupt = interrupt::watch()?;
    let key = keys::signing(&config)?;
    for folder in [&config.artefacts.metadata_dir, &config.artefacts.bundle_dir] {
        disk::create_folder(folder, 0o755)?;
    }
    let _lock = Lock::acquire(&config.artefacts.metadata_dir.join("lock"))?;
    let store = front.location()?.open()?;
    if !store.refuses_overwrite()? {
        tracing::warn!(
            store = store.describe(),
            "this store ignores `If-None-Match`: a second bundler on another host would not be noticed in time"
        );
    }
    let partial = if allow_partial || config.bundle.allow_partial {
        PartialRuns::Allow
    } else {
        PartialRuns::Refuse
    };
    let request = Request {
        config: &config,
        front,
        key: &key,
        partial,
        extent,
        interrupt: &interrupt,
    };
    report(&bundle(&request, &*store)?, &store.describe(), front)
}

fn report(bundled: &Bundled, place: &str, front: &Front) -> Result<Report, Failure> {
    let Bundled::Sealed {
        manifest,
        content,
        tally,
    } = bundled
    else {
        return Ok(Report::new(
            "nothing new",
            "nothing new: `oc-mirror` wrote no archive, no bundle was published",
        ));
    };
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

fn own_key(config: &Config) -> Result<TrustedKeys, Failure> {
    Ok(TrustedKeys::new(
        [keys::signing(config)?.public()],
        std::num::NonZeroUsize::MIN,
    ))
}
