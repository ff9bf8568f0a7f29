//! Interpreted face.

use std::sync::Arc;

use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::stream::with_schema;
use crate::operators::{Partitioning, SparkPlan, Union};
use crate::rdd::{QueryContext, Rdd};

impl Union {
    /// # Errors
    /// Those of the children.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let children = plan.children.iter().map(|c| c.execute(context)).collect::<Result<Vec<_>>>()?;
        let alike = !matches!(self.output_partitioning(&plan.children), Partitioning::Unknown(_));
        let all = if alike { Rdd::union_by_partition(children) } else { Rdd::union(children) };
        let schema = arrow_schema(&self.output);
        Ok(all.map_partitions("Union", move |_, input, _| {
            let schema = schema.clone();
            Ok(Box::new(input.map(move |batch| with_schema(batch?, &schema))))
        }))
    }
}
