//! Who is trusted with what: which public keys count, in which role and for how long, which count no more, and how many
//! must have signed.
//!
//! Defends against one key counted twice (a set by key id) and against a signer who passes for two (one key fills one
//! role). A window bounds what a key that was retired in good order can do; a thief writes any `created` that he likes, so
//! only revocation stops a stolen key.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::time::Timestamp;

/// What a key signs for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// It makes bundles.
    #[default]
    Bundler,
    /// It has looked at what a bundle changes.
    Approver,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundler => "bundler",
            Self::Approver => "approver",
        })
    }
}

/// When a key counts; both ends belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Before this moment its signatures do not count, by our clock: a key that is rolled out early.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// What was made after this moment, by its own `created`, it cannot have signed.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
}

/// A public key, and what it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Its role.
    pub role: KeyRole,
    /// When it counts.
    pub window: Window,
}

impl From<PublicKey> for TrustedKey {
    fn from(key: PublicKey) -> Self {
        Self {
            key,
            role: KeyRole::default(),
            window: Window::default(),
        }
    }
}

/// How many must have signed a bundle with content. All of it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Distinct keys of any role.
    pub threshold: NonZeroUsize,
    /// Of them, bundlers.
    pub bundlers: usize,
    /// Of them, approvers.
    pub approvers: usize,
}

impl Policy {
    /// So many of any role.
    pub fn any(threshold: NonZeroUsize) -> Self {
        Self {
            threshold,
            bundlers: 0,
            approvers: 0,
        }
    }

    /// Distinct keys in all.
    pub fn need(&self) -> usize {
        self.threshold.get().max(self.bundlers + self.approvers)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "threshold {}", self.threshold)?;
        for (count, role) in [
            (self.bundlers, KeyRole::Bundler),
            (self.approvers, KeyRole::Approver),
        ] {
            if count > 0 {
                write!(f, ", {role}: {count}")?;
            }
        }
        Ok(())
    }
}

/// Whose signatures a document needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// As many as the policy says: it brings content.
    Policy,
    /// Bundlers alone: it brings none.
    Bundlers,
}

/// The public keys that count, each once, and how many of them must have signed.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
    revoked: Vec<PublicKey>,
    policy: Policy,
    now: Option<Timestamp>,
}

