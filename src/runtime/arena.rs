//! Memory for copies of bytes, never moved, freed at once.

use super::pages::{Pages, next_block};

/// Grows by blocks; what was copied stays where it is until the arena is dropped.
#[derive(Debug, Default)]
pub struct Arena {
    blocks: Vec<Pages>,
    /// Bytes of all blocks.
    held: usize,
    /// Bytes used of the last block.
    used: usize,
}

const FIRST_BLOCK: usize = 4096;

impl Arena {
    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.blocks.last().map_or(0, |last| self.held - last.len() * 8 + last.memory(self.used.div_ceil(8)))
    }

    /// A copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) -> *const u8 {
        let fits = self.blocks.last().is_some_and(|b| b.len() * 8 - self.used >= bytes.len());
        if !fits {
            let block = Pages::zeroed(next_block(self.held, FIRST_BLOCK).max(bytes.len()).div_ceil(8));
            self.held += block.len() * 8;
            self.blocks.push(block);
            self.used = 0;
        }
        let Some(block) = self.blocks.last_mut() else { return std::ptr::NonNull::dangling().as_ptr() };
        let target = &mut block.bytes_mut()[self.used..self.used + bytes.len()];
        self.used += bytes.len();
        target.copy_from_slice(bytes);
        target.as_ptr()
    }
}
