//! Zeroed words for the tables of groups and joins.
//!
//! Large ones are in huge pages where the system has them: probing misses the cache of addresses less often, and millions of small pages
//! need not be filled one by one, nor given back one by one with every core being told.

use std::ops::{Deref, DerefMut};

use crate::base::{Result, interrupt};

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a page where there are no huge ones.
const SMALL_PAGE: usize = 4096;
/// Bytes of the largest block that [`next_block`] gives.
const LARGEST_BLOCK: usize = 32 << 20;

/// Words that stay where they are until they are dropped.
#[derive(Debug, Default)]
pub struct Pages(Vec<u64>);

impl Pages {
    /// `words` zeros. Many take no memory before they are touched.
    pub fn zeroed(words: usize) -> Self {
        let words = vec![0u64; words];
        want_huge_pages(&words);
        Self(words)
    }

    /// Bytes held when the words before `used` have been touched.
    pub fn memory(&self, used: usize) -> usize {
        let bytes = self.0.len() * 8;
        if bytes < HUGE_PAGE { bytes } else { (used * 8).next_multiple_of(HUGE_PAGE).min(bytes) }
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
}

impl Deref for Pages {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

/// Asks the system for huge pages wherever the words fill some.
fn want_huge_pages(words: &[u64]) {
    let range = words.as_ptr_range();
    let (start, end) = ((range.start as usize).next_multiple_of(HUGE_PAGE), range.end as usize / HUGE_PAGE * HUGE_PAGE);
    if start < end {
        // SAFETY: the range is within memory that the caller has; its contents stay. That it fails, small pages do as well.
        #[cfg(target_os = "linux")]
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
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