impl TrustedKeys {
    /// Keys that count at any time and in any number, `threshold` of which must have signed.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: NonZeroUsize) -> Self {
        Self::with(
            keys.into_iter().map(TrustedKey::from),
            Vec::new(),
            Policy::any(threshold),
            None,
        )
    }

    /// Keys with their roles and windows, judged at `now`. What is revoked does not count, whatever else is said of it.
    pub fn with(
        keys: impl IntoIterator<Item = TrustedKey>,
        revoked: impl IntoIterator<Item = PublicKey>,
        policy: Policy,
        now: Option<Timestamp>,
    ) -> Self {
        let mut revoked: Vec<_> = revoked.into_iter().collect();
        revoked.sort_by_key(PublicKey::id);
        revoked.dedup();
        let mut keys: Vec<_> = keys
            .into_iter()
            .filter(|one| !revoked.contains(&one.key))
            .collect();
        keys.sort_by_key(|one| one.key.id());
        keys.dedup_by_key(|one| one.key.id());
        Self {
            keys,
            revoked,
            policy,
            now,
        }
    }

    /// The same keys where one bundler's signature is enough: to look at what is to be approved.
    #[must_use]
    pub fn to_be_approved(&self) -> Self {
        Self {
            policy: Policy {
                threshold: NonZeroUsize::MIN,
                bundlers: self.policy.bundlers.max(1),
                approvers: 0,
            },
            ..self.clone()
        }
    }

    /// Every key that ever counted, one of which is enough: what they signed was accepted once, and nothing older may
    /// follow.
    #[must_use]
    pub fn as_floor(&self) -> Self {
        let keys = self.keys.iter().map(|one| one.key);
        Self::new(keys.chain(self.revoked.iter().copied()), NonZeroUsize::MIN)
    }

    /// Those of the keys whose id begins with `short` (16 hexadecimal digits), the revoked ones too.
    pub(crate) fn named<'a>(&'a self, short: &'a str) -> impl Iterator<Item = &'a PublicKey> {
        let keys = self.keys.iter().map(|one| &one.key);
        keys.chain(&self.revoked)
            .filter(move |key| key.id().short() == short)
    }

    /// The key whose signature over exactly `bytes` this is.
    pub(crate) fn signer_of(&self, bytes: &[u8], signature: &[u8; 64]) -> Option<&PublicKey> {
        let mut keys = self.keys.iter().map(|one| &one.key);
        keys.find(|key| key.verifies(bytes, signature))
    }

    /// Whether a signature that verifies by this key counts now, before it is known when what it covers was made; or why
    /// not.
    pub(crate) fn counts_now(&self, key: &PublicKey) -> Result<(), Uncounted> {
        let Some(trusted) = self.keys.iter().find(|one| one.key == *key) else {
            return Err(if self.revoked.contains(key) {
                Uncounted::Revoked
            } else {
                Uncounted::Unknown
            });
        };
        match (trusted.window.not_before, self.now) {
            (Some(begins), Some(now)) if now < begins => Err(Uncounted::NotYet(begins)),
            _ => Ok(()),
        }
    }

    /// Whether a key could sign what was made then.
    pub(crate) fn counts_at(&self, id: &Digest, created: Timestamp) -> Result<(), Uncounted> {
        match self.get(id).and_then(|one| one.window.not_after) {
            Some(ends) if created > ends => Err(Uncounted::Ended(ends)),
            _ => Ok(()),
        }
    }

    /// Whether a signature by this key counts now for what was made then, or why not.
    pub fn would_count(&self, key: &PublicKey, created: Timestamp) -> Result<(), Uncounted> {
        self.counts_now(key)?;
        self.counts_at(&key.id(), created)
    }

    /// The same keys and one more approver, unless it is known already, as whatever it is.
    #[must_use]
    pub fn and_approver(mut self, key: PublicKey) -> Self {
        if self.counts_now(&key) == Err(Uncounted::Unknown) {
            self.keys.push(TrustedKey {
                role: KeyRole::Approver,
                ..key.into()
            });
            self.keys.sort_by_key(|one| one.key.id());
        }
        self
    }

    /// What is still missing for a document that these distinct keys have signed; nothing where it is enough.
    pub(crate) fn lacks(&self, signers: &[Digest], asks: Asks) -> Option<Lack> {
        let of = |role| {
            let is_of = |id: &&Digest| self.get(id).is_some_and(|one| one.role == role);
            signers.iter().filter(is_of).count()
        };
        let (have, need, roles) = match asks {
            Asks::Policy => (
                signers.len(),
                self.policy.need(),
                vec![
                    (KeyRole::Bundler, self.policy.bundlers),
                    (KeyRole::Approver, self.policy.approvers),
                ],
            ),
            Asks::Bundlers => {
                let need = self.policy.bundlers.max(1);
                let have = of(KeyRole::Bundler);
                (have, need, vec![(KeyRole::Bundler, need)])
            }
        };
        let missing: Vec<_> = roles
            .into_iter()
            .filter_map(|(role, need)| {
                let missing = need.saturating_sub(of(role));
                (missing > 0).then_some((role, missing))
            })
            .collect();
        (have < need || !missing.is_empty()).then_some(Lack {
            have,
            need,
            missing,
        })
    }

    /// The key with this id.
    pub fn get(&self, id: &Digest) -> Option<&TrustedKey> {
        self.keys.iter().find(|one| one.key.id() == *id)
    }

    /// The keys, in order of their ids.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Those that count no more, in order of their ids.
    pub fn revoked(&self) -> &[PublicKey] {
        &self.revoked
    }

    /// How many must have signed.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The key ids, in order.
    pub fn ids(&self) -> Vec<Digest> {
        self.keys.iter().map(|one| one.key.id()).collect()
    }
}

/// Why a signature that verifies does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// Nobody trusts the key.
    #[error("not trusted")]
    Unknown,
    /// The key counts no more.
    #[error("revoked")]
    Revoked,
    /// Its window has not begun, by our clock.
    #[error("not valid before {0}")]
    NotYet(Timestamp),
    /// Its window had ended when the document was made.
    #[error("not valid for what is made after {0}")]
    Ended(Timestamp),
}

