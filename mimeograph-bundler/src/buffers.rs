//! A fixed set of buffers that are used again: memory stays where it is, whatever is shipped.

use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// So many buffers and no more. Taking one waits until one is free.
#[derive(Debug)]
pub struct Buffers {
    free: Mutex<Receiver<Vec<u8>>>,
    back: SyncSender<Vec<u8>>,
}

/// A buffer that goes back when it is dropped, also out of a `Bytes` that owns it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    back: SyncSender<Vec<u8>>,
}

impl Buffers {
    /// `count` buffers, empty until first use.
    pub fn new(count: usize) -> Self {
        let (back, free) = sync_channel(count);
        for _ in 0..count {
            // There is room for exactly so many.
            let _ = back.try_send(Vec::new());
        }
        Self {
            free: Mutex::new(free),
            back,
        }
    }

    /// The next free one, emptied.
    pub fn take(&self) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // We hold a sender, so the channel cannot be closed.
        let mut bytes = free.recv().unwrap_or_default();
        bytes.clear();
        Buffer {
            bytes,
            back: self.back.clone(),
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Where the set itself is gone, so may the buffer.
        let _ = self.back.try_send(std::mem::take(&mut self.bytes));
    }
}
