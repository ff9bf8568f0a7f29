//! Interpreted face.

use std::sync::Arc;

use arrow::array::{BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};

use super::Sample;
use crate::base::Result;
use crate::base::random::XorShiftRandom;
use crate::operators::SparkPlan;
use crate::rdd::{QueryContext, Rdd};

impl Sample {
    /// Without replacement the rows are those that Spark picks. With replacement each row appears a Poisson-distributed number of
    /// times, of the same mean as in Spark but not drawn by its generator.
    ///
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let sample = self.clone();
        Ok(plan.child().execute(context)?.map_partitions("Sample", move |partition, input, _| {
            let sample = sample.clone();
            let mut random = XorShiftRandom::new((sample.seed as i64).wrapping_add(partition as i64));
            Ok(Box::new(input.map(move |batch| {
                let batch = batch?;
                let rows = batch.num_rows();
                if sample.with_replacement {
                    let mean = sample.upper - sample.lower;
                    let picks = (0..rows as u32).flat_map(|row| std::iter::repeat_n(row, poisson(mean, &mut random)));
                    return Ok(take_record_batch(&batch, &UInt32Array::from_iter_values(picks))?);
                }
                let mask: BooleanArray = (0..rows).map(|_| Some((sample.lower..sample.upper).contains(&random.next_f64()))).collect();
                Ok(filter_record_batch(&batch, &mask)?)
            })))
        }))
    }
}

/// A Poisson-distributed number (Knuth's method: count uniform draws until their product falls below e^-mean).
fn poisson(mean: f64, random: &mut XorShiftRandom) -> usize {
    let (bound, mut product, mut count) = ((-mean).exp(), random.next_f64(), 0);
    while product > bound {
        product *= random.next_f64();
        count += 1;
    }
    count
}
