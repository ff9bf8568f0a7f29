//! One task of a compiled part: its state, its tables, the loop over batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::{Array, RecordBatch};

use super::build;
use super::region::Object;
use super::run::Shared;
use super::stage::Variant;
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result, interrupt};
use crate::codegen::Sink;
use crate::codegen::aggregate::AggregateSink;
use crate::codegen::probe::EarlyPass;
use crate::codegen::state::{SELECTION, Slot};
use crate::operators::metrics::OUTPUT_ROWS;
use crate::operators::stream::{Share, batch_stream};
use crate::rdd::counter::{Counter, Tally};
use crate::rdd::{BatchStream, Reservation, TaskContext};
use crate::runtime::aggregate_table::Position;
use crate::runtime::select::SLACK;
use crate::runtime::{AggregateTable, BatchView, Form, Input, JoinTable, Output, RowLayout, Status};

/// Rows per call of a pipeline: their columns and the selection vector stay in the cache.
const ROWS_PER_CALL: usize = 4096;

/// Rows by which an early pass is judged.
const EARLY_SAMPLE: u64 = 1 << 14;

/// See the module. Everything that slots point to is owned here or by `shared`.
pub struct Task {
    shared: Arc<Shared>,
    partition: usize,
    context: TaskContext,
    state: Vec<u64>,
    selection: Vec<u32>,
    /// Of the groups that a pipeline reads.
    addresses: Vec<u64>,
    view: BatchView,
    output: Box<Output>,
    /// Objects by their place in the stage.
    tables: Vec<Owned>,
    /// Forms of the join tables, by slot.
    forms: Vec<(Slot, Form)>,
    /// Early passes that are still wanted.
    early: Vec<EarlyPass>,
    batch_size: usize,
    metrics: Metrics,
    /// For the tables of groups.
    memory: Reservation,
}

/// What tasks count: of the stage's code, and of operators.
struct Metrics {
    /// Time in compiled code.
    time: Counter,
    calls: Counter,
    /// Rows read by compiled code.
    input_rows: Counter,
    /// Rows given out: those of the stage, and of the operator that they come from.
    output_rows: [Counter; 2],
}

/// What a task owns for an [`Object`].
enum Owned {
    Groups(Box<AggregateTable>),
    Group(Vec<u64>),
    Join { _table: Arc<JoinTable>, _null_row: Vec<u64>, _memory: Option<Reservation> },
    Nothing,
}

/// How a pipeline ended for a batch.
enum Flow {
    More,
    Stop,
}

/// Why a pipeline did not go on.
enum Failure {
    /// Generated code met an error; the interpreter knows which.
    Row,
    /// There is no memory for the groups, which the interpreter can spill.
    Memory,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Other(e)
    }
}

impl Task {
    /// Runs all pipelines but the last, and gives the rows of the last as they come.
    ///
    /// # Errors
    /// What the input or the rows meet.
    pub fn start(shared: Arc<Shared>, partition: usize, context: &TaskContext) -> Result<BatchStream> {
        let refused = shared.refused.load(Ordering::Relaxed);
        let task = if refused { None } else { Self::new(shared.clone(), partition, context.clone())? };
        let Some(mut task) = task else { return shared.interpreted.compute(partition, context) };
        if let Err(e) = shared.stage.compile_all(&task.forms, &context.query, shared.stage_node) {
            let fallback = context.query.settings.bool(&crate::base::settings::CODEGEN_FALLBACK);
            return if fallback { shared.interpreted.compute(partition, context) } else { Err(e) };
        }
        let last = task.shared.stage.pipelines.len() - 1;
        let counted = Tally::begin();
        for i in 0..last {
            let start = Instant::now();
            match task.drain(i) {
                Ok(()) => {}
                Err(failure) => {
                    // The interpreter begins again.
                    drop(counted);
                    task.memory.free();
                    // The tables go before the interpreter makes its own.
                    task.tables.clear();
                    return task.explain(failure, 0);
                }
            }
            context.query.metric(shared.stage.sinks[i], "aggTime").fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            shared.stage.pipelines[i].count_rows(&mut task.state, &context.query);
        }
        counted.pass_on();
        let source = if last == 0 {
            Rows::Batches { batches: task.shared.input.compute(partition, context)?, current: None }
        } else {
            Rows::Groups(Position::default())
        };
        let share = task.forms.iter().any(|(_, form)| !matches!(form, Form::Set | Form::Unique)).then(|| Share::new(task.batch_size));
        let batch_size = task.batch_size;
        let stream = Stream { task, last, source, share, emitted: 0, ended: false, rest: None };
        Ok(Box::new(stream.flat_map(move |batch| -> BatchStream {
            match batch {
                // One row may have found millions; whoever takes them polls from batch to batch.
                Ok(batch) if batch.num_rows() > LARGE * batch_size => batch_stream(batch, batch_size),
                other => Box::new(std::iter::once(other)),
            }
        })))
    }

