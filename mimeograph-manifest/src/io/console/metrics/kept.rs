//! What the last runs knew.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::summary::{NewestBundle, Summary};
use crate::io::clock;
use crate::io::disk::{self, DiskError};
use crate::time::Timestamp;

const FILE: &str = "metrics.json";
const SIZE: u64 = 1 << 20;

/// By command.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept(BTreeMap<String, OfCommand>);

/// What is known of a command's runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OfCommand {
    /// When the last one ended.
    pub ended: Option<Timestamp>,
    /// When the last one that succeeded ended.
    pub succeeded: Option<Timestamp>,
    /// How often it failed, by error id.
    pub failures: BTreeMap<String, u64>,
    /// The newest bundle that it saw.
    pub newest: Option<NewestBundle>,
    /// The highest applied bundle.
    pub applied: Option<u64>,
    /// Until when keys count.
    pub key_ends: BTreeMap<String, Timestamp>,
}

impl Kept {
    /// Reads it. One that cannot be read is begun anew: it holds nothing that anything rests on.
    pub(super) fn read(metadata: &Path) -> Self {
        let bytes = disk::read_if_there(&metadata.join(FILE), SIZE);
        let bytes = bytes.ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Adds a run.
    pub(super) fn add(&mut self, summary: &Summary) {
        let of = self.0.entry(summary.command.to_owned()).or_default();
        let (now, facts) = (clock::now(), &summary.facts);
        of.ended = Some(now);
        match summary.error_id {
            None => of.succeeded = Some(now),
            Some(id) => *of.failures.entry(id.as_str().to_owned()).or_default() += 1,
        }
        of.newest = facts.newest.or(of.newest);
        of.applied = facts.applied.or(of.applied);
        if !facts.key_ends.is_empty() {
            of.key_ends.clone_from(&facts.key_ends);
        }
    }

    pub(super) fn of(&self, command: &str) -> OfCommand {
        self.0.get(command).cloned().unwrap_or_default()
    }

    pub(super) fn write(&self, metadata: &Path) -> Result<(), DiskError> {
        // Texts and numbers: this cannot fail.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        disk::create_folder(metadata, 0o755)?;
        disk::write_durably(&metadata.join(FILE), &bytes, 0o644)
    }
}
