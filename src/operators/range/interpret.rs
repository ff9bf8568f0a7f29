//! Interpreted face.

use std::sync::Arc;

use arrow::array::Int64Array;

use super::Range;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::SparkPlan;
use crate::operators::stream::make_batch;
use crate::rdd::{QueryContext, Rdd};

impl Range {
    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        let (start, end, step) = (i128::from(self.start), i128::from(self.end), i128::from(self.step));
        if step == 0 || (end - start).signum() != step.signum() {
            return 0;
        }
        // Rounded up: the last step may pass beyond the end. At most 2^64 - 1 numbers lie between two bigints.
        ((end - start + step - step.signum()) / step) as u64
    }

    /// The numbers of slice `partition`, as positions in the whole sequence: Spark's even slices.
    pub fn slice(&self, partition: usize) -> std::ops::Range<u64> {
        let (count, partitions) = (u128::from(self.count()), self.partitions.max(1) as u128);
        let bound = |i: usize| (i as u128 * count / partitions) as u64;
        bound(partition)..bound(partition + 1)
    }

    /// # Errors
    /// None; the signature is that of all operators.
    pub fn execute(&self, _plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let range = self.clone();
        let schema = arrow_schema(std::slice::from_ref(&self.output));
        let batch_size = context.settings.batch_size() as u64;
        Ok(Rdd::new("Range", self.partitions.max(1), vec![], move |p, _| {
            let (range, schema, slice) = (range.clone(), schema.clone(), range.slice(p));
            let mut at = slice.start;
            Ok(Box::new(std::iter::from_fn(move || {
                let rows = batch_size.min(slice.end - at);
                // Every number of the sequence fits a bigint, so wrapping arithmetic on the way to it is exact.
                let first = range.start.wrapping_add((at as i64).wrapping_mul(range.step));
                at += rows;
                (rows > 0).then(|| {
                    let numbers = (0..rows as i64).map(|i| first.wrapping_add(i.wrapping_mul(range.step)));
                    make_batch(&schema, vec![Arc::new(Int64Array::from_iter_values(numbers))], rows as usize)
                })
            })))
        }))
    }
}
