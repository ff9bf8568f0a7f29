//! Interpreted face: whole window partitions are gathered into chunks, and each call is computed over a chunk at once.
//!
//! Rows of a window partition that does not fit memory are set aside and get their results as they come back ([`Passes`]).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use super::frames::{Frames, frames};
use super::groups::{Chunk, continues, equal_runs};
use super::passes::Passes;
use super::ranking::Place;
use super::{Window, aggregates, offset, ranking};
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Error, Result, interrupt};
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder, WindowExpr, WindowFunction};
use crate::operators::SparkPlan;
use crate::operators::execute::{bind_all, bind_orders};
use crate::operators::stream::{batch_stream, concat, make_batch};
use crate::rdd::{BatchStream, MapWriter, QueryContext, Rdd, Reservation, data_size};

/// A chunk has at least so many batches' worth of rows, where there are any.
const BATCHES_PER_CHUNK: usize = 4;

/// What a row of a chunk costs beside itself and its results: frames and keys.
const ROW_BYTES: usize = 48;

/// What all tasks share.
struct Shared {
    /// Bound to the child's output.
    calls: Calls,
    /// Columns of the child that calls need, and the calls bound to them alone.
    needed: Vec<usize>,
    narrow: Arc<Calls>,
    schema: SchemaRef,
    batch_size: usize,
    node: u64,
}

/// The calls, bound to columns.
pub struct Calls {
    pub calls: Vec<Expr>,
    partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
    pub input_schema: SchemaRef,
}

impl Window {
    /// # Errors
    /// Those of the child and of binding expressions.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let exprs = self.calls.iter().chain(&self.partition_by).chain(self.order_by.iter().map(|o| &o.expr));
        let used: BTreeSet<_> = exprs.flat_map(|e| e.references()).collect();
        let needed: Vec<usize> = (0..input.len()).filter(|i| used.contains(&input[*i].id)).collect();
        let narrow: Vec<Attribute> = needed.iter().map(|i| input[*i].clone()).collect();
        let shared = Arc::new(Shared {
            calls: self.bound(&input, context)?,
            narrow: Arc::new(self.bound(&narrow, context)?),
            needed,
            schema: arrow_schema(&plan.output()),
            batch_size: context.settings.batch_size(),
            node: plan.id,
        });
        Ok(plan.child().execute(context)?.map_partitions("Window", move |_, input, task| {
            let mut chunks = Chunks {
                shared: shared.clone(),
                input,
                pending: vec![],
                wanted: BATCHES_PER_CHUNK * shared.batch_size,
                memory: task.query.spillable(shared.node, "Window"),
                query: task.query.clone(),
                ended: false,
            };
            let chunks = std::iter::from_fn(move || chunks.next().transpose());
            Ok(Box::new(chunks.flat_map(|chunk| chunk.unwrap_or_else(|e| Box::new(std::iter::once(Err(e)))))))
        }))
    }

    /// # Errors
    /// Those of binding expressions.
    pub fn bound(&self, input: &[Attribute], context: &QueryContext) -> Result<Calls> {
        Ok(Calls {
            calls: bind_all(&self.calls, input, context)?,
            partition_by: bind_all(&self.partition_by, input, context)?,
            order_by: bind_orders(&self.order_by, input, context)?,
            input_schema: arrow_schema(input),
        })
    }
}

impl Calls {
    /// The columns of all calls over a chunk.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn compute(&self, batch: RecordBatch) -> Result<Vec<ArrayRef>> {
        let partition_keys = evaluate_all(&self.partition_by, &batch)?;
        let order_keys = evaluate_all(&self.order_by.iter().map(|o| o.expr.clone()).collect::<Vec<_>>(), &batch)?;
        let chunk = Chunk::new(batch, &partition_keys, order_keys)?;
        let call = |call| interrupt::check().and_then(|()| self.call(window_call(call)?, &chunk));
        self.calls.iter().map(call).collect()
    }

    /// The column of a call over a chunk.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call(&self, call: &WindowExpr, chunk: &Chunk) -> Result<ArrayRef> {
        let WindowExpr { function, frame, .. } = call;
        match function {
            WindowFunction::Aggregate(aggregate) if frame.is_whole(!self.order_by.is_empty()) => {
                let results = aggregates::compute(aggregate, chunk, &Frames::of_partitions(&chunk.partitions), None)?;
                let partitions = chunk.partitions.iter().enumerate();
                let indices: UInt32Array = partitions.flat_map(|(i, p)| std::iter::repeat_n(i as u32, p.len())).collect();
                Ok(take(&results, &indices, None)?)
            }
            WindowFunction::Aggregate(aggregate) => aggregates::compute(aggregate, chunk, &self.frames(call, chunk)?, None),
            WindowFunction::Ranking { function, args, ignore_nulls } => match ranking::compute(*function, args, chunk, Place::default())? {
                Some(column) => Ok(column),
                None => offset::compute(*function, args, *ignore_nulls, chunk, || self.frames(call, chunk)),
            },
        }
    }

    /// The frames of a call's rows.
    ///
    /// # Errors
    /// As for [`frames`].
    pub fn frames(&self, call: &WindowExpr, chunk: &Chunk) -> Result<Frames> {
        frames(&call.frame, chunk, &self.order_by)
    }

    /// Of the column of a call over a chunk, the part for `rows`, whose frames are among `frames`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn part(&self, call: &WindowExpr, chunk: &Chunk, frames: &Frames, rows: Range<usize>) -> Result<ArrayRef> {
        match &call.function {
            WindowFunction::Aggregate(aggregate) => aggregates::compute(aggregate, chunk, &frames.of_rows(rows), None),
            WindowFunction::Ranking { function, args, ignore_nulls } => {
                let column = offset::compute(*function, args, *ignore_nulls, chunk, || Ok(frames.clone()))?;
                Ok(column.slice(rows.start, rows.len()))
            }
        }
    }
}

