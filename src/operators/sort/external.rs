//! Sorting what may not fit memory: sorted runs go to a spill file and are merged.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;

use super::keys::{EncodedKeys, SortKeys};
use crate::base::Result;
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder};
use crate::operators::stream::concat;
use crate::rdd::spill::{FRAME_BYTES, SpillSite};
use crate::rdd::{BatchStream, Counter, Frame, QueryContext, Reservation, SpillFile, data_size};

/// Most runs that are merged at once.
const MOST_RUNS: usize = 64;
/// What a row costs while it is sorted, beside itself: its key, its position, and both together.
const KEY_BYTES: usize = 48;

/// How to sort: what all tasks share.
pub struct Sorter {
    exprs: Vec<Expr>,
    keys: SortKeys,
    pub(super) schema: SchemaRef,
    pub(super) batch_size: usize,
    /// The plan node that reserves and spills.
    pub(super) node: u64,
    /// Time spent sorting.
    time: Counter,
}

impl Sorter {
    /// For rows of `schema`, to which `order` is bound; plan node `node` reserves and spills, and `time` counts what sorting takes.
    ///
    /// # Errors
    /// `Internal` for types that cannot be ordered.
    pub fn new(order: &[SortOrder], schema: SchemaRef, node: u64, time: Counter, context: &QueryContext) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            exprs: order.iter().map(|o| o.expr.clone()).collect(),
            keys: SortKeys::new(order)?,
            schema,
            batch_size: context.settings.batch_size(),
            node,
            time,
        }))
    }

    /// All rows of `input` in order; equal ones as they came.
    ///
    /// # Errors
    /// Those of the input and of the order's expressions, and `Io` of spilling.
    pub fn sort(self: &Arc<Self>, input: BatchStream, query: &QueryContext) -> Result<BatchStream> {
        self.run(input, None, query)
    }

    /// As [`Self::sort`], of each run only its first `limit` rows; the result may have more.
    pub(super) fn run(self: &Arc<Self>, input: BatchStream, limit: Option<usize>, query: &QueryContext) -> Result<BatchStream> {
        let mut memory = query.spillable(self.node, "Sort");
        let mut runs = Runs { site: query.spill_site(self.node), file: None, runs: vec![] };
        let mut held = vec![];
        for batch in input {
            let batch = batch?;
            let bytes = sorting_bytes(&batch);
            if !memory.try_grow(bytes)? {
                runs.add(self.sorted(std::mem::take(&mut held), limit)?, &self.schema)?;
                memory.free();
                memory.force(bytes);
            }
            held.push(batch);
        }
        if runs.runs.is_empty() {
            let sorted = self.sorted(held, limit)?;
            // The rows are there once again, as one.
            memory.try_resize(memory.size() / 2)?;
            return Ok(memory.while_read(sorted));
        }
        runs.add(self.sorted(held, limit)?, &self.schema)?;
        memory.free();
        runs.merge(self, memory)
    }

    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<EncodedKeys> {
        self.keys.encode(&evaluate_all(&self.exprs, batch)?, batch.num_rows())
    }

    /// The first `limit` rows in order (all when absent), gathered batch by batch.
    fn sorted(&self, held: Vec<RecordBatch>, limit: Option<usize>) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let rows = concat(Box::new(held.into_iter().map(Ok)), &self.schema)?;
        let sorted = self.positions(&rows, limit)?;
        let (total, size) = (sorted.len(), self.batch_size);
        Ok((0..total).step_by(size).map(move |at| Ok(take_record_batch(&rows, &sorted.slice(at, size.min(total - at)))?)))
    }

    /// Where the first `limit` rows in order are (all when absent).
    pub(super) fn positions(&self, rows: &RecordBatch, limit: Option<usize>) -> Result<UInt32Array> {
        let started = Instant::now();
        let sorted = UInt32Array::from(self.encode(rows)?.sorted(limit)?);
        self.time.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        Ok(sorted)
    }
}

/// What the rows cost while they are sorted.
pub(super) fn sorting_bytes(batch: &RecordBatch) -> usize {
    2 * data_size(batch) + KEY_BYTES * batch.num_rows()
}

