//! Interpreted face.

use std::sync::Arc;

use super::Expand;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::evaluate::evaluate_all;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_all;
use crate::operators::stream::make_batch;
use crate::rdd::{QueryContext, Rdd};

impl Expand {
    /// One batch per projection for each input batch.
    ///
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let projections = Arc::new(self.projections.iter().map(|p| bind_all(p, &input, context)).collect::<Result<Vec<_>>>()?);
        let schema = arrow_schema(&self.output);
        Ok(plan.child().execute(context)?.map_partitions("Expand", move |_, input, _| {
            let (projections, schema) = (projections.clone(), schema.clone());
            Ok(Box::new(input.flat_map(move |batch| {
                let (schema, projections) = (schema.clone(), projections.clone());
                (0..projections.len()).map(move |i| {
                    let batch = batch.as_ref().map_err(Clone::clone)?;
                    make_batch(&schema, evaluate_all(&projections[i], batch)?, batch.num_rows())
                })
            })))
        }))
    }
}
