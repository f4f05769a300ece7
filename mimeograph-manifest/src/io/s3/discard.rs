//! Removing: one DELETE for each object. Requests for many at once need checksums that many stores get wrong.

use super::{S3Store, is_absent};
use crate::io::failpoint;
use crate::io::store::{Discard, StoreError};
use crate::layout::Key;
use crate::time::Timestamp;

impl Discard for S3Store {
    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        failpoint::reach("s3-delete", key.to_string())
            .map_err(|error| self.trouble(format!("remove `{key}`")).io(error))?;
        let request = self.client.delete_object().bucket(&self.place.bucket);
        let request = request.key(self.name(&key.to_string()));
        match self.runtime.block_on(request.send()) {
            Ok(_) => Ok(()),
            // AWS answers 204 here; others tell.
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(self.trouble(format!("remove `{key}`")).sdk(error)),
        }
    }

    /// One PUT makes an object or nothing.
    fn remove_unfinished(&self, _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }
}
