//! Dealing rows out to reducers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use crate::base::Result;
use crate::base::random::XorShiftRandom;
use crate::expr::evaluate::evaluate_all;
use crate::expr::evaluate::hash::places;
use crate::operators::sort::{RangeBounds, SortKeys};
use crate::rdd::{MapOutput, MapWriter, Partitioner, ShuffleDependency, TaskContext};

/// Where a map task stands in dealing out its rows.
#[derive(Default)]
pub struct SplitState {
    /// The reducer that a round-robin deal goes on with.
    next: Option<usize>,
    /// Range bounds in comparable form.
    bounds: Option<Arc<RangeBounds>>,
}

impl Partitioner {
    /// The batch cut by reducer; reducers that get nothing are left out. Rows keep their order within a reducer.
    ///
    /// # Errors
    /// Those of evaluating the partitioning expressions.
    pub fn split(&self, batch: &RecordBatch, map_partition: usize, state: &mut SplitState) -> Result<Vec<(usize, RecordBatch)>> {
        let (rows, reducers) = (batch.num_rows(), self.num_partitions());
        if rows == 0 {
            return Ok(vec![]);
        }
        if reducers == 1 || matches!(self, Partitioner::Same { .. }) {
            return Ok(vec![(if reducers == 1 { 0 } else { map_partition }, batch.clone())]);
        }
        deal(batch, &self.targets(batch, map_partition, state)?, reducers)
    }

    /// The reducer of each row.
    fn targets(&self, batch: &RecordBatch, map_partition: usize, state: &mut SplitState) -> Result<Vec<u32>> {
        let rows = batch.num_rows();
        Ok(match self {
            Partitioner::Single => vec![0; rows],
            Partitioner::Same { .. } => vec![map_partition as u32; rows],
            Partitioner::Hash { exprs, partitions } => places(&evaluate_all(exprs, batch)?, rows, *partitions)?,
            Partitioner::RoundRobin { partitions } => {
                let n = *partitions;
                // Spark counts up from a random place and advances before it deals.
                let first = state.next.unwrap_or_else(|| XorShiftRandom::new(map_partition as i64).next_below(n as u32) as usize + 1);
                state.next = Some((first + rows) % n);
                (first..first + rows).map(|i| (i % n) as u32).collect()
            }
            Partitioner::Range { order, bounds } => {
                let encoded_bounds = match &state.bounds {
                    Some(b) => b.clone(),
                    None => state.bounds.insert(Arc::new(RangeBounds::new(SortKeys::new(order)?, bounds)?)).clone(),
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
    /// Those of computing the rows, of [`Partitioner::split`], and of spilling.
    pub fn run_map_task(&self, partition: usize, task: &TaskContext) -> Result<Arc<MapOutput>> {
        let mut writer = MapWriter::new(self.partitioner.num_partitions(), self.node, &task.query);
        let mut state = SplitState::default();
        let mut time = Duration::ZERO;
        for batch in self.rdd.compute(partition, task)? {
            task.check()?;
            let (batch, start) = (batch?, Instant::now());
            for (reducer, piece) in self.partitioner.split(&batch, partition, &mut state)? {
                writer.push(reducer, piece)?;
            }
            time += start.elapsed();
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
