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
    pub words: Vec<u64>,
    pub rows: Vec<u64>,
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
