//! What of a wish comes to nothing in the data that was mirrored.

use std::collections::BTreeSet;
use std::fmt;

use super::version::{Interval, strict};
use super::wish::{Line, line, lines, of_all};
use super::{Catalog, Entry, Package, Rule, whole};
use crate::imageset::model::{Operator, Package as Wanted, Place, Range, Text};

/// A line of the image set that comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmet {
    /// The line.
    pub at: Place,
    /// What is missing.
    pub lack: Lack,
}

/// What is missing of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Lack {
    /// Nothing is there at all.
    #[error("the catalogue has no package")]
    Everything,
    /// The package.
    #[error("there is no package `{package}`")]
    Package {
        /// Its name.
        package: String,
    },
    /// The channel.
    #[error("package `{package}` has no channel `{channel}`")]
    Channel {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// Entries of the channel; up to 4.17, such as have a version in their names.
    #[error("channel `{channel}` of package `{package}` has nothing to take")]
    Entries {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// The default channel, of the catalogue or of the wish; empty where there is none.
    #[error("package `{package}` lacks its default channel `{channel}`")]
    DefaultChannel {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// A version in the range. The filter takes the whole channel away, so that the channel may
    /// also be missing from the catalogue.
    #[error("{}package `{package}` has nothing {range}", in_channel(.channel.as_ref()))]
    Range {
        /// The package.
        package: String,
        /// The channel; `None`: any that the wish leaves.
        channel: Option<String>,
        /// `from … to …`.
        range: String,
    },
    /// The bundle of an entry.
    #[error("channel `{channel}` of package `{package}` lists `{bundle}`, which is not there")]
    Bundle {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The bundle.
        bundle: String,
    },
}

fn in_channel(channel: Option<&String>) -> String {
    channel.map_or_else(String::new, |name| format!("channel `{name}` of "))
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.lack)
    }
}

impl Unmet {
    pub(super) fn default_channel(package: &str, channel: &str, at: Place) -> Self {
        let (package, channel) = (package.to_owned(), channel.to_owned());
        let lack = Lack::DefaultChannel { package, channel };
        Self { at, lack }
    }

    pub(super) fn range(package: &str, line: Line, range: &Range) -> Self {
        let end = |word: &str, end: &Option<Text>| {
            let end = end.as_ref().filter(|end| !end.is_empty());
            end.map(|end| format!("{word} {end}"))
        };
        let ends = [end("from", &range.min), end("to", &range.max)];
        let lack = Lack::Range {
            package: package.to_owned(),
            channel: line.channel.map(str::to_owned),
            range: ends.into_iter().flatten().collect::<Vec<_>>().join(" "),
        };
        Self { at: line.at, lack }
    }
}

/// What of the wish comes to nothing in `data`, in the order of the file.
///
/// `data` is what was mirrored: the filtered catalogue, with [`Rule::Whole`] the whole one, and
/// the whole one too where the wish is `full` without packages.
pub fn unmet(data: &Catalog, wish: &Operator, rule: Rule) -> Vec<Unmet> {
    let mut found = Vec::new();
    let mut check = |wanted: &Wanted| {
        let package = data.packages.get(&*wanted.name);
        let package = package.filter(|package| package.default_channel.is_some());
        let Some(package) = package else {
            let package = wanted.name.value.clone();
            let lack = Lack::Package { package };
            found.push(Unmet {
                at: wanted.name.at,
                lack,
            });
            return;
        };
        let mut search = Search {
            package,
            wanted,
            full: wish.full,
            rule,
            found: Vec::new(),
        };
        search.all();
        found.append(&mut search.found);
    };
    if wish.packages().is_empty() {
        data.packages
            .keys()
            .for_each(|name| check(&of_all(wish, name)));
    }
    wish.packages().iter().for_each(check);
    if wish.packages().is_empty() && data.packages.is_empty() {
        let (at, lack) = (wish.catalog.at, Lack::Everything);
        found.push(Unmet { at, lack });
    }
    found.sort();
    found.dedup();
    found
}

/// One package that is there.
#[derive(Debug)]
struct Search<'a> {
    package: &'a Package,
    wanted: &'a Wanted,
    full: bool,
    rule: Rule,
    found: Vec<Unmet>,
}

impl<'a> Search<'a> {
    fn all(&mut self) {
        let named: Vec<Line> = lines(self.wanted).collect();
        for line in &named {
            self.named(*line);
        }
        if named.is_empty() {
            self.unnamed();
        }
        for (channel, entries) in &self.package.channels {
            if let Some(line) = self.looked_at(channel) {
                self.entries(channel, entries, line);
            }
        }
        if self.rule == Rule::Filtered || named.is_empty() {
            self.default_channel();
        }
    }

