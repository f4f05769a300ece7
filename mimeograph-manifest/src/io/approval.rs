//! What a second person signs: a bundle that a bundler has signed, and what it changes.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::Serialize;

use super::fetched;
use super::listing::Listing;
use super::store::Fetch;
use crate::digest::Digest;
use crate::failure::{ErrorId, Failure, Fault};
use crate::inventory::{Inventory, Structure};
use crate::key::SigningKey;
use crate::layout::Key;
use crate::manifest::{Kind, Link, Manifest, Role};
use crate::name::Sequence;
use crate::signed::{FoundSignature, Signed, Verified};
use crate::trust::TrustedKeys;
use crate::wish::Wish;
use crate::wish::named::{Change, diff, diff_files, in_words};

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

/// What lies before it is not of its stream.
#[derive(Debug, thiserror::Error)]
#[error(
    "bundle {earlier} in the store is of another stream than bundle {sequence}: there is nothing to compare with"
)]
struct OtherStream {
    earlier: Sequence,
    sequence: Sequence,
}

impl Fault for OtherStream {
    fn id(&self) -> ErrorId {
        ErrorId::WrongStream
    }

    fn hint(&self) -> Option<String> {
        Some("find out who put it there: the two streams have stores of their own".into())
    }
}

/// A bundle that may be signed once more.
#[derive(Debug)]
pub struct Candidate {
    /// Its manifest, signed by a bundler.
    pub manifest: Verified<Manifest>,
    /// What it is compared with, if there is anything.
    pub before: Option<Compared>,
    /// Bundles between the two that nobody who counts has let pass: what they change is told as this one's change.
    pub passed_over: Vec<Sequence>,
    /// What it changes.
    pub changes: Vec<Change>,
}

/// The bundle with content before it that counts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Its number.
    pub sequence: Sequence,
    /// Who signed it.
    pub signers: Vec<Digest>,
    /// Whether what lies beside its archives is compared, too: its manifest is at hand.
    pub with_files: bool,
}

/// What was accepted before, where that is known.
pub trait Accepted {
    /// Whether exactly this bundle was accepted.
    fn has(&self, bundle: Link) -> bool;

    /// What was applied last, for a store that does not hold it any more.
    fn applied(&self) -> Result<Option<(Sequence, Inventory)>, Failure>;
}

/// Nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Unknown;

impl Accepted for Unknown {
    fn has(&self, _: Link) -> bool {
        false
    }

    fn applied(&self) -> Result<Option<(Sequence, Inventory)>, Failure> {
        Ok(None)
    }
}

impl Candidate {
    /// Reads it from a store. One signature of a bundler among `trusted` is enough. It is compared with what was let pass
    /// before it: what was accepted, or has all signatures that it must. Nobody is shown a change against what nobody saw.
    pub fn read(
        store: &dyn Fetch,
        trusted: &TrustedKeys,
        accepted: &dyn Accepted,
        sequence: Sequence,
    ) -> Result<Self, Failure> {
        let to_be_approved = trusted.to_be_approved();
        let listing = Listing::of(store)?;
        let signed = listing
            .open(store, sequence, &to_be_approved)?
            .ok_or_else(|| NoSuchBundle {
                sequence,
                place: store.describe(),
            })?;
        let manifest = signed.verify(&to_be_approved)?;
        let mut candidate = Self {
            manifest,
            before: None,
            passed_over: Vec::new(),
            changes: Vec::new(),
        };
        let Some(after) = inventory(store, &candidate.manifest)? else {
            return Ok(candidate);
        };
        let applied = accepted.applied()?.filter(|(one, _)| *one < sequence);
        let mut before = None;
        for earlier in listing.sequences().rev().filter(|one| *one < sequence) {
            if applied.as_ref().is_some_and(|(one, _)| earlier < *one) {
                break;
            }
            let Some(signed) = listing.open(store, earlier, trusted)? else {
                continue;
            };
            let link = Link {
                sequence: earlier,
                sha256: signed.digest(),
            };
            let verified = if accepted.has(link) {
                signed.verify(&trusted.as_floor())
            } else {
                signed.verify(trusted)
            };
            match verified {
                Ok(one) if one.stream != candidate.manifest.stream => {
                    return Err(OtherStream { earlier, sequence }.into());
                }
                Ok(one) => {
                    if let Some(inventory) = inventory(store, &one)? {
                        before = Some((one, inventory));
                        break;
                    }
                }
                Err(_) => candidate.passed_over.push(earlier),
            }
        }
        candidate.compare(before, applied, &after);
        Ok(candidate)
    }

