//! How join tables are made from batches, in parallel where there are many rows.

use std::ops::Range;
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;

use super::hash;
use super::join_table::{Block, Form, JoinTable, Parts, filter_bits, rank};
use super::pack::{self, NOWHERE, RowsTarget};
use super::pages::{Pages, touch};
use super::row::RowLayout;
use crate::base::{Result, interrupt};

/// A batch of build rows.
pub struct BuildBatch {
    pub keys: Vec<ArrayRef>,
    /// In the order of the row layout's fields.
    pub columns: Vec<ArrayRef>,
}

impl BuildBatch {
    fn num_rows(&self) -> usize {
        self.keys.first().map_or(0, |k| k.len())
    }

    /// Rows without a NULL key; `None`: all.
    fn valid(&self) -> Option<NullBuffer> {
        let nulls = self.keys.iter().filter(|k| k.null_count() > 0);
        nulls.fold(None, |all, k| NullBuffer::union(all.as_ref(), k.nulls()))
    }
}

/// What a table is to be like.
pub struct BuildSpec<'a> {
    pub layout: &'a RowLayout,
    /// Which keys are integers to those who probe.
    pub integer_keys: &'a [bool],
    /// Only whether a key is there matters.
    pub set: bool,
    /// The table is made once for all tasks, not for each: it may take more memory than its rows.
    pub shared: bool,
}

/// Tables of fewer rows are built on one thread.
const PARALLEL_ROWS: usize = 1 << 15;
/// Rows whose fields are written column by column, so that their memory stays in the cache.
const CHUNK: usize = 1024;
/// Keys are marked in blocks where their range is at most this many times the rows: 64 bytes a row.
const KEYS_PER_ROW: u64 = 256;
/// Ranges that are marked for any number of rows, in tables of each task, and in those made once for all tasks (2 MB of blocks).
const SMALL_RANGES: [u64; 2] = [1 << 16, 1 << 23];
/// A key of several is marked if no more than this share of its range is there.
const SPARSE: f64 = 0.25;
/// Fewest buckets of a partition, and most partitions, as powers of two.
const PARTITION_BITS: u32 = 10;

/// Builds a table on up to `threads` threads.
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn build(spec: &BuildSpec, batches: &[BuildBatch], threads: usize) -> Result<JoinTable> {
    let row_count: usize = batches.iter().map(BuildBatch::num_rows).sum();
    let threads = if row_count < PARALLEL_ROWS { 1 } else { threads.max(1) };
    let builder = Builder { spec, batches, row_count, threads };
    let by_key = if let [_] = spec.integer_keys { builder.range(0)? } else { None };
    let (form, parts) = match by_key {
        Some((least, limit)) => builder.by_key(least, limit)?,
        None => builder.hashed()?,
    };
    let has_null_key = batches.iter().any(|b| b.keys.iter().any(|k| k.null_count() > 0));
    Ok(JoinTable::new(form, parts, has_null_key, row_count == 0))
}

struct Builder<'a> {
    spec: &'a BuildSpec<'a>,
    batches: &'a [BuildBatch],
    row_count: usize,
    threads: usize,
}

/// A piece of a batch, and the number of its first row among all.
struct Chunk<'a> {
    batch: &'a BuildBatch,
    rows: Range<usize>,
    first: usize,
}

impl<'a> Builder<'a> {
    /// The least value of key `key`, and how far above it the first is past all; `None` where they are not integers, or too far
    /// apart to be marked.
    fn range(&self, key: usize) -> Result<Option<(i64, u64)>> {
        if !self.spec.integer_keys[key] {
            return Ok(None);
        }
        let mut all: Option<(i64, i64)> = None;
        for batch in self.batches {
            let Some(keys) = pack::integers(&batch.keys[key])? else { return Ok(None) };
            if let Some((lo, hi)) = keys.range(batch.keys[key].nulls()) {
                all = Some(all.map_or((lo, hi), |(least, most)| (least.min(lo), most.max(hi))));
            }
        }
        let Some((least, most)) = all else { return Ok(None) };
        let limit = most.checked_sub(least).and_then(|d| d.checked_add(1)).map(|limit| limit as u64);
        let longest = (self.row_count as u64).saturating_mul(KEYS_PER_ROW).max(SMALL_RANGES[usize::from(self.spec.shared)]);
        Ok(limit.filter(|limit| *limit <= longest).map(|limit| (least, limit)))
    }

