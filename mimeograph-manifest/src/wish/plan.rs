//! What an image set will come to, from a dry run in an empty directory: before an image is fetched.

use std::collections::BTreeMap;

use serde::Serialize;

use super::evidence::Evidence;
use super::{Chart, Question, WishError, charts, operators, releases};
use crate::catalog::SelectedPackage;
use crate::digest::Digest;
use crate::imageset::Findings;

/// What an image set will come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The releases.
    pub releases: Vec<PlannedRelease>,
    /// The operator catalogues.
    pub operators: Vec<PlannedCatalog>,
    /// The charts.
    pub charts: Vec<Chart>,
    /// What cannot be met.
    pub findings: Vec<crate::imageset::Finding>,
    /// What is worth knowing, and no fault.
    pub hints: Vec<String>,
}

/// A release that will be mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRelease {
    /// Its version, or the digest that the image set names.
    pub version: String,
    /// As in the tags of releases.
    pub architecture: String,
    /// The digest of its image.
    pub digest: Digest,
}

/// A catalogue that will be mirrored, and what is selected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCatalog {
    /// As the image set has it.
    pub reference: String,
    /// Its digest at the source.
    pub source: Digest,
    /// The packages, by name.
    pub packages: BTreeMap<String, SelectedPackage>,
    /// How many packages the cluster will be offered besides, whose images do not travel (up to 4.17).
    pub dead_packages: u64,
}

/// Judges what a dry run left. The question's structure is not looked at: nothing was archived.
pub fn plan(question: &Question<'_>, evidence: &mut dyn Evidence) -> Result<Plan, WishError> {
    let (mut found, mut hints) = (Vec::new(), Vec::new());
    let releases = releases::planned(question, evidence, &mut found, &mut hints)?;
    let operators = operators::planned(question, evidence, &mut found, &mut hints)?;
    let charts = charts::resolve(question, evidence, &mut found, &mut hints)?;
    Ok(Plan {
        releases,
        operators,
        charts,
        findings: Findings::new(found).into_vec(),
        hints,
    })
}
