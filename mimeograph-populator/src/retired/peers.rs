//! The other streams that fill the same registry (`state.peers`), and the repositories that they name.
//!
//! Every stream that fills a repository keeps its state's copy in a namespace above that repository. So all of them are
//! looked at, and a stream that is found there without being known is an error.

use std::collections::BTreeSet;
use std::path::PathBuf;

use mimeograph_manifest::failure::{ErrorId, Failure, Fault};
use mimeograph_manifest::io::config::{Config, Peer};
use mimeograph_manifest::io::keys;
use mimeograph_manifest::manifest::Generation;
use mimeograph_manifest::name::StreamId;
use mimeograph_manifest::state::VerifiedCopy;

use crate::copy::{Copies, Found};

/// What the others name.
#[derive(Debug, Default)]
pub struct Peers {
    /// Their repositories, without the host.
    pub repositories: BTreeSet<String>,
    /// Places that we may not look at: a stream that keeps its copy there is not known.
    pub unseen: Vec<String>,
}

/// Why nobody can tell what the others name.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// Nothing is kept, so nothing can be read.
    #[error("`state.copy` is `none`: which other streams fill this registry is not known")]
    NoCopies,
    /// A stream that nobody told us of.
    #[error(
        "stream {stream} fills this registry too (`{place}`), and `state.peers` does not name it"
    )]
    Unknown {
        /// The stream.
        stream: StreamId,
        /// Where its copy is.
        place: String,
    },
    /// It has left no copy.
    #[error("there is no copy of the state of stream {0}, which `state.peers` names")]
    Absent(StreamId),
    /// Its copy does not count.
    #[error("the state's copy `{place}`, of a stream of `state.peers`, cannot be used: {why}")]
    Unverified {
        /// Where it is.
        place: String,
        /// Why.
        why: String,
    },
}

impl Fault for PeersError {
    fn id(&self) -> ErrorId {
        match self {
            Self::NoCopies | Self::Unknown { .. } => ErrorId::ConfigInvalid,
            Self::Absent(_) => ErrorId::InputMissing,
            Self::Unverified { .. } => ErrorId::Untrusted,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::NoCopies => "keep the copies of all streams of a registry in one place: `state.copy: registry`, or a path",
                Self::Unknown { .. } => "add it to `state.peers` with the keys that it is signed with; if it is given up, remove its copy",
                Self::Absent(_) => "run its populator once, or take it out of `state.peers` if it is given up",
                Self::Unverified { .. } => "correct the keys in `state.peers`, or run its populator once",
            }
            .into(),
        )
    }
}

/// Reads what the others name, as far as it may touch these repositories.
pub fn read(
    config: &Config,
    ours: &StreamId,
    repositories: &BTreeSet<&str>,
) -> Result<Peers, Failure> {
    let copies = Copies::open(config)?.ok_or(PeersError::NoCopies)?;
    let own = config.target()?.namespace();
    let mut peers = Peers::default();
    let mut missing: BTreeSet<_> = config.state.peers.iter().map(|peer| &peer.stream).collect();
    missing.remove(ours);
    for namespace in namespaces(own, repositories) {
        let other = (namespace != own).then(|| copies.in_namespace(namespace));
        let place = match &other {
            None => &copies,
            Some(Some(place)) => place,
            Some(None) => continue,
        };
        let streams = match place.streams() {
            Err(failure) if other.is_some() && failure.id() == ErrorId::RegistryForbidden => {
                peers.unseen.push(place.to_string());
                continue;
            }
            streams => streams?,
        };
        for stream in streams.into_iter().filter(|stream| stream != ours) {
            let peer = config.state.peers.iter().find(|peer| peer.stream == stream);
            let Some(peer) = peer else {
                let place = place.place(&stream);
                return Err(PeersError::Unknown { stream, place }.into());
            };
            let copy = read_peer(place, peer)?;
            peers.repositories.extend(named_by(&copy, namespace));
            missing.remove(&peer.stream);
        }
    }
    match missing.first() {
        Some(stream) => Err(PeersError::Absent((*stream).clone()).into()),
        None => Ok(peers),
    }
}

/// Our own namespace, and all those above these repositories.
fn namespaces<'a>(own: &'a str, repositories: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut namespaces = BTreeSet::from([own, ""]);
    for repository in repositories {
        let ends = repository.match_indices('/').map(|(end, _)| end);
        namespaces.extend(ends.map(|end| &repository[..end]));
    }
    namespaces
}

fn read_peer(copies: &Copies, peer: &Peer) -> Result<VerifiedCopy, Failure> {
    let files: Vec<PathBuf> = peer.keys.iter().map(|key| key.to_path_buf()).collect();
    let trusted = keys::trusted_files(&files, None)?;
    let place = copies.place(&peer.stream);
    match copies.read(&peer.stream, &trusted)? {
        Found::Verified(copy) if is_silent(&copy) => {
            let why = "it does not say where everything was put".to_owned();
            Err(PeersError::Unverified { place, why }.into())
        }
        Found::Verified(copy) => Ok(*copy),
        Found::Unverified { why } => Err(PeersError::Unverified { place, why }.into()),
        Found::Absent => Err(PeersError::Absent(peer.stream.clone()).into()),
    }
}

fn is_silent(copy: &VerifiedCopy) -> bool {
    let is_v2 = copy.content.producer.generation == Generation::V2;
    is_v2 && copy.destinations.is_empty() && !copy.inventory.wish.digests().is_empty()
}

/// Where the last load put everything, and every repository of its archives, below its namespace.
fn named_by(copy: &VerifiedCopy, namespace: &str) -> Vec<String> {
    let below = |name: &String| match namespace {
        "" => name.clone(),
        namespace => format!("{namespace}/{name}"),
    };
    let archived = copy.inventory.structure.repositories.keys().map(below);
    let placed = copy.destinations.iter().map(|one| one.repository.clone());
    archived.chain(placed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_above_a_repository_may_hold_the_copy_of_a_stream_that_fills_it() {
        let repositories = BTreeSet::from(["mirror/apps/1", "mirror/apps/2", "mirror/ubi9"]);
        let expected = BTreeSet::from(["", "mirror", "mirror/apps"]);
        assert_eq!(namespaces("mirror", &repositories), expected);
        assert_eq!(
            namespaces("", &BTreeSet::from(["app"])),
            BTreeSet::from([""])
        );
    }
}
