//! Command line flags, as each release has them.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::release::Release;
use crate::release::Release::{V4_17, V4_20, V5_2};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Text,
    Number,
}

/// One flag: name, short name, what it takes, first and last release, whether help shows it.
type Flag = (&'static str, Option<char>, Takes, Release, Release, Shown);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

use Shown::{No, Yes};
use Takes::{Nothing, Number, Text};

const V2: &[Flag] = &[
    ("authfile", None, Text, V4_17, V5_2, Yes),
    ("cache-dir", None, Text, V4_20, V5_2, Yes),
    ("config", Some('c'), Text, V4_17, V5_2, Yes),
    ("dest-authfile", None, Text, V4_17, V5_2, No),
    ("dest-cert-dir", None, Text, V4_17, V5_2, No),
    ("dest-creds", None, Text, V4_17, V5_2, No),
    ("dest-tls-verify", None, Nothing, V4_17, V5_2, Yes),
    ("dry-run", None, Nothing, V4_17, V5_2, Yes),
    ("dry-run-manifest-lists", None, Nothing, V5_2, V5_2, Yes),
    ("from", None, Text, V4_17, V5_2, Yes),
    ("help", Some('h'), Nothing, V4_17, V5_2, Yes),
    ("ignore-release-signature", None, Nothing, V4_20, V5_2, No),
    ("image-timeout", None, Text, V4_17, V5_2, Yes),
    ("log-level", None, Text, V4_20, V5_2, Yes),
    ("loglevel", None, Text, V4_17, V4_17, Yes),
    ("max-nested-paths", None, Number, V4_17, V5_2, Yes),
    ("max-parallel-downloads", None, Number, V4_17, V4_17, Yes),
    ("parallel-batch-images", None, Number, V4_17, V4_17, No),
    ("parallel-images", None, Number, V4_20, V5_2, Yes),
    ("parallel-layers", None, Number, V4_17, V4_17, No),
    ("parallel-layers", None, Number, V4_20, V5_2, Yes),
    ("policy", None, Text, V4_20, V5_2, Yes),
    ("port", Some('p'), Number, V4_17, V5_2, Yes),
    ("registries.d", None, Text, V4_20, V5_2, Yes),
    ("remove-signatures", None, Nothing, V4_20, V5_2, Yes),
    ("retry-delay", None, Text, V4_17, V5_2, Yes),
    ("retry-times", None, Number, V4_17, V5_2, Yes),
    ("secure-policy", None, Nothing, V4_17, V5_2, Yes),
    ("since", None, Text, V4_17, V5_2, Yes),
    ("src-authfile", None, Text, V4_17, V5_2, No),
    ("src-cert-dir", None, Text, V4_17, V5_2, No),
    ("src-creds", None, Text, V4_17, V5_2, No),
    ("src-no-creds", None, Nothing, V4_17, V5_2, No),
    ("src-tls-verify", None, Nothing, V4_17, V5_2, Yes),
    ("strict-archive", None, Nothing, V4_17, V5_2, Yes),
    ("v2", None, Nothing, V4_17, V5_2, Yes),
    ("workspace", None, Text, V4_17, V5_2, Yes),
];

const V1: &[Flag] = &[
    ("config", Some('c'), Text, V4_17, V5_2, Yes),
    ("continue-on-error", None, Nothing, V4_17, V5_2, Yes),
    ("dest-skip-tls", None, Nothing, V4_17, V5_2, Yes),
    ("dest-use-http", None, Nothing, V4_17, V5_2, Yes),
    ("dry-run", None, Nothing, V4_17, V5_2, Yes),
    (
        "enable-operator-secure-policy",
        None,
        Nothing,
        V4_17,
        V5_2,
        Yes,
    ),
    ("from", None, Text, V4_17, V5_2, Yes),
    ("help", Some('h'), Nothing, V4_17, V5_2, Yes),
    ("ignore-history", None, Nothing, V4_17, V5_2, Yes),
    ("manifests-only", None, Nothing, V4_17, V5_2, Yes),
    ("max-nested-paths", None, Number, V4_17, V5_2, Yes),
    ("max-per-registry", None, Number, V4_17, V5_2, Yes),
    ("oci-registries-config", None, Text, V4_17, V5_2, Yes),
    ("rebuild-catalogs", None, Nothing, V4_17, V5_2, Yes),
    ("skip-cleanup", None, Nothing, V4_17, V5_2, Yes),
    ("skip-metadata-check", None, Nothing, V4_17, V5_2, Yes),
    ("skip-missing", None, Nothing, V4_17, V5_2, Yes),
    ("skip-pruning", None, Nothing, V4_17, V5_2, Yes),
    ("source-skip-tls", None, Nothing, V4_17, V5_2, Yes),
    ("source-use-http", None, Nothing, V4_17, V5_2, Yes),
    ("v1", None, Nothing, V4_17, V5_2, Yes),
    ("verbose", Some('v'), Number, V4_17, V5_2, Yes),
];

const VERSION: &[Flag] = &[
    ("help", Some('h'), Nothing, V4_17, V5_2, Yes),
    ("output", Some('o'), Text, V4_17, V5_2, Yes),
    ("short", None, Nothing, V4_17, V5_2, Yes),
    ("v1", None, Nothing, V4_20, V5_2, Yes),
    ("v2", None, Nothing, V4_17, V5_2, Yes),
];

/// Which command a command line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    V1,
    V2,
    Version,
}

