//! `Signed<Manifest>` -> `Verified<Manifest>`, and so for every document: the only signer and the only verifier.
//!
//! Signatures are checked over the exact bytes before any of them is parsed. What counts is the
//! number of distinct trusted keys that verify; names of files only say where to look.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::digest::Digest;
use crate::failure::{ErrorId, Fault};
use crate::form::{self, Document, FormError};
use crate::key::SigningKey;
use crate::layout::Key;
use crate::limits;
use crate::manifest::{Link, Manifest};
use crate::name::Sequence;
use crate::time::Timestamp;
use crate::trust::{Asks, Lack, TrustedKeys};

/// A signature as it was found beside a document: whose it claims to be, over what, and its bytes.
#[derive(Clone, Debug)]
pub struct FoundSignature {
    /// First 16 hexadecimal digits of the document's digest that its name gives.
    pub manifest: String,
    /// First 16 hexadecimal digits of the key id that its name gives.
    pub signer: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Bytes that claim to be a `T` at one place of a stream, with the signatures found for that place.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    sequence: Sequence,
    payload: Vec<u8>,
    signatures: Vec<FoundSignature>,
    of: PhantomData<fn() -> T>,
}

/// A `T` whose exact bytes enough trusted keys have signed. Only a check can make one.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    payload: Vec<u8>,
    signers: Vec<Digest>,
    disregarded: Vec<String>,
    signatures: Vec<FoundSignature>,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Verified<T> {
    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The exact bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The ids of the trusted keys that signed.
    pub fn signers(&self) -> &[Digest] {
        &self.signers
    }

    /// The signatures that were found for exactly these bytes, those that did not count too.
    pub fn signatures(&self) -> &[FoundSignature] {
        &self.signatures
    }

    /// Key ids (16 digits) of signatures that lay there and did not count.
    pub fn disregarded(&self) -> &[String] {
        &self.disregarded
    }
}

impl<T: Document> Verified<T> {
    /// The same bytes and signatures, with one more where one is given, to be held against other keys.
    pub fn again(&self, more: Option<FoundSignature>) -> Signed<T> {
        let mut signatures = self.signatures.clone();
        signatures.extend(more);
        Signed::new(self.value.number(), self.payload.clone(), signatures)
    }
}

impl Verified<Manifest> {
    /// The bundle by number and digest, as others name it.
    pub fn link(&self) -> Link {
        Link {
            sequence: self.sequence,
            sha256: self.digest,
        }
    }
}

/// A document by kind and number: `bundle 42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    called: &'static str,
    number: Sequence,
}

impl Subject {
    fn of<T: Document>(number: Sequence) -> Self {
        Self {
            called: T::CALLED,
            number,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.called, self.number)
    }
}

/// Why a document is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody has signed yet: the signature may still be arriving.
    #[error("no signature for {0} is there yet")]
    Unsigned(Subject),
    /// Longer than any may be.
    #[error("what is signed for {0} is longer than {1} bytes")]
    TooLong(Subject, u64),
    /// No trusted key's signature covers these bytes.
    #[error("no trusted key has signed these bytes for {subject}: {found}")]
    Untrusted {
        /// The document.
        subject: Subject,
        /// What lies there instead.
        found: String,
    },
    /// Some trusted keys have signed, but too few.
    #[error("{subject} has {lack}{}", beside(disregarded))]
    Pending {
        /// The document.
        subject: Subject,
        /// What is missing.
        lack: Box<Lack>,
        /// Whose signatures lie there and do not count, and why not.
        disregarded: Vec<String>,
    },
    /// Signed, but not in a form that we can read.
    #[error("what was signed for {subject} cannot be used")]
    Form {
        /// The document.
        subject: Subject,
        /// Why.
        source: FormError,
    },
    /// Signed for another place.
    #[error("under the name of {named} lies {signed}")]
    Misplaced {
        /// By the number in the object's name.
        named: Subject,
        /// By the number that was signed.
        signed: Subject,
    },
}

