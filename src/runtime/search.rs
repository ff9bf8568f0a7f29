//! Search for a constant text in many short ones.

use memchr::memmem;

/// Finds one text in others. The library's search spends more on its beginning than on the few bytes of a typical column value;
/// here the beginning is free where the processor can load a part of a vector.
#[derive(Debug, Clone)]
pub struct Finder {
    library: memmem::Finder<'static>,
    /// Whether the processor has masked loads of 64 bytes.
    masked: bool,
}

impl Finder {
    /// Finds `needle`.
    pub fn new(needle: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        let masked = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("bmi2") && !needle.is_empty();
        #[cfg(not(target_arch = "x86_64"))]
        let masked = false;
        Self { library: memmem::Finder::new(needle).into_owned(), masked }
    }

    /// What is searched for.
    pub fn needle(&self) -> &[u8] {
        self.library.needle()
    }

    /// Where the needle first begins in `text`.
    #[inline]
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if self.masked && text.len() <= masked::LONGEST {
            // SAFETY: `masked` says that the processor has the features.
            return unsafe { masked::find(self.library.needle(), text) };
        }
        self.library.find(text)
    }
}

#[cfg(target_arch = "x86_64")]
mod masked {
    use std::arch::x86_64::*;

    /// Texts beyond are the library's: it chooses the bytes to look for by how rare they are.
    pub const LONGEST: usize = 512;

    /// Looks for the first, middle and last byte of `needle` (not empty) at 64 places at a time.
    #[target_feature(enable = "avx512bw,bmi1,bmi2")]
    pub fn find(needle: &[u8], text: &[u8]) -> Option<usize> {
        let (middle, end) = (needle.len() / 2, needle.len() - 1);
        let places = text.len().checked_sub(end)?;
        let wanted = [0, middle, end].map(|i| (i, _mm512_set1_epi8(needle[i] as i8)));
        let mut at = 0;
        while at < places {
            let mut candidates = _bzhi_u64(u64::MAX, (places - at).min(64) as u32);
            for (i, byte) in wanted {
                // SAFETY: only bytes of `candidates` are read, which begin at places of `text` with `end` bytes after them.
                let bytes = unsafe { _mm512_maskz_loadu_epi8(candidates, text.as_ptr().add(at + i).cast()) };
                candidates = _mm512_mask_cmpeq_epi8_mask(candidates, bytes, byte);
            }
            while candidates != 0 {
                let place = at + candidates.trailing_zeros() as usize;
                if text[place..place + needle.len()] == *needle {
                    return Some(place);
                }
                candidates &= candidates - 1;
            }
            at += 64;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_library_finds() {
        let text: Vec<u8> = (0..700u32).map(|i| b"abcab"[(i.wrapping_mul(2_654_435_761) >> 29) as usize % 5]).collect();
        for needle in ["", "a", "ab", "cab", "bcaa", "abcabcabc", "aaaaaaaaaaaaa"] {
            let finder = Finder::new(needle.as_bytes());
            for length in (0..140).chain([511, 512, 513, 700]) {
                for start in [0, 1, 63] {
                    let part = &text[start.min(length)..length];
                    assert_eq!(finder.find(part), memmem::find(part, needle.as_bytes()), "{needle} {start} {length}");
                }
            }
        }
    }
}
