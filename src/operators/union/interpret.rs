//! Interpreted face.

use std::sync::Arc;

use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::stream::with_schema;
use crate::operators::{SparkPlan, Union};
use crate::rdd::{QueryContext, Rdd};

impl Union {
    /// # Errors
    /// Those of the children.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let children = plan.children.iter().map(|c| c.execute(context)).collect::<Result<_>>()?;
        let schema = arrow_schema(&self.output);
        Ok(Rdd::union(children).map_partitions("Union", move |_, input, _| {
            let schema = schema.clone();
            Ok(Box::new(input.map(move |batch| with_schema(batch?, &schema))))
        }))
    }
}