    fn compare(
        &mut self,
        before: Option<(Verified<Manifest>, Inventory)>,
        applied: Option<(Sequence, Inventory)>,
        after: &Inventory,
    ) {
        let (manifest, inventory) = match (before, applied) {
            (Some((manifest, inventory)), _) => {
                self.before = Some(Compared {
                    sequence: manifest.sequence,
                    signers: manifest.signers().to_vec(),
                    with_files: true,
                });
                (Some(manifest), inventory)
            }
            (None, Some((sequence, inventory))) => {
                self.before = Some(Compared {
                    sequence,
                    signers: Vec::new(),
                    with_files: false,
                });
                (None, inventory)
            }
            (None, None) => (None, Inventory::new(Structure::default(), Wish::default())),
        };
        self.changes = diff_files(manifest.as_deref(), &self.manifest);
        self.changes.extend(diff(&inventory, after));
    }

    /// A signature over its exact bytes, and its name.
    pub fn sign(&self, key: &SigningKey) -> (Key, Bytes) {
        let (sequence, digest) = (self.manifest.sequence, self.manifest.digest());
        let name = Key::signature(sequence, &digest, &key.public().id());
        let signature = key.sign(self.manifest.payload());
        (name, Bytes::copy_from_slice(&signature))
    }

    /// What it will be once this key has signed it, too: to be verified by whoever has to accept it.
    pub fn signed_by(&self, key: &SigningKey) -> Signed<Manifest> {
        let manifest = &self.manifest;
        manifest.again(Some(FoundSignature {
            manifest: manifest.digest().short(),
            signer: key.public().id().short(),
            bytes: key.sign(manifest.payload()).to_vec(),
        }))
    }

    /// What it is and what it changes, for the person who signs.
    pub fn text(&self) -> String {
        let manifest = &self.manifest;
        let mut text = format!(
            "bundle {} ({}) of {} ({}), made {}, expires {}: {} files, {} bytes\nmanifest SHA-256 {}\nsigned by {}\n",
            manifest.sequence,
            manifest.kind.as_str(),
            manifest.name,
            manifest.stream,
            manifest.created,
            manifest.expires,
            manifest.files.len(),
            manifest.size(),
            manifest.digest(),
            listed(manifest.signers()),
        );
        // Writing to a text cannot fail.
        if !manifest.audience.is_empty() {
            let _ = writeln!(text, "for {} alone", manifest.audience.join(", "));
        }
        for lack in &manifest.incomplete {
            let _ = writeln!(text, "PARTIAL: {} is missing from it", lack.reference);
        }
        if manifest.kind == Kind::Heartbeat {
            return text + "it changes nothing";
        }
        if manifest.producer.mimeograph != env!("CARGO_PKG_VERSION") {
            let _ = writeln!(
                text,
                "note: made by Mimeograph {}, this is {}: what it says of packages, charts and versions may be in other words than ours",
                manifest.producer.mimeograph,
                env!("CARGO_PKG_VERSION")
            );
        }
        if !self.passed_over.is_empty() {
            let numbers = self.passed_over.iter().map(ToString::to_string);
            let _ = writeln!(
                text,
                "note: {} before it lack signatures, or are not trusted: nothing is compared with them",
                numbers.collect::<Vec<_>>().join(", ")
            );
        }
        let _ = match &self.before {
            Some(Compared {
                sequence,
                signers,
                with_files: true,
            }) => writeln!(
                text,
                "what it changes against bundle {sequence}, which is signed by {}:",
                listed(signers)
            ),
            Some(Compared { sequence, .. }) => writeln!(
                text,
                "what it changes against bundle {sequence}, the last that was applied here (its files beside the archives are not in the store, \
                 and count as new):"
            ),
            None => writeln!(
                text,
                "what it holds (no bundle with content that counts lies before it here):"
            ),
        };
        text.push_str(&in_words(&self.changes));
        text.trim_end().to_owned()
    }
}

fn listed(ids: &[Digest]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

fn inventory(store: &dyn Fetch, manifest: &Manifest) -> Result<Option<Inventory>, Failure> {
    let Some(file) = manifest.files(Role::Inventory).next() else {
        return Ok(None);
    };
    let bytes = fetched::small_file(store, file)?;
    Ok(Some(Inventory::from_bytes(&bytes)?))
}