    fn chunks(&self) -> Vec<Chunk<'a>> {
        let mut chunks = vec![];
        let mut first = 0;
        for batch in self.batches {
            for start in (0..batch.num_rows()).step_by(CHUNK) {
                let rows = start..(start + CHUNK).min(batch.num_rows());
                chunks.push(Chunk { batch, first: first + start, rows });
            }
            first += batch.num_rows();
        }
        chunks
    }

    /// `words` zeros with the memory for them, to be written here and there.
    fn pages(&self, words: usize) -> Result<Pages> {
        let mut pages = Pages::zeroed(words);
        on_threads(pages.pieces().collect(), self.threads, touch)?;
        Ok(pages)
    }

    /// Blocks with the values of key `key` marked, and how many different ones there are.
    fn mark(&self, key: usize, least: i64, limit: u64) -> Result<(Vec<Block>, usize)> {
        let words = (limit / 64) as usize + 1;
        let group = self.batches.len().div_ceil(self.threads).max(1);
        let marked = Mutex::new(vec![]);
        try_on_threads(self.batches.chunks(group).collect(), self.threads, |batches| {
            let mut bits = vec![0u64; words];
            for batch in batches {
                interrupt::check()?;
                let Some(keys) = pack::integers(&batch.keys[key])? else { continue };
                keys.each(0..batch.num_rows(), batch.keys[key].nulls(), |_, key| {
                    let offset = key.wrapping_sub(least) as u64;
                    bits[(offset / 64) as usize] |= 1 << (offset % 64);
                });
            }
            marked.lock().unwrap_or_else(|e| e.into_inner()).push(bits);
            Ok(())
        })?;
        let marked = marked.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut before = 0;
        let blocks = (0..words).map(|w| {
            let bits = marked.iter().fold(0, |all, m| all | m[w]);
            let block = [bits, before];
            before += u64::from(bits.count_ones());
            block
        });
        let blocks = blocks.collect();
        Ok((blocks, before as usize))
    }

    fn by_key(&self, least: i64, limit: u64) -> Result<(Form, Parts)> {
        let (blocks, distinct) = self.mark(0, least, limit)?;
        let mut parts = Parts { least, limit, ..Parts::default() };
        if self.spec.set {
            return Ok((Form::Set, Parts { blocks, ..parts }));
        }
        let valid_rows: usize = self.batches.iter().map(|b| b.num_rows() - b.keys[0].null_count()).sum();
        let row_words = self.spec.layout.size / 8;
        parts.rows = self.pages(valid_rows * row_words)?;
        let unique = valid_rows == distinct;
        if unique {
            self.write_rows(&mut parts.rows, |chunk, targets| {
                let Some(keys) = pack::integers(&chunk.batch.keys[0])? else { return Ok(()) };
                keys.each(chunk.rows.clone(), chunk.batch.keys[0].nulls(), |i, key| {
                    targets[i - chunk.rows.start] = rank(&blocks, key.wrapping_sub(least) as u64) as u32;
                });
                Ok(())
            })?;
        } else {
            parts.words = self.write_by_rank(&blocks, least, distinct, &mut parts.rows)?;
        }
        parts.keep_alive = self.keep_alive();
        Ok((if unique { Form::Unique } else { Form::Multiple }, Parts { blocks, ..parts }))
    }

    /// Writes the rows of each rank next to each other, in order of ranks; the directory. Each thread counts the rows of batches of
    /// its own by rank, and then writes them behind those of the threads before.
    fn write_by_rank(&self, blocks: &[Block], least: i64, distinct: usize, rows: &mut [u64]) -> Result<Pages> {
        let group = self.batches.len().div_ceil(self.threads).max(1);
        let mut ranks: Vec<Vec<Vec<u32>>> = self.batches.chunks(group).map(|_| vec![]).collect();
        let mut next: Vec<Vec<u32>> = self.batches.chunks(group).map(|_| vec![0; distinct]).collect();
        let work = self.batches.chunks(group).zip(ranks.iter_mut().zip(&mut next)).collect();
        try_on_threads(work, self.threads, |(batches, (ranks, counts))| {
            for batch in batches {
                interrupt::check()?;
                let mut of_batch = vec![NOWHERE; batch.num_rows()];
                if let Some(keys) = pack::integers(&batch.keys[0])? {
                    keys.each(0..batch.num_rows(), batch.keys[0].nulls(), |i, key| {
                        of_batch[i] = rank(blocks, key.wrapping_sub(least) as u64) as u32;
                        counts[of_batch[i] as usize] += 1;
                    });
                }
                ranks.push(of_batch);
            }
            Ok(())
        })?;
        let base = rows.as_ptr() as u64;
        let mut words = Pages::zeroed(distinct + 1);
        words[0] = base;
        let mut end = 0;
        for (rank, word) in words[1..].iter_mut().enumerate() {
            for counts in &mut next {
                end += std::mem::replace(&mut counts[rank], end);
            }
            *word = base + u64::from(end) * self.spec.layout.size as u64;
        }
        let out = RowsTarget::new(rows, self.spec.layout.size);
        let work = self.batches.chunks(group).zip(ranks.into_iter().zip(&mut next)).collect();
        try_on_threads(work, self.threads, |(batches, (ranks, next))| {
            for (batch, mut targets) in batches.iter().zip(ranks) {
                for (c, places) in targets.chunks_mut(CHUNK).enumerate() {
                    interrupt::check()?;
                    for place in places.iter_mut().filter(|p| **p != NOWHERE) {
                        let next = &mut next[*place as usize];
                        *place = *next;
                        *next += 1;
                    }
                    self.write_chunk(batch, c * CHUNK, places, &out)?;
                }
            }
            Ok(())
        })?;
        Ok(words)
    }

    /// Rows are first dealt out by ranges of buckets, so that counting and placing them stay within the cache.
    fn hashed(&self) -> Result<(Form, Parts)> {
        let mut hashes = vec![hash::SEED; self.row_count];
        let mut work = vec![];
        let mut rest = hashes.as_mut_slice();
        for batch in self.batches {
            let (mine, later) = rest.split_at_mut(batch.num_rows());
            work.push((batch, mine));
            rest = later;
        }
        try_on_threads(work, self.threads, |(batch, hashes)| batch.keys.iter().try_for_each(|key| pack::hash_column(key, hashes)))?;
        let valid: Vec<_> = self.batches.iter().map(BuildBatch::valid).collect();
        let count: usize = self.row_count - valid.iter().flatten().map(NullBuffer::null_count).sum::<usize>();
        let bits = count.next_power_of_two().max(2).trailing_zeros();
        let shift = u64::from(64 - bits);
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        let mut first = 0;
        for (batch, valid) in self.batches.iter().zip(&valid) {
            interrupt::check()?;
            let rows = first..first + batch.num_rows();
            let entry = |row: usize| (((hashes[row] >> shift) << 16) | filter_bits(hashes[row]), row as u32);
            match valid {
                None => entries.extend(rows.clone().map(entry)),
                Some(valid) => entries.extend(valid.valid_indices().map(|i| entry(first + i))),
            }
            first = rows.end;
        }
        let row_words = self.spec.layout.size / 8;
        let mut rows = self.pages(count * row_words)?;
        let base = rows.as_ptr() as u64;
        let part_bits = bits.saturating_sub(PARTITION_BITS).max(PARTITION_BITS);
        let dealt = deal(entries, part_bits, (1usize << bits).div_ceil(1 << part_bits), self.threads)?;
        let mut words = Pages::zeroed((1 << bits) + 1);
        words[0] = base << 16;
        let mut targets = vec![NOWHERE; self.row_count];
        let shared_targets = Shared(targets.as_mut_ptr());
        let mut pieces = vec![];
        let mut word_rest = &mut words[1..];
        for (p, part) in dealt.parts.iter().enumerate() {
            let (w, later) = word_rest.split_at_mut(word_rest.len().min(1 << part_bits));
            pieces.push((&dealt.entries[part.clone()], part.start, p << part_bits, w));
            word_rest = later;
        }
        let size = self.spec.layout.size as u64;
        on_threads(pieces, self.threads, |(entries, start, first, words)| {
            place(entries, start, first, words, &shared_targets);
            words.iter_mut().for_each(|w| *w = ((base + (*w >> 16) * size) << 16) | (*w & 0xFFFF));
        })?;
        self.write_rows(&mut rows, |chunk, out| {
            out.copy_from_slice(&targets[chunk.first..chunk.first + chunk.rows.len()]);
            Ok(())
        })?;
        let mut parts = Parts { shift, words, rows, keep_alive: self.keep_alive(), ..Parts::default() };
        let filter = self.sparsest()?.map(|(key, least, limit, blocks)| {
            (parts.least, parts.limit, parts.blocks) = (least, limit, blocks);
            key
        });
        Ok((Form::Hashed { filter }, parts))
    }

    /// The integer key of several of whose values the fewest are there: its place, least value, limit and blocks.
    fn sparsest(&self) -> Result<Option<(u8, i64, u64, Vec<Block>)>> {
        let mut best = None;
        let mut least_share = SPARSE;
        for key in 0..self.spec.integer_keys.len().min(usize::from(u8::MAX)) {
            let Some((least, limit)) = self.range(key)? else { continue };
            let (blocks, distinct) = self.mark(key, least, limit)?;
            let share = distinct as f64 / limit as f64;
            if share < least_share {
                (least_share, best) = (share, Some((key as u8, least, limit, blocks)));
            }
        }
        Ok(best)
    }

    /// Writes every row to its place; `targets` tells the places of a chunk's rows, each a place of its own ([`NOWHERE`]: none).
    fn write_rows(&self, rows: &mut [u64], targets: impl Fn(&Chunk, &mut [u32]) -> Result<()> + Sync) -> Result<()> {
        let out = RowsTarget::new(rows, self.spec.layout.size);
        try_on_threads(self.chunks(), self.threads, |chunk| {
            let mut places = vec![NOWHERE; chunk.rows.len()];
            targets(&chunk, &mut places)?;
            self.write_chunk(chunk.batch, chunk.rows.start, &places, &out)
        })
    }

    /// Writes rows of a batch from `first` on to their places.
    fn write_chunk(&self, batch: &BuildBatch, first: usize, places: &[u32], out: &RowsTarget) -> Result<()> {
        let columns = batch.columns.iter().zip(&self.spec.layout.fields);
        columns.into_iter().try_for_each(|(column, field)| pack::scatter_column(column, field, first, places, out))
    }

    fn keep_alive(&self) -> Vec<ArrayRef> {
        let columns = self.batches.iter().flat_map(|b| &b.columns);
        columns.filter(|c| !c.data_type().is_primitive()).cloned().collect()
    }
}

