//! Memory handed out piece by piece, never moved, freed at once.

/// Grows by blocks; what was handed out stays where it is until the arena is dropped.
#[derive(Debug, Default)]
pub struct Arena {
    blocks: Vec<Vec<u64>>,
    /// Words used of the last block.
    used: usize,
}

const FIRST_BLOCK_WORDS: usize = 512;
const LARGEST_BLOCK_WORDS: usize = 1 << 17;

impl Arena {
    /// Zeroed memory of `bytes` bytes, aligned to 8.
    pub fn allocate(&mut self, bytes: usize) -> *mut u8 {
        let words = bytes.div_ceil(8);
        let fits = self.blocks.last().is_some_and(|b| b.len() - self.used >= words);
        if !fits {
            let next = self.blocks.last().map_or(FIRST_BLOCK_WORDS, |b| (b.len() * 2).min(LARGEST_BLOCK_WORDS));
            self.blocks.push(vec![0; next.max(words)]);
            self.used = 0;
        }
        let start = self.used;
        self.used += words;
        match self.blocks.last_mut() {
            Some(block) => block[start..].as_mut_ptr().cast(),
            None => std::ptr::NonNull::<u64>::dangling().as_ptr().cast(),
        }
    }

    /// A copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) -> *const u8 {
        let target = self.allocate(bytes.len());
        // SAFETY: allocate returned bytes.len() writable bytes that nothing else refers to.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        target
    }
}