/// Sorted runs in a file, in order of the rows that they were made from.
struct Runs {
    site: SpillSite,
    file: Option<Arc<SpillFile>>,
    runs: Vec<Vec<Frame>>,
}

impl Runs {
    fn add(&mut self, rows: impl Iterator<Item = Result<RecordBatch>>, schema: &SchemaRef) -> Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(self.site.create()?)),
        };
        let run = file.append_all(rows, schema)?;
        if !run.is_empty() {
            self.runs.push(run);
        }
        Ok(())
    }

    /// Merges as many runs at once as memory allows, neighbours first, until one merge is left, which is the result.
    fn merge(mut self, sorter: &Arc<Sorter>, mut memory: Reservation) -> Result<BatchStream> {
        let mut width = MOST_RUNS.min(self.runs.len()).max(2);
        // A run has a frame in memory, as it was read and as keys.
        while !memory.try_resize(width * 2 * FRAME_BYTES)? {
            if width == 2 {
                memory.force(2 * 2 * FRAME_BYTES);
                break;
            }
            width = (width / 2).max(2);
        }
        while self.runs.len() > width {
            let mut next = Runs { site: self.site.clone(), file: None, runs: vec![] };
            for runs in self.runs.chunks(width) {
                next.add(Merge::new(sorter.clone(), self.streams(runs))?, &sorter.schema)?;
            }
            self = next;
        }
        let merge = Merge::new(sorter.clone(), self.streams(&self.runs))?;
        Ok(memory.while_read(merge))
    }

    fn streams(&self, runs: &[Vec<Frame>]) -> Vec<BatchStream> {
        runs.iter().filter_map(|run| Some(self.file.as_ref()?.stream(run.clone()))).collect()
    }
}

/// Sorted streams as one; of equal rows, those of earlier streams come first.
struct Merge {
    sorter: Arc<Sorter>,
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
    ended: bool,
}

struct Run {
    rows: BatchStream,
    current: RecordBatch,
    /// Where `current` is among the sources of the output batch, once a row of it is.
    source: Option<usize>,
}

/// The next row of a run.
struct Head {
    keys: Arc<EncodedKeys>,
    row: usize,
    run: usize,
}

impl Ord for Head {
    /// The least row is the greatest head: that is what a heap gives first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.keys.compare_with(other.row, &self.keys, self.row).then(other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl Merge {
    fn new(sorter: Arc<Sorter>, streams: Vec<BatchStream>) -> Result<Self> {
        let empty = RecordBatch::new_empty(sorter.schema.clone());
        let runs = streams.into_iter().map(|rows| Run { rows, current: empty.clone(), source: None }).collect();
        let mut merge = Self { sorter, runs, heads: BinaryHeap::new(), ended: false };
        for run in 0..merge.runs.len() {
            let head = merge.advance(run)?;
            merge.heads.extend(head);
        }
        Ok(merge)
    }

    /// The first row of the next batch of a run.
    fn advance(&mut self, run: usize) -> Result<Option<Head>> {
        let entry = &mut self.runs[run];
        while let Some(batch) = entry.rows.next().transpose()? {
            if batch.num_rows() > 0 {
                let keys = Arc::new(self.sorter.encode(&batch)?);
                (entry.current, entry.source) = (batch, None);
                return Ok(Some(Head { keys, row: 0, run }));
            }
        }
        Ok(None)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut sources, mut picked) = (vec![], vec![]);
        self.runs.iter_mut().for_each(|run| run.source = None);
        while picked.len() < self.sorter.batch_size {
            let Some(mut head) = self.heads.peek_mut() else { break };
            let run = &mut self.runs[head.run];
            let source = *run.source.get_or_insert_with(|| {
                sources.push(run.current.clone());
                sources.len() - 1
            });
            picked.push((source, head.row));
            head.row += 1;
            if head.row == head.keys.len() {
                let used_up = std::collections::binary_heap::PeekMut::pop(head).run;
                let next = self.advance(used_up)?;
                self.heads.extend(next);
            }
        }
        if picked.is_empty() {
            return Ok(None);
        }
        Ok(Some(interleave_record_batch(&sources.iter().collect::<Vec<_>>(), &picked)?))
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}
