//! Interpreted face: whole window partitions are gathered into chunks, and each call is computed over a chunk at once.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::frames::frames;
use super::groups::{Chunk, equal_runs};
use super::{Window, aggregates, offset, ranking};
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result};
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder, WindowExpr, WindowFunction};
use crate::operators::SparkPlan;
use crate::operators::execute::{bind_all, bind_orders};
use crate::operators::stream::{batch_stream, concat, make_batch};
use crate::rdd::{BatchStream, QueryContext, Rdd};

/// A chunk has at least so many batches' worth of rows, where there are any.
const BATCHES_PER_CHUNK: usize = 4;

/// What all tasks share, bound to the child's output.
struct Shared {
    calls: Vec<Expr>,
    partition_by: Vec<Expr>,
    order_by: Vec<SortOrder>,
    input_schema: SchemaRef,
    schema: SchemaRef,
    batch_size: usize,
}

impl Window {
    /// # Errors
    /// Those of the child and of binding expressions.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let shared = Arc::new(Shared {
            calls: bind_all(&self.calls, &input, context)?,
            partition_by: bind_all(&self.partition_by, &input, context)?,
            order_by: bind_orders(&self.order_by, &input, context)?,
            input_schema: arrow_schema(&input),
            schema: arrow_schema(&plan.output()),
            batch_size: context.settings.batch_size(),
        });
        Ok(plan.child().execute(context)?.map_partitions("Window", move |_, input, _| {
            let mut chunks =
                Chunks { shared: shared.clone(), input, pending: vec![], wanted: BATCHES_PER_CHUNK * shared.batch_size, ended: false };
            let shared = shared.clone();
            let chunks = std::iter::from_fn(move || chunks.next().transpose());
            Ok(Box::new(chunks.flat_map(move |chunk| match chunk.and_then(|c| shared.compute(c)) {
                Ok(batch) => batch_stream(batch, shared.batch_size),
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            })))
        }))
    }
}

impl Shared {
    /// The rows of a chunk with the columns of all calls.
    fn compute(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let partition_keys = evaluate_all(&self.partition_by, &batch)?;
        let order_keys = evaluate_all(&self.order_by.iter().map(|o| o.expr.clone()).collect::<Vec<_>>(), &batch)?;
        let chunk = Chunk::new(batch, &partition_keys, order_keys)?;
        let mut columns = chunk.rows.columns().to_vec();
        for call in &self.calls {
            columns.push(self.call(call, &chunk)?);
        }
        make_batch(&self.schema, columns, chunk.rows.num_rows())
    }

    fn call(&self, call: &Expr, chunk: &Chunk) -> Result<ArrayRef> {
        let Expr::Window(call) = call.unaliased() else {
            return Err(Error::internal("a window operator computes window calls only"));
        };
        let WindowExpr { function, frame, .. } = call.as_ref();
        match function {
            WindowFunction::Aggregate(aggregate) => aggregates::compute(aggregate, chunk, &frames(frame, chunk, &self.order_by)?),
            WindowFunction::Ranking { function, args, ignore_nulls } => match ranking::compute(*function, args, chunk)? {
                Some(column) => Ok(column),
                None => offset::compute(*function, args, *ignore_nulls, chunk, || frames(frame, chunk, &self.order_by)),
            },
        }
    }
}

/// Cuts a sorted stream into batches that hold whole window partitions.
struct Chunks {
    shared: Arc<Shared>,
    input: BatchStream,
    pending: Vec<RecordBatch>,
    /// Rows to gather before looking for the end of a window partition.
    wanted: usize,
    ended: bool,
}

impl Chunks {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut rows: usize = self.pending.iter().map(RecordBatch::num_rows).sum();
            while !self.ended && rows < self.wanted {
                match self.input.next().transpose()? {
                    Some(batch) => {
                        rows += batch.num_rows();
                        self.pending.push(batch);
                    }
                    None => self.ended = true,
                }
            }
            if rows == 0 {
                return Ok(None);
            }
            let pending = std::mem::take(&mut self.pending);
            let batch = concat(Box::new(pending.into_iter().map(Ok)), &self.shared.input_schema)?;
            if self.ended {
                return Ok(Some(batch));
            }
            let keys = evaluate_all(&self.shared.partition_by, &batch)?;
            let last = equal_runs(&keys, rows)?.last().map_or(0, |run| run.start);
            // The last window partition may go on in the next batch; doubling keeps the cost of looking linear.
            self.pending.push(batch.slice(last, rows - last));
            self.wanted = (2 * (rows - last)).max(BATCHES_PER_CHUNK * self.shared.batch_size);
            if last > 0 {
                return Ok(Some(batch.slice(0, last)));
            }
        }
    }
}
