//! Writing once, whatever the store makes of the headers that ask for it.

use std::sync::atomic::Ordering;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumMode, ObjectLockMode, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::ask::Hashed;
use super::failure::status;
use super::{Buffer, S3Store, is_absent};
use crate::digest::Digest;
use crate::io::failpoint;
use crate::io::location::LockMode;
use crate::io::store::{Fetch as _, Put, Shelve, StoreError};
use crate::layout::Key;

/// What a store makes of `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It refuses to write over an object.
    Honoured,
    /// It writes over it all the same.
    Ignored,
    /// It refuses the header.
    Refused,
}

/// How a PUT ended.
enum Ended {
    Written,
    /// Something lies there, or is being written by another at this moment.
    Taken,
}

/// What lies under a name, held against what should.
enum There {
    Nothing,
    Same,
    Other,
}

/// What the probe holds.
const PROBE: &[u8] = b"Tells whether this store honours If-None-Match. Leave it here.\n";

type PutFailure = SdkError<PutObjectError, HttpResponse>;

impl Shelve for S3Store {
    fn put(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<Put, StoreError> {
        self.runtime.block_on(async {
            match self.probed().await? {
                Condition::Honoured => self.put_new(key, &body, sha256).await,
                Condition::Ignored => self.put_absent(key, &body, sha256, true).await,
                Condition::Refused => self.put_absent(key, &body, sha256, false).await,
            }
        })
    }

    fn put_again(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<Put, StoreError> {
        match self.runtime.block_on(self.compare(key, &body, sha256))? {
            There::Same => Ok(Put::AlreadyThere),
            There::Other => Err(self.occupied(key)),
            There::Nothing => self.put(key, body, sha256),
        }
    }

    fn replace(&self, key: &Key, body: Bytes, sha256: &Digest) -> Result<(), StoreError> {
        let replace = self.put_once("replace", key, &body, sha256, false);
        self.runtime.block_on(replace).map(|_| ())
    }

    fn refuses_overwrite(&self) -> Result<bool, StoreError> {
        let probed = self.runtime.block_on(self.probed())?;
        Ok(probed == Condition::Honoured)
    }
}

impl S3Store {
    /// Puts the probe, which is there already but for the first time: one request as a rule.
    async fn probed(&self) -> Result<Condition, StoreError> {
        if let Some(known) = self.condition.get() {
            return Ok(*known);
        }
        let (body, digest) = (Bytes::from_static(PROBE), Digest::of(PROBE));
        let mut found = Condition::Ignored;
        failpoint::reach("s3-put", Key::Probe.to_string())
            .map_err(|error| self.trouble(format!("put `{}`", Key::Probe)).io(error))?;
        for _ in 0..2 {
            match self.send(&Key::Probe, &body, &digest, true).await {
                Err(error) if is_taken(&error) => {
                    found = Condition::Honoured;
                    break;
                }
                // Without the condition it takes what it refuses with it.
                Err(error) if is_refused(&error) => {
                    self.put_once("put", &Key::Probe, &body, &digest, false)
                        .await?;
                    found = Condition::Refused;
                    break;
                }
                Err(error) => {
                    return Err(self.trouble(format!("put `{}`", Key::Probe)).sdk(error));
                }
                Ok(()) => {}
            }
        }
        Ok(*self.condition.get_or_init(|| found))
    }

    /// The store sees to it that nothing is written over.
    async fn put_new(&self, key: &Key, body: &Bytes, sha256: &Digest) -> Result<Put, StoreError> {
        let mut attempt = 1;
        loop {
            match self.put_once("put", key, body, sha256, true).await {
                Ok(Ended::Written) => return Ok(Put::Written),
                Ok(Ended::Taken) => {}
                // A store that finds the name taken may hang up on a body that it does not want.
                Err(error @ StoreError::Unreachable { .. }) => {
                    return match self.compare(key, body, sha256).await {
                        Ok(There::Same) => Ok(Put::AlreadyThere),
                        _ => Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
            match self.compare(key, body, sha256).await? {
                There::Same => return Ok(Put::AlreadyThere),
                There::Other => return Err(self.occupied(key)),
                // A conflicting write that came to nothing, or an object that was removed meanwhile.
                There::Nothing if attempt < self.patience.attempts => self.pause(attempt).await,
                There::Nothing => {
                    let trouble = self.trouble(format!("put `{key}`"));
                    return Err(
                        trouble.answer("the name is said to be taken, but nothing lies there")
                    );
                }
            }
            attempt += 1;
        }
    }

    /// The store does not: look first, and read back after what must not be forked.
    async fn put_absent(
        &self,
        key: &Key,
        body: &Bytes,
        sha256: &Digest,
        condition: bool,
    ) -> Result<Put, StoreError> {
        match self.compare(key, body, sha256).await? {
            There::Same => return Ok(Put::AlreadyThere),
            There::Other => return Err(self.occupied(key)),
            There::Nothing => {}
        }
        self.put_once("put", key, body, sha256, condition).await?;
        if matches!(key, Key::Chunk(_)) {
            return Ok(Put::Written); // whoever else wrote it wrote the same bytes
        }
        match self.compare(key, body, sha256).await? {
            There::Same => Ok(Put::Written),
            There::Other => Err(self.occupied(key)),
            There::Nothing => {
                let trouble = self.trouble(format!("put `{key}`"));
                Err(trouble.answer("it took the object, which is not there now"))
            }
        }
    }

    fn occupied(&self, key: &Key) -> StoreError {
        StoreError::Occupied {
            key: key.clone(),
            place: self.describe(),
        }
    }

    /// A PUT with the checksum header, and without it where the store refuses that.
    async fn put_once(
        &self,
        verb: &str,
        key: &Key,
        body: &Bytes,
        sha256: &Digest,
        condition: bool,
    ) -> Result<Ended, StoreError> {
        failpoint::reach("s3-put", key.to_string())
            .map_err(|error| self.trouble(format!("{verb} `{key}`")).io(error))?;
        match self.send(key, body, sha256, condition).await {
            Ok(()) => Ok(Ended::Written),
            Err(error) if condition && is_taken(&error) => Ok(Ended::Taken),
            Err(error) => Err(self.trouble(format!("{verb} `{key}`")).sdk(error)),
        }
    }

    async fn send(
        &self,
        key: &Key,
        body: &Bytes,
        sha256: &Digest,
        condition: bool,
    ) -> Result<(), PutFailure> {
        if self.knows_checksums() {
            match self.send_as(key, body, sha256, condition, true).await {
                Err(error) if is_refused(&error) => {
                    // Whether it was the checksum shows when it goes without.
                    self.send_as(key, body, sha256, condition, false).await?;
                    self.checksums.store(false, Ordering::Relaxed);
                    tracing::info!(
                        "the store does not know `x-amz-checksum-sha256`; going on without"
                    );
                    return Ok(());
                }
                done => return done,
            }
        }
        self.send_as(key, body, sha256, condition, false).await
    }

    async fn send_as(
        &self,
        key: &Key,
        body: &Bytes,
        sha256: &Digest,
        condition: bool,
        checksum: bool,
    ) -> Result<(), PutFailure> {
        let timeouts = self.patience.timeouts(body.len());
        let request = self
            .client
            .put_object()
            .bucket(&self.place.bucket)
            .key(self.name(&key.to_string()))
            .body(body.clone().into())
            .set_if_none_match(condition.then(|| "*".to_owned()))
            .set_checksum_sha256(checksum.then(|| BASE64.encode(sha256.as_bytes())));
        let request = match &self.place.keeping.kms_key {
            Some(key_id) => request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(key_id),
            None => request,
        };
        // The probe is no content.
        let request = match &self.place.keeping.lock {
            Some(lock) if *key != Key::Probe => request
                .object_lock_mode(match lock.mode {
                    LockMode::Governance => ObjectLockMode::Governance,
                    LockMode::Compliance => ObjectLockMode::Compliance,
                })
                .object_lock_retain_until_date(until(lock.days)),
            _ => request,
        };
        let request = request
            .customize()
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts))
            .interceptor(Hashed(*sha256));
        request.send().await.map(|_| ())
    }

    /// For a chunk the store's own SHA-256 is asked for, else the bytes are read back.
    async fn compare(&self, key: &Key, body: &Bytes, sha256: &Digest) -> Result<There, StoreError> {
        if matches!(key, Key::Chunk(_)) && self.knows_checksums() {
            let head = self.client.head_object().bucket(&self.place.bucket);
            let head = head.key(self.name(&key.to_string()));
            match head.checksum_mode(ChecksumMode::Enabled).send().await {
                Ok(head) if head.content_length() != i64::try_from(body.len()).ok() => {
                    return Ok(There::Other);
                }
                Ok(head) => match head.checksum_sha256() {
                    Some(sum) if sum == BASE64.encode(sha256.as_bytes()) => return Ok(There::Same),
                    Some(sum) if !sum.contains('-') => return Ok(There::Other),
                    _ => {} // none, or one of parts
                },
                Err(error) if is_absent(&error) => return Ok(There::Nothing),
                // An answer to a HEAD has no code: the GET is told why.
                Err(error) if is_refused(&error) || status(&error) == Some(403) => {}
                Err(error) => return Err(self.trouble(format!("look at `{key}`")).sdk(error)),
            }
        }
        let mut there = Buffer::new(Vec::new(), body.len() as u64);
        if !self.read(key, &mut there).await? {
            return Ok(There::Nothing);
        }
        Ok(if there.bytes == *body {
            There::Same
        } else {
            There::Other
        })
    }
}

/// So many days from now.
fn until(days: u32) -> DateTime {
    let now = DateTime::from(std::time::SystemTime::now());
    DateTime::from_secs(now.secs() + i64::from(days) * 24 * 3600)
}

/// The condition is not met: 412, or 409 while another writes the same name.
fn is_taken(error: &PutFailure) -> bool {
    matches!(status(error), Some(409 | 412))
}

/// The store does not know a header of ours. The answer to a HEAD has no code.
fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let codes = [
        "InvalidArgument",
        "InvalidRequest",
        "NotImplemented",
        "UnsupportedArgument",
    ];
    match error.code() {
        Some(code) => codes.contains(&code) || status(error) == Some(501),
        None => matches!(status(error), Some(400 | 501)),
    }
}
