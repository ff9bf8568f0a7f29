//! Interpreted face.

use std::sync::Arc;

use super::{Sort, Sorter};
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_orders;
use crate::rdd::{QueryContext, Rdd};

impl Sort {
    /// Gathers a partition, sorts positions by normalised keys and then gathers the rows batch by batch; what does not fit memory is
    /// merged from sorted runs. Stable.
    ///
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let time = context.metric(plan.id, "sortTime");
        let sorter = Sorter::new(&bind_orders(&self.order, &input, context)?, arrow_schema(&input), plan.id, time, context)?;
        Ok(plan.child().execute(context)?.map_partitions("Sort", move |_, input, task| sorter.sort(input, &task.query)))
    }
}
