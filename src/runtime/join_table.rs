//! The build side of a hash join, in the form that its keys allow. Finished tables are immutable; generated code probes them inline.
//!
//! | form | for | a key's rows |
//! | --- | --- | --- |
//! | [`Form::Set`] | one integer key, no rows wanted | only whether there is one: a bit |
//! | [`Form::Unique`] | one integer key, once each | the row of the key's rank |
//! | [`Form::Multiple`] | one integer key | from the end of the rank before to the end of the key's rank |
//! | [`Form::Hashed`] | any keys | the bucket of the hash; one of several keys may be marked by itself, to drop most rows early |
//!
//! The first three need keys that do not lie too far apart. Keys are marked in *blocks* of 64: bits of the keys that are there,
//! and how many there are in all blocks before, so that a key's rank is a sum and a population count (the rank structure of
//! succinct bitmaps; Jacobson 1989). No hash, no comparison, and neighbouring keys are neighbours in memory.
//!
//! The hashed form is the unchained layout of Birler, Kemper and Neumann, "Simple, Efficient, and Robust Hash Tables for Join
//! Processing" (DaMoN 2024): the rows of one bucket are contiguous, and one directory word answers most misses.

use arrow::array::ArrayRef;

use super::pages::Pages;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    Set,
    Unique,
    Multiple,
    Hashed {
        /// Values of this key, an integer, are marked in blocks too, since few of those between the least and the greatest are there.
        filter: Option<u8>,
    },
}

impl Form {
    /// Whether keys are marked in blocks.
    pub fn by_key(self) -> bool {
        !matches!(self, Form::Hashed { .. })
    }
}

/// 64 keys from a multiple of 64 above the least on: which are there, and how many are there before them.
pub type Block = [u64; 2];

/// A finished table.
///
/// A bucket of the hashed form is `hash >> shift`; its directory word is `end << 16 | filter`, and a key can only be there if both
/// its filter bits are set. A word of the form for multiple rows is the address of the end of a rank's rows. In both, rows begin
/// where those of the word before end.
#[derive(Debug)]
#[repr(C)]
pub struct JoinTable {
    /// The word of the first bucket or rank; the word before it holds the start of the first row.
    directory: *const u64,
    shift: u64,
    /// The least key.
    least: i64,
    /// How far above it the first key is that is not there; nor is any after it.
    limit: u64,
    blocks: *const Block,
    rows: *const u64,
    // Below: not touched by generated code.
    pub form: Form,
    /// Whether a build row had a NULL key (such rows are not in the table).
    pub has_null_key: bool,
    /// Whether the build side had rows at all.
    pub is_empty: bool,
    owned: Parts,
}

/// The memory of a table.
#[derive(Debug, Default)]
pub struct Parts {
    pub least: i64,
    pub limit: u64,
    /// At least one more than the keys need.
    pub blocks: Vec<Block>,
    pub shift: u64,
    /// The start of the rows, then a word per bucket or rank.
    pub words: Pages,
    pub rows: Pages,
    /// What long strings of the rows point into.
    pub keep_alive: Vec<ArrayRef>,
}

// SAFETY: immutable once made; the pointers are into memory that the table owns.
unsafe impl Send for JoinTable {}
// SAFETY: as above.
unsafe impl Sync for JoinTable {}

/// Offset of the directory's address in the table.
pub const DIRECTORY: i32 = 0;
/// Offset of `shift`.
pub const SHIFT: i32 = 8;
/// Offset of `least`.
pub const LEAST: i32 = 16;
/// Offset of `limit`.
pub const LIMIT: i32 = 24;
/// Offset of the blocks' address.
pub const BLOCKS: i32 = 32;
/// Offset of the rows' address.
pub const ROWS: i32 = 40;

impl JoinTable {
    pub fn new(form: Form, parts: Parts, has_null_key: bool, is_empty: bool) -> Self {
        Self {
            directory: parts.words.as_ptr().wrapping_add(1),
            shift: parts.shift,
            least: parts.least,
            limit: parts.limit,
            blocks: parts.blocks.as_ptr(),
            rows: parts.rows.as_ptr(),
            form,
            has_null_key,
            is_empty,
            owned: parts,
        }
    }
}

impl JoinTable {
    /// Bytes held.
    pub fn memory(&self) -> usize {
        let Parts { blocks, words, rows, keep_alive, .. } = &self.owned;
        let kept: usize = keep_alive.iter().map(|c| c.get_array_memory_size()).sum();
        size_of_val(blocks.as_slice()) + words.memory(words.len()) + rows.memory(rows.len()) + kept
    }
}

/// What the forms by key are read by.
impl JoinTable {
    /// The least key.
    pub fn least(&self) -> i64 {
        self.least
    }

    /// How far above the least key the first one is that is not there; nor is any after it.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Up to and with the block of the limit.
    pub fn blocks(&self) -> &[Block] {
        &self.owned.blocks
    }

    /// Whether the key is there.
    #[inline(always)]
    pub fn contains(&self, key: i64) -> bool {
        let offset = (key.wrapping_sub(self.least) as u64).min(self.limit);
        // SAFETY: there is a block for every offset up to the limit.
        let [bits, _] = unsafe { *self.blocks.add((offset / 64) as usize) };
        (bits >> (offset % 64)) & 1 == 1
    }
}

