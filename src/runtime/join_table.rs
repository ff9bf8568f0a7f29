//! The build side of a hash join: packed rows, grouped by hash prefix, behind a directory with small Bloom filters.
//!
//! The unchained layout of Birler, Kemper and Neumann, "Simple, Efficient, and Robust Hash Tables for Join Processing"
//! (DaMoN 2024): count, prefix sum, scatter; the rows of one bucket are contiguous, and one directory word answers most misses.

use arrow::array::{Array, ArrayRef};

use super::pack;
use super::row::RowLayout;
use crate::base::Result;

/// A finished, immutable join table. Generated code probes it inline: directory word `end << 16 | filter` of the key's bucket; the
/// bucket's rows reach from the previous word's end to its own.
///
/// A bucket is `hash >> shift`, and a key can only be there if both its filter bits are set; or, where the keys are integers
/// that lie densely, the key less the least one, and no hash is needed.
#[derive(Debug)]
#[repr(C)]
pub struct JoinTable {
    /// The word of bucket 0; the word before it holds the start of the first row.
    directory: *const u64,
    shift: u64,
    /// 1 if buckets are by key.
    dense: u64,
    /// The key of bucket 0.
    least: i64,
    /// The last bucket.
    range: u64,
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
/// Offset of `dense`.
pub const DENSE: i32 = 16;
/// Offset of `least`.
pub const LEAST: i32 = 24;
/// Offset of `range`.
pub const RANGE: i32 = 32;

/// The filter bits of a hash: two of sixteen.
#[inline(always)]
pub fn filter_bits(hash: u64) -> u64 {
    (1 << (hash & 15)) | (1 << ((hash >> 4) & 15))
}

/// Tables of fewer rows are built on one thread.
const PARALLEL_ROWS: usize = 1 << 15;
/// Fewest buckets of a partition, and most partitions, as powers of two.
const PARTITION_BITS: u32 = 10;
/// Buckets may be this many times the rows where they are by key.
const DENSE_BUCKETS_PER_ROW: u64 = 4;

/// Integer keys as they are placed: the least, and how far the greatest is above it; `None` if they are too far apart for a
/// bucket each.
pub fn dense_range(least: i64, greatest: i64, rows: usize) -> Option<(i64, u64)> {
    let range = greatest.checked_sub(least)? as u64;
    (range < (rows as u64).saturating_mul(DENSE_BUCKETS_PER_ROW)).then_some((least, range))
}

/// A row on its way: bucket and filter bits (`bucket << 16 | bits`), and its number.
type Entry = (u64, u32);

/// Entries grouped by ranges of buckets.
struct Dealt {
    entries: Vec<Entry>,
    parts: Vec<std::ops::Range<usize>>,
}

/// Deals entries out into parts of `1 << bits` buckets each, keeping their order within each.
fn deal(entries: Vec<Entry>, bits: u32, parts: usize, threads: usize) -> Dealt {
    if parts == 1 {
        let all = 0..entries.len();
        return Dealt { entries, parts: vec![all] };
    }
    let part = |packed: u64| (packed >> (16 + bits)) as usize;
    let chunk = entries.len().div_ceil(threads).max(1);
    let mut counts: Vec<Vec<usize>> = entries.chunks(chunk).map(|_| vec![0; parts]).collect();
    on_threads(entries.chunks(chunk).zip(&mut counts).collect(), threads, |(chunk, counts)| {
        for (packed, _) in chunk {
            counts[part(*packed)] += 1;
        }
    });
    let mut ranges = Vec::with_capacity(parts);
    let mut at = 0;
    for p in 0..parts {
        let start = at;
        for counts in &mut counts {
            at += std::mem::replace(&mut counts[p], at);
        }
        ranges.push(start..at);
    }
    let mut out = vec![(0u64, 0u32); entries.len()];
    let target = Target(out.as_mut_ptr());
    on_threads(entries.chunks(chunk).zip(&mut counts).collect(), threads, |(chunk, next)| {
        let target = &target;
        for entry in chunk {
            let place = &mut next[part(entry.0)];
            // SAFETY: the counts gave each chunk places of its own within the vector.
            unsafe { target.0.add(*place).write(*entry) };
            *place += 1;
        }
    });
    Dealt { entries: out, parts: ranges }
}

/// Where several threads write, each to places of its own.
struct Target(*mut Entry);
// SAFETY: see the only use.
unsafe impl Sync for Target {}

/// Counts, sums and places the entries of one partition, whose first bucket is `first`: its directory words, and the order of
/// its rows, the first of which is at address `start`.
fn place(entries: &[Entry], start: u64, first: usize, row_size: usize, words: &mut [u64], order: &mut [u32]) {
    let bucket = |packed: u64| (packed >> 16) as usize - first;
    let mut next = vec![0u32; words.len() + 1];
    for (packed, _) in entries {
        next[bucket(*packed) + 1] += 1;
    }
    for i in 0..words.len() {
        next[i + 1] += next[i];
    }
    for (word, end) in words.iter_mut().zip(&next[1..]) {
        *word = (start + u64::from(*end) * row_size as u64) << 16;
    }
    for (packed, row) in entries {
        let b = bucket(*packed);
        words[b] |= packed & 0xFFFF;
        order[next[b] as usize] = *row;
        next[b] += 1;
    }
}

/// Runs `work` on every item, the items dealt out to the threads.
fn on_threads<T: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) + Sync) {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().for_each(work);
    }
    let queue = std::sync::Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