    /// `None` if the build side of a join does not fit memory; the interpreter can spill it.
    fn new(shared: Arc<Shared>, partition: usize, context: TaskContext) -> Result<Option<Self>> {
        let stage = &shared.stage;
        let columns = &stage.attributes;
        let batch_size = context.query.settings.batch_size();
        let nullable = columns.iter().map(|a| a.nullable).collect();
        let output = Output::new(arrow_schema(columns), nullable, batch_size + ROWS_PER_CALL);
        let mut task = Self {
            state: vec![],
            selection: vec![0; ROWS_PER_CALL + SLACK],
            addresses: vec![],
            view: BatchView::default(),
            output,
            tables: vec![],
            forms: vec![],
            early: vec![],
            batch_size,
            metrics: {
                let metric = |key| context.query.metric(shared.stage_node, key);
                Metrics {
                    time: metric("pipelineTime"),
                    calls: metric("numCalls"),
                    input_rows: metric("numInputRows"),
                    output_rows: [Some(shared.stage_node), stage.rows_of]
                        .map(|node| node.map(|node| context.query.metric(node, OUTPUT_ROWS)).unwrap_or_default()),
                }
            },
            memory: match stage.sinks.first() {
                Some(aggregate) => context.query.spillable(*aggregate, "HashAggregate"),
                None => context.query.memory.spillable("HashAggregate", Counter::default()),
            },
            shared: shared.clone(),
            partition,
            context,
        };
        task.extend_state();
        let output = &raw mut *task.output as u64;
        task.set(stage.output, output);
        let selection = task.selection.as_mut_ptr() as u64;
        task.set(SELECTION, selection);
        let mut joins = 0;
        for object in &stage.objects {
            let owned = match object {
                Object::Groups { slot, layout, addressing } => {
                    let mut table = AggregateTable::new(layout.size, *addressing)?;
                    task.set(*slot, &raw mut *table as u64);
                    Owned::Groups(table)
                }
                Object::Group { slot, layout } => {
                    let mut row = first_row(layout, task.aggregate_of(*slot)?);
                    task.set(*slot, row.as_mut_ptr() as u64);
                    Owned::Group(row)
                }
                Object::Join(join) => {
                    let made = build::join_table(join, shared.builds[joins].as_ref(), partition, &task.context)?;
                    let Some((table, memory)) = made else {
                        shared.refused.fetch_or(join.broadcast, Ordering::Relaxed);
                        return Ok(None);
                    };
                    joins += 1;
                    let null_row = vec![0u64; join.layout.size / 8];
                    task.set(join.table, Arc::as_ptr(&table) as u64);
                    task.set(join.early.wanted, 1);
                    task.forms.push((join.table, table.form));
                    task.early.push(join.early);
                    task.set(join.null_row, null_row.as_ptr() as u64);
                    task.set(join.flags, u64::from(table.has_null_key) | (u64::from(table.is_empty) << 1));
                    Owned::Join { _table: table, _null_row: null_row, _memory: memory }
                }
                Object::Counter { slot, start } => {
                    task.set(*slot, *start);
                    Owned::Nothing
                }
            };
            task.tables.push(owned);
        }
        Ok(Some(task))
    }

    fn set(&mut self, slot: Slot, word: u64) {
        self.state[slot] = word;
    }

    /// Code compiled later may know slots that the state does not have yet.
    fn extend_state(&mut self) {
        let layout = self.shared.stage.layout.lock().unwrap_or_else(|e| e.into_inner());
        let from = self.state.len();
        self.state.extend(layout.instantiate(from, self.context.query.interrupt()));
    }

    fn aggregate_of(&self, slot: Slot) -> Result<&AggregateSink> {
        self.shared
            .stage
            .pipelines
            .iter()
            .find_map(|p| match &p.pipeline.sink.1 {
                Sink::Aggregate(sink) if sink.table == slot => Some(sink.as_ref()),
                _ => None,
            })
            .ok_or_else(|| Error::internal("a group row without its aggregate"))
    }

