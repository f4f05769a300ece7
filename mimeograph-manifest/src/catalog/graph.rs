//! The upgrade graph of a channel: its head, and the part of it that lies in a range.
//!
//! The head is the one entry that no other replaces or skips; from it a line of `replaces` goes
//! down, and each entry on it may skip others (OLM, "Upgrade graph"). The rules are those of
//! github.com/sherine-k/catalog-filter 0.0.5, `channel.go`, which `oc-mirror` from 4.18 on uses.

use std::collections::{BTreeMap, BTreeSet};

use super::Entry;

/// A channel whose graph is sound.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    /// The entries from the head down.
    line: Vec<Node<'a>>,
}

/// An entry of the line; the last one may be replaced without being in the channel.
#[derive(Debug)]
struct Node<'a> {
    name: &'a str,
    skips: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    /// Reads a channel; the error says what is unsound.
    pub(super) fn of(entries: &'a [Entry]) -> Result<Self, &'static str> {
        let mut by_name = BTreeMap::new();
        for entry in entries {
            if by_name.insert(entry.name.as_str(), entry).is_some() {
                return Err("an entry is there twice");
            }
        }
        let mut above = BTreeMap::<&str, usize>::new();
        for entry in entries {
            for name in below(entry) {
                if name == entry.name {
                    return Err("an entry replaces or skips itself");
                }
                *above.entry(name).or_default() += 1;
            }
        }
        let mut heads = entries
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| !above.contains_key(name));
        let head = match (heads.next(), heads.next()) {
            (Some(head), None) => head,
            (None, _) => return Err("it has no head"),
            _ => return Err("it has several heads"),
        };
        if has_cycle(&by_name, above, head) {
            return Err("its upgrades go round in a circle");
        }
        Ok(Self {
            line: line(&by_name, head),
        })
    }

    /// The newest bundle.
    pub(super) fn head(&self) -> Option<&'a str> {
        self.line.first().map(|node| node.name)
    }

    /// The bundles to keep so that all of `is_in` are there and one head remains: an entry of
    /// the line outside the range stays where others need it.
    pub(super) fn within(&self, is_in: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
        let counts = self.counts(&is_in);
        let most = counts.first().copied().unwrap_or_default();
        // The lowest that still has all of them below it, down to the last that has any.
        let from = counts
            .iter()
            .rposition(|count| *count == most)
            .unwrap_or_default();
        let kept = self.line.iter().zip(&counts).skip(from);
        kept.take_while(|(_, count)| **count > 0)
            .flat_map(|(node, _)| {
                let skips = node.skips.iter().copied().filter(|name| is_in(name));
                skips.chain([node.name])
            })
            .collect()
    }

    /// For each entry of the line, how many different bundles of the range are at or below it.
    fn counts(&self, is_in: &impl Fn(&str) -> bool) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut counts: Vec<usize> = self
            .line
            .iter()
            .rev()
            .map(|node| {
                let names = node.skips.iter().copied().chain([node.name]);
                seen.extend(names.filter(|name| is_in(name)));
                seen.len()
            })
            .collect();
        counts.reverse();
        counts
    }
}

/// What an entry replaces and skips, each once.
fn below(entry: &Entry) -> BTreeSet<&str> {
    let skips = entry.skips.iter().chain(&entry.replaces);
    skips.map(String::as_str).collect()
}

/// Whether a walk down from the head leaves an entry unvisited, all those above it gone.
fn has_cycle<'a>(
    by_name: &BTreeMap<&'a str, &'a Entry>,
    mut above: BTreeMap<&'a str, usize>,
    head: &'a str,
) -> bool {
    let mut open = vec![head];
    while let Some(name) = open.pop() {
        for next in by_name.get(name).into_iter().flat_map(|entry| below(entry)) {
            let Some(count) = above.get_mut(next) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                above.remove(next);
                open.push(next);
            }
        }
    }
    !above.is_empty()
}

fn line<'a>(by_name: &BTreeMap<&'a str, &'a Entry>, head: &'a str) -> Vec<Node<'a>> {
    let mut line = Vec::new();
    let mut next = Some(head);
    while let Some(name) = next {
        let entry = by_name.get(name).copied();
        let skips = entry.map(|entry| entry.skips.iter().map(String::as_str).collect());
        line.push(Node {
            name,
            skips: skips.unwrap_or_default(),
        });
        next = entry.and_then(|entry| entry.replaces.as_deref());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, replaces: &str, skips: &[&str]) -> Entry {
        Entry {
            name: name.into(),
            replaces: (!replaces.is_empty()).then(|| replaces.into()),
            skips: skips.iter().map(|name| (*name).to_owned()).collect(),
            skip_range: None,
        }
    }

    #[test]
    fn unsound_channels_are_refused_with_the_reason() {
        for (entries, reason) in [
            (vec![], "it has no head"),
            (
                vec![entry("a", "", &[]), entry("b", "", &[])],
                "it has several heads",
            ),
            (
                vec![entry("a", "", &[]), entry("a", "", &[])],
                "an entry is there twice",
            ),
            (
                vec![entry("a", "a", &[])],
                "an entry replaces or skips itself",
            ),
            (
                vec![entry("a", "b", &[]), entry("b", "a", &[])],
                "it has no head",
            ),
            (
                vec![
                    entry("h", "a", &[]),
                    entry("a", "b", &[]),
                    entry("b", "", &["a"]),
                ],
                "its upgrades go round in a circle",
            ),
        ] {
            assert_eq!(Graph::of(&entries).unwrap_err(), reason, "{entries:?}");
        }
    }

    #[test]
    fn entries_outside_the_range_stay_where_others_hang_on_them() {
        // d replaces c, which skips b and replaces a.
        let entries = [
            entry("d", "c", &[]),
            entry("c", "a", &["b"]),
            entry("b", "a", &[]),
            entry("a", "", &[]),
        ];
        let graph = Graph::of(&entries).unwrap();
        assert_eq!(graph.head(), Some("d"));
        for (range, kept) in [
            ("a", "a"),
            ("ab", "abc"),
            ("b", "bc"),
            ("bd", "bcd"),
            ("ad", "acd"),
            ("", ""),
        ] {
            let kept: BTreeSet<&str> = kept.split("").filter(|name| !name.is_empty()).collect();
            assert_eq!(graph.within(|name| range.contains(name)), kept, "{range}");
        }
    }
}
