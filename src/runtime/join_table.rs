//! The build side of a hash join: packed rows, grouped by hash prefix, behind a directory with small Bloom filters.
//!
//! The unchained layout of Birler, Kemper and Neumann, "Simple, Efficient, and Robust Hash Tables for Join Processing"
//! (DaMoN 2024): count, prefix sum, scatter; the rows of one bucket are contiguous, and one directory word answers most misses.

use arrow::array::{Array, ArrayRef};

use super::pack;
use super::row::RowLayout;
use crate::base::Result;

/// A finished, immutable join table. Generated code probes it inline: bucket `hash >> shift`; directory word `end << 16 | filter`;
/// the bucket's rows reach from the previous word's end to its own. A key can only be there if both its filter bits are set.
#[derive(Debug)]
#[repr(C)]
pub struct JoinTable {
    /// The word of bucket 0; the word before it holds the start of the first row.
    directory: *const u64,
    shift: u64,
    // Below: not touched by generated code.
    words: Vec<u64>,
    rows: Vec<u64>,
    layout: RowLayout,
    row_count: usize,
    /// What long strings of the rows point into.
    keep_alive: Vec<ArrayRef>,
    /// Whether a build row had a NULL key (such rows are not in the table).
    pub has_null_key: bool,
    /// Whether the build side had rows at all.
    pub is_empty: bool,
}

// SAFETY: immutable after `build`; the pointers are into memory that the table owns.
unsafe impl Send for JoinTable {}
// SAFETY: as above.
unsafe impl Sync for JoinTable {}

/// Offset of the directory's address in the table.
pub const DIRECTORY: i32 = 0;
/// Offset of `shift`.
pub const SHIFT: i32 = 8;

/// The filter bits of a hash: two of sixteen.
#[inline(always)]
pub fn filter_bits(hash: u64) -> u64 {
    (1 << (hash & 15)) | (1 << ((hash >> 4) & 15))
}

impl JoinTable {
    /// Builds from the hashes of the build rows (`None`: a NULL key, not in the table) and their columns, in the order of the
    /// layout's fields, piece by piece.
    ///
    /// # Errors
    /// `Internal` for types that compiled stages do not handle.
    pub fn build(layout: RowLayout, hashes: &[Option<u64>], pieces: Vec<Vec<ArrayRef>>) -> Result<Self> {
        let count = hashes.iter().flatten().count();
        let buckets = count.next_power_of_two().max(2);
        let shift = u64::from(64 - buckets.trailing_zeros());
        let row_words = layout.size / 8;
        let mut rows = vec![0u64; count * row_words];
        let base = rows.as_mut_ptr();
        let mut next = vec![0u32; buckets + 1];
        for hash in hashes.iter().flatten() {
            next[(hash >> shift) as usize + 1] += 1;
        }
        for i in 0..buckets {
            next[i + 1] += next[i];
        }
        // SAFETY: offsets are at most count: at most one past the end of rows.
        let address = |position: u32| unsafe { base.add(position as usize * row_words) };
        let mut words: Vec<u64> = next.iter().map(|offset| (address(*offset) as u64) << 16).collect();
        let mut addresses = vec![std::ptr::null_mut(); hashes.len()];
        for (hash, target) in hashes.iter().zip(&mut addresses) {
            let Some(hash) = hash else { continue };
            let bucket = (hash >> shift) as usize;
            words[bucket + 1] |= filter_bits(*hash);
            *target = address(next[bucket]).cast();
            next[bucket] += 1;
        }
        // SAFETY: words has buckets + 1 >= 3 entries.
        let directory = unsafe { words.as_ptr().add(1) };
        let has_null_key = count != hashes.len();
        let mut first = 0;
        for columns in &pieces {
            let rows = columns.first().map_or(0, |c| c.len());
            for (column, field) in columns.iter().zip(&layout.fields) {
                // SAFETY: the addresses are of rows of this layout; keep_alive holds the strings that rows point to.
                unsafe { pack::scatter_column(column, field, &addresses[first..first + rows])? };
            }
            first += rows;
        }
        let keep_alive = pieces.into_iter().flatten().filter(|c| !c.data_type().is_primitive()).collect();
        Ok(Self { directory, shift, words, rows, layout, row_count: count, keep_alive, has_null_key, is_empty: hashes.is_empty() })
    }

    pub fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// Rows in the table.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Bytes held, strings aside.
    pub fn size(&self) -> usize {
        (self.words.len() + self.rows.len()) * 8 + self.keep_alive.iter().map(|a| a.get_array_memory_size()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::hash;
    use crate::runtime::row::FieldKind;

    #[test]
    fn buckets_hold_their_rows() {
        let keys: Vec<u64> = (0..1000).collect();
        let hashes: Vec<Option<u64>> = keys.iter().map(|k| Some(hash::combine(hash::SEED, *k))).collect();
        let layout = RowLayout::new(0, &[(FieldKind::I64, false)]);
        let column: ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(keys.iter().map(|k| *k as i64)));
        let table = JoinTable::build(layout, &hashes, vec![vec![column]]).unwrap();
        for key in 0..1000u64 {
            let hash = hash::combine(hash::SEED, key);
            let bucket = (hash >> table.shift) as usize;
            let word = table.words[bucket + 1];
            assert_eq!(word & filter_bits(hash), filter_bits(hash));
            let (mut at, end) = (table.words[bucket] >> 16, word >> 16);
            let mut found = false;
            while at < end {
                // SAFETY: between start and end of a bucket are whole rows.
                found |= unsafe { (at as *const u64).read() } == key;
                at += 8;
            }
            assert!(found);
        }
    }
}
