//! The first rows of an ordering, of a stream of batches.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;

use super::keys::{EncodedKeys, SortKeys};
use crate::base::Result;
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder};

/// Keeps the best `limit` rows seen. Candidates gather and are cut down when they are many more than wanted; once there are
/// enough, rows that are not better than the worst of them are dropped at the door. Equal rows: the first ones win.
pub struct TopK {
    exprs: Vec<Expr>,
    keys: SortKeys,
    limit: usize,
    schema: SchemaRef,
    /// Candidates, and how many rows they are.
    candidates: Vec<RecordBatch>,
    rows: usize,
    /// Encoded key of the worst row worth keeping, when `limit` rows were seen.
    threshold: Option<EncodedKeys>,
    /// Candidates that make a cut worth its while.
    capacity: usize,
}

impl TopK {
    /// # Errors
    /// `Internal` for orders over types that cannot be ordered.
    pub fn new(order: Vec<SortOrder>, limit: usize, schema: SchemaRef, batch_size: usize) -> Result<Self> {
        let keys = SortKeys::new(&order)?;
        let exprs = order.into_iter().map(|o| o.expr).collect();
        let capacity = limit.saturating_mul(2).max(batch_size);
        Ok(Self { exprs, keys, limit, schema, candidates: vec![], rows: 0, threshold: None, capacity })
    }

    /// # Errors
    /// Those of evaluating the order's expressions.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if self.limit == 0 {
            return Ok(());
        }
        let batch = match &self.threshold {
            None => batch,
            Some(threshold) => {
                let better = self.encode(&batch)?.below(threshold, 0);
                match better.len() {
                    0 => return Ok(()),
                    n if n == batch.num_rows() => batch,
                    _ => take_record_batch(&batch, &UInt32Array::from(better))?,
                }
            }
        };
        self.rows += batch.num_rows();
        self.candidates.push(batch);
        // Before there is a threshold every batch is kept whole: find one soon.
        if self.rows > self.capacity || (self.threshold.is_none() && self.rows >= self.limit) { self.shrink() } else { Ok(()) }
    }

    /// The best rows, in order.
    ///
    /// # Errors
    /// Those of evaluating the order's expressions.
    pub fn finish(mut self) -> Result<RecordBatch> {
        self.shrink()?;
        Ok(self.candidates.pop().unwrap_or_else(|| RecordBatch::new_empty(self.schema)))
    }

    fn encode(&self, batch: &RecordBatch) -> Result<EncodedKeys> {
        let columns: Vec<ArrayRef> = evaluate_all(&self.exprs, batch)?;
        self.keys.encode(&columns, batch.num_rows())
    }

    /// Leaves the best `limit` candidates, sorted, and the threshold that they set.
    fn shrink(&mut self) -> Result<()> {
        if self.candidates.is_empty() {
            return Ok(());
        }
        let all = concat_batches(&self.schema, &self.candidates)?;
        let best = self.encode(&all)?.sorted(Some(self.limit))?;
        let kept = take_record_batch(&all, &UInt32Array::from(best))?;
        self.rows = kept.num_rows();
        if self.rows == self.limit {
            self.threshold = Some(self.encode(&kept.slice(self.rows - 1, 1))?);
        }
        self.candidates = vec![kept];
        Ok(())
    }
}
