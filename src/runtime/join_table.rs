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

/// Tables of fewer rows are built on one thread.
const PARALLEL_ROWS: usize = 1 << 15;
/// Buckets of a partition, and most partitions, as powers of two.
const PARTITION_BITS: u32 = 10;

/// Entries grouped by the upper bits of their hashes.
struct Dealt {
    entries: Vec<(u64, u32)>,
    parts: Vec<std::ops::Range<usize>>,
}

/// Deals entries out into `1 << bits` parts by the uppermost bits of their hashes, keeping their order within each.
fn deal(entries: Vec<(u64, u32)>, bits: u32, threads: usize) -> Dealt {
    if bits == 0 {
        let all = 0..entries.len();
        return Dealt { entries, parts: vec![all] };
    }
    let part = |hash: u64| (hash >> (64 - bits)) as usize;
    let chunk = entries.len().div_ceil(threads).max(1);
    let mut counts: Vec<Vec<usize>> = entries.chunks(chunk).map(|_| vec![0; 1 << bits]).collect();
    on_threads(entries.chunks(chunk).zip(&mut counts).collect(), threads, |(chunk, counts)| {
        for (hash, _) in chunk {
            counts[part(*hash)] += 1;
        }
    });
    let mut parts = Vec::with_capacity(1 << bits);
    let mut at = 0;
    for p in 0..1 << bits {
        let start = at;
        for counts in &mut counts {
            at += std::mem::replace(&mut counts[p], at);
        }
        parts.push(start..at);
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
    Dealt { entries: out, parts }
}

/// Where several threads write, each to places of its own.
struct Target(*mut (u64, u32));
// SAFETY: see the only use.
unsafe impl Sync for Target {}

/// Counts, sums and places the entries of one partition: its directory words, and the order of its rows, the first of which is at
/// address `start`.
fn place(entries: &[(u64, u32)], start: u64, shift: u64, row_size: usize, words: &mut [u64], order: &mut [u32]) {
    let mask = words.len() - 1;
    let bucket = |hash: u64| (hash >> shift) as usize & mask;
    let mut next = vec![0u32; words.len() + 1];
    for (hash, _) in entries {
        next[bucket(*hash) + 1] += 1;
    }
    for i in 0..words.len() {
        next[i + 1] += next[i];
    }
    let ends: Vec<u64> = next[1..].iter().map(|end| (start + u64::from(*end) * row_size as u64) << 16).collect();
    for (hash, row) in entries {
        let b = bucket(*hash);
        words[b] |= filter_bits(*hash);
        order[next[b] as usize] = *row;
        next[b] += 1;
    }
    for (word, end) in words.iter_mut().zip(ends) {
        *word |= end;
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
    /// Builds from the hashes of the build rows (`None`: a NULL key, not in the table) and their columns, in the order of the
    /// layout's fields, on up to `threads` threads.
    ///
    /// Rows are first dealt out by the upper bits of their hashes, so that counting and placing them stay within the cache; rows
    /// are then written in their final order.
    ///
    /// # Errors
    /// `Internal` for types that compiled stages do not handle.
    pub fn build(layout: RowLayout, hashes: &[Option<u64>], columns: Vec<ArrayRef>, threads: usize) -> Result<Self> {
        let entries: Vec<(u64, u32)> = hashes.iter().enumerate().filter_map(|(i, h)| h.map(|h| (h, i as u32))).collect();
        let count = entries.len();
        let bits = count.next_power_of_two().max(2).trailing_zeros();
        let shift = u64::from(64 - bits);
        let row_words = layout.size / 8;
        let mut rows = vec![0u64; count * row_words];
        let base = rows.as_ptr() as u64;
        let threads = if count < PARALLEL_ROWS { 1 } else { threads.max(1) };
        let dealt = deal(entries, bits.saturating_sub(PARTITION_BITS).min(PARTITION_BITS), threads);
        let mut words = vec![0u64; (1 << bits) + 1];
        words[0] = base << 16;
        let mut order = vec![0u32; count];
        let per_partition = (1usize << bits) / dealt.parts.len();
        let mut pieces = vec![];
        let (mut word_rest, mut order_rest) = (&mut words[1..], &mut order[..]);
        for part in &dealt.parts {
            let (w, later) = word_rest.split_at_mut(per_partition);
            let (o, after) = order_rest.split_at_mut(part.len());
            pieces.push((&dealt.entries[part.clone()], base + (part.start * layout.size) as u64, w, o));
            (word_rest, order_rest) = (later, after);
        }
        on_threads(pieces, threads, |(entries, start, words, order)| place(entries, start, shift, layout.size, words, order));
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
        // SAFETY: words has at least three entries.
        let directory = unsafe { words.as_ptr().add(1) };
        let keep_alive = columns.into_iter().filter(|c| !c.data_type().is_primitive()).collect();
        let has_null_key = count != hashes.len();
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
        let keys: Vec<u64> = (0..100_000).collect();
        let hashes: Vec<Option<u64>> = keys.iter().map(|k| Some(hash::combine(hash::SEED, *k))).collect();
        let layout = RowLayout::new(0, &[(FieldKind::I64, false)]);
        let column: ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(keys.iter().map(|k| *k as i64)));
        let table = JoinTable::build(layout, &hashes, vec![column], 2).unwrap();
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