/// A row on its way: bucket and filter bits (`bucket << 16 | bits`), and its number.
type Entry = (u64, u32);

/// Entries grouped by ranges of buckets.
struct Dealt {
    entries: Vec<Entry>,
    parts: Vec<Range<usize>>,
}

/// Deals entries out into parts of `1 << bits` buckets each, keeping their order within each.
fn deal(entries: Vec<Entry>, bits: u32, parts: usize, threads: usize) -> Result<Dealt> {
    if parts == 1 {
        let all = 0..entries.len();
        return Ok(Dealt { entries, parts: vec![all] });
    }
    let part = |packed: u64| (packed >> (16 + bits)) as usize;
    let chunk = entries.len().div_ceil(threads).max(1);
    let mut counts: Vec<Vec<usize>> = entries.chunks(chunk).map(|_| vec![0; parts]).collect();
    on_threads(entries.chunks(chunk).zip(&mut counts).collect(), threads, |(chunk, counts)| {
        for (packed, _) in chunk {
            counts[part(*packed)] += 1;
        }
    })?;
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
    let target = Shared(out.as_mut_ptr());
    on_threads(entries.chunks(chunk).zip(&mut counts).collect(), threads, |(chunk, next)| {
        for entry in chunk {
            let place = &mut next[part(entry.0)];
            // SAFETY: the counts gave each chunk places of its own within the vector.
            unsafe { target.at(*place).write(*entry) };
            *place += 1;
        }
    })?;
    Ok(Dealt { entries: out, parts: ranges })
}

