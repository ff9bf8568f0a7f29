//! The first rows of an ordering, of a stream of batches.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use super::external::{Sorter, sorting_bytes};
use super::keys::EncodedKeys;
use crate::base::Result;
use crate::operators::stream::{batch_stream, gathered, limited};
use crate::rdd::size::compacted;
use crate::rdd::{BatchStream, QueryContext, Reservation};

impl Sorter {
    /// The first `limit` rows of `input` in order; of equal rows, the first ones win. What does not fit memory is sorted as a whole.
    ///
    /// # Errors
    /// As for [`Sorter::sort`].
    pub fn first(self: &Arc<Self>, limit: usize, mut input: BatchStream, query: &QueryContext) -> Result<BatchStream> {
        if limit == 0 {
            return Ok(Box::new(std::iter::empty()));
        }
        let memory = query.spillable(self.node, "TakeOrderedAndProject");
        let capacity = limit.saturating_mul(2).max(self.batch_size);
        let mut top = TopK { sorter: self.clone(), limit, candidates: vec![], rows: 0, threshold: None, capacity, memory };
        while let Some(batch) = input.next() {
            if !top.push(batch?)? {
                let sorted = self.run(top.and_rest(input), Some(limit), query)?;
                return Ok(limited(sorted, 0, limit as u64));
            }
        }
        top.finish()
    }
}

/// Keeps the best `limit` rows seen. Candidates gather and are cut down when they are many more than wanted; once there are
/// enough, rows that are not better than the worst of them are dropped at the door.
struct TopK {
    sorter: Arc<Sorter>,
    limit: usize,
    /// Candidates, and how many rows they are.
    candidates: Vec<RecordBatch>,
    rows: usize,
    threshold: Option<Threshold>,
    /// Candidates that make a cut worth its while.
    capacity: usize,
    memory: Reservation,
}

/// Encoded key of the worst row worth keeping, when `limit` rows were seen.
struct Threshold(EncodedKeys);

impl Threshold {
    /// The rows that are better.
    fn better(&self, sorter: &Sorter, batch: RecordBatch) -> Result<RecordBatch> {
        let better = sorter.encode(&batch)?.below(&self.0, 0);
        if better.len() == batch.num_rows() {
            return Ok(batch);
        }
        compacted(&take_record_batch(&batch, &UInt32Array::from(better))?)
    }
}

impl TopK {
    /// Whether there was memory for the rows. They are candidates in any case.
    fn push(&mut self, batch: RecordBatch) -> Result<bool> {
        let batch = match &self.threshold {
            None => batch,
            Some(threshold) => threshold.better(&self.sorter, batch)?,
        };
        if batch.num_rows() == 0 {
            return Ok(true);
        }
        let bytes = sorting_bytes(&batch);
        self.rows += batch.num_rows();
        self.candidates.push(batch);
        let fits = self.memory.try_grow(bytes)?;
        // Before there is a threshold every batch is kept whole: find one soon.
        if self.rows > self.capacity || (self.threshold.is_none() && self.rows >= self.limit) {
            self.shrink()?;
        } else if fits {
            return Ok(true);
        } else if self.rows > self.limit.saturating_add(self.limit / 2) {
            self.shrink()?;
        } else {
            return Ok(false);
        }
        self.memory.try_resize(self.candidates.iter().map(sorting_bytes).sum())
    }

    /// The best rows, in order.
    fn finish(mut self) -> Result<BatchStream> {
        self.shrink()?;
        let Some(best) = self.candidates.pop() else { return Ok(Box::new(std::iter::empty())) };
        let batch_size = self.sorter.batch_size;
        Ok(self.memory.while_read(batch_stream(best, batch_size)))
    }

    /// What was pushed and those rows of the rest that may still be among the best, as they came.
    fn and_rest(self, rest: BatchStream) -> BatchStream {
        let Self { sorter, candidates, threshold, .. } = self;
        let rest = rest.map(move |batch| match &threshold {
            None => batch,
            Some(threshold) => threshold.better(&sorter, batch?),
        });
        Box::new(candidates.into_iter().map(Ok).chain(rest))
    }

    /// Leaves the best `limit` candidates, sorted, and the threshold that they set.
    fn shrink(&mut self) -> Result<()> {
        if self.candidates.is_empty() {
            return Ok(());
        }
        let all = gathered(&self.sorter.schema, &std::mem::take(&mut self.candidates))?;
        let best = self.sorter.positions(&all, Some(self.limit))?;
        let kept = compacted(&take_record_batch(&all, &best)?)?;
        self.rows = kept.num_rows();
        if self.rows == self.limit {
            self.threshold = Some(Threshold(self.sorter.encode(&kept.slice(self.rows - 1, 1))?));
        }
        self.candidates = vec![kept];
        Ok(())
    }
}
