//! Store -> manifests whose signatures were verified: what may be looked at at all.

use jiff::SignedDuration;
use mimeograph_manifest::failure::{ErrorId, Failure, Fault, chain};
use mimeograph_manifest::io::clock;
use mimeograph_manifest::io::config::{Config, EnclaveName, Trust};
use mimeograph_manifest::io::listing::Listing;
use mimeograph_manifest::io::store::Fetch;
use mimeograph_manifest::manifest::Manifest;
use mimeograph_manifest::name::Sequence;
use mimeograph_manifest::signed::{Verified, VerifyError};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;

use crate::ledger::Ledger;

/// What a store holds for us.
#[derive(Debug, Default)]
pub struct Opened {
    /// Verified manifests, oldest first.
    pub manifests: Vec<Verified<Manifest>>,
    /// Bundles whose signatures are not all there yet.
    pub arriving: Vec<(Sequence, VerifyError)>,
    /// The newest that was accepted before, and would not be today.
    pub passed: Option<Sequence>,
}

/// Why a manifest that was verified is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// For others.
    #[error("bundle {sequence} is for {audience}, and this enclave is {enclave}")]
    Audience {
        /// The bundle.
        sequence: Sequence,
        /// Whom it is for.
        audience: String,
        /// Who we are.
        enclave: String,
    },
    /// Made after now.
    #[error("bundle {sequence} was made at {created}, but it is {now} here")]
    Future {
        /// The bundle.
        sequence: Sequence,
        /// When it says it was made.
        created: Timestamp,
        /// Our clock.
        now: Timestamp,
    },
    /// Our clock went back.
    #[error("the clock says {now}, but a bundle of {latest} was accepted before")]
    Behind {
        /// Our clock.
        now: Timestamp,
        /// The latest accepted.
        latest: Timestamp,
    },
    /// No longer to be accepted.
    #[error("bundle {sequence}, the newest, expired at {expires}")]
    Expired {
        /// The bundle.
        sequence: Sequence,
        /// When.
        expires: Timestamp,
    },
}

impl Fault for OpenError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Audience { .. } => ErrorId::WrongAudience,
            Self::Future { .. } | Self::Behind { .. } => ErrorId::Clock,
            Self::Expired { .. } => ErrorId::Expired,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Audience { .. } => {
                    "correct `enclave` here, or `stream.audience` on the connected side"
                }
                Self::Future { .. } | Self::Behind { .. } => {
                    "compare the clocks of both sides, and set the wrong one"
                }
                Self::Expired { .. } => "run the bundler again and carry what it publishes",
            }
            .into(),
        )
    }
}

/// What a store is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate<'a> {
    pub config: &'a Config,
    pub trusted: &'a TrustedKeys,
    pub ledger: &'a Ledger,
}

impl Gate<'_> {
    /// Steps 2 to 6 of a run: read and verify; stream, place in the chain, audience, time. From `from` on (all, where it is
    /// `None`), and the newest in any case.
    pub(crate) fn open(
        &self,
        store: &dyn Fetch,
        listing: &Listing,
        from: Option<Sequence>,
    ) -> Result<Opened, Failure> {
        let Self {
            config,
            trusted,
            ledger,
        } = self;
        let opened = read(store, listing, trusted, from, ledger)?;
        ledger.check_not_emptied(listing.newest(), config.upkeep)?;
        let pinned = config.trust.stream.as_ref();
        ledger.check(pinned, config.upkeep, &opened.manifests, opened.passed)?;
        let enclave = config.enclave.as_ref().map(EnclaveName::as_str);
        let now = clock::now();
        accept(
            &opened.manifests,
            enclave,
            &config.trust,
            ledger.latest,
            now,
        )?;
        Ok(opened)
    }
}