impl Fault for VerifyError {
    fn id(&self) -> ErrorId {
        match self {
            Self::Unsigned(_) => ErrorId::Incomplete,
            Self::Untrusted { .. } | Self::TooLong(..) => ErrorId::Untrusted,
            Self::Pending { .. } => ErrorId::PendingApproval,
            Self::Form {
                source: FormError::Newer(_),
                ..
            } => ErrorId::TooNew,
            Self::Form { .. } => ErrorId::ManifestMalformed,
            Self::Misplaced { .. } => ErrorId::Fork,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unsigned(_) => "wait for the transfer to end, or ask the other side for the `.sig` file".into(),
            Self::Untrusted { .. } | Self::TooLong(..) => {
                "do not use it; have it sent again, and if it stays so, compare the key ids of both sides \
                 (`mimeograph-populator check`, `mimeograph-bundler check`) over another channel. After a theft, \
                 what only the revoked key has signed is looked at and signed again: `mimeograph-bundler sign`"
                    .into()
            }
            Self::Pending { .. } => "wait for the other signatures: `trust.threshold` and `trust.require` say whose; `mimeograph-bundler sign` or \
                 `mimeograph-populator approve` adds one"
                    .into(),
            Self::Form { source: FormError::Newer(_), .. } => "upgrade this program".into(),
            Self::Form { .. } | Self::Misplaced { .. } => {
                "it was signed so by a trusted key: ask those who hold it how that came about".into()
            }
        })
    }
}

impl<T> Signed<T> {
    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }
}

impl<T: Document> Signed<T> {
    /// What was found in a store under a number: a document's bytes, and all signatures of that number.
    pub fn new(sequence: Sequence, payload: Vec<u8>, signatures: Vec<FoundSignature>) -> Self {
        Self {
            sequence,
            payload,
            signatures,
            of: PhantomData,
        }
    }

    /// Signs a document: its exact bytes, the name of the signature, and the signature.
    pub fn sign(document: &T, key: &SigningKey) -> Result<Sealed, FormError> {
        document.check()?;
        let payload = document.to_bytes()?;
        if payload.len() as u64 > T::SIZE {
            return Err(form::value(
                "chunks",
                "are so many that what is to be signed is too long; use larger chunks or a smaller image set",
            ));
        }
        let digest = Digest::of(&payload);
        let name = T::signature_key(document.number(), &digest, &key.public().id());
        Ok(Sealed {
            signature: (name, key.sign(&payload)),
            payload,
            digest,
        })
    }

    /// Checks the signatures over the exact bytes against `trusted`, then reads the document.
    pub fn verify(self, trusted: &TrustedKeys) -> Result<Verified<T>, VerifyError> {
        let Self {
            sequence,
            payload,
            mut signatures,
            ..
        } = self;
        let subject = Subject::of::<T>(sequence);
        if payload.len() as u64 > T::SIZE {
            return Err(VerifyError::TooLong(subject, T::SIZE));
        }
        let digest = Digest::of(&payload);
        let mut count = Count::of(subject, &payload, &digest, &signatures, trusted)?;
        // The form is looked at once someone whom we trust has vouched for these bytes.
        let value: T = match form::read(&payload) {
            Ok(value) => value,
            Err(source) => {
                // Of a newer form nobody knows what it is: it may be a heartbeat.
                let asks = match source {
                    FormError::Newer(_) => Asks::Bundlers,
                    _ => Asks::Policy,
                };
                count.is_enough(subject, trusted, asks)?;
                return Err(VerifyError::Form { subject, source });
            }
        };
        count.forget_ended(trusted, value.created());
        count.is_enough(subject, trusted, value.asks())?;
        if value.number() != sequence {
            return Err(VerifyError::Misplaced {
                named: subject,
                signed: Subject::of::<T>(value.number()),
            });
        }
        signatures.retain(|found| found.manifest == digest.short());
        Ok(Verified {
            value,
            digest,
            payload,
            signers: count.signers,
            disregarded: count.disregarded,
            signatures,
        })
    }
}

