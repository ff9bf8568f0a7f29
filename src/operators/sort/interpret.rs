//! Interpreted face.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;

use super::Sort;
use super::keys::SortKeys;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::evaluate::evaluate_all;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_orders;
use crate::operators::stream::concat;
use crate::rdd::{QueryContext, Rdd};

impl Sort {
    /// Gathers a partition, sorts positions by normalised keys and then gathers the rows batch by batch. Stable.
    ///
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let order = bind_orders(&self.order, &input, context)?;
        let exprs: Vec<_> = order.iter().map(|o| o.expr.clone()).collect();
        let keys = Arc::new(SortKeys::new(&order)?);
        let schema = arrow_schema(&input);
        let batch_size = context.settings.batch_size();
        let sort_time = context.metric(plan.id, "sortTime");
        Ok(plan.child().execute(context)?.map_partitions("Sort", move |_, input, _| {
            let rows = concat(input, &schema)?;
            let started = Instant::now();
            let sorted = keys.encode(&evaluate_all(&exprs, &rows)?, rows.num_rows())?.sorted(None);
            sort_time.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
            let sorted = UInt32Array::from(sorted);
            let total = rows.num_rows();
            Ok(Box::new(
                (0..total).step_by(batch_size).map(move |at| Ok(take_record_batch(&rows, &sorted.slice(at, batch_size.min(total - at)))?)),
            ))
        }))
    }
}