    /// Runs a pipeline that ends in a table over all its input.
    fn drain(&mut self, index: usize) -> Result<(), Failure> {
        if index == 0 {
            for batch in self.shared.input.compute(self.partition, &self.context)? {
                if let Flow::Stop = self.run_batch(index, &batch?)? {
                    break;
                }
                let groups = self.tables.iter().map(|t| if let Owned::Groups(table) = t { table.memory() } else { 0 }).sum();
                if !self.memory.try_resize(groups)? {
                    return Err(Failure::Memory);
                }
            }
            return Ok(());
        }
        let mut from = Position::default();
        while let (Flow::More, _) = self.run_groups(index, &mut from, ROWS_PER_CALL)? {}
        Ok(())
    }

    /// Runs a pipeline that reads groups over the next of them, at most `count`; how many there were.
    fn run_groups(&mut self, index: usize, from: &mut Position, count: usize) -> Result<(Flow, usize), Failure> {
        let mut rows = std::mem::take(&mut self.addresses);
        match &mut self.tables[self.shared.stage.row_sources[index - 1]] {
            Owned::Groups(table) => table.read(from, count, &mut rows),
            Owned::Group(row) => rows.extend(from.once().then_some(row.as_mut_ptr() as u64)),
            Owned::Join { .. } | Owned::Nothing => return Err(Error::internal("a pipeline over rows without a table").into()),
        }
        let read = rows.len();
        let flow = if read == 0 { Flow::Stop } else { self.run_rows(index, &rows)? };
        rows.clear();
        self.addresses = rows;
        Ok((flow, read))
    }

    /// Runs pipeline `index` over a batch, a piece at a time.
    fn run_batch(&mut self, index: usize, batch: &RecordBatch) -> Result<Flow, Failure> {
        let shared = self.shared.clone();
        let compiled_for = (self.context.query.as_ref(), shared.stage_node);
        let mut variant = shared.stage.variant(index, false, &self.forms, Some(compiled_for))?;
        let has_nulls = |v: &Variant| batch.columns().iter().zip(&v.used).any(|(c, used)| *used && c.null_count() > 0);
        let mut nulls = false;
        if has_nulls(&variant) {
            nulls = true;
            variant = shared.stage.variant(index, true, &self.forms, Some(compiled_for))?;
        }
        self.note_unknown(index, &variant);
        let columns: Vec<_> = batch.columns().iter().zip(&variant.used).map(|(c, used)| used.then(|| c.clone())).collect();
        self.metrics.input_rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        let view = self.view.set(&columns, batch.num_rows(), nulls)?;
        self.pieces(&variant, view, batch.num_rows())
    }

    /// Notes of which operators the rows are not known, as this variant runs.
    fn note_unknown(&self, index: usize, variant: &Variant) {
        if !variant.unknown.is_empty() {
            self.shared.stage.pipelines[index].unknown.lock().unwrap_or_else(|e| e.into_inner()).extend(&variant.unknown);
        }
    }

    fn run_rows(&mut self, index: usize, rows: &[u64]) -> Result<Flow, Failure> {
        let groups = self.context.query.metric(self.shared.stage.sinks[index - 1], OUTPUT_ROWS);
        groups.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let variant = self.shared.stage.variant(index, false, &self.forms, Some((&self.context.query, self.shared.stage_node)))?;
        self.pieces(&variant, Input::rows(rows), rows.len())
    }

    fn pieces(&mut self, variant: &Variant, input: Input, rows: usize) -> Result<Flow, Failure> {
        if self.state.len() < variant.slots {
            self.extend_state();
        }
        let start = Instant::now();
        let mut status = Status::Done;
        for first in (0..rows).step_by(ROWS_PER_CALL) {
            self.context.query.check_cancelled()?;
            status = variant.code.run(&mut self.state, input, first, (first + ROWS_PER_CALL).min(rows));
            if status != Status::Done {
                break;
            }
        }
        self.drop_useless_passes();
        self.metrics.time.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.metrics.calls.fetch_add(rows.div_ceil(ROWS_PER_CALL) as u64, Ordering::Relaxed);
        match status {
            Status::Done => Ok(Flow::More),
            Status::Stop => {
                self.context.query.check_cancelled()?;
                interrupt::check()?;
                Ok(Flow::Stop)
            }
            Status::Error => Err(Failure::Row),
        }
    }