/// A document's exact bytes with a signature over them, ready to be published.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The exact bytes.
    pub payload: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
    /// The signature and its name.
    pub signature: (Key, [u8; 64]),
}

/// Whose signatures lie there.
struct Count {
    /// The trusted keys that signed, each once.
    signers: Vec<Digest>,
    /// Of what does not count, whose it claims to be, and why it does not.
    disregarded: Vec<String>,
    /// A signature named for a trusted key that is none.
    broken: Option<Broken>,
}

struct Broken {
    signer: String,
    length: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, length } = self;
        write!(f, "the signature named for trusted key {signer} ")?;
        match *length as u64 {
            limits::SIGNATURE_SIZE => f.write_str("does not verify"),
            less if less < limits::SIGNATURE_SIZE => write!(
                f,
                "has {less} of {} bytes: it is still being copied, or damaged",
                limits::SIGNATURE_SIZE
            ),
            _ => write!(f, "is longer than {} bytes", limits::SIGNATURE_SIZE),
        }
    }
}

/// What else lies there.
fn beside(disregarded: &[String]) -> String {
    if disregarded.is_empty() {
        return String::new();
    }
    let list = disregarded.join(", ");
    format!("; signatures that do not count lie there, of keys {list}")
}

impl Count {
    /// Counts; an error where there is none that counts.
    fn of(
        subject: Subject,
        payload: &[u8],
        digest: &Digest,
        signatures: &[FoundSignature],
        trusted: &TrustedKeys,
    ) -> Result<Self, VerifyError> {
        if signatures.is_empty() {
            return Err(VerifyError::Unsigned(subject));
        }
        let mut count = Self {
            signers: Vec::new(),
            disregarded: Vec::new(),
            broken: None,
        };
        let short = digest.short();
        for found in signatures.iter().filter(|found| found.manifest == short) {
            count.add(payload, found, trusted);
        }
        let signers = &count.signers;
        // Two may lie under one name, where approvals are added to a store.
        let is_made_good =
            |broken: &mut Broken| signers.iter().any(|id| id.short() == broken.signer);
        count.broken.take_if(is_made_good);
        if !count.signers.is_empty() {
            return Ok(count);
        }
        Err(count.untrusted(
            subject,
            &format!("the signatures there are over other bytes than these, {digest}"),
        ))
    }

    fn add(&mut self, payload: &[u8], found: &FoundSignature, trusted: &TrustedKeys) {
        let mut known = trusted.named(&found.signer).peekable();
        let is_known = known
            .peek()
            .is_some_and(|key| trusted.get(&key.id()).is_some());
        let verifying = <&[u8; 64]>::try_from(found.bytes.as_slice())
            .ok()
            .and_then(|signature| known.find(|key| key.verifies(payload, signature)));
        match verifying.map(|key| (key.id(), trusted.counts_now(key))) {
            Some((id, Ok(()))) if !self.signers.contains(&id) => self.signers.push(id),
            Some((_, Ok(()))) => {}
            Some((_, Err(why))) => self.disregarded.push(format!("{} ({why})", found.signer)),
            None => {
                let why = if is_known {
                    "does not verify"
                } else {
                    "not trusted"
                };
                self.disregarded.push(format!("{} ({why})", found.signer));
                if is_known {
                    self.broken = Some(Broken {
                        signer: found.signer.clone(),
                        length: found.bytes.len(),
                    });
                }
            }
        }
    }

    /// What was made after a key's window it cannot have signed.
    fn forget_ended(&mut self, trusted: &TrustedKeys, created: Timestamp) {
        let disregarded = &mut self.disregarded;
        self.signers.retain(|id| {
            let counted = trusted.counts_at(id, created);
            if let Err(why) = counted {
                disregarded.push(format!("{} ({why})", id.short()));
            }
            counted.is_ok()
        });
    }

