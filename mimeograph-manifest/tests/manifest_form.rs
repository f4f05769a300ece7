//! A manifest has one form: what is written is read back as it was, and nothing else is.
#![expect(clippy::unwrap_used, reason = "a test helper outside a test function")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use mimeograph_manifest::chunk::{Chunk, Encoding};
use mimeograph_manifest::digest::Digest;
use mimeograph_manifest::failure::{ErrorId, Fault as _};
use mimeograph_manifest::form::Document as _;
use mimeograph_manifest::key::SigningKey;
use mimeograph_manifest::limits;
use mimeograph_manifest::manifest::{
    File, Generation, Incomplete, Kind, Link, Manifest, Missing, Producer, Role, TYPE,
};
use mimeograph_manifest::name::{Sequence, StreamId};
use mimeograph_manifest::signed::{FoundSignature, Signed, VerifyError};
use mimeograph_manifest::time::Timestamp;
use mimeograph_manifest::trust::TrustedKeys;

/// A sequence of numbers that is the same each time (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn digest(&mut self) -> Digest {
        Digest::of(&self.next().to_le_bytes())
    }

    fn texts(&mut self) -> Vec<String> {
        (0..self.below(4)).map(|_| self.text()).collect()
    }

    /// Any characters that a text may have, those that JSON escapes among them.
    fn text(&mut self) -> String {
        const SOME: &[char] = &[
            'a',
            'Z',
            '0',
            '"',
            '\\',
            '/',
            ' ',
            '{',
            ',',
            'é',
            '\u{2028}',
            '\u{1f4e6}',
            '<',
            '\u{fffd}',
        ];
        let length = self.below(12);
        let pick = |dice: &mut Self| SOME[usize::try_from(dice.below(SOME.len() as u64)).unwrap()];
        (0..length).map(|_| pick(self)).collect()
    }

    fn chunk(&mut self) -> Chunk {
        let (raw, raw_size) = (self.digest(), 2 + self.below(limits::CHUNK_SIZE - 1));
        if self.below(2) == 0 {
            Chunk {
                stored: raw,
                stored_size: raw_size,
                encoding: Encoding::None,
                raw,
                raw_size,
            }
        } else {
            let (stored, stored_size) = (self.digest(), 1 + self.below(raw_size - 1));
            Chunk {
                stored,
                stored_size,
                encoding: Encoding::Zstd,
                raw,
                raw_size,
            }
        }
    }

    fn file(&mut self, name: &str, role: Role) -> File {
        let most = if matches!(role, Role::Imageset) { 0 } else { 4 };
        let chunks: Vec<_> = (0..self.below(most + 1)).map(|_| self.chunk()).collect();
        let size = chunks.iter().map(|chunk| chunk.raw_size).sum();
        File {
            name: name.parse().unwrap(),
            role,
            size,
            chunks,
        }
    }

    fn manifest(&mut self) -> Manifest {
        let number = 1 + self.below(9_999_999_998 - 1);
        let sequence = Sequence::try_from(number).unwrap();
        let mut link = |number: u64| Link {
            sequence: number.try_into().unwrap(),
            sha256: self.digest(),
        };
        let previous = (number > 1).then(|| link(number - 1));
        let kind = match number % 3 {
            _ if number == 1 => Kind::Full,
            0 => Kind::Full,
            1 => Kind::Delta,
            _ => Kind::Heartbeat,
        };
        let requires = previous.filter(|_| kind != Kind::Full);
        let created = Timestamp::from_unix(i64::try_from(self.below(253_402_000_000)).unwrap());
        let is_empty = kind == Kind::Heartbeat;
        let files = if is_empty {
            vec![]
        } else {
            let mut files = vec![
                self.file("mirror_000001.tar", Role::Archive),
                self.file("imageset-config.yaml", Role::Imageset),
                self.file("inventory.json", Role::Inventory),
            ];
            for n in 0..self.below(5) {
                files.push(self.file(&format!("d/_{n}+@=~.x"), Role::Extra));
            }
            files
        };
        let lacks = if is_empty { vec![] } else { self.texts() };
        let incomplete = lacks.into_iter().map(|reference| Incomplete {
            reference,
            reason: Missing::Signature,
        });
        Manifest {
            r#type: TYPE.to_owned(),
            stream: StreamId::from_bytes(self.next().to_le_bytes().repeat(2).try_into().unwrap()),
            name: self.text(),
            audience: self.texts(),
            sequence,
            kind,
            previous,
            requires,
            created,
            expires: Timestamp::from_unix(
                created.unix() + 1 + i64::try_from(self.below(9_000_000)).unwrap().min(100_000),
            ),
            producer: Producer {
                mimeograph: self.text(),
                oc_mirror: self.text(),
                oc_mirror_sha256: self.digest(),
                generation: Generation::V2,
                flags: self.texts(),
            },
            incomplete: incomplete.collect(),
            local_dir: self.text(),
            files,
            annotations: self
                .texts()
                .into_iter()
                .map(|key| (key, self.text()))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

/// Verifies `bytes` under a signature that is good for them.
fn read_signed(sequence: Sequence, bytes: &[u8]) -> Result<Manifest, VerifyError> {
    verify(sequence, bytes, &Digest::of(bytes), &key().sign(bytes))
}

fn verify(
    sequence: Sequence,
    bytes: &[u8],
    named: &Digest,
    signature: &[u8],
) -> Result<Manifest, VerifyError> {
    let found = FoundSignature {
        manifest: named.short(),
        signer: key().public().id().short(),
        bytes: signature.to_vec(),
    };
    let trusted = TrustedKeys::new([key().public()], NonZeroUsize::MIN);
    let verified =
        Signed::<Manifest>::new(sequence, bytes.to_vec(), vec![found]).verify(&trusted)?;
    Ok((*verified).clone())
}

#[test]
fn what_is_written_is_read_back_and_written_alike() {
    let mut dice = Dice(1);
    let mut kinds = [0; 3];
    for _ in 0..500 {
        let manifest = dice.manifest();
        let sealed = Signed::sign(&manifest, &key()).unwrap();
        let again = read_signed(manifest.sequence, &sealed.payload).unwrap();
        assert_eq!(again, manifest);
        assert_eq!(again.to_bytes().unwrap(), sealed.payload);
        kinds[manifest.kind as usize] += 1;
    }
    assert!(kinds.iter().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn one_line_one_member_or_chunk() {
    let mut dice = Dice(2);
    for _ in 0..100 {
        let manifest = dice.manifest();
        let text = String::from_utf8(manifest.to_bytes().unwrap()).unwrap();
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("{\"stored\":\""), manifest.chunks().count());
        assert_eq!(lines("{\"name\":\""), manifest.files.len());
        assert_eq!(
            text.lines().count(),
            15 + manifest.files.len() + manifest.chunks().count()
        );
    }
}

#[test]
fn another_formatting_is_malformed_even_when_signed() {
    let mut dice = Dice(3);
    for _ in 0..100 {
        let manifest = dice.manifest();
        let bytes = manifest.to_bytes().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let others = [
            serde_json::to_vec(&manifest).unwrap(),
            serde_json::to_vec_pretty(&manifest).unwrap(),
            serde_json::to_vec(&value).unwrap(),
            serde_json::to_vec_pretty(&value).unwrap(),
            [&serde_json::to_vec(&manifest).unwrap()[..], b"\n"].concat(),
        ];
        for other in others {
            assert_ne!(other, bytes);
            assert_eq!(
                serde_json::from_slice::<serde_json::Value>(&other).unwrap(),
                value
            );
            let error = read_signed(manifest.sequence, &other).unwrap_err();
            assert_eq!(error.id(), ErrorId::ManifestMalformed, "{error}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_signed_manifest_is_refused() {
    let manifest = (0..99)
        .map(|seed| Dice(seed).manifest())
        .find(|m| m.kind == Kind::Delta)
        .unwrap();
    let sealed = Signed::sign(&manifest, &key()).unwrap();
    let (digest, signature) = (sealed.digest, sealed.signature.1);
    verify(manifest.sequence, &sealed.payload, &digest, &signature).unwrap();
    for at in 0..sealed.payload.len() {
        let mut flipped = sealed.payload.clone();
        flipped[at] ^= 1 << (at % 8);
        // Under its own name, and with the signature renamed to the flipped bytes.
        for named in [digest, Digest::of(&flipped)] {
            let error = verify(manifest.sequence, &flipped, &named, &signature).unwrap_err();
            assert_eq!(error.id(), ErrorId::Untrusted, "byte {at}");
        }
    }
    for bit in 0..512 {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = verify(manifest.sequence, &sealed.payload, &digest, &flipped).unwrap_err();
        assert_eq!(error.id(), ErrorId::Untrusted, "bit {bit} of the signature");
    }
}

#[test]
fn a_flipped_byte_that_is_signed_is_another_manifest_in_the_one_form_or_none() {
    let manifest = (0..99)
        .map(|seed| Dice(seed).manifest())
        .find(|m| m.kind == Kind::Full)
        .unwrap();
    let bytes = manifest.to_bytes().unwrap();
    let (mut other, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        match read_signed(manifest.sequence, &flipped) {
            Ok(read) => {
                assert_ne!(read, manifest, "byte {at} has two spellings");
                assert_eq!(read.to_bytes().unwrap(), flipped);
                other += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(other > 0 && refused > 0);
}

#[test]
fn a_manifest_longer_than_any_is_refused_before_its_signature_is_looked_at() {
    let bytes = vec![b' '; usize::try_from(limits::MANIFEST_SIZE).unwrap() + 1];
    let error = verify(Sequence::FIRST, &bytes, &Digest::of(b""), &[0; 64]).unwrap_err();
    assert!(matches!(error, VerifyError::TooLong(..)), "{error}");
}
