//! Bloom filters over 64-bit hashes, in Spark's form: a header of three big-endian words of 32 bits (version 1, number of hash
//! functions, number of words), then words of 64 bits, also big-endian.

use super::murmur3::hash_long;
use crate::base::{Error, ErrorClass, Result};

/// A set that may take for a member what is none, never the other way round.
#[derive(Debug, Clone, PartialEq)]
pub struct BloomFilter {
    hashes: u32,
    words: Vec<u64>,
}

const HEADER: usize = 12;

/// How many hash functions err least often with `items` in `bits`.
pub fn optimal_hashes(items: u64, bits: u64) -> u32 {
    ((bits as f64 / items.max(1) as f64 * std::f64::consts::LN_2).round() as u32).clamp(1, 64)
}

/// The positions of an item in a filter of `bits` bits.
#[inline]
fn positions(item: i64, hashes: u32, bits: u64) -> impl Iterator<Item = u64> {
    let first = hash_long(item, 0);
    let second = hash_long(item, first);
    (1..=hashes as i32).map(move |i| {
        let combined = first.wrapping_add(i.wrapping_mul(second));
        (if combined < 0 { !combined } else { combined }) as u64 % bits
    })
}

impl BloomFilter {
    pub fn new(bits: u64, hashes: u32) -> Self {
        Self { hashes, words: vec![0; bits.div_ceil(64).max(1) as usize] }
    }

    /// Reads a serialized filter.
    ///
    /// # Errors
    /// `InvalidParameter` when the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (hashes, words) = parts(bytes).ok_or_else(not_a_filter)?;
        Ok(Self { hashes, words: words.chunks_exact(8).map(big_endian).collect() })
    }

    pub fn insert(&mut self, item: i64) {
        for p in positions(item, self.hashes, self.words.len() as u64 * 64) {
            self.words[(p / 64) as usize] |= 1 << (p % 64);
        }
    }

    /// Whether the item may be a member.
    #[inline]
    pub fn might_contain(&self, item: i64) -> bool {
        let set = |p: u64| self.words.get((p / 64) as usize).is_some_and(|w| w & (1 << (p % 64)) != 0);
        positions(item, self.hashes, self.words.len() as u64 * 64).all(set)
    }

    /// Adds the members of a serialized filter of the same size.
    ///
    /// # Errors
    /// `InvalidParameter` for one of another size.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let (_, words) = parts(bytes).filter(|(_, words)| words.len() == self.words.len() * 8).ok_or_else(not_a_filter)?;
        for (word, other) in self.words.iter_mut().zip(words.chunks_exact(8)) {
            *word |= big_endian(other);
        }
        Ok(())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let header = [1, self.hashes, self.words.len() as u32];
        header.into_iter().flat_map(u32::to_be_bytes).chain(self.words.iter().flat_map(|w| w.to_be_bytes())).collect()
    }
}

/// The number of hash functions, and the words.
fn parts(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let words = bytes.get(HEADER..).filter(|words| !words.is_empty())?;
    (number(0)? == 1 && number(8)? as usize * 8 == words.len()).then_some((number(4)?, words))
}

fn big_endian(word: &[u8]) -> u64 {
    word.iter().fold(0, |so_far, b| so_far << 8 | u64::from(*b))
}

fn not_a_filter() -> Error {
    Error::new(ErrorClass::InvalidParameter, "The first argument of might_contain is no Bloom filter.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_few_others() {
        let (mut even, mut rest) = (BloomFilter::new(8 * 1000, optimal_hashes(1000, 8000)), BloomFilter::new(8 * 1000, 6));
        (0..500).for_each(|i| even.insert(2 * i));
        (0..10).for_each(|i| rest.insert(-i));
        even.merge(&rest.to_bytes()).unwrap();
        let both = BloomFilter::from_bytes(&even.to_bytes()).unwrap();
        assert_eq!(both, even);
        assert!((0..500).map(|i| 2 * i).chain(-9..0).all(|i| both.might_contain(i)));
        assert!((10_000..20_000).filter(|i| both.might_contain(*i)).count() < 500);
        assert!(BloomFilter::from_bytes(b"no filter").is_err());
    }
}
