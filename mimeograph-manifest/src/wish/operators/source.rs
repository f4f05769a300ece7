//! Where a catalogue's data lies in the working directory, and what it is published as.

use std::collections::BTreeSet;

use super::Search;
use crate::catalog::{self, FilterOf, Reader, filter_id};
use crate::digest::Digest;
use crate::imageset::Reference;
use crate::limits;
use crate::wish::evidence::Evidence;
use crate::wish::{WishError, read};

/// A catalogue's data, and what it is published as.
pub(super) struct Published {
    pub data: catalog::Catalog,
    /// Whether `oc-mirror` left only the selection in it.
    pub is_selection: bool,
    /// The digest that the cluster will be offered.
    pub digest: Digest,
    /// `oc-mirror`'s name for the selection.
    pub filter: Option<String>,
}

impl Search<'_> {
    /// What a dry run left of the catalogue: no digest of a rebuilt one yet. It was made in an empty directory, so what
    /// lies there is of this run.
    pub(super) fn rehearsed(
        &mut self,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<Published>, WishError> {
        let folder = self.folder();
        let paths = evidence.files(&folder);
        let hex = |path: &String| path.strip_prefix(&folder)?.split('/').next()?.parse().ok();
        let sources: BTreeSet<Digest> = paths.iter().filter_map(hex).collect();
        let Some(first) = sources.first() else {
            let name = &self.wish.catalog;
            let problem = format!("catalogue `{name}` could not be read at its source");
            self.find(
                name.at,
                problem,
                "look for it in the log; correct its name, or take it out",
            );
            return Ok(None);
        };
        let selection = |source: &Digest| {
            let mut folders = self.filters(source).map(|filter| {
                let base = self.filtered(source, &filter);
                format!("{base}/catalog-config/")
            });
            let below = folders.find(|below| paths.iter().any(|path| path.starts_with(below)))?;
            Some((*source, below))
        };
        let selection = sources
            .iter()
            .find_map(selection)
            .filter(|_| self.is_filtered());
        let is_selection = selection.is_some();
        // The whole catalogue tells what could not be selected of it.
        let (digest, below) = selection.unwrap_or_else(|| (*first, self.whole(first)));
        let data = self.data(&below, evidence)?;
        Ok(data.map(|data| Published {
            data,
            is_selection,
            digest,
            filter: None,
        }))
    }

    pub(super) fn published(
        &mut self,
        reference: &Reference,
        source: Digest,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<Published>, WishError> {
        if !self.is_filtered() {
            let data = self.data(&self.whole(&source), evidence)?;
            return Ok(data.map(|data| Published {
                data,
                is_selection: false,
                digest: source,
                filter: None,
            }));
        }
        let name = &self.wish.catalog;
        for filter in self.filters(&source) {
            let base = self.filtered(&source, &filter);
            let path = format!("{base}/digest");
            let Some(digest) = read(evidence, &path, 1024)? else {
                continue;
            };
            let structure = self.question.structure;
            let packed = structure.resolve(&reference.repository, &filter);
            let Some(digest) = digest_in(&digest).filter(|digest| Some(*digest) == packed) else {
                let problem = format!(
                    "the filtered catalogue of `{name}` is not packed under its name (`{}:{filter}`)",
                    reference.repository
                );
                self.find(
                    name.at,
                    problem,
                    "run it again; if it stays so, give the catalogue a `targetCatalog` and `targetTag` of another text",
                );
                return Ok(None);
            };
            let data = self.data(&format!("{base}/catalog-config/"), evidence)?;
            return Ok(data.map(|data| Published {
                data,
                is_selection: true,
                digest,
                filter: Some(filter),
            }));
        }
        self.find(
            name.at,
            format!("catalogue `{name}` was not filtered as the image set asks"),
            "look for it in the log; compare the versions of `oc-mirror`",
        );
        Ok(None)
    }

    /// Whether this `oc-mirror` builds the catalogue anew, with the selection only.
    fn is_filtered(&self) -> bool {
        let is_whole = self.wish.full && self.wish.packages().is_empty();
        self.is_new() && !is_whole
    }

    /// The names that the selection can have.
    fn filters(&self, source: &Digest) -> impl Iterator<Item = String> + use<> {
        let ways = [FilterOf::Digest(source), FilterOf::Name];
        ways.map(|of| filter_id(self.wish, of)).into_iter()
    }

    /// The catalogue's folder in the working directory.
    fn folder(&self) -> String {
        let folder = if self.is_new() {
            "operator-catalogs"
        } else {
            "hold-operator"
        };
        format!("{folder}/{}/", last_component(&self.wish.catalog))
    }

    /// The folder of one selection.
    fn filtered(&self, source: &Digest, filter: &str) -> String {
        format!("{}{source}/filtered-catalogs/{filter}", self.folder())
    }

    /// The folder of all that the catalogue offers.
    pub(super) fn whole(&self, source: &Digest) -> String {
        let below = if self.is_new() {
            "catalog-config/configs"
        } else {
            "configs"
        };
        format!("{}{source}/{below}/", self.folder())
    }

    pub(super) fn data(
        &mut self,
        folder: &str,
        evidence: &mut dyn Evidence,
    ) -> Result<Option<catalog::Catalog>, WishError> {
        let mut reader = Reader::default();
        let files = evidence.files(folder);
        let is_data = |path: &str| {
            [".json", ".yaml", ".yml"]
                .iter()
                .any(|end| path.ends_with(end))
        };
        for path in files.iter().filter(|path| is_data(path)) {
            let Some(bytes) = read(evidence, path, limits::CATALOG_SIZE as u64)? else {
                continue;
            };
            if let Err(error) = reader.read(path, &bytes) {
                self.find(
                    self.wish.catalog.at,
                    format!("catalogue `{}` cannot be read: {error}", self.wish.catalog),
                    "ask whoever publishes the catalogue",
                );
                return Ok(None);
            }
        }
        let data = reader.finish();
        if data.packages.is_empty() && self.wish.packages().is_empty() {
            self.find(
                self.wish.catalog.at,
                format!("catalogue `{}` has no packages", self.wish.catalog),
                "look for it in the log",
            );
            return Ok(None);
        }
        Ok(Some(data))
    }
}

/// The digest in a file that holds nothing else.
fn digest_in(bytes: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    text.trim_start_matches("sha256:").parse().ok()
}

/// The last component of a catalogue's name, without tag and digest: its folder in the working directory.
fn last_component(name: &str) -> &str {
    let plain = name.split_once('@').map_or(name, |(name, _)| name);
    let last = plain.rsplit('/').next().unwrap_or(plain);
    last.split_once(':').map_or(last, |(name, _)| name)
}
