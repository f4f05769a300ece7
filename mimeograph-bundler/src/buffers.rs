//! A fixed set of buffers that are used again: memory stays where it is, whatever is shipped.

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
    /// As long as it ever was: what is there already is not written again to make room.
    bytes: Vec<u8>,
    size: usize,
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

    /// The next free one, of `size` bytes that anything may stand in.
    pub fn take(&self, size: usize) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // We hold a sender, so the channel cannot be closed.
        let mut bytes = free.recv().unwrap_or_default();
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        Buffer {
            bytes,
            size,
            back: self.back.clone(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.size]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Where the set itself is gone, so may the buffer.
        let _ = self.back.try_send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_has_the_size_that_is_asked_for() {
        let buffers = Buffers::new(1);
        for size in [5, 9, 0, 7] {
            let mut buffer = buffers.take(size);
            buffer.as_mut().fill(1);
            assert_eq!(buffer.as_ref(), vec![1; size]);
        }
        let grown = buffers.take(1);
        assert_eq!(grown.bytes.len(), 9);
    }
}
