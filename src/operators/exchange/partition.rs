//! Dealing rows out to reducers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};

use crate::base::Result;
use crate::base::random::XorShiftRandom;
use crate::expr::evaluate::evaluate_all;
use crate::expr::evaluate::hash::places;
use crate::operators::sort::{RangeBounds, SortKeys};
use crate::rdd::{MapOutput, MapWriter, Partitioner, ShuffleDependency, TaskContext, data_size};

/// Rows that each reducer is to get at a time, on average: whoever reads them does so batch by batch.
const ROWS_PER_PIECE: usize = 512;
/// Bytes of rows that wait for others; less where memory is limited.
const MOST_WAITING: usize = 16 << 20;

/// Deals the rows of one map task out to reducers. Batches wait until there are enough of them for pieces that are worth their while.
struct Dealer<'a> {
    partitioner: &'a Partitioner,
    map_partition: usize,
    /// The reducer that a round-robin deal goes on with.
    next: Option<usize>,
    /// Range bounds in comparable form.
    bounds: Option<Arc<RangeBounds>>,
    waiting: Vec<RecordBatch>,
    /// The reducers of the waiting rows.
    targets: Vec<u32>,
    bytes: usize,
    most_bytes: usize,
}

impl<'a> Dealer<'a> {
    fn new(partitioner: &'a Partitioner, map_partition: usize, task: &TaskContext) -> Self {
        // Those that wait are not reserved.
        let most_bytes = task.query.memory.limit().map_or(MOST_WAITING, |limit| MOST_WAITING.min(limit / 64));
        Self { partitioner, map_partition, next: None, bounds: None, waiting: vec![], targets: vec![], bytes: 0, most_bytes }
    }

    /// Rows by reducer that are ready with these; reducers that get nothing are left out. Rows keep their order within a reducer.
    ///
    /// # Errors
    /// Those of evaluating the partitioning expressions.
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<(usize, RecordBatch)>> {
        let reducers = self.partitioner.num_partitions();
        if batch.num_rows() == 0 {
            return Ok(vec![]);
        }
        if reducers == 1 || matches!(self.partitioner, Partitioner::Same { .. }) {
            return Ok(vec![(if reducers == 1 { 0 } else { self.map_partition }, batch)]);
        }
        let targets = self.targets(&batch)?;
        self.targets.extend(targets);
        self.bytes += data_size(&batch);
        self.waiting.push(batch);
        if self.targets.len() < reducers * ROWS_PER_PIECE && self.bytes < self.most_bytes { Ok(vec![]) } else { self.finish() }
    }

    /// The rows that still wait.
    ///
    /// # Errors
    /// Those of Arrow's kernels.
    fn finish(&mut self) -> Result<Vec<(usize, RecordBatch)>> {
        self.bytes = 0;
        let (batches, targets) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.targets));
        let Some(first) = batches.first() else { return Ok(vec![]) };
        let rows = if batches.len() == 1 { first.clone() } else { concat_batches(&first.schema(), &batches)? };
        deal(&rows, &targets, self.partitioner.num_partitions())
    }

    /// The reducer of each row.
    fn targets(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let rows = batch.num_rows();
        Ok(match self.partitioner {
            Partitioner::Single => vec![0; rows],
            Partitioner::Same { .. } => vec![self.map_partition as u32; rows],
            Partitioner::Hash { exprs, partitions } => places(&evaluate_all(exprs, batch)?, rows, *partitions)?,
            Partitioner::RoundRobin { partitions } => {
                let n = *partitions;
                // Spark counts up from a random place and advances before it deals.
                let first = self.next.unwrap_or_else(|| XorShiftRandom::new(self.map_partition as i64).next_below(n as u32) as usize + 1);
                self.next = Some((first + rows) % n);
                (first..first + rows).map(|i| (i % n) as u32).collect()
            }
            Partitioner::Range { order, bounds } => {
                let encoded_bounds = match &self.bounds {
                    Some(b) => b.clone(),
                    None => self.bounds.insert(Arc::new(RangeBounds::new(SortKeys::new(order)?, bounds)?)).clone(),
                };
                let keys: Vec<ArrayRef> = evaluate_all(&order.iter().map(|o| o.expr.clone()).collect::<Vec<_>>(), batch)?;
                encoded_bounds.locate(&keys, rows)?
            }
        })
    }
}

/// The batch cut by the targets of its rows, which are below `reducers`; those that get nothing are left out.
///
/// # Errors
/// Those of Arrow's kernels.
pub fn deal(batch: &RecordBatch, targets: &[u32], reducers: usize) -> Result<Vec<(usize, RecordBatch)>> {
    let rows = batch.num_rows();
    // Counting sort: one gather puts the rows of each reducer side by side, from where they are sliced.
    let mut ends = vec![0u32; reducers];
    for target in targets {
        ends[*target as usize] += 1;
    }
    let mut total = 0;
    for end in &mut ends {
        total += std::mem::replace(end, total);
    }
    let mut order = vec![0u32; rows];
    for (row, target) in targets.iter().enumerate() {
        let at = &mut ends[*target as usize];
        order[*at as usize] = row as u32;
        *at += 1;
    }
    let sorted = take_record_batch(batch, &UInt32Array::from(order))?;
    let mut start = 0;
    let mut out = Vec::with_capacity(reducers.min(rows));
    for (reducer, end) in ends.into_iter().map(|e| e as usize).enumerate() {
        if end > start {
            out.push((reducer, sorted.slice(start, end - start)));
        }
        start = end;
    }
    Ok(out)
}

impl ShuffleDependency {
    /// Deals out all rows of a map task.
    ///
    /// # Errors
    /// Those of computing the rows, of dealing them out, and of spilling.
    pub fn run_map_task(&self, partition: usize, task: &TaskContext) -> Result<Arc<MapOutput>> {
        let mut writer = MapWriter::new(self.partitioner.num_partitions(), self.node, &task.query);
        let mut dealer = Dealer::new(&self.partitioner, partition, task);
        let mut time = Duration::ZERO;
        let mut batches = self.rdd.compute(partition, task)?;
        loop {
            task.check()?;
            let (batch, start) = (batches.next().transpose()?, Instant::now());
            let last = batch.is_none();
            let pieces = match batch {
                Some(batch) => dealer.push(batch)?,
                None => dealer.finish()?,
            };
            pieces.into_iter().try_for_each(|(reducer, piece)| writer.push(reducer, piece))?;
            time += start.elapsed();
            if last {
                break;
            }
        }
        // Rows kept where they are, to find the bounds of ranges, are dealt out later.
        if !matches!(self.partitioner, Partitioner::Same { .. }) {
            let (metric, written) = (|key| task.query.metric(self.node, key), writer.written());
            metric("numPartitions").store(self.partitioner.num_partitions() as u64, Relaxed);
            metric("shuffleWriteTime").fetch_add(time.as_nanos() as u64, Relaxed);
            metric("shuffleRecordsWritten").fetch_add(written.rows, Relaxed);
            metric("shuffleBytesWritten").fetch_add(written.bytes, Relaxed);
            metric("dataSize").fetch_add(written.bytes, Relaxed);
        }
        Ok(writer.finish())
    }
}
