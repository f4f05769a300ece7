//! What a second person signs: a bundle that a bundler has signed, and what it changes.

use std::fmt::Write as _;

use bytes::Bytes;

use super::fetched;
use super::listing::Listing;
use super::store::Fetch;
use crate::failure::{ErrorId, Failure, Fault};
use crate::inventory::{Inventory, Structure};
use crate::key::SigningKey;
use crate::layout::Key;
use crate::manifest::{Kind, Manifest, Role};
use crate::name::Sequence;
use crate::signed::Verified;
use crate::trust::TrustedKeys;
use crate::wish::Wish;
use crate::wish::named::{Change, diff, in_words};

/// There is no such bundle.
#[derive(Debug, thiserror::Error)]
#[error("there is no bundle {sequence} in {place}")]
struct NoSuchBundle {
    sequence: Sequence,
    place: String,
}

impl Fault for NoSuchBundle {
    fn id(&self) -> ErrorId {
        ErrorId::InputMissing
    }

    fn hint(&self) -> Option<String> {
        Some("`list` shows what there is".into())
    }
}

/// A bundle that may be signed once more.
#[derive(Debug)]
pub struct Candidate {
    /// Its manifest, signed by a bundler.
    pub manifest: Verified<Manifest>,
    /// The bundle with content before it, if one lies there.
    pub before: Option<Sequence>,
    /// What it changes against that one.
    pub changes: Vec<Change>,
}

impl Candidate {
    /// Reads it from a store. One signature of a bundler among `trusted` is enough.
    pub fn read(
        store: &dyn Fetch,
        trusted: &TrustedKeys,
        sequence: Sequence,
    ) -> Result<Self, Failure> {
        let trusted = trusted.to_be_approved();
        let listing = Listing::of(store)?;
        let signed = listing
            .open(store, sequence, &trusted)?
            .ok_or_else(|| NoSuchBundle {
                sequence,
                place: store.describe(),
            })?;
        let manifest = signed.verify(&trusted)?;
        let mut candidate = Self {
            manifest,
            before: None,
            changes: Vec::new(),
        };
        let Some(after) = inventory(store, &candidate.manifest)? else {
            return Ok(candidate);
        };
        let mut before = Inventory::new(Structure::default(), Wish::default());
        for earlier in listing.sequences().rev().filter(|one| *one < sequence) {
            let Some(signed) = listing.open(store, earlier, &trusted)? else {
                continue;
            };
            let manifest = signed.verify(&trusted)?;
            if let Some(inventory) = inventory(store, &manifest)? {
                before = inventory;
                candidate.before = Some(earlier);
                break;
            }
        }
        candidate.changes = diff(&before, &after);
        Ok(candidate)
    }

    /// A signature over its exact bytes, and its name.
    pub fn sign(&self, key: &SigningKey) -> (Key, Bytes) {
        let (sequence, digest) = (self.manifest.sequence, self.manifest.digest());
        let name = Key::signature(sequence, &digest, &key.public().id());
        let signature = key.sign(self.manifest.payload());
        (name, Bytes::copy_from_slice(&signature))
    }

    /// What it is and what it changes, for the person who signs.
    pub fn text(&self) -> String {
        let manifest = &self.manifest;
        let signers = manifest.signers().iter().map(ToString::to_string);
        let signers = signers.collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "bundle {} ({}) of {} ({}), made {}, expires {}: {} files, {} bytes\nmanifest SHA-256 {}\nsigned by {signers}\n",
            manifest.sequence,
            manifest.kind.as_str(),
            manifest.name,
            manifest.stream,
            manifest.created,
            manifest.expires,
            manifest.files.len(),
            manifest.size(),
            manifest.digest(),
        );
        for lack in &manifest.incomplete {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "PARTIAL: {} is missing from it", lack.reference);
        }
        let _ = match self.before {
            _ if manifest.kind == Kind::Heartbeat => writeln!(text, "it changes nothing"),
            Some(before) => writeln!(text, "what it changes against bundle {before}:"),
            None => writeln!(
                text,
                "what it holds (no bundle with content lies before it here):"
            ),
        };
        if manifest.kind != Kind::Heartbeat {
            text.push_str(&in_words(&self.changes));
        }
        text.trim_end().to_owned()
    }
}

fn inventory(store: &dyn Fetch, manifest: &Manifest) -> Result<Option<Inventory>, Failure> {
    let Some(file) = manifest.files(Role::Inventory).next() else {
        return Ok(None);
    };
    let bytes = fetched::small_file(store, file)?;
    Ok(Some(Inventory::from_bytes(&bytes)?))
}
