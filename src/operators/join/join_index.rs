//! The build side of a hash join: its rows and, by key, where they are.
//!
//! Rows of equal keys are neighbours in `order`, so that the matches of a probe row are one range. Integer keys that lie densely
//! need no hashing: the key less the smallest one is the place. Otherwise the layout is that of Birler, Kemper and Neumann, "Simple,
//! Efficient, and Robust Hash Tables for Join Processing" (DaMoN 2024): a directory by hash prefix with a small Bloom filter per slot.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryViewArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use arrow::row::Rows;

use super::keys::{KeyLayout, KeyValues, Keys};
use super::matches::{Candidates, NONE};
use crate::base::interrupt::{self, Ticks};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::expr::evaluate::evaluate_all;
use crate::operators::fixed_key::{hash_bytes, hash_wide, mix};
use crate::operators::stream::gathered;

/// A dense table may have this many places per row before hashing is smaller.
const DENSE_PLACES_PER_ROW: u64 = 8;

/// Build rows by key.
#[derive(Debug)]
pub struct JoinIndex {
    rows: RecordBatch,
    layout: KeyLayout,
    table: Table,
    /// Row numbers, those of equal keys together; rows with a NULL key are absent. No order: positions are row numbers.
    order: Option<Arc<Vec<u32>>>,
    unique: bool,
    null_keys: bool,
}

#[derive(Debug)]
enum Table {
    /// The row of key `min + i`, or [`NONE`].
    DenseUnique {
        min: u64,
        rows: Vec<u32>,
    },
    /// Rows of key `min + i` are at `offsets[i]..offsets[i + 1]` of the order.
    Dense {
        min: u64,
        offsets: Vec<u32>,
    },
    Hashed {
        directory: Directory,
        keys: OrderedKeys,
    },
}

/// The keys of a hashed table.
#[derive(Debug)]
enum OrderedKeys {
    /// In the order of the index.
    Words(Vec<u64>),
    Wide(Vec<u128>),
    /// By row number.
    Bytes(BinaryViewArray),
    Rows(Rows),
}

/// Per hash prefix, where its rows begin (low half) and which hashes may be there (high half).
#[derive(Debug)]
struct Directory {
    slots: Vec<u64>,
    shift: u32,
}

impl JoinIndex {
    /// Indexes the rows of `batches` by `keys`, bound to them.
    ///
    /// # Errors
    /// Those of evaluating the keys; `ResourceExhausted` beyond 2³²−2 rows.
    pub fn build(schema: &SchemaRef, batches: &[RecordBatch], keys: &[Expr]) -> Result<Self> {
        let rows = gather(schema, batches)?;
        let columns = evaluate_all(keys, &rows)?;
        let layout = KeyLayout::new(&columns.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>())?;
        let Keys { values, nulls } = layout.encode(&columns)?;
        let count = rows.num_rows();
        let null_keys = nulls.is_some();
        let nulls = nulls.as_ref();
        let (table, order, unique) = interrupt::catch(|| match values {
            KeyValues::Words(words) => match (matches!(layout, KeyLayout::Word)).then(|| dense(&words, nulls)).flatten() {
                Some(dense) => dense,
                None => {
                    let (directory, order, unique) = directory(count, nulls, |r| words[r as usize], mix);
                    let keys = OrderedKeys::Words(order.iter().map(|&r| words[r as usize]).collect());
                    (Table::Hashed { directory, keys }, Some(order), unique)
                }
            },
            KeyValues::Wide(wide) => {
                let (directory, order, unique) = directory(count, nulls, |r| wide[r as usize], hash_wide);
                let keys = OrderedKeys::Wide(order.iter().map(|&r| wide[r as usize]).collect());
                (Table::Hashed { directory, keys }, Some(order), unique)
            }
            KeyValues::Bytes(bytes) => {
                let (directory, order, unique) = directory(count, nulls, |r| bytes.value(r as usize), hash_bytes);
                (Table::Hashed { directory, keys: OrderedKeys::Bytes(bytes) }, Some(order), unique)
            }
            KeyValues::Rows(encoded) => {
                let (directory, order, unique) = directory(count, nulls, |r| encoded.row(r as usize).data(), hash_bytes);
                (Table::Hashed { directory, keys: OrderedKeys::Rows(encoded) }, Some(order), unique)
            }
        })?;
        Ok(Self { rows, layout, table, order: order.map(Arc::new), unique, null_keys })
    }