    /// A channel that the wish names is there, and something of its range.
    fn named(&mut self, line: Line<'a>) {
        let Some(channel) = line.channel else { return };
        let entries = self.package.channels.get(channel);
        match (entries, line.range) {
            (None, Some(range)) if self.rule == Rule::Filtered => self.no_range(line, range),
            (None, _) => {
                let (package, channel) = self.names(channel);
                self.push(line.at, Lack::Channel { package, channel });
            }
            (Some(entries), Some(range)) if self.taken(entries, line).is_empty() => {
                self.no_range(line, range);
            }
            _ => {}
        }
    }

    /// Where the wish names no channel, its range has something in one of them.
    fn unnamed(&mut self) {
        let mut channels = self.package.channels.iter();
        let any = channels.any(|(channel, entries)| {
            let line = self.looked_at(channel);
            line.is_some_and(|line| !self.taken(entries, line).is_empty())
        });
        let line = line(self.wanted, "");
        if let Some((line, range)) = line
            .and_then(|line| Some((line, line.range?)))
            .filter(|_| !any)
        {
            self.no_range(line, range);
        }
    }

    /// A channel has entries, and each that is taken its bundle.
    fn entries(&mut self, channel: &str, entries: &[Entry], line: Line<'a>) {
        let taken = match self.rule {
            Rule::Filtered => entries.iter().map(|entry| entry.name.as_str()).collect(),
            Rule::Whole => self.taken(entries, line),
        };
        if entries.is_empty() || (taken.is_empty() && line.range.is_none()) {
            let (package, channel) = self.names(channel);
            self.push(line.at, Lack::Entries { package, channel });
        }
        let bundles = &self.package.bundles;
        for bundle in taken
            .into_iter()
            .filter(|name| !bundles.contains_key(*name))
        {
            let (package, channel) = self.names(channel);
            let bundle = bundle.to_owned();
            self.push(
                line.at,
                Lack::Bundle {
                    package,
                    channel,
                    bundle,
                },
            );
        }
    }

    /// The default channel is there, and the one that the wish puts. Silent where the channel was
    /// found missing by its name.
    fn default_channel(&mut self) {
        let found = self.package.default_channel.as_deref().unwrap_or_default();
        let other = self.wanted.default_channel.as_ref();
        let other = other.filter(|name| !name.is_empty());
        let (name, at) = other.map_or((found, self.wanted.name.at), |text| (&text.value, text.at));
        let is_there = name == found && self.package.channels.contains_key(name);
        let is_named = lines(self.wanted).any(|line| line.channel == Some(name));
        if !is_there && (!is_named || name != found) {
            self.found
                .push(Unmet::default_channel(&self.wanted.name, name, at));
        }
    }

    /// What the wish says of a channel that is there, if the channel matters.
    fn looked_at(&self, channel: &str) -> Option<Line<'a>> {
        let is_default = self.package.default_channel.as_deref() == Some(channel);
        let is_whole = self.rule == Rule::Filtered || self.full || is_default;
        let line = line(self.wanted, channel)?;
        (is_whole || line.channel.is_some()).then_some(line)
    }

    /// The entries that a line asks for. Filtered, any may be the head.
    fn taken<'e>(&self, entries: &'e [Entry], line: Line) -> BTreeSet<&'e str> {
        let names = entries.iter().map(|entry| entry.name.as_str());
        match (self.rule, line.range) {
            // All bundles of the package, whatever their names.
            (Rule::Whole, None) if self.full && line.channel.is_none() => names.collect(),
            (Rule::Whole, range) => whole::chosen(entries, range, self.full),
            (Rule::Filtered, None) => names.collect(),
            (Rule::Filtered, Some(range)) => {
                let interval = Interval::of(range).ok();
                let version = |name: &str| strict(&self.package.bundles.get(name)?.version);
                let is_in = |name: &&str| Some(interval.as_ref()?.has(&version(name)?));
                names
                    .filter(|name| is_in(name).unwrap_or_default())
                    .collect()
            }
        }
    }

    fn no_range(&mut self, line: Line, range: &Range) {
        self.found
            .push(Unmet::range(&self.wanted.name, line, range));
    }

    fn names(&self, channel: &str) -> (String, String) {
        (self.wanted.name.value.clone(), channel.to_owned())
    }

    fn push(&mut self, at: Place, lack: Lack) {
        self.found.push(Unmet { at, lack });
    }
}