/// Where several threads write, each to places of its own.
struct Shared<T>(*mut T);
// SAFETY: see the uses.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

/// Counts, sums and places the entries of one partition, whose first bucket is `first` and whose first row's place is `start`: its
/// directory words (the place after the bucket's last row in place of an address), and the places of its rows.
fn place(entries: &[Entry], start: usize, first: usize, words: &mut [u64], targets: &Shared<u32>) {
    let bucket = |packed: u64| (packed >> 16) as usize - first;
    let mut next = vec![0u32; words.len() + 1];
    for (packed, _) in entries {
        next[bucket(*packed) + 1] += 1;
    }
    next[0] = start as u32;
    for i in 0..words.len() {
        next[i + 1] += next[i];
    }
    for (word, end) in words.iter_mut().zip(&next[1..]) {
        *word = u64::from(*end) << 16;
    }
    for (packed, row) in entries {
        let b = bucket(*packed);
        words[b] |= packed & 0xFFFF;
        // SAFETY: every row is an entry of one partition, and has a place among the targets.
        unsafe { targets.at(*row as usize).write(next[b]) };
        next[b] += 1;
    }
}

/// Runs `work` on every item, the items dealt out to the threads; `Cancelled` if it was to stop before the end.
fn on_threads<T: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) + Sync) -> Result<()> {
    let interrupt = interrupt::current();
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().try_for_each(|item| {
            work(item);
            interrupt.check()
        });
    }
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    let drain = || {
        let _entered = interrupt.enter();
        while let Some(item) = next().filter(|_| !interrupt.requested()) {
            work(item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(drain);
        }
        drain();
    });
    // What was left out is missed by nobody.
    interrupt.check()
}

/// As [`on_threads`]; the first error, if any.
fn try_on_threads<T: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let failed = Mutex::new(None);
    on_threads(items, threads, |item| {
        if let Err(e) = work(item) {
            failed.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
        }
    })?;
    failed.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
}