    /// Does without the early passes that have taken out few rows.
    fn drop_useless_passes(&mut self) {
        let state = &mut self.state;
        self.early.retain(|pass| {
            let useless = state[pass.seen] >= EARLY_SAMPLE && state[pass.kept] * 4 > state[pass.seen] * 3;
            if useless {
                state[pass.wanted] = 0;
            }
            !useless
        });
    }

    /// After a failure: the interpreter runs the partition and reports the error as it would have met it. `emitted` rows have gone
    /// out already, so it must not end without one then.
    fn explain(&self, failure: Failure, emitted: usize) -> Result<BatchStream> {
        match failure {
            Failure::Other(e) => Err(e),
            Failure::Row | Failure::Memory if emitted == 0 => self.shared.interpreted.compute(self.partition, &self.context),
            Failure::Row | Failure::Memory => {
                for batch in self.shared.interpreted.compute(self.partition, &self.context)? {
                    batch?;
                }
                Err(Error::internal("generated code reported an error that the interpreter does not find"))
            }
        }
    }
}

/// Where the last pipeline's rows come from.
enum Rows {
    Batches { batches: BatchStream, current: Option<RecordBatch> },
    Groups(Position),
}

/// A batch of more than so many times the usual number of rows is cut.
const LARGE: usize = 4;

/// The last pipeline as a stream.
struct Stream {
    task: Task,
    last: usize,
    source: Rows,
    /// Of the input rows, where joins may yield any number of rows for each.
    share: Option<Share>,
    /// Rows given out.
    emitted: usize,
    ended: bool,
    /// The interpreter's rows, once it took over.
    rest: Option<BatchStream>,
}

impl Stream {
    /// The next full batch, or what there is at the end.
    fn advance(&mut self) -> Result<Option<RecordBatch>, Failure> {
        while !self.ended && (self.task.output.count as usize) < self.task.batch_size {
            let before = self.task.output.count;
            let share = |rows| self.share.as_ref().map_or(rows, |share| share.of(rows));
            let (flow, taken) = match &mut self.source {
                Rows::Batches { batches, current } => match current.take().map(Ok).or_else(|| batches.next()) {
                    Some(batch) => {
                        let batch = batch?;
                        let (rows, taken) = (batch.num_rows(), share(batch.num_rows()));
                        *current = (taken < rows).then(|| batch.slice(taken, rows - taken));
                        let piece = if taken < rows { batch.slice(0, taken) } else { batch };
                        (self.task.run_batch(self.last, &piece)?, taken)
                    }
                    None => (Flow::Stop, 0),
                },
                Rows::Groups(from) => self.task.run_groups(self.last, from, share(ROWS_PER_CALL))?,
            };
            if let Some(share) = &mut self.share {
                share.yielded(taken, (self.task.output.count - before) as usize);
            }
            self.ended = matches!(flow, Flow::Stop);
        }
        self.task.shared.stage.pipelines[self.last].count_rows(&mut self.task.state, &self.task.context.query);
        if self.task.output.count == 0 {
            return Ok(None);
        }
        Ok(Some(self.task.output.finish()?))
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(rest) = &mut self.rest {
            return rest.next();
        }
        match self.advance() {
            Ok(batch) => {
                let batch = batch?;
                self.emitted += batch.num_rows();
                for rows in &self.task.metrics.output_rows {
                    rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                }
                self.task.output.reserve(self.task.batch_size + ROWS_PER_CALL);
                Some(Ok(batch))
            }
            Err(failure) => match self.task.explain(failure, self.emitted) {
                Ok(rest) => self.rest.insert(rest).next(),
                Err(e) => {
                    self.ended = true;
                    self.rest = Some(Box::new(std::iter::empty()));
                    Some(Err(e))
                }
            },
        }
    }
}

/// The row of an aggregate without keys before the first input: zeros, and NULL where a buffer can be.
fn first_row(layout: &RowLayout, sink: &AggregateSink) -> Vec<u64> {
    let mut row = vec![0u64; layout.size / 8];
    for buffer in &sink.buffers {
        if let Some(at) = buffer.field.null {
            row[at / 8] |= 1 << (at % 8 * 8);
        }
    }
    row
}
