//! Interpreted face: the generator's rows for a batch, beside the child's columns of the rows they come from.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use super::Generate;
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Result, interrupt};
use crate::expr::Expr;
use crate::expr::evaluate::{Generated, generate};
use crate::operators::SparkPlan;
use crate::operators::execute::bind;
use crate::operators::stream::{Share, batch_stream, make_batch};
use crate::rdd::{BatchStream, QueryContext, Rdd};

impl Generate {
    /// # Errors
    /// Those of the child and of binding the generator.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let generator = bind(&self.generator, &input, context)?;
        let position = |a: &Attribute| input.iter().position(|i| i.id == a.id);
        let required: Vec<usize> = self.required.iter().filter_map(position).collect();
        let (schema, outer, batch_size) = (arrow_schema(&plan.output()), self.outer, context.settings.batch_size());
        Ok(plan.child().execute(context)?.map_partitions("Generate", move |_, input, _| {
            let (generator, required, schema) = (generator.clone(), required.clone(), schema.clone());
            let mut rows = Rows { generator, outer, required, schema, input, rest: None, share: Share::new(batch_size) };
            Ok(Box::new(std::iter::from_fn(move || rows.next().transpose()).flat_map(move |rows| match rows {
                Ok(batch) => batch_stream(batch, batch_size),
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            })))
        }))
    }
}

/// The rows of a partition. Of an input batch so many rows are taken at once as give about a batch.
struct Rows {
    generator: Expr,
    outer: bool,
    required: Vec<usize>,
    schema: SchemaRef,
    input: BatchStream,
    /// What is left of the current input batch.
    rest: Option<RecordBatch>,
    share: Share,
}

impl Rows {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next().transpose()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        interrupt::check()?;
        let taken = self.share.of(batch.num_rows());
        let rows = generate_batch(&self.generator, self.outer, &batch.slice(0, taken), &self.required, &self.schema)?;
        self.rest = (taken < batch.num_rows()).then(|| batch.slice(taken, batch.num_rows() - taken));
        self.share.yielded(taken, rows.num_rows());
        Ok(Some(rows))
    }
}

fn generate_batch(generator: &Expr, outer: bool, batch: &RecordBatch, required: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let Generated { rows, columns } = generate(generator, batch, outer)?;
    let mut all: Vec<ArrayRef> = required.iter().map(|c| take(batch.column(*c), &rows, None)).collect::<Result<_, _>>()?;
    all.extend(columns);
    make_batch(schema, all, rows.len())
}