/// What a document lacks that some have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Signatures that count.
    pub have: usize,
    /// Signatures that must be there.
    pub need: usize,
    /// How many more of which role.
    pub missing: Vec<(KeyRole, usize)>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            have,
            need,
            missing,
        } = self;
        write!(f, "{have} of {need} signatures that it needs")?;
        for (n, (role, count)) in missing.iter().enumerate() {
            let before = if n == 0 { "; missing: " } else { ", " };
            write!(f, "{before}{count} of a key with role `{role}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn key(n: u8) -> PublicKey {
        SigningKey::from_seed(&[n; 32]).public()
    }

    fn trusted(n: u8, role: KeyRole) -> TrustedKey {
        TrustedKey {
            role,
            ..key(n).into()
        }
    }

    fn two_roles(threshold: usize) -> TrustedKeys {
        let keys = [
            trusted(1, KeyRole::Bundler),
            trusted(2, KeyRole::Bundler),
            trusted(3, KeyRole::Approver),
        ];
        let policy = Policy {
            threshold: threshold.try_into().unwrap(),
            bundlers: 1,
            approvers: 1,
        };
        TrustedKeys::with(keys, [], policy, None)
    }

    #[test]
    fn a_policy_asks_for_each_role_and_for_a_number_in_all() {
        let keys = two_roles(1);
        let lacks = |signers: &[u8], asks| {
            let ids: Vec<_> = signers.iter().map(|n| key(*n).id()).collect();
            keys.lacks(&ids, asks)
        };
        assert_eq!(lacks(&[1, 3], Asks::Policy), None);
        let two_bundlers = lacks(&[1, 2], Asks::Policy).unwrap();
        assert_eq!(two_bundlers.missing, [(KeyRole::Approver, 1)]);
        let lone = lacks(&[3], Asks::Policy).unwrap();
        assert_eq!((lone.have, lone.need), (1, 2));
        assert_eq!(lacks(&[1], Asks::Bundlers), None);
        assert!(lacks(&[3], Asks::Bundlers).is_some());
        let ids = [key(1).id(), key(3).id()];
        assert!(two_roles(3).lacks(&ids, Asks::Policy).is_some());
    }

    #[test]
    fn to_look_at_what_is_to_be_approved_one_bundler_is_enough() {
        let keys = two_roles(3).to_be_approved();
        assert_eq!(keys.lacks(&[key(1).id()], Asks::Policy), None);
        let approver = keys.lacks(&[key(3).id()], Asks::Policy).unwrap();
        assert_eq!(approver.missing, [(KeyRole::Bundler, 1)]);
    }

    #[test]
    fn what_is_revoked_counts_for_nothing_but_as_a_floor() {
        let policy = Policy::any(NonZeroUsize::MIN);
        let keys = TrustedKeys::with([key(1).into(), key(2).into()], [key(2)], policy, None);
        assert_eq!(keys.ids(), [key(1).id()]);
        assert_eq!(keys.keys(), [key(1).into()]);
        assert_eq!(keys.revoked(), [key(2)]);
        assert_eq!(keys.counts_now(&key(2)), Err(Uncounted::Revoked));
        assert_eq!(keys.counts_now(&key(3)), Err(Uncounted::Unknown));
        let mut all = [key(1).id(), key(2).id()];
        all.sort();
        assert_eq!(keys.as_floor().ids(), all);
    }

    #[test]
    fn who_signs_is_an_approver_where_nothing_else_is_said_of_him() {
        let keys = two_roles(1).and_approver(key(4)).and_approver(key(1));
        let role = |n| keys.get(&key(n).id()).unwrap().role;
        assert_eq!(role(4), KeyRole::Approver);
        assert_eq!(role(1), KeyRole::Bundler);
        let policy = Policy::any(NonZeroUsize::MIN);
        let revoked = TrustedKeys::with([key(1).into()], [key(2)], policy, None);
        assert!(revoked.and_approver(key(2)).get(&key(2).id()).is_none());
    }

    #[test]
    fn a_window_begins_by_our_clock_and_ends_by_what_was_signed() {
        let at = Timestamp::from_unix;
        let window = Window {
            not_before: Some(at(100)),
            not_after: Some(at(200)),
        };
        let keys = |now| {
            let one = TrustedKey {
                window,
                ..key(1).into()
            };
            TrustedKeys::with([one], [], Policy::any(NonZeroUsize::MIN), Some(at(now)))
        };
        let not_yet = Err(Uncounted::NotYet(at(100)));
        assert_eq!(keys(99).counts_now(&key(1)), not_yet);
        assert_eq!(keys(99).would_count(&key(1), at(150)), not_yet);
        assert_eq!(keys(100).counts_now(&key(1)), Ok(()));
        // An approval may come late, and a bundle be signed again with a key that came after it.
        assert_eq!(keys(1000).counts_now(&key(1)), Ok(()));
        assert_eq!(keys(1000).would_count(&key(1), at(50)), Ok(()));
        assert_eq!(keys(1000).would_count(&key(1), at(200)), Ok(()));
        let ended = Err(Uncounted::Ended(at(200)));
        assert_eq!(keys(1000).would_count(&key(1), at(201)), ended);
    }
}