    /// All build rows, those with NULL keys included.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// What the positions of [`Candidates::Ranges`] stand for; row numbers where there is no order.
    pub fn order(&self) -> Option<&Arc<Vec<u32>>> {
        self.order.as_ref()
    }

    fn row_at(&self, position: usize) -> u32 {
        self.order.as_ref().map_or(position as u32, |order| order[position])
    }

    /// Whether no two rows have the same key.
    pub fn unique(&self) -> bool {
        self.unique
    }

    /// Whether a row has a NULL key.
    pub fn has_null_keys(&self) -> bool {
        self.null_keys
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let table = match &self.table {
            Table::DenseUnique { rows, .. } => rows.len() * 4,
            Table::Dense { offsets, .. } => offsets.len() * 4,
            Table::Hashed { directory, keys } => {
                let keys = match keys {
                    OrderedKeys::Words(w) => w.len() * 8,
                    OrderedKeys::Wide(w) => w.len() * 16,
                    OrderedKeys::Bytes(b) => b.len() * 16,
                    OrderedKeys::Rows(r) => r.size(),
                };
                directory.slots.len() * 8 + keys
            }
        };
        self.rows.get_array_memory_size() + self.order.as_ref().map_or(0, |o| o.len() * 4) + table
    }

    /// The build rows equal to each row of the given keys (of the build keys' types), and which of those rows have a NULL key.
    /// With `any`, one of the equal build rows stands for all, which spares walking over the others.
    ///
    /// # Errors
    /// `Internal` when the types differ.
    pub fn find(&self, columns: &[ArrayRef], any: bool) -> Result<(Candidates, Option<NullBuffer>)> {
        let one = any || self.unique;
        let keys = self.layout.encode(columns)?;
        let nulls = keys.nulls.as_ref();
        let candidates = interrupt::catch(|| {
            Ok(match (&self.table, &keys.values) {
                (Table::DenseUnique { min, rows }, KeyValues::Words(words)) => {
                    let beyond = rows.len() as u64 - 1;
                    let mut found: Vec<u32> = words.iter().map(|w| rows[w.wrapping_sub(*min).min(beyond) as usize]).collect();
                    for row in null_rows(nulls) {
                        found[row] = NONE;
                    }
                    Candidates::One(found)
                }
                (Table::Dense { min, offsets }, KeyValues::Words(words)) => {
                    let beyond = offsets.len() as u64 - 2;
                    let ranges = words.iter().map(|w| w.wrapping_sub(*min).min(beyond) as usize).map(|p| (offsets[p], offsets[p + 1]));
                    let (starts, mut ends): (Vec<u32>, Vec<u32>) = ranges.unzip();
                    for row in null_rows(nulls) {
                        ends[row] = starts[row];
                    }
                    Candidates::Ranges { starts, ends }
                }
                (Table::Hashed { directory, keys: OrderedKeys::Words(built) }, KeyValues::Words(words)) => {
                    self.probe(directory, words.len(), nulls, one, |r| words[r], mix, |p| built[p])
                }
                (Table::Hashed { directory, keys: OrderedKeys::Wide(built) }, KeyValues::Wide(wide)) => {
                    self.probe(directory, wide.len(), nulls, one, |r| wide[r], hash_wide, |p| built[p])
                }
                (Table::Hashed { directory, keys: OrderedKeys::Bytes(built) }, KeyValues::Bytes(bytes)) => {
                    let at = |p: usize| built.value(self.row_at(p) as usize);
                    self.probe(directory, bytes.len(), nulls, one, |r| bytes.value(r), hash_bytes, at)
                }
                (Table::Hashed { directory, keys: OrderedKeys::Rows(built) }, KeyValues::Rows(rows)) => {
                    let at = |p: usize| built.row(self.row_at(p) as usize).data();
                    self.probe(directory, rows.num_rows(), nulls, one, |r| rows.row(r).data(), hash_bytes, at)
                }
                _ => return Err(Error::internal("the two sides of a join have keys of different types")),
            })
        })??;
        Ok((candidates, keys.nulls))
    }