    fn is_enough(
        &self,
        subject: Subject,
        trusted: &TrustedKeys,
        asks: Asks,
    ) -> Result<(), VerifyError> {
        match trusted.lacks(&self.signers, asks) {
            None => Ok(()),
            Some(lack) if self.broken.is_none() && !self.signers.is_empty() => {
                Err(VerifyError::Pending {
                    subject,
                    lack: Box::new(lack),
                    disregarded: self.disregarded.clone(),
                })
            }
            Some(_) => Err(self.untrusted(subject, "none that counts")),
        }
    }

    fn untrusted(&self, subject: Subject, otherwise: &str) -> VerifyError {
        let found = match &self.broken {
            Some(broken) => broken.to_string(),
            None if self.disregarded.is_empty() => otherwise.to_owned(),
            None => format!(
                "only signatures that do not count, of keys {}",
                self.disregarded.join(", ")
            ),
        };
        VerifyError::Untrusted { subject, found }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::form::Writer;
    use crate::trust::{KeyRole, Policy, TrustedKey, Window};

    /// The least that can be signed.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        r#type: String,
        number: Sequence,
        created: Timestamp,
    }

    impl Document for Note {
        const NAME: &'static str = "note";
        const CALLED: &'static str = "note";
        /// Exactly what [`note`] has.
        const SIZE: u64 = 94;

        fn key(number: Sequence) -> Key {
            Key::Manifest(number)
        }

        fn signature_key(number: Sequence, document: &Digest, key_id: &Digest) -> Key {
            Key::signature(number, document, key_id)
        }

        fn number(&self) -> Sequence {
            self.number
        }

        fn created(&self) -> Timestamp {
            self.created
        }

        fn asks(&self) -> Asks {
            Asks::Policy
        }

        fn check(&self) -> Result<(), FormError> {
            Ok(())
        }

        fn write(&self, lines: &mut Writer) -> serde_json::Result<()> {
            lines.member("{", "type", &self.r#type)?;
            lines.member(",", "number", &self.number)?;
            lines.member(",", "created", &self.created)?;
            lines.text("}");
            Ok(())
        }
    }

    fn note() -> Note {
        Note {
            r#type: "application/vnd.mimeograph.note.v1+json".to_owned(),
            number: Sequence::FIRST,
            created: Timestamp::from_unix(1000),
        }
    }