/// # Errors
/// `Internal` for other expressions.
pub fn window_call(call: &Expr) -> Result<&WindowExpr> {
    match call.unaliased() {
        Expr::Window(call) => Ok(call),
        _ => Err(Error::internal("a window operator computes window calls only")),
    }
}

impl Shared {
    /// The rows of a chunk with the columns of all calls.
    fn compute(&self, batch: RecordBatch) -> Result<BatchStream> {
        let columns = self.calls.compute(batch.clone())?;
        Ok(batch_stream(self.with_columns(&batch, columns)?, self.batch_size))
    }

    fn with_columns(&self, rows: &RecordBatch, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        make_batch(&self.schema, rows.columns().iter().cloned().chain(columns).collect(), rows.num_rows())
    }
}

/// Cuts a sorted stream into pieces of whole window partitions.
struct Chunks {
    shared: Arc<Shared>,
    input: BatchStream,
    pending: Vec<RecordBatch>,
    /// Rows to gather before looking for the end of a window partition.
    wanted: usize,
    /// For `pending`, and the piece that is computed.
    memory: Reservation,
    query: Arc<QueryContext>,
    ended: bool,
}

/// What rows cost, their results included.
pub fn held_bytes(batch: &RecordBatch) -> usize {
    2 * data_size(batch) + ROW_BYTES * batch.num_rows()
}

impl Chunks {
    /// The output of the next window partitions.
    fn next(&mut self) -> Result<Option<BatchStream>> {
        loop {
            let mut rows: usize = self.pending.iter().map(RecordBatch::num_rows).sum();
            let held: usize = self.pending.iter().map(held_bytes).sum();
            self.memory.try_resize(held.min(self.memory.size()))?;
            let mut full = false;
            while !self.ended && !full && rows < self.wanted {
                match self.input.next().transpose()? {
                    Some(batch) => {
                        let bytes = held_bytes(&batch);
                        full = !self.memory.try_grow(bytes)?;
                        if full {
                            self.memory.force(bytes);
                        }
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
            let batch = concat(Box::new(pending.into_iter().map(Ok)), &self.shared.calls.input_schema)?;
            if self.ended {
                return self.shared.compute(batch).map(Some);
            }
            let keys = evaluate_all(&self.shared.calls.partition_by, &batch)?;
            let last = equal_runs(&keys, rows)?.last().map_or(0, |run| run.start);
            if full && last == 0 {
                return self.large(batch).map(Some);
            }
            // The last window partition may go on in the next batch; doubling keeps the cost of looking linear.
            self.pending.push(batch.slice(last, rows - last));
            self.wanted = (2 * (rows - last)).max(BATCHES_PER_CHUNK * self.shared.batch_size);
            if last > 0 {
                return self.shared.compute(batch.slice(0, last)).map(Some);
            }
        }
    }

    /// The output of a window partition that does not fit memory, beginning with `first`.
    fn large(&mut self, first: RecordBatch) -> Result<BatchStream> {
        let shared = self.shared.clone();
        self.memory.free();
        let mut aside = MapWriter::new(1, shared.node, &self.query);
        let key = evaluate_all(&shared.calls.partition_by, &first.slice(0, 1))?;
        let mut next = Some(first);
        while let Some(batch) = next.take() {
            let keys = evaluate_all(&shared.calls.partition_by, &batch)?;
            let same = batch.num_rows() > 0 && continues(&key, &keys)?;
            let rows = if same { equal_runs(&keys, batch.num_rows())?[0].end } else { 0 };
            if rows > 0 {
                aside.push(0, batch.slice(0, rows))?;
            }
            if rows < batch.num_rows() {
                self.pending.push(batch.slice(rows, batch.num_rows() - rows));
            } else {
                next = self.input.next().transpose()?;
                self.ended = next.is_none();
            }
        }
        let aside = aside.finish();
        let mut passes = Passes::new(&shared.narrow, &shared.needed, &aside, || self.query.fixed(shared.node, "Window"))?;
        Ok(Box::new(aside.read(0).map(move |batch| {
            let batch = batch?;
            let columns = passes.next(batch.num_rows())?;
            shared.with_columns(&batch, columns)
        })))
    }
}
