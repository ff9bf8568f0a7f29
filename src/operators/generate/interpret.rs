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
            let (share, pieces) = (Share::new(batch_size), Box::new(std::iter::empty()));
            let mut rows =
                Rows { generator, outer, required, schema, batch_size, input, rest: None, share, taken: None, yielded: 0, pieces };
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
    batch_size: usize,
    input: BatchStream,
    /// What is left of the current input batch.
    rest: Option<RecordBatch>,
    share: Share,
    /// The rows taken, how many rows came of them so far, and what is to come.
    taken: Option<RecordBatch>,
    yielded: usize,
    pieces: Box<dyn Iterator<Item = Result<Generated>> + Send>,
}

impl Rows {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            interrupt::check()?;
            if let Some(taken) = &self.taken {
                if let Some(piece) = self.pieces.next().transpose()? {
                    self.yielded += piece.rows.len();
                    return beside(taken, piece, &self.required, &self.schema).map(Some);
                }
                self.share.yielded(taken.num_rows(), std::mem::take(&mut self.yielded));
            }
            let batch = match self.rest.take() {
                Some(rest) => rest,
                None => match self.input.next().transpose()? {
                    Some(batch) => batch,
                    None => return Ok(None),
                },
            };
            let rows = self.share.of(batch.num_rows());
            let taken = batch.slice(0, rows);
            self.pieces = generate(&self.generator, &taken, self.outer, self.batch_size)?;
            self.taken = Some(taken);
            self.rest = (rows < batch.num_rows()).then(|| batch.slice(rows, batch.num_rows() - rows));
        }
    }
}

/// Generated rows with the columns of the rows that they come from.
fn beside(batch: &RecordBatch, generated: Generated, required: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let Generated { rows, columns } = generated;
    let mut all: Vec<ArrayRef> = required.iter().map(|c| take(batch.column(*c), &rows, None)).collect::<Result<_, _>>()?;
    all.extend(columns);
    make_batch(schema, all, rows.len())
}