/// A parsed command line.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, String>,
    pub(crate) arguments: Vec<String>,
}

impl Flags {
    pub(crate) fn parse(
        command: Command,
        release: Release,
        arguments: &[String],
    ) -> Result<Self, String> {
        let table = table(command, release);
        let mut found = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (flag, value) = match argument.as_bytes() {
                [b'-', b'-', _, ..] => long(&table, argument)?,
                [b'-', _, ..] => short(&table, argument)?,
                _ => {
                    found.arguments.push(argument.clone());
                    continue;
                }
            };
            let value = match (value, flag.2) {
                (Some(value), _) => value,
                (None, Nothing) => "true".to_owned(),
                (None, _) => rest
                    .next()
                    .cloned()
                    .ok_or_else(|| format!("flag needs an argument: {argument}"))?,
            };
            check(flag, &value)?;
            found.values.insert(flag.0, value);
        }
        Ok(found)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(crate) fn denies(&self, name: &str) -> bool {
        self.get(name) == Some("false")
    }
}

/// The flags as `--help` lists them.
pub(crate) fn help(command: Command, release: Release) -> String {
    let usage = match command {
        Command::V1 => "oc-mirror <destination type>:<destination location>",
        Command::V2 => "oc-mirror --v2 <destination type>:<destination location>",
        Command::Version => "oc-mirror version",
    };
    let mut text = format!("Usage:\n  {usage} [flags]\n\nFlags:\n");
    for (name, short, takes, ..) in table(command, release)
        .into_iter()
        .filter(|flag| flag.5 == Yes)
    {
        let short = short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let takes = match takes {
            Nothing => "",
            Text => " string",
            Number => " int",
        };
        // a string takes all
        let _ = writeln!(text, "  {short}--{name}{takes}");
    }
    text
}

fn table(command: Command, release: Release) -> Vec<Flag> {
    let all = match command {
        Command::V1 => V1,
        Command::V2 => V2,
        Command::Version => VERSION,
    };
    let known = |flag: &&Flag| flag.3 <= release && release <= flag.4;
    all.iter().filter(known).copied().collect()
}

fn long(table: &[Flag], argument: &str) -> Result<(Flag, Option<String>), String> {
    let body = argument.trim_start_matches('-');
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let flag = table.iter().find(|flag| flag.0 == name);
    flag.map(|flag| (*flag, value))
        .ok_or_else(|| format!("unknown flag: --{name}"))
}

fn short(table: &[Flag], argument: &str) -> Result<(Flag, Option<String>), String> {
    let mut letters = argument.chars().skip(1);
    let letter = letters.next().unwrap_or_default();
    let rest: String = letters.collect();
    let value = (!rest.is_empty()).then(|| rest.trim_start_matches('=').to_owned());
    let flag = table.iter().find(|flag| flag.1 == Some(letter));
    flag.map(|flag| (*flag, value))
        .ok_or_else(|| format!("unknown shorthand flag: '{letter}' in {argument}"))
}

fn check(flag: Flag, value: &str) -> Result<(), String> {
    let fits = match flag.2 {
        Nothing => matches!(value, "true" | "false"),
        Number => value.parse::<u32>().is_ok(),
        Text => true,
    };
    // 4.20 and later enforce the range
    let parallel = flag.0.starts_with("parallel-") && flag.5 == Yes;
    let in_range = !parallel
        || value
            .parse()
            .is_ok_and(|number: u32| (1..=10).contains(&number));
    if fits && in_range {
        Ok(())
    } else {
        Err(format!(
            "invalid argument {value:?} for \"--{}\" flag",
            flag.0
        ))
    }
}
