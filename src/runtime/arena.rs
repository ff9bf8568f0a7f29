//! Memory for copies of bytes, never moved, freed at once.

use std::mem::MaybeUninit;

/// Grows by blocks; what was copied stays where it is until the arena is dropped.
#[derive(Debug, Default)]
pub struct Arena {
    blocks: Vec<Box<[MaybeUninit<u8>]>>,
    /// Bytes used of the last block.
    used: usize,
}

const FIRST_BLOCK: usize = 4096;
const LARGEST_BLOCK: usize = 1 << 20;

impl Arena {
    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.blocks.iter().map(|b| b.len()).sum()
    }

    /// A copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) -> *const u8 {
        let fits = self.blocks.last().is_some_and(|b| b.len() - self.used >= bytes.len());
        if !fits {
            let next = self.blocks.last().map_or(FIRST_BLOCK, |b| (b.len() * 2).min(LARGEST_BLOCK));
            self.blocks.push(Box::new_uninit_slice(next.max(bytes.len())));
            self.used = 0;
        }
        let Some(block) = self.blocks.last_mut() else { return std::ptr::NonNull::dangling().as_ptr() };
        let target = &mut block[self.used..self.used + bytes.len()];
        self.used += bytes.len();
        target.write_copy_of_slice(bytes).as_ptr()
    }
}
