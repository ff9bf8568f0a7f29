//! Interpreted face.

use std::sync::Arc;

use arrow::compute::FilterBuilder;

use super::Filter;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::evaluate::random::{self, Place};
use crate::operators::SparkPlan;
use crate::operators::execute::new_predicate;
use crate::operators::stream::coalesced;
use crate::rdd::{QueryContext, Rdd};

impl Filter {
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let all = (0..plan.child().output().len()).collect();
        self.execute_columns(plan, all, context)
    }

    /// Only these columns of the output: a projection above spares copying the others.
    ///
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute_columns(&self, plan: &Arc<SparkPlan>, columns: Vec<usize>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let condition = new_predicate(&self.condition, &input, context)?;
        let schema = Arc::new(arrow_schema(&input).project(&columns)?);
        let whole = columns.len() == input.len();
        let batch_size = context.settings.batch_size();
        Ok(plan.child().execute(context)?.map_partitions("Filter", move |partition, input, _| {
            let (condition, columns) = (condition.clone(), columns.clone());
            let mut place = Place { partition: partition as u32, row: 0 };
            Ok(coalesced(input, schema.clone(), batch_size, move |buffer, batch| {
                let mask = random::at(place, || condition.eval(&batch))?;
                place.row += batch.num_rows() as u64;
                let kept = mask.true_count();
                if kept == 0 {
                    return Ok(());
                }
                let batch = if whole { batch } else { batch.project(&columns)? };
                if kept == mask.len() {
                    buffer.push_batch(batch)?;
                } else if kept * 2 > batch.num_rows() || batch.num_columns() == 0 {
                    // Large results are passed on as they are rather than copied once more.
                    buffer.push_batch(FilterBuilder::new(&mask).optimize().build().filter_record_batch(&batch)?)?;
                } else {
                    buffer.push_batch_with_filter(batch, &mask)?;
                }
                Ok(())
            }))
        }))
    }
}
