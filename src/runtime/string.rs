//! Strings in registers: length and first four bytes in one word; the other eight, or the address of all, in a second
//! (Neumann and Freitag 2020, as in Arrow's views but with a pointer in place of buffer and offset).

use std::ops::Range;

use super::hash;

/// Longest string that is held inline.
pub const INLINE: usize = 12;

/// A string as generated code passes it; borrowed from a batch, a constant, or an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct StrRef {
    /// Length in the low half, first four bytes (zero-padded) in the high half.
    pub lo: u64,
    /// Up to 12 bytes: bytes 4 to 12 (zero-padded). Longer: the address of the first byte.
    pub hi: u64,
}

impl StrRef {
    /// The reference is valid as long as `bytes` stays where it is.
    pub fn new(bytes: &[u8]) -> Self {
        let mut head = [0u8; INLINE];
        let n = bytes.len().min(INLINE);
        head[..n].copy_from_slice(&bytes[..n]);
        let lo = bytes.len() as u64 | (u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]])) << 32);
        let hi = if bytes.len() <= INLINE {
            u64::from_le_bytes([head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]])
        } else {
            bytes.as_ptr() as u64
        };
        Self { lo, hi }
    }

    pub fn len(&self) -> usize {
        self.lo as u32 as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; `self` must outlive the use when inline.
    ///
    /// # Safety
    /// The memory that a long string points to must still be there.
    pub unsafe fn bytes(&self) -> &[u8] {
        if self.len() <= INLINE {
            // SAFETY: lo's high half and hi are 12 consecutive bytes of self (little endian, repr(C)), of which len are the string.
            unsafe { std::slice::from_raw_parts((self as *const Self).cast::<u8>().add(4), self.len()) }
        } else {
            // SAFETY: by the caller's promise.
            unsafe { std::slice::from_raw_parts(self.hi as *const u8, self.len()) }
        }
    }

    /// The words that hashing combines.
    ///
    /// # Safety
    /// As for [`Self::bytes`].
    pub unsafe fn hash_words(&self) -> (u64, u64) {
        // SAFETY: by the caller's promise.
        if self.len() <= INLINE { (self.lo, self.hi) } else { (self.lo, hash::bytes_word(unsafe { self.bytes() })) }
    }

    /// # Safety
    /// As for [`Self::bytes`], of both.
    pub unsafe fn equals(&self, other: &Self) -> bool {
        // SAFETY: by the caller's promise.
        self.lo == other.lo && (self.hi == other.hi || (self.len() > INLINE && unsafe { self.bytes() == other.bytes() }))
    }
}

/// How many characters a UTF-8 text has.
pub fn characters(text: &[u8]) -> usize {
    if text.is_ascii() { text.len() } else { text.iter().filter(|b| begins_character(**b)).count() }
}

/// Where the character at `index` (from 0) of a UTF-8 text begins; the text's length if it has fewer.
pub fn character_offset(text: &[u8], index: usize) -> usize {
    let head = &text[..index.min(text.len())];
    if head.is_ascii() {
        return head.len();
    }
    let mut beginnings = text.iter().enumerate().filter(|(_, b)| begins_character(**b));
    beginnings.nth(index).map_or(text.len(), |(at, _)| at)
}

fn begins_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// Where SQL's substring lies: units `position .. position + count`, from 1; 0 counts as 1; negative counts from the end and the
/// part before the start is cut off. The end may be past that of the text.
pub fn window(position: i64, count: i64, length: impl FnOnce() -> usize) -> Range<usize> {
    let start = match position {
        1.. => position - 1,
        0 => 0,
        _ => length() as i64 + position,
    };
    let end = start.saturating_add(count);
    if end <= start.max(0) { 0..0 } else { start.max(0) as usize..end as usize }
}

/// The bytes of SQL's substring, in characters, of a UTF-8 text.
pub fn substring(text: &[u8], position: i64, count: i64) -> Range<usize> {
    let window = window(position, count, || characters(text));
    let from = character_offset(text, window.start);
    from..from + character_offset(&text[from..], window.len())
}
