//! The update graph, as the update service sends it and `oc-mirror` records it.

use std::collections::{BTreeMap, VecDeque};

use semver::Version;
use serde::Deserialize;

use crate::digest::Digest;
use crate::imageset::Finding;
use crate::imageset::model::{ReleaseChannel, Text};

/// The graph of one channel and architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
}

/// A release in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its version.
    pub version: Version,
    /// The digest of its image.
    pub digest: Digest,
}

/// The releases that a channel of the image set means, and what of it cannot be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The releases, the lowest first.
    pub releases: Vec<Node>,
    /// What cannot be met.
    pub findings: Vec<Finding>,
}

/// A graph that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the update graph cannot be read")]
pub struct GraphError(#[source] serde_json::Error);

#[derive(Deserialize)]
struct RawGraph {
    #[serde(default)]
    nodes: Vec<RawNode>,
    #[serde(default)]
    edges: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct RawNode {
    version: String,
    payload: String,
}

impl Graph {
    /// Reads it. Nodes without a version or a digest that can be read are left out: none of them can be wanted.
    pub fn parse(bytes: &[u8]) -> Result<Self, GraphError> {
        let raw: RawGraph = serde_json::from_slice(bytes).map_err(GraphError)?;
        let mut places = BTreeMap::new();
        let mut nodes = Vec::new();
        for (index, node) in raw.nodes.iter().enumerate() {
            let digest = node.payload.rsplit_once('@');
            let digest = digest.and_then(|(_, digest)| Digest::from_oci(digest).ok());
            if let (Ok(version), Some(digest)) = (Version::parse(&node.version), digest) {
                places.insert(index, nodes.len());
                nodes.push(Node { version, digest });
            }
        }
        let edges = raw.edges.into_iter();
        let edges = edges
            .filter_map(|(from, to)| Some((*places.get(&from)?, *places.get(&to)?)))
            .collect();
        Ok(Self { nodes, edges })
    }

    /// Whether it has no releases.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What `oc-mirror` makes of a channel (release/cincinnati.go, `resolveChannelVersions`): without bounds its head;
    /// with `full` or an upper bound alone everything from its first release on.
    ///
    /// What it adds to get from one of several channels to the next is not asked for by anyone's word, and not wanted here.
    pub fn wanted(&self, channel: &ReleaseChannel) -> Wanted {
        let mut findings = Vec::new();
        let (lowest, highest) = (
            self.nodes
                .iter()
                .min_by(|one, other| one.version.cmp(&other.version)),
            self.nodes
                .iter()
                .max_by(|one, other| one.version.cmp(&other.version)),
        );
        let (Some(lowest), Some(highest)) = (lowest, highest) else {
            findings.push(Finding::new(
                channel.name.at,
                format!("channel `{}` has no releases", channel.name),
                "correct its name; look whether the update service answers",
            ));
            return Wanted {
                findings,
                ..Wanted::default()
            };
        };
        let range = &channel.range;
        let is_head_only = range.is_open() && !channel.full;
        let low = match &range.min {
            Some(text) => self.bound(channel, "minVersion", text, &mut findings),
            None if is_head_only => Some(&highest.version),
            None => Some(&lowest.version),
        };
        let high = match &range.max {
            Some(text) => self.bound(channel, "maxVersion", text, &mut findings),
            None => Some(&highest.version),
        };
        let (Some(low), Some(high)) = (low, high) else {
            // Those that are there besides are still wanted; the findings stop the run anyway.
            return Wanted {
                findings,
                ..Wanted::default()
            };
        };
        let mut releases: Vec<Node> = if channel.shortest_path {
            self.path(channel, low, high, &mut findings)
        } else {
            let nodes = self.nodes.iter();
            nodes
                .filter(|node| node.version >= *low && node.version <= *high)
                .cloned()
                .collect()
        };
        releases.sort_by(|one, other| one.version.cmp(&other.version));
        Wanted { releases, findings }
    }

    /// A bound must be a release of the channel: `oc-mirror` passes over one that is not, without a word.
    fn bound(
        &self,
        channel: &ReleaseChannel,
        field: &str,
        text: &Text,
        findings: &mut Vec<Finding>,
    ) -> Option<&Version> {
        let version = Version::parse(text).ok();
        let node = self
            .nodes
            .iter()
            .find(|node| Some(&node.version) == version.as_ref());
        if node.is_none() {
            findings.push(Finding::new(
                text.at,
                format!(
                    "release {text} (`{field}`) is not in channel `{}`",
                    channel.name
                ),
                "name a release that the channel has",
            ));
        }
        node.map(|node| &node.version)
    }

    /// The fewest updates from `low` to `high`.
    fn path(
        &self,
        channel: &ReleaseChannel,
        low: &Version,
        high: &Version,
        findings: &mut Vec<Finding>,
    ) -> Vec<Node> {
        let index = |version: &Version| self.nodes.iter().position(|node| node.version == *version);
        let (Some(from), Some(to)) = (index(low), index(high)) else {
            return Vec::new();
        };
        // As `oc-mirror` looks (`GetUpdates`): of several paths of one length that over the highest versions.
        let mut updates: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (start, end) in &self.edges {
            updates.entry(*start).or_default().push(*end);
        }
        let version = |at: &usize| self.nodes.get(*at).map(|node| &node.version);
        for ends in updates.values_mut() {
            ends.sort_by(|one, other| version(other).cmp(&version(one)));
        }
        let mut came_from = BTreeMap::from([(from, from)]);
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for next in updates.get(&at).into_iter().flatten() {
                if !came_from.contains_key(next) {
                    came_from.insert(*next, at);
                    open.push_back(*next);
                }
            }
        }
        let mut path = Vec::new();
        let mut at = to;
        while let Some(before) = came_from.get(&at) {
            path.extend(self.nodes.get(at).cloned());
            if at == from {
                return path;
            }
            at = *before;
        }
        findings.push(Finding::new(
            channel.at,
            format!(
                "channel `{}` has no path of updates from {low} to {high}",
                channel.name
            ),
            "leave `shortestPath` out, or choose other versions",
        ));
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::model::Range;

    fn graph() -> Graph {
        let node = |version: &str| {
            format!(
                r#"{{"version":"{version}","payload":"q/r@sha256:{}"}}"#,
                Digest::of(version.as_bytes())
            )
        };
        let nodes = ["4.9.10", "4.9.2", "4.9.9"].map(node).join(",");
        Graph::parse(
            format!(r#"{{"nodes":[{nodes}],"edges":[[1,0]],"conditionalEdges":[]}}"#).as_bytes(),
        )
        .unwrap()
    }

    fn text(value: &str) -> Text {
        Text {
            value: value.into(),
            ..Text::default()
        }
    }

    fn versions(channel: &ReleaseChannel) -> (Vec<String>, usize) {
        let wanted = graph().wanted(channel);
        let versions = wanted.releases.iter().map(|node| node.version.to_string());
        (versions.collect(), wanted.findings.len())
    }

    #[test]
    fn bounds_mean_what_they_mean_to_oc_mirror() {
        let channel = |min: Option<Text>, max: Option<Text>| ReleaseChannel {
            range: Range { min, max },
            ..ReleaseChannel::default()
        };
        let strings = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(versions(&channel(None, None)), (strings(&["4.9.10"]), 0));
        let full = ReleaseChannel {
            full: true,
            ..ReleaseChannel::default()
        };
        assert_eq!(versions(&full), (strings(&["4.9.2", "4.9.9", "4.9.10"]), 0));
        assert_eq!(
            versions(&channel(Some(text("4.9.9")), None)),
            (strings(&["4.9.9", "4.9.10"]), 0)
        );
        assert_eq!(
            versions(&channel(None, Some(text("4.9.9")))),
            (strings(&["4.9.2", "4.9.9"]), 0)
        );
        assert_eq!(versions(&channel(Some(text("4.9.3")), None)).1, 1);
        assert_eq!(
            versions(&channel(Some(text("4.9.2")), Some(text("4.9.11")))).1,
            1
        );
    }

    #[test]
    fn the_shortest_path_is_found_or_missed_aloud() {
        let shortest = |min: &str| ReleaseChannel {
            range: Range {
                min: Some(text(min)),
                max: Some(text("4.9.10")),
            },
            shortest_path: true,
            ..ReleaseChannel::default()
        };
        assert_eq!(versions(&shortest("4.9.2")).0, ["4.9.2", "4.9.10"]);
        assert_eq!(versions(&shortest("4.9.2")).1, 0);
        assert_eq!(versions(&shortest("4.9.9")).1, 1);
    }

    #[test]
    fn of_two_shortest_paths_that_over_the_higher_version_counts() {
        let node = |version: &str| {
            let digest = Digest::of(version.as_bytes());
            format!(r#"{{"version":"{version}","payload":"q/r@sha256:{digest}"}}"#)
        };
        let nodes = ["4.9.1", "4.9.2", "4.9.3", "4.9.4"].map(node).join(",");
        let graph = format!(r#"{{"nodes":[{nodes}],"edges":[[0,1],[0,2],[1,3],[2,3]]}}"#);
        let channel = ReleaseChannel {
            range: Range {
                min: Some(text("4.9.1")),
                max: Some(text("4.9.4")),
            },
            shortest_path: true,
            ..ReleaseChannel::default()
        };
        let wanted = Graph::parse(graph.as_bytes()).unwrap().wanted(&channel);
        let versions: Vec<_> = wanted
            .releases
            .iter()
            .map(|node| node.version.to_string())
            .collect();
        assert_eq!(versions, ["4.9.1", "4.9.3", "4.9.4"]);
    }
}