    /// Looks up `count` keys: first all directory slots, so that their cache misses overlap, then the keys themselves. With `one`, the
    /// first equal row is enough.
    #[allow(clippy::too_many_arguments)]
    fn probe<K: PartialEq>(
        &self,
        directory: &Directory,
        count: usize,
        nulls: Option<&NullBuffer>,
        one: bool,
        key: impl Fn(usize) -> K,
        hash: impl Fn(K) -> u64,
        built: impl Fn(usize) -> K,
    ) -> Candidates {
        let mut slots: Vec<(u32, u32)> = (0..count).map(|r| directory.range(hash(key(r)))).collect();
        for row in null_rows(nulls) {
            slots[row].1 = slots[row].0;
        }
        // Many build rows may have a key.
        let ticks = Ticks::default();
        let first = |r: usize, (start, end): (u32, u32)| {
            if start == end {
                return None;
            }
            let wanted = key(r);
            (start..end).inspect(|_| ticks.tick()).find(|&p| built(p as usize) == wanted)
        };
        if one {
            return Candidates::One(
                slots.iter().enumerate().map(|(r, &s)| first(r, s).map_or(NONE, |p| self.row_at(p as usize))).collect(),
            );
        }
        let (mut starts, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (r, &slot) in slots.iter().enumerate() {
            let (start, end) = match first(r, slot) {
                None => (0, 0),
                Some(start) => {
                    let wanted = key(r);
                    (start, (start + 1..slot.1).inspect(|_| ticks.tick()).find(|&p| built(p as usize) != wanted).unwrap_or(slot.1))
                }
            };
            starts.push(start);
            ends.push(end);
        }
        Candidates::Ranges { starts, ends }
    }
}

/// The rows of all batches in one.
///
/// # Errors
/// `ResourceExhausted` beyond 2³²−2 rows.
pub fn gather(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if count >= NONE as usize {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("The build side of a join has {count} rows; the most is {}.", NONE - 1),
        ));
    }
    gathered(schema, batches)
}

/// Rows that have a key.
fn valid_rows(count: usize, nulls: Option<&NullBuffer>) -> impl DoubleEndedIterator<Item = u32> + '_ {
    (0..count as u32).filter(move |&r| nulls.is_none_or(|n| n.is_valid(r as usize)))
}

fn null_rows(nulls: Option<&NullBuffer>) -> impl Iterator<Item = usize> + '_ {
    nulls.into_iter().flat_map(|n| (0..n.len()).filter(|&r| n.is_null(r)))
}

/// A table by key value, if the keys lie densely enough. Polls, as [`directory`] does, by [`Ticks`].
fn dense(words: &[u64], nulls: Option<&NullBuffer>) -> Option<(Table, Option<Vec<u32>>, bool)> {
    let sorted = nulls.is_none() && words.is_sorted();
    let (min, max) = match words {
        [min, .., max] if sorted => (*min, *max),
        _ => {
            valid_rows(words.len(), nulls).map(|r| words[r as usize]).fold((u64::MAX, u64::MIN), |(low, high), w| (low.min(w), high.max(w)))
        }
    };
    let span = max.checked_sub(min)?;
    if span >= (words.len() as u64 * DENSE_PLACES_PER_ROW).max(1024) {
        return None;
    }
    let places = span as usize + 1;
    let place = |r: u32| (words[r as usize] - min) as usize;
    if !(sorted && words.windows(2).any(|pair| pair[0] == pair[1])) {
        let mut rows = vec![NONE; places + 1];
        if valid_rows(words.len(), nulls).all(|r| std::mem::replace(&mut rows[place(r)], r) == NONE) {
            return Some((Table::DenseUnique { min, rows }, None, true));
        }
    }
    // One entry more than ranges, and the empty range beyond.
    let mut offsets = vec![0u32; places + 2];
    if sorted {
        // Rows of equal keys are together as they are.
        let mut next = 0;
        for (row, w) in words.iter().enumerate() {
            let last = (w - min) as usize;
            while next <= last {
                offsets[next] = row as u32;
                next += 1;
            }
        }
        offsets[next..].fill(words.len() as u32);
        return Some((Table::Dense { min, offsets }, None, false));
    }
    for r in valid_rows(words.len(), nulls) {
        offsets[place(r)] += 1;
    }
    let mut total = 0;
    for offset in &mut offsets {
        total += *offset;
        *offset = total;
    }
    // Ranges fill from their ends, the last row first: then the offsets are their starts, and rows keep their order.
    let mut order = vec![0u32; total as usize];
    let ticks = Ticks::default();
    for r in valid_rows(words.len(), nulls).rev() {
        ticks.tick();
        let at = &mut offsets[place(r)];
        *at -= 1;
        order[*at as usize] = r;
    }
    Some((Table::Dense { min, offsets }, Some(order), false))
}