impl JoinTable {
    /// Builds from the hashes of the build rows (`None`: a NULL key, not in the table), or, if `dense` says so (see
    /// [`dense_range`]), from their keys less the least; and from their columns, in the order of the layout's fields; on up to
    /// `threads` threads.
    ///
    /// Rows are first dealt out by ranges of buckets, so that counting and placing them stay within the cache; rows are then
    /// written in their final order.
    ///
    /// # Errors
    /// `Internal` for types that compiled stages do not handle.
    pub fn build(
        layout: RowLayout,
        keys: &[Option<u64>],
        dense: Option<(i64, u64)>,
        columns: Vec<ArrayRef>,
        threads: usize,
    ) -> Result<Self> {
        let count = keys.iter().flatten().count();
        let bits = count.next_power_of_two().max(2).trailing_zeros();
        let shift = u64::from(64 - bits);
        let buckets = dense.map_or(1 << bits, |(_, range)| range as usize + 1);
        let pack = |key: u64| match dense {
            Some(_) => (key << 16) | 0xFFFF,
            None => ((key >> shift) << 16) | filter_bits(key),
        };
        let entries: Vec<Entry> = keys.iter().enumerate().filter_map(|(i, k)| k.map(|k| (pack(k), i as u32))).collect();
        let row_words = layout.size / 8;
        let mut rows = vec![0u64; count * row_words];
        let base = rows.as_ptr() as u64;
        let threads = if count < PARALLEL_ROWS { 1 } else { threads.max(1) };
        let part_bits = buckets.next_power_of_two().trailing_zeros().saturating_sub(PARTITION_BITS).max(PARTITION_BITS);
        let dealt = deal(entries, part_bits, buckets.div_ceil(1 << part_bits), threads);
        let mut words = vec![0u64; buckets + 1];
        words[0] = base << 16;
        let mut order = vec![0u32; count];
        let mut pieces = vec![];
        let (mut word_rest, mut order_rest) = (&mut words[1..], &mut order[..]);
        for (p, part) in dealt.parts.iter().enumerate() {
            let (w, later) = word_rest.split_at_mut(word_rest.len().min(1 << part_bits));
            let (o, after) = order_rest.split_at_mut(part.len());
            pieces.push((&dealt.entries[part.clone()], base + (part.start * layout.size) as u64, p << part_bits, w, o));
            (word_rest, order_rest) = (later, after);
        }
        on_threads(pieces, threads, |(entries, start, first, words, order)| place(entries, start, first, layout.size, words, order));
        let chunk = count.div_ceil(threads).max(1);
        let work: Vec<_> = order.chunks(chunk).zip(rows.chunks_mut(chunk * row_words)).collect();
        let failed = std::sync::Mutex::new(None);
        on_threads(work, threads, |(order, rows)| {
            for (column, field) in columns.iter().zip(&layout.fields) {
                if let Err(e) = pack::gather_column(column, field, order, rows, row_words) {
                    *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(e);
                }
            }
        });
        if let Some(e) = failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
            return Err(e);
        }
        // SAFETY: words has at least two entries.
        let directory = unsafe { words.as_ptr().add(1) };
        let keep_alive = columns.into_iter().filter(|c| !c.data_type().is_primitive()).collect();
        let (least, range) = dense.unwrap_or_default();
        Ok(Self {
            directory,
            shift,
            dense: u64::from(dense.is_some()),
            least,
            range,
            words,
            rows,
            layout,
            row_count: count,
            keep_alive,
            has_null_key: count != keys.len(),
            is_empty: keys.is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::hash;
    use crate::runtime::row::FieldKind;

    #[test]
    fn buckets_hold_their_rows() {
        let keys: Vec<u64> = (0..100_000).collect();
        let hashes: Vec<Option<u64>> = keys.iter().map(|k| Some(hash::combine(hash::SEED, *k))).collect();
        let layout = RowLayout::new(0, &[(FieldKind::I64, false)]);
        let column: ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(keys.iter().map(|k| *k as i64)));
        let table = JoinTable::build(layout, &hashes, None, vec![column], 2).unwrap();
        for key in 0..100_000u64 {
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
