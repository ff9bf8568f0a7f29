//! Interpreted face: the generator's rows for a batch, beside the child's columns of the rows they come from.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use super::Generate;
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::Expr;
use crate::expr::evaluate::{Generated, generate};
use crate::operators::SparkPlan;
use crate::operators::execute::bind;
use crate::operators::stream::{batch_stream, make_batch};
use crate::rdd::{BatchStream, QueryContext, Rdd};

impl Generate {
    /// # Errors
    /// Those of the child and of binding the generator.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let generator = bind(&self.generator, &plan.child().output(), context)?;
        let (schema, outer, batch_size) = (arrow_schema(&plan.output()), self.outer, context.settings.batch_size());
        Ok(plan.child().execute(context)?.map_partitions("Generate", move |_, input, _| {
            let (generator, schema) = (generator.clone(), schema.clone());
            Ok(Box::new(input.flat_map(move |batch| match batch.and_then(|b| generate_batch(&generator, outer, &b, &schema)) {
                Ok(batch) => batch_stream(batch, batch_size),
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            })))
        }))
    }
}

fn generate_batch(generator: &Expr, outer: bool, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let Generated { rows, mut columns } = generate(generator, batch)?;
    let mut rows = rows;
    if outer {
        let (with_missing, places) = add_missing(&rows, batch.num_rows() as u32);
        if with_missing.len() > rows.len() {
            columns = columns.iter().map(|c| take(c, &places, None)).collect::<Result<_, _>>()?;
            rows = with_missing;
        }
    }
    let count = rows.len();
    let rows = UInt32Array::from(rows);
    let mut all: Vec<ArrayRef> = batch.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?;
    all.extend(columns);
    make_batch(schema, all, count)
}

/// The ascending row numbers with those of `0..count` that were missing, and the old place of each (NULL for the missing ones).
fn add_missing(rows: &[u32], count: u32) -> (Vec<u32>, UInt32Array) {
    let (mut all, mut places) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut place = 0;
    for row in 0..count {
        let before = place;
        while place < rows.len() && rows[place] == row {
            all.push(row);
            places.push(Some(place as u32));
            place += 1;
        }
        if place == before {
            all.push(row);
            places.push(None);
        }
    }
    (all, UInt32Array::from(places))
}
