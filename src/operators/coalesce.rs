//! Coalesce: fewer partitions, each reading a run of the child's, without a shuffle.

use std::sync::Arc;

use super::{Coalesce, SparkPlan};
use crate::base::Result;
use crate::rdd::{BatchStream, Dependency, QueryContext, Rdd};

impl Coalesce {
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let child = plan.child().execute(context)?;
        let parents = child.num_partitions();
        let partitions = self.partitions.min(parents);
        Ok(Rdd::new("Coalesce", partitions, vec![Dependency::Narrow(child.clone())], move |p, task| {
            let (child, task) = (child.clone(), task.clone());
            let run = p * parents / partitions..(p + 1) * parents / partitions;
            Ok(Box::new(run.flat_map(move |parent| match child.compute(parent, &task) {
                Ok(batches) => batches,
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            })))
        }))
    }
}