/// Hashes all keys into a directory: the directory, the rows in its order, and whether no key occurs twice.
fn directory<K: PartialEq>(
    count: usize,
    nulls: Option<&NullBuffer>,
    key: impl Fn(u32) -> K,
    hash: impl Fn(K) -> u64,
) -> (Directory, Vec<u32>, bool) {
    let ticks = Ticks::default();
    let hashes: Vec<u64> = valid_rows(count, nulls).inspect(|_| ticks.tick()).map(|r| hash(key(r))).collect();
    let buckets = hashes.len().max(2).next_power_of_two();
    let shift = 64 - buckets.trailing_zeros();
    let mut slots = vec![0u64; buckets + 1];
    for &h in &hashes {
        ticks.tick();
        let slot = &mut slots[(h >> shift) as usize];
        *slot = (*slot + 1) | Directory::filter_bit(h);
    }
    let mut total = 0;
    for slot in &mut slots {
        let count = *slot as u32;
        *slot = (*slot & !u64::from(u32::MAX)) | u64::from(total);
        total += count;
    }
    let mut next: Vec<u32> = slots.iter().map(|&s| s as u32).collect();
    let mut order = vec![0u32; hashes.len()];
    for (r, &h) in valid_rows(count, nulls).zip(&hashes) {
        ticks.tick();
        let at = &mut next[(h >> shift) as usize];
        order[*at as usize] = r;
        *at += 1;
    }
    let mut unique = true;
    for bucket in slots.windows(2) {
        let rows = &mut order[bucket[0] as u32 as usize..bucket[1] as u32 as usize];
        unique &= !group_equal(rows, &key, &ticks);
    }
    (Directory { slots, shift }, order, unique)
}

/// Brings rows of equal keys together; tells whether there were any.
fn group_equal<K: PartialEq>(rows: &mut [u32], key: &impl Fn(u32) -> K, ticks: &Ticks) -> bool {
    let mut repeated = false;
    let mut start = 0;
    while start + 1 < rows.len() {
        let first = key(rows[start]);
        let mut end = start + 1;
        for i in start + 1..rows.len() {
            ticks.tick();
            if key(rows[i]) == first {
                rows.swap(end, i);
                end += 1;
                repeated = true;
            }
        }
        start = end;
    }
    repeated
}

impl Directory {
    /// One of 32 bits in the high half of a slot.
    #[inline(always)]
    fn filter_bit(hash: u64) -> u64 {
        1 << (32 + (hash & 31))
    }

    /// Where rows of this hash can be; empty when the filter excludes it.
    #[inline(always)]
    fn range(&self, hash: u64) -> (u32, u32) {
        let bucket = (hash >> self.shift) as usize;
        let slot = self.slots[bucket];
        let start = slot as u32;
        let end = self.slots[bucket + 1] as u32;
        (start, if slot & Self::filter_bit(hash) != 0 { end } else { start })
    }
}
