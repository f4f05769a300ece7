//! What must hold whatever happened.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use mimeograph_manifest::failure::ErrorId;
use mimeograph_manifest::inventory::Inventory;
use mimeograph_manifest::io::dir::DirStore;
use mimeograph_manifest::io::fetched;
use mimeograph_manifest::manifest::{Manifest, Role};
use mimeograph_manifest::signed::Verified;
use mimeograph_manifest::wish::Resolved;
use mimeograph_tests::gap::Ran;
use serde_json::Value;

use super::world::World;
use crate::end::{manifests, nothing_half_written};

impl World {
    /// What was published stays as it is until it is pruned, oldest first, and what is new goes on from it. Tells how much
    /// is new.
    pub(super) fn look_at_the_near_store(&mut self) -> Result<usize, String> {
        let store = DirStore::open(&self.gap().path("store")).unwrap();
        nothing_half_written(self.gap(), &store)?;
        let (mut new, mut before) = (0, None::<Verified<Manifest>>);
        for manifest in manifests(self.gap(), &store)? {
            let number = manifest.sequence.number();
            match self.published.get(&number) {
                Some(known) if known.digest == manifest.digest().to_string() => {}
                Some(_) => return Err(format!("bundle {number} was replaced")),
                None => {
                    let bundle = Published::of(&store, &manifest)?;
                    self.published.insert(number, bundle);
                    new += 1;
                }
            }
            let begins = before.is_none() && (number == 1 || self.pruned);
            if !begins && manifest.previous != before.as_ref().map(Verified::link) {
                return Err(format!("bundle {number} does not follow"));
            }
            before = Some(manifest);
        }
        if before.map(|last| last.sequence.number()) != self.published.keys().next_back().copied() {
            return Err("the newest bundle is gone".to_owned());
        }
        Ok(new)
    }

    /// Every image that the image set of a bundle came to.
    pub(super) fn promise(&mut self, number: u64) -> Result<(), String> {
        let bundle = self.published.get(&number);
        let bundle = bundle.ok_or_else(|| format!("bundle {number} was never published"))?;
        self.promised.extend(bundle.images.iter().cloned());
        Ok(())
    }

    /// Whatever became of a run: its state names nothing that was not published.
    pub(super) fn the_state_is_of_the_stream(&self, ran: &Ran) -> Result<(), String> {
        let path = self.gap().path("disconnected/metadata/state.json");
        let Ok(bytes) = fs::read(path) else {
            return Ok(());
        };
        let state: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        for (number, bundle) in state["bundles"].as_object().unwrap() {
            let known = self.published.get(&number.parse().unwrap());
            if known.map(|known| known.digest.as_str()) != bundle["sha256"].as_str() {
                return Err(format!("the state has another bundle {number}: {ran}"));
            }
        }
        Ok(())
    }

    /// Every image that was promised can be had, whole; nothing is there that the source never had.
    pub(super) fn nothing_promised_is_missing(&self) -> Result<(), String> {
        let target = &self.gap().target;
        for (repository, digest) in &self.promised {
            let manifest = target.manifest(repository, digest);
            let manifest = manifest.ok_or_else(|| format!("{repository}@{digest} is gone"))?;
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            let layers = manifest["layers"].as_array().unwrap().iter();
            for blob in layers.chain([&manifest["config"]]) {
                let digest = blob["digest"].as_str().unwrap();
                if target.blob(repository, digest).is_none() {
                    return Err(format!("{repository} lacks {digest}"));
                }
            }
        }
        let source = self.gap().source.snapshot();
        for (name, bytes) in target.snapshot() {
            let Some(rest) = name.strip_prefix("mirror/apps/") else {
                continue;
            };
            if rest.contains('@') && source.get(&format!("apps/{rest}")) != Some(&bytes) {
                return Err(format!("{name} is not from the source"));
            }
        }
        Ok(())
    }
}

/// A bundle that was published.
pub(crate) struct Published {
    digest: String,
    /// What its image set came to: repositories of the target, and digests.
    images: Vec<(String, String)>,
}

impl Published {
    fn of(store: &DirStore, manifest: &Verified<Manifest>) -> Result<Self, String> {
        let digest = manifest.digest().to_string();
        let mut files = manifest.files.iter();
        let mut images = Vec::new();
        if let Some(file) = files.find(|file| file.role == Role::Inventory) {
            let bytes = fetched::small_file(store, file).map_err(|error| error.to_string())?;
            let inventory = Inventory::from_bytes(&bytes).map_err(|error| error.to_string())?;
            let image =
                |one: &Resolved| (format!("mirror/{}", one.repository), one.digest.to_oci());
            images.extend(inventory.wish.images.iter().map(image));
        }
        Ok(Self { digest, images })
    }
}

/// How often what came of it.
static ENDS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How the runs so far have ended.
pub(super) fn ends() -> BTreeMap<String, u64> {
    ENDS.lock().unwrap().clone()
}

/// It ended well, or named its reason with the status that goes with it: never a bug, never without a word.
pub(super) fn is_named(ran: &Ran) -> Result<(), String> {
    let end = |what: &str| {
        let program = if ran.command.contains("populator") {
            "populator"
        } else {
            "bundler"
        };
        let mut ends = ENDS.lock().unwrap();
        *ends.entry(format!("{program}: {what}")).or_default() += 1;
    };
    if ran.status == 0 {
        let between = |from, to| Some(ran.stdout.split_once(from)?.1.split_once(to)?.0);
        let kind = between("published bundle", ")").and_then(|text| text.split_once('('));
        let outcome = between("\"outcome\":\"", "\"");
        end(outcome.or(kind.map(|(_, kind)| kind)).unwrap_or("done"));
        return Ok(());
    }
    let named = ErrorId::ALL.iter().find(|id| {
        i32::from(id.exit().code()) == ran.status && ran.stderr.contains(&format!("[{id}]"))
    });
    match named {
        Some(ErrorId::Bug) | None => Err(format!("it does not name its reason: {ran}")),
        Some(id) => {
            end(id.as_str());
            Ok(())
        }
    }
}
