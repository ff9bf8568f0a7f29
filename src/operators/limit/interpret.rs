//! Interpreted face.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{CollectLimit, GlobalLimit, LocalLimit, TakeOrderedAndProject};
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::evaluate::evaluate_all;
use crate::operators::SparkPlan;
use crate::operators::execute::{bind_all, bind_orders};
use crate::operators::sort::TopK;
use crate::operators::stream::{make_batch, slices};
use crate::rdd::{BatchStream, Partitioner, QueryContext, Rdd, ShuffleDependency};

impl LocalLimit {
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        Ok(limited(&plan.child().execute(context)?, "LocalLimit", Some(self.limit), 0))
    }
}

impl GlobalLimit {
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        Ok(limited(&plan.child().execute(context)?, "GlobalLimit", self.limit, self.offset))
    }
}

impl CollectLimit {
    /// Below another operator: limited per partition, then in one. At the root see [`crate::operators::collect`].
    ///
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let child = plan.child().execute(context)?;
        Ok(limited(&single(plan.id, limited(&child, "LocalLimit", self.limit, 0)), "CollectLimit", self.limit, self.offset))
    }
}

impl TakeOrderedAndProject {
    /// The best rows of each partition, then of those, in one partition.
    ///
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let child = plan.child();
        let input = child.output();
        let order = bind_orders(&self.order, &input, context)?;
        let list = bind_all(&self.list, &input, context)?;
        let (input_schema, schema) = (arrow_schema(&input), arrow_schema(&plan.output()));
        let (limit, offset, batch_size) = (self.limit as usize, self.offset as usize, context.settings.batch_size());
        let best = move |input: BatchStream| -> Result<RecordBatch> {
            let mut top = TopK::new(order.clone(), limit, input_schema.clone(), batch_size)?;
            for batch in input {
                top.push(batch?)?;
            }
            top.finish()
        };
        let child = child.execute(context)?;
        let gathered = if child.num_partitions() > 1 {
            let best = best.clone();
            single(plan.id, child.map_partitions("TopK", move |_, input, _| Ok(Box::new(std::iter::once(best(input))))))
        } else {
            child
        };
        Ok(gathered.map_partitions("TakeOrderedAndProject", move |_, input, _| {
            let rows = best(input)?;
            let skipped = offset.min(rows.num_rows());
            let rows = rows.slice(skipped, rows.num_rows() - skipped);
            let result = make_batch(&schema, evaluate_all(&list, &rows)?, rows.num_rows())?;
            Ok(Box::new(slices(result, batch_size).map(Ok)))
        }))
    }
}

/// All rows of `rdd` in one partition, in order of partitions.
fn single(node: u64, rdd: Rdd) -> Rdd {
    if rdd.num_partitions() == 1 { rdd } else { ShuffleDependency::new(node, rdd, Partitioner::Single).shuffled() }
}

/// Of each partition the rows from `offset` up to `limit`; stops pulling once it has them.
pub fn limited(rdd: &Rdd, name: &str, limit: Option<u64>, offset: u64) -> Rdd {
    rdd.map_partitions(name, move |_, mut input, _| {
        let (mut seen, limit) = (0, limit.unwrap_or(u64::MAX));
        Ok(Box::new(std::iter::from_fn(move || {
            while seen < limit {
                let batch = match input.next()? {
                    Ok(batch) => batch,
                    Err(e) => return Some(Err(e)),
                };
                let rows = batch.num_rows() as u64;
                let (start, end) = (offset.saturating_sub(seen).min(rows), rows.min(limit - seen));
                seen += rows;
                if start < end {
                    return Some(Ok(batch.slice(start as usize, (end - start) as usize)));
                }
            }
            None
        })))
    })
}