/// What was accepted stays accepted, whoever is trusted by now.
fn read(
    store: &dyn Fetch,
    listing: &Listing,
    trusted: &TrustedKeys,
    from: Option<Sequence>,
    ledger: &Ledger,
) -> Result<Opened, Failure> {
    let mut opened = Opened::default();
    let newest = listing.newest();
    for sequence in listing
        .sequences()
        .filter(|sequence| from.is_none_or(|from| *sequence >= from) || Some(*sequence) == newest)
    {
        let Some(signed) = listing.open(store, sequence, trusted)? else {
            continue;
        };
        let digest = signed.digest();
        match signed.verify(trusted) {
            Ok(manifest) => {
                for signer in manifest.disregarded() {
                    tracing::warn!(%sequence, key = signer, "a signature that does not count lies there");
                }
                opened.manifests.push(manifest);
            }
            Err(error) if ledger.has_accepted(sequence, digest) => {
                tracing::info!(%sequence, "it was accepted before, and would not be today: {}", chain(&error));
                opened.passed = Some(sequence);
            }
            Err(error @ (VerifyError::Unsigned(_) | VerifyError::Pending { .. })) => {
                tracing::info!(%sequence, "{}", chain(&error));
                opened.arriving.push((sequence, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(opened)
}

/// Checks audience and time of verified manifests.
pub fn accept(
    manifests: &[Verified<Manifest>],
    enclave: Option<&str>,
    trust: &Trust,
    latest: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), OpenError> {
    let skew = trust.clock_skew.signed();
    if let Some(latest) = latest.filter(|latest| *latest > now.plus(skew)) {
        return Err(OpenError::Behind { now, latest });
    }
    for manifest in manifests {
        check_audience(manifest, enclave)?;
        check_created(manifest, skew, now)?;
    }
    manifests.last().map_or(Ok(()), |newest| {
        check_expiry(newest.sequence, newest.expires, now)
    })
}

/// Whether the bundle is for this enclave.
pub fn check_audience(manifest: &Manifest, enclave: Option<&str>) -> Result<(), OpenError> {
    let audience = &manifest.audience;
    let names_us = |name: &String| Some(name.as_str()) == enclave;
    if audience.is_empty() || audience.iter().any(names_us) {
        return Ok(());
    }
    Err(OpenError::Audience {
        sequence: manifest.sequence,
        audience: audience.join(", "),
        enclave: enclave.unwrap_or("not named").to_owned(),
    })
}

/// Whether it was made before now, as far as clocks agree.
pub fn check_created(
    manifest: &Manifest,
    skew: SignedDuration,
    now: Timestamp,
) -> Result<(), OpenError> {
    if manifest.created <= now.plus(skew) {
        return Ok(());
    }
    Err(OpenError::Future {
        sequence: manifest.sequence,
        created: manifest.created,
        now,
    })
}

/// Whether the newest may still be accepted.
pub fn check_expiry(
    sequence: Sequence,
    expires: Timestamp,
    now: Timestamp,
) -> Result<(), OpenError> {
    if expires >= now {
        return Ok(());
    }
    Err(OpenError::Expired { sequence, expires })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroUsize;

    use mimeograph_manifest::digest::Digest;
    use mimeograph_manifest::manifest::{Kind, Link};
    use mimeograph_manifest::trust::Policy;

    use super::*;
    use crate::sample::{self, Memory, sign, trusted};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    /// A heartbeat of these numbers, made at 1000 seconds times its number and good for as long.
    pub(crate) fn manifest(number: u64, audience: &[&str]) -> Verified<Manifest> {
        let before = Link {
            sequence: (number - 1).try_into().unwrap(),
            sha256: Digest::of(b"before"),
        };
        let created = i64::try_from(number).unwrap() * 1000;
        sign(&Manifest {
            audience: audience.iter().map(ToString::to_string).collect(),
            sequence: number.try_into().unwrap(),
            kind: Kind::Heartbeat,
            previous: Some(before),
            requires: Some(before),
            created: at(created),
            expires: at(created + 1000),
            ..sample::manifest()
        })
    }

    fn accepts(
        manifests: &[Verified<Manifest>],
        latest: Option<i64>,
        now: i64,
    ) -> Result<(), ErrorId> {
        let trust = Trust {
            keys: vec![],
            revoked: vec![],
            policy: Policy::any(NonZeroUsize::MIN),
            stream: None,
            wait_at_most: "1d".parse().unwrap(),
            max_age: None,
            approvals_dir: None,
            clock_skew: "5s".parse().unwrap(),
        };
        let accepted = accept(manifests, Some("lab"), &trust, latest.map(at), at(now));
        accepted.map_err(|error| error.id())
    }

    #[test]
    fn nothing_from_the_future_is_accepted_but_for_what_clocks_may_differ() {
        let two = [manifest(2, &[]), manifest(3, &[])];
        assert_eq!(accepts(&two, None, 3000), Ok(()));
        assert_eq!(accepts(&two, None, 2995), Ok(()));
        assert_eq!(accepts(&two, None, 2994), Err(ErrorId::Clock));
        assert_eq!(accepts(&two[..1], None, 2994), Ok(()));
        assert_eq!(accepts(&two[..1], None, 1994), Err(ErrorId::Clock));
    }

    #[test]
    fn a_clock_that_went_back_is_noticed_even_by_an_empty_store() {
        for manifests in [&[][..], &[manifest(2, &[])]] {
            assert_eq!(accepts(manifests, Some(2500), 2495), Ok(()));
            assert_eq!(accepts(manifests, Some(2500), 2494), Err(ErrorId::Clock));
            assert_eq!(accepts(manifests, Some(2000), 2500), Ok(()));
        }
    }

    #[test]
    fn the_newest_alone_must_not_have_expired() {
        let two = [manifest(2, &[]), manifest(3, &[])];
        assert_eq!(accepts(&two, None, 4000), Ok(()));
        assert_eq!(accepts(&two, None, 4001), Err(ErrorId::Expired));
        assert_eq!(accepts(&two[..1], None, 3001), Err(ErrorId::Expired));
        assert_eq!(accepts(&[], None, 4001), Ok(()));
    }

    #[test]
    fn each_must_be_for_us_or_for_anyone() {
        let for_us = manifest(3, &["other", "lab"]);
        let for_others = manifest(2, &["other", "Lab", "laboratory"]);
        assert_eq!(accepts(std::slice::from_ref(&for_us), None, 3500), Ok(()));
        let both = [for_others, for_us];
        assert_eq!(accepts(&both, None, 3500), Err(ErrorId::WrongAudience));
        let [_, for_us] = both;
        assert!(check_audience(&for_us, None).is_err());
        assert!(check_audience(&manifest(2, &[]), None).is_ok());
        assert!(check_audience(&manifest(2, &[]), Some("lab")).is_ok());
    }
    #[test]
    fn what_was_accepted_stays_so_and_the_newest_is_always_read() {
        let mut store = Memory::default();
        let all = [2, 3, 4].map(|number| manifest(number, &[]));
        for manifest in &all {
            store.put(manifest);
        }
        let listing = Listing::of(&store).unwrap();
        let of = |trusted: &TrustedKeys, from: u64, ledger: &Ledger| {
            let from = Sequence::try_from(from).ok();
            let opened = read(&store, &listing, trusted, from, ledger);
            let opened = opened.map_err(|failure| failure.id())?;
            let found = opened.manifests.iter().map(|one| one.sequence.number());
            Ok((found.collect(), opened.passed.map(Sequence::number)))
        };
        let nothing = Ledger::default();
        for (from, found) in [(0, vec![2, 3, 4]), (3, vec![3, 4]), (9, vec![4])] {
            assert_eq!(of(&trusted(), from, &nothing), Ok((found, None)));
        }
        let nobody = TrustedKeys::new([], NonZeroUsize::MIN);
        assert_eq!(of(&nobody, 4, &nothing), Err(ErrorId::Untrusted));
        let mut accepted = Ledger::default();
        accepted.apply(&all[2]);
        assert_eq!(of(&nobody, 4, &accepted), Ok((vec![], Some(4))));
        assert_eq!(of(&nobody, 3, &accepted), Err(ErrorId::Untrusted));
    }
}