/// The filter bits of a hash: two of sixteen.
#[inline(always)]
pub fn filter_bits(hash: u64) -> u64 {
    (1 << (hash & 15)) | (1 << ((hash >> 4) & 15))
}

/// The rank of a key that is there, `offset` above the least.
#[inline(always)]
pub fn rank(blocks: &[Block], offset: u64) -> u64 {
    let [bits, before] = blocks[(offset / 64) as usize];
    before + u64::from((bits & ((1 << (offset % 64)) - 1)).count_ones())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;
    use crate::runtime::hash;
    use crate::runtime::join_build::{BuildBatch, BuildSpec, build};
    use crate::runtime::row::{FieldKind, RowLayout};

    /// A table of rows (keys, number of the row) in batches of 700.
    fn table(keys: &[Vec<Option<i64>>], set: bool) -> JoinTable {
        let rows = keys[0].len();
        let width = keys.len() + usize::from(!set);
        let layout = RowLayout::new(0, &vec![(FieldKind::I64, false); width]);
        let batches: Vec<_> = (0..rows)
            .step_by(700)
            .map(|from| {
                let to = (from + 700).min(rows);
                let keys: Vec<ArrayRef> = keys.iter().map(|k| Arc::new(Int64Array::from(k[from..to].to_vec())) as ArrayRef).collect();
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from as i64..to as i64));
                let columns = keys.iter().cloned().chain((!set).then_some(numbers)).collect();
                BuildBatch { keys, columns }
            })
            .collect();
        let integer_keys = vec![true; keys.len()];
        build(&BuildSpec { layout: &layout, integer_keys: &integer_keys, set, shared: true }, &batches, 2).unwrap()
    }

    /// The numbers of the rows with a key, as generated code finds them (`width`: fields of a row).
    fn lookup(table: &JoinTable, key: &[i64], width: usize) -> Vec<i64> {
        let word = |at: u64| table.owned.words[at as usize];
        let (from, to) = match table.form {
            Form::Hashed { .. } => {
                let hash = key.iter().fold(hash::SEED, |h, k| hash::combine(h, *k as u64));
                let bucket = hash >> table.shift;
                let filter = filter_bits(hash);
                if word(bucket + 1) & filter != filter {
                    return vec![];
                }
                (word(bucket) >> 16, word(bucket + 1) >> 16)
            }
            _ if !table.contains(key[0]) => return vec![],
            form => {
                let rank = rank(table.blocks(), key[0].wrapping_sub(table.least) as u64);
                let at = table.rows as u64 + rank * width as u64 * 8;
                if form == Form::Unique { (at, at + width as u64 * 8) } else { (word(rank), word(rank + 1)) }
            }
        };
        let first = ((from - table.rows as u64) / 8) as usize;
        let last = ((to - table.rows as u64) / 8) as usize;
        let rows = table.owned.rows[first..last].chunks(width);
        rows.filter(|r| r.iter().zip(key).all(|(a, b)| *a as i64 == *b)).map(|r| r[width - 1] as i64).collect()
    }

    #[test]
    fn every_form_finds_its_rows() {
        let n = 50_000i64;
        let unique: Vec<_> = (0..n).map(|i| Some((i * 7919) % n * 3 - 1000)).collect();
        let repeated: Vec<_> = (0..n).map(|i| if i % 11 == 5 { None } else { Some(i * 31 % 997) }).collect();
        let wide: Vec<_> = (0..n).map(|i| Some(i * (i64::MAX / n))).collect();
        let dense: Vec<_> = (0..n).map(|i| Some(i % 10)).collect();
        let sparse: Vec<_> = (0..n).map(|i| Some(i / 10 * 50)).collect();
        let cases = [
            (vec![unique], Form::Unique),
            (vec![repeated], Form::Multiple),
            (vec![wide], Form::Hashed { filter: None }),
            (vec![dense, sparse], Form::Hashed { filter: Some(1) }),
        ];
        for (keys, form) in cases {
            let table = table(&keys, false);
            assert_eq!(table.form, form);
            assert_eq!(table.has_null_key, keys[0].contains(&None));
            for i in (0..n as usize).step_by(331) {
                let key: Option<Vec<i64>> = keys.iter().map(|k| k[i]).collect();
                let Some(key) = key else { continue };
                let same = |j: &usize| keys.iter().zip(&key).all(|(k, v)| k[*j] == Some(*v));
                let expected: Vec<i64> = (0..n as usize).filter(same).map(|j| j as i64).collect();
                assert_eq!(lookup(&table, &key, keys.len() + 1), expected);
                let absent: Vec<i64> = key.iter().map(|k| k.wrapping_sub(1_000_003)).collect();
                assert!(lookup(&table, &absent, keys.len() + 1).is_empty());
            }
        }
    }

    #[test]
    fn a_set_knows_its_keys_and_an_empty_table_none() {
        let set = table(&[vec![Some(i64::MAX), None, Some(i64::MAX - 5)]], true);
        assert_eq!((set.form, set.has_null_key), (Form::Set, true));
        let keys = [i64::MIN, 0, i64::MAX - 6, i64::MAX - 5, i64::MAX - 4, i64::MAX];
        assert_eq!(keys.map(|k| set.contains(k)), [false, false, false, true, false, true]);
        let empty = table(&[vec![]], false);
        assert!(empty.is_empty && lookup(&empty, &[0], 2).is_empty());
    }
}
