//! Interpreted face.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::Project;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::base::settings::SUBEXPRESSION_ELIMINATION;
use crate::expr::Expr;
use crate::expr::evaluate::evaluate_list;
use crate::expr::evaluate::random::{self, Place};
use crate::operators::execute::bind_all;
use crate::operators::stream::make_batch;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::{BatchStream, QueryContext, Rdd};

impl Project {
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let child = plan.child();
        let mut input = child.output();
        let used: BTreeSet<_> = self.list.iter().flat_map(|e| e.references()).collect();
        let columns: Vec<usize> = (0..input.len()).filter(|i| used.contains(&input[*i].id)).collect();
        // Operators that copy rows copy only the columns used here.
        let narrowed = match &child.operator {
            Operator::Filter(o) => Some(o.execute_columns(child, columns.clone(), context)?),
            Operator::BroadcastHashJoin(o) | Operator::ShuffledHashJoin(o) => Some(o.execute_columns(child, &columns, context)?),
            Operator::SortMergeJoin(o) => Some(o.execute_columns(child, &columns, context)?),
            Operator::BroadcastNestedLoopJoin(o) | Operator::CartesianProduct(o) => Some(o.execute_columns(child, &columns, context)?),
            _ => None,
        };
        let rdd = match narrowed {
            Some(rdd) => {
                input = columns.iter().map(|i| input[*i].clone()).collect();
                child.watch(rdd)
            }
            None => child.execute(context)?,
        };
        let exprs = bind_all(&self.list, &input, context)?;
        let schema = arrow_schema(&plan.output());
        let eliminate = context.settings.bool(&SUBEXPRESSION_ELIMINATION);
        Ok(rdd.map_partitions("Project", move |partition, input, _| {
            Ok(projected(exprs.clone(), schema.clone(), eliminate, partition, input))
        }))
    }
}

/// Bound expressions over each row of a partition; `eliminate`: what they have in common is computed once.
pub fn projected(exprs: Vec<Expr>, schema: SchemaRef, eliminate: bool, partition: usize, input: BatchStream) -> BatchStream {
    let mut place = Place { partition: partition as u32, row: 0 };
    Box::new(input.map(move |batch| {
        let batch = batch?;
        let columns = random::at(place, || evaluate_list(&exprs, &batch, eliminate))?;
        place.row += batch.num_rows() as u64;
        make_batch(&schema, columns, batch.num_rows())
    }))
}
