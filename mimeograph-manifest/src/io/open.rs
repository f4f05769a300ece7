//! From where a stream lies to the store that it is.

use super::dir::DirStore;
use super::location::StoreLocation;
#[cfg(feature = "s3")]
use super::s3::S3Store;
use super::store::{Discard, Fetch, Shelve, StoreError};

impl StoreLocation {
    /// Opens the store to read from it. Nothing is asked of the store before the first use.
    pub fn open_to_read(&self) -> Result<Box<dyn Fetch>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Box::new(DirStore::open(path)?)),
            #[cfg(feature = "s3")]
            Self::S3(place) => Ok(Box::new(S3Store::open(place)?)),
            #[cfg(not(feature = "s3"))]
            Self::S3(_) => Err(self.without_s3()),
        }
    }

    /// Opens the store to write to it and read from it.
    pub fn open(&self) -> Result<Box<dyn Shelve>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Box::new(DirStore::open(path)?)),
            #[cfg(feature = "s3")]
            Self::S3(place) => Ok(Box::new(S3Store::open(place)?)),
            #[cfg(not(feature = "s3"))]
            Self::S3(_) => Err(self.without_s3()),
        }
    }

    /// Opens the store to remove from it and read from it.
    pub fn open_to_discard(&self) -> Result<Box<dyn Discard>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Box::new(DirStore::open(path)?)),
            #[cfg(feature = "s3")]
            Self::S3(place) => Ok(Box::new(S3Store::open(place)?)),
            #[cfg(not(feature = "s3"))]
            Self::S3(_) => Err(self.without_s3()),
        }
    }

    #[cfg(not(feature = "s3"))]
    fn without_s3(&self) -> StoreError {
        StoreError::Settings {
            place: format!("`{self}`"),
            reason: "this program was built without S3".to_owned(),
        }
    }
}