    fn bytes() -> Vec<u8> {
        note().to_bytes().unwrap()
    }

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32])
    }

    fn id(n: u8) -> Digest {
        key(n).public().id()
    }

    fn any(threshold: usize, keys: &[u8]) -> TrustedKeys {
        let keys = keys.iter().map(|n| key(*n).public());
        TrustedKeys::new(keys, threshold.try_into().unwrap())
    }

    fn signature(n: u8, over: &[u8]) -> FoundSignature {
        FoundSignature {
            manifest: Digest::of(over).short(),
            signer: id(n).short(),
            bytes: key(n).sign(over).to_vec(),
        }
    }

    /// One that is named as if `n` had signed.
    fn broken(n: u8, over: &[u8]) -> FoundSignature {
        FoundSignature {
            bytes: vec![0; 64],
            ..signature(n, over)
        }
    }

    fn verify(
        bytes: &[u8],
        signatures: &[FoundSignature],
        trusted: &TrustedKeys,
    ) -> Result<Verified<Note>, VerifyError> {
        Signed::new(Sequence::FIRST, bytes.to_vec(), signatures.to_vec()).verify(trusted)
    }

    fn why(signatures: &[FoundSignature], trusted: &TrustedKeys) -> VerifyError {
        verify(&bytes(), signatures, trusted).unwrap_err()
    }

    #[test]
    fn what_is_verified_tells_who_signed_it_and_keeps_the_signatures_over_it_alone() {
        let bytes = bytes();
        let found = [
            signature(1, &bytes),
            signature(1, b"other bytes"),
            signature(3, &bytes),
        ];
        let verified = verify(&bytes, &found, &any(1, &[1, 2])).unwrap();
        assert_eq!(*verified, note());
        assert_eq!(verified.payload(), bytes);
        assert_eq!(verified.digest(), Digest::of(&bytes));
        assert_eq!(verified.signers(), [id(1)]);
        let signers: Vec<_> = verified
            .signatures()
            .iter()
            .map(|one| &one.signer)
            .collect();
        assert_eq!(signers, [&id(1).short(), &id(3).short()]);
        let again = |more| verified.again(more).verify(&any(2, &[1, 2]));
        assert_eq!(again(None).unwrap_err().id(), ErrorId::PendingApproval);
        let second = Some(signature(2, &bytes));
        assert_eq!(again(second).unwrap().signers(), [id(1), id(2)]);
    }

    #[test]
    fn the_longest_is_accepted_and_one_byte_more_is_not() {
        let mut bytes = bytes();
        assert_eq!(bytes.len() as u64, Note::SIZE);
        verify(&bytes, &[signature(1, &bytes)], &any(1, &[1])).unwrap();
        bytes.push(b' ');
        let error = verify(&bytes, &[signature(1, &bytes)], &any(1, &[1])).unwrap_err();
        assert!(matches!(error, VerifyError::TooLong(..)), "{error}");
    }

    #[test]
    fn one_key_counts_once_however_often_it_has_signed() {
        let one = signature(1, &bytes());
        let error = why(&[one.clone(), one.clone()], &any(2, &[1, 2]));
        let VerifyError::Pending { lack, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((lack.have, lack.need), (1, 2));
        let both = [one.clone(), signature(2, &bytes()), one];
        let verified = verify(&bytes(), &both, &any(2, &[1, 2])).unwrap();
        assert_eq!(verified.signers(), [id(1), id(2)]);
    }

    #[test]
    fn too_few_wait_and_one_that_does_not_verify_makes_it_untrusted_until_a_good_one_lies_there() {
        let bytes = bytes();
        let trusted = any(2, &[1, 2, 3]);
        let found = [signature(1, &bytes), signature(4, &bytes)];
        let pending = why(&found, &trusted);
        assert_eq!(pending.id(), ErrorId::PendingApproval);
        let told = pending.to_string();
        let name = id(4).short();
        assert!(told.contains("1 of 2 signatures"), "{told}");
        assert!(told.contains(&format!("{name} (not trusted)")), "{told}");
        let alone = why(&found[..1], &trusted).to_string();
        assert!(!alone.contains("do not count"), "{alone}");

        let found = [signature(1, &bytes), broken(2, &bytes)];
        let error = why(&found, &trusted);
        assert_eq!(error.id(), ErrorId::Untrusted);
        let told = error.to_string();
        assert!(told.contains(&id(2).short()), "{told}");
        // Under the name of one that has signed it is made good, and of another key it is not.
        for other in [1, 2] {
            let found = [
                broken(other, &bytes),
                signature(1, &bytes),
                signature(other, &bytes),
            ];
            let outcome = verify(&bytes, &found, &any(3, &[1, 2, 3])).unwrap_err();
            assert_eq!(outcome.id(), ErrorId::PendingApproval, "{other}");
        }
        let found = [
            broken(2, &bytes),
            signature(1, &bytes),
            signature(3, &bytes),
        ];
        let outcome = why(&found, &any(3, &[1, 2, 3]));
        assert_eq!(outcome.id(), ErrorId::Untrusted);
        verify(&bytes, &found, &trusted).unwrap();
    }

    #[test]
    fn a_signature_of_another_length_or_over_other_bytes_is_none() {
        let bytes = bytes();
        let trusted = any(1, &[1]);
        let nothing = why(&[], &trusted);
        assert_eq!(nothing.id(), ErrorId::Incomplete);
        let elsewhere = why(&[signature(1, b"other bytes")], &trusted);
        assert_eq!(elsewhere.id(), ErrorId::Untrusted);
        assert!(elsewhere.to_string().contains("over other bytes"));
        let foreign = why(&[signature(2, &bytes)], &trusted);
        assert_eq!(foreign.id(), ErrorId::Untrusted);
        let told = foreign.to_string();
        assert!(told.contains("signatures that do not count"), "{told}");
        let mut renamed = signature(1, b"other bytes");
        renamed.manifest = Digest::of(&bytes).short();
        assert_eq!(why(&[renamed], &trusted).id(), ErrorId::Untrusted);
        for length in [0, 63, 65] {
            let mut found = signature(1, &bytes);
            found.bytes.resize(length, 0);
            assert_eq!(why(&[found], &trusted).id(), ErrorId::Untrusted);
        }
    }

    fn until(n: u8, role: KeyRole, not_after: Option<i64>) -> TrustedKey {
        TrustedKey {
            role,
            window: Window {
                not_before: None,
                not_after: not_after.map(Timestamp::from_unix),
            },
            ..key(n).public().into()
        }
    }

    fn policy(threshold: usize, bundlers: usize, approvers: usize) -> Policy {
        Policy {
            threshold: threshold.try_into().unwrap(),
            bundlers,
            approvers,
        }
    }

    #[test]
    fn a_key_whose_window_ended_before_the_document_was_made_does_not_count() {
        let bytes = bytes();
        let trusted = |ends| {
            let keys = [
                until(1, KeyRole::Bundler, Some(ends)),
                until(2, KeyRole::Bundler, None),
            ];
            TrustedKeys::with(keys, [], policy(1, 0, 0), None)
        };
        let found = [signature(1, &bytes), signature(2, &bytes)];
        let both = verify(&bytes, &found, &trusted(1000)).unwrap();
        assert_eq!(both.signers(), [id(1), id(2)]);
        let one = verify(&bytes, &found, &trusted(999)).unwrap();
        assert_eq!(one.signers(), [id(2)]);
        assert_eq!(one.disregarded().len(), 1);
        let none = why(&found[..1], &trusted(999));
        assert_eq!(none.id(), ErrorId::Untrusted);
        assert!(
            none.to_string()
                .contains("not valid for what is made after")
        );
    }

    #[test]
    fn a_later_form_is_told_once_a_bundler_has_signed_it_and_a_broken_one_once_enough_have() {
        let keys = [
            until(1, KeyRole::Bundler, None),
            until(2, KeyRole::Approver, None),
        ];
        let trusted = TrustedKeys::with(keys, [], policy(2, 1, 1), None);
        let later = b"{\"type\":\"application/vnd.mimeograph.note.v2+json\"}";
        let of = |bytes: &[u8], signers: &[u8]| {
            let found: Vec<_> = signers.iter().map(|n| signature(*n, bytes)).collect();
            verify(bytes, &found, &trusted).unwrap_err().id()
        };
        assert_eq!(of(later, &[1]), ErrorId::TooNew);
        assert_eq!(of(later, &[2]), ErrorId::PendingApproval);
        assert_eq!(of(b"{}", &[1]), ErrorId::PendingApproval);
        assert_eq!(of(b"{}", &[1, 2]), ErrorId::ManifestMalformed);
        assert_eq!(of(&bytes(), &[1]), ErrorId::PendingApproval);
    }

    #[test]
    fn what_was_signed_for_another_place_is_a_fork() {
        let found = signature(1, &bytes());
        let moved = Signed::<Note>::new(Sequence::FIRST.next(), bytes(), vec![found]);
        let error = moved.verify(&any(1, &[1])).unwrap_err();
        assert!(matches!(error, VerifyError::Misplaced { .. }), "{error}");
    }
}
