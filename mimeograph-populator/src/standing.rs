//! What became of each bundle here, and what a run would make of it today: the ledger's word, and the store's beside it.
//!
//! Where the two differ, what was applied is what the ledger says; the store is only what somebody wrote there.

use std::collections::BTreeSet;

use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Failure, chain};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Signed, Verified};
use mimeograph_manifest::trust::TrustedKeys;
use serde::Serialize;

use crate::ledger::{Fate, LedgerError};
use crate::verify::Side;

/// One bundle, here and in the store.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Its number.
    pub sequence: Sequence,
    /// What became of it.
    pub here: Here,
    /// Its manifest's digest: of what was accepted here, else of what lies in the store.
    pub sha256: Digest,
    /// The manifest with that digest, where the store has it with signatures that count, or counted when it was accepted.
    pub manifest: Option<Verified<Manifest>>,
    /// What a run would make of what lies in the store.
    pub today: Judged,
    /// What lies in the store.
    pub signed: Option<Signed<Manifest>>,
    /// Whether nothing newer lies there.
    pub is_newest: bool,
}

/// What became of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    /// It was accepted.
    Accepted(Fate),
    /// It lies below what is applied, and was never looked at.
    Passed,
    /// It was not.
    New,
}

impl Here {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted(fate) => fate.as_str(),
            Self::Passed => Fate::Skipped.as_str(),
            Self::New => "new",
        }
    }
}

/// What becomes of what lies in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Judged {
    /// Why it would not be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_id: Option<ErrorId>,
    /// Who signed it, or what is wrong.
    pub says: String,
}

impl Judged {
    pub(crate) fn word(&self) -> &'static str {
        match self.error_id {
            None => "accepted",
            Some(ErrorId::PendingApproval | ErrorId::Incomplete) => "waits",
            Some(_) => "REFUSED",
        }
    }

    fn refused(failure: &Failure) -> Self {
        Self {
            error_id: Some(failure.id()),
            says: chain(failure.as_error()),
        }
    }
}

/// Whom a side trusts, and what it accepted before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    pub trusted: &'a TrustedKeys,
    pub side: &'a Side,
}

impl Judge<'_> {
    /// What a run would make of one bundle by itself: signatures, stream, places, audience, time.
    pub(crate) fn judge(&self, signed: Signed<Manifest>, is_newest: bool) -> Judged {
        let judge = || -> Result<String, Failure> {
            let manifest = signed.verify(self.trusted)?;
            self.side.check_places(std::slice::from_ref(&manifest))?;
            self.side.accept(&manifest, is_newest)?;
            let signers = manifest.signers().iter().map(Digest::to_string);
            Ok(format!(
                "signed by {}",
                signers.collect::<Vec<_>>().join(", ")
            ))
        };
        match judge() {
            Ok(says) => Judged {
                error_id: None,
                says,
            },
            Err(failure) => Judged::refused(&failure),
        }
    }
}

/// Every bundle that lies in the store or was accepted here, oldest first.
pub(crate) fn each(
    store: &dyn Fetch,
    judge: Judge<'_>,
    mut see: impl FnMut(Standing),
) -> Result<(), Failure> {
    let listing = Listing::of(store)?;
    let accepted = judge.side.ledger.bundles.keys().copied();
    let sequences: BTreeSet<_> = listing.sequences().chain(accepted).collect();
    for sequence in sequences {
        one(store, &listing, judge, sequence)?.map(&mut see);
    }
    Ok(())
}

/// One of them; nothing where it lies nowhere and was never accepted.
pub(crate) fn one(
    store: &dyn Fetch,
    listing: &Listing,
    judge: Judge<'_>,
    sequence: Sequence,
) -> Result<Option<Standing>, Failure> {
    let ledger = &judge.side.ledger;
    let signed = listing.open(store, sequence, judge.trusted)?;
    let is_newest = listing.newest() == Some(sequence);
    let accepted = ledger.bundles.get(&sequence);
    let here = match accepted {
        Some(accepted) => Here::Accepted(accepted.fate),
        None if Some(sequence) < ledger.mark() => Here::Passed,
        None => Here::New,
    };
    let there = signed.as_ref().map(Signed::digest);
    let Some(sha256) = accepted.map(|one| one.sha256).or(there) else {
        return Ok(None);
    };
    let (manifest, today) = match &signed {
        None => (
            None,
            Judged {
                error_id: Some(ErrorId::InputMissing),
                says: "it is not in the store".into(),
            },
        ),
        Some(found) if found.digest() != sha256 => (
            None,
            Judged {
                error_id: Some(ErrorId::Fork),
                says: format!(
                    "DIFFERS: another manifest lies in the store, {}; {}",
                    found.digest(),
                    chain(&LedgerError::Fork(sequence))
                ),
            },
        ),
        Some(found) => {
            let counted = match accepted {
                Some(_) => found.clone().verify(&judge.trusted.as_floor()),
                None => found.clone().verify(judge.trusted),
            };
            (counted.ok(), judge.judge(found.clone(), is_newest))
        }
    };
    Ok(Some(Standing {
        sequence,
        here,
        sha256,
        manifest,
        today,
        signed,
        is_newest,
    }))
}
