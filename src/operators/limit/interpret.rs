//! Interpreted face.

use std::sync::Arc;

use super::{CollectLimit, GlobalLimit, LocalLimit, TakeOrderedAndProject};
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::base::settings::SUBEXPRESSION_ELIMINATION;
use crate::operators::execute::{bind_all, bind_orders};
use crate::operators::project::projected;
use crate::operators::sort::Sorter;
use crate::operators::{SparkPlan, stream};
use crate::rdd::{Counter, Partitioner, QueryContext, Rdd, ShuffleDependency};

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
        let sorter = Sorter::new(&order, arrow_schema(&input), plan.id, Counter::default(), context)?;
        let list = bind_all(&self.list, &input, context)?;
        let schema = arrow_schema(&plan.output());
        let eliminate = context.settings.bool(&SUBEXPRESSION_ELIMINATION);
        let (limit, offset) = (self.limit, self.offset);
        let child = child.execute(context)?;
        let gathered = if child.num_partitions() > 1 {
            let sorter = sorter.clone();
            single(plan.id, child.map_partitions("TopK", move |_, input, task| sorter.first(limit as usize, input, &task.query)))
        } else {
            child
        };
        Ok(gathered.map_partitions("TakeOrderedAndProject", move |partition, input, task| {
            let rows = stream::limited(sorter.first(limit as usize, input, &task.query)?, offset, limit);
            Ok(projected(list.clone(), schema.clone(), eliminate, partition, rows))
        }))
    }
}

/// All rows of `rdd` in one partition, in order of partitions.
fn single(node: u64, rdd: Rdd) -> Rdd {
    if rdd.num_partitions() == 1 { rdd } else { ShuffleDependency::new(node, rdd, Partitioner::Single).shuffled() }
}

/// Of each partition the rows from `offset` up to `limit`; stops pulling once it has them.
pub fn limited(rdd: &Rdd, name: &str, limit: Option<u64>, offset: u64) -> Rdd {
    rdd.map_partitions(name, move |_, input, _| Ok(stream::limited(input, offset, limit.unwrap_or(u64::MAX))))
}
