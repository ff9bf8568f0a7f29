//! Zeroed words for the tables of groups and joins.
//!
//! Large ones are mapped by themselves, in huge pages where the system has them: probing misses the cache of addresses less often, and
//! millions of small pages need not be filled one by one, nor given back one by one with every core being told.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::base::{Result, interrupt};

/// Bytes of a huge page; from so many on words are mapped.
pub const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a page where there are no huge ones.
const SMALL_PAGE: usize = 4096;
/// Bytes of the largest block that [`next_block`] gives.
const LARGEST_BLOCK: usize = 32 << 20;

/// Words that stay where they are until they are dropped.
#[derive(Debug)]
pub struct Pages(Memory);

#[derive(Debug)]
enum Memory {
    Allocated(Vec<u64>),
    Mapped(MmapMut),
}

impl Pages {
    /// `words` zeros. Those that are mapped take no memory before they are touched.
    pub fn zeroed(words: usize) -> Self {
        let bytes = words * 8;
        if bytes >= HUGE_PAGE
            && let Ok(map) = MmapMut::map_anon(bytes)
        {
            // Small pages do as well.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            return Self(Memory::Mapped(map));
        }
        Self(Memory::Allocated(vec![0; words]))
    }

    /// The pieces that the system gives memory for one by one, which may take milliseconds each: those who write here and there would
    /// have to wait for many of them at once, and should [touch] them before.
    pub fn pieces(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.chunks_mut(HUGE_PAGE / 8)
    }

    /// Touches all pieces.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn touch(&mut self) -> Result<()> {
        self.pieces().try_for_each(|piece| {
            touch(piece);
            interrupt::check()
        })
    }

    /// As bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let words = &mut **self;
        // SAFETY: the same memory; bytes need no alignment, and any are words.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 8) }
    }

    /// Bytes held when the words before `used` have been touched.
    pub fn memory(&self, used: usize) -> usize {
        match &self.0 {
            Memory::Allocated(words) => words.len() * 8,
            Memory::Mapped(map) => (used * 8).next_multiple_of(HUGE_PAGE).min(map.len()),
        }
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Deref for Pages {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match &self.0 {
            Memory::Allocated(words) => words,
            // SAFETY: a mapping begins at a page, which suits words; it is a multiple of words long, and its bytes are initialised.
            Memory::Mapped(map) => unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), map.len() / 8) },
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Memory::Allocated(words) => words,
            // SAFETY: as above; the mapping is borrowed as long as the slice.
            Memory::Mapped(map) => unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), map.len() / 8) },
        }
    }
}

/// Writes to a [piece](Pages::pieces) that holds nothing yet, so that the system gives memory for it.
pub fn touch(piece: &mut [u64]) {
    piece.iter_mut().step_by(SMALL_PAGE / 8).for_each(|word| *word = 0);
}

/// Bytes of the block to come after blocks of `held` bytes together, for something that grows: as much again up to a huge page, then a
/// quarter, so that there are few blocks and little of the last is in vain.
pub fn next_block(held: usize, first: usize) -> usize {
    match held {
        0 => first,
        _ if held < HUGE_PAGE => held.next_power_of_two(),
        _ => (held / 4).next_power_of_two().clamp(HUGE_PAGE, LARGEST_BLOCK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_zero_and_can_be_written() {
        for words in [0, 5, HUGE_PAGE / 8, HUGE_PAGE / 8 + 3] {
            let mut pages = Pages::zeroed(words);
            assert_eq!(pages.len(), words);
            assert!(pages.iter().all(|w| *w == 0));
            pages.iter_mut().enumerate().for_each(|(i, w)| *w = i as u64);
            assert!(pages.iter().enumerate().all(|(i, w)| *w == i as u64));
        }
    }

    #[test]
    fn blocks_grow_with_what_is_held() {
        let mut held = 0;
        let blocks: Vec<usize> = std::iter::repeat_with(|| {
            let block = next_block(held, 4096);
            held += block;
            block
        })
        .take(60)
        .collect();
        assert_eq!(blocks[..3], [4096, 4096, 8192]);
        assert!(blocks.is_sorted() && blocks.contains(&HUGE_PAGE) && blocks[59] == LARGEST_BLOCK);
        assert!(blocks.iter().sum::<usize>() > 500 << 20);
    }
}
