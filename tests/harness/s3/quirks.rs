//! What some servers do with headers that they do not know.

use std::path::{Path, PathBuf};

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::Mutex;

/// A server's habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// None: it does as AWS does.
    None,
    /// Writes over objects whatever `If-None-Match` says.
    IgnoresConditions,
    /// Refuses `If-None-Match`.
    RefusesConditions,
    /// Refuses `x-amz-checksum-*`.
    RefusesChecksums,
    /// Refuses both.
    RefusesBoth,
    /// Takes checksums and never tells them again.
    ForgetsChecksums,
}

/// Objects in a folder.
pub(super) struct Objects {
    folder: PathBuf,
    files: FileSystem,
    quirk: Quirk,
    // `s3s-fs` looks and then writes: two writers must not come between.
    writing: Mutex<()>,
}

impl Objects {
    pub(super) fn new(folder: &Path, quirk: Quirk) -> Self {
        Self {
            folder: folder.to_owned(),
            files: FileSystem::new(folder).expect("the objects' folder"),
            quirk,
            writing: Mutex::new(()),
        }
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        // `s3s-fs` would make the bucket.
        if !self.folder.join(&input.bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        let checksum = input.checksum_sha256.is_some();
        let condition = input.if_none_match.is_some();
        match self.quirk {
            Quirk::RefusesChecksums | Quirk::RefusesBoth if checksum => {
                return Err(s3_error!(
                    InvalidArgument,
                    "unknown header x-amz-checksum-sha256"
                ));
            }
            Quirk::RefusesConditions | Quirk::RefusesBoth if condition => {
                return Err(s3_error!(
                    NotImplemented,
                    "a header that is not implemented"
                ));
            }
            Quirk::IgnoresConditions => input.if_none_match = None,
            _ => {}
        }
        let _one_at_a_time = self.writing.lock().await;
        self.files.put_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        if request.input.checksum_mode.is_some()
            && matches!(self.quirk, Quirk::RefusesChecksums | Quirk::RefusesBoth)
        {
            return Err(s3_error!(InvalidArgument));
        }
        let mut response = self.files.head_object(request).await?;
        if self.quirk == Quirk::ForgetsChecksums {
            response.output.checksum_sha256 = None;
        }
        Ok(response)
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let there = self.folder.join(&request.input.bucket);
        // `s3s-fs` fails where there is nothing; AWS does not.
        if !there.join(&request.input.key).exists() {
            return Ok(S3Response::new(DeleteObjectOutput::default()));
        }
        self.files.delete_object(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }
}
