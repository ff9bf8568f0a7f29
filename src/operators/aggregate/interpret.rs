//! Interpreted face: vectorised hash aggregation.
//!
//! For each batch: key columns become dense group ids, input expressions become arrays, and every buffer's accumulator takes both.
//! At the end the buffers (or the results computed from them) and the keys make the output.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar as ArrowScalar};
use arrow::compute::{filter, filter_record_batch, is_not_null, kernels::zip::zip};
use arrow::datatypes::{DataType, SchemaRef};

use super::accumulators::{Accumulator, Rows, accumulator, mismatch, sums_directly};
use super::group_keys::GroupKeys;
use super::{Aggregate, AggregateCall, AggregateKind, AggregateMode};
use crate::base::schema::arrow_schema;
use crate::base::settings::SUBEXPRESSION_ELIMINATION;
use crate::base::{Attribute, Error, Result, Scalar, interrupt};
use crate::expr::Expr;
use crate::expr::aggregate::{Accumulate, describe};
use crate::expr::evaluate::{evaluate_list, predicate, scalar};
use crate::operators::SparkPlan;
use crate::operators::execute::{bind, bind_all};
use crate::operators::set_aside::{MOST_DEPTH, PARTS, SetAside};
use crate::operators::stream::{make_batch, slices, true_only};
use crate::operators::window::groups::equal_runs;
use crate::rdd::{BatchStream, Counter, QueryContext, Rdd};

/// Bytes of complete groups from which on they are given out.
const LEAVING_BYTES: usize = 1 << 19;

/// Groups from which on a partial aggregation considers starting anew.
const FLUSH_GROUPS: usize = 1 << 18;

impl Aggregate {
    /// # Errors
    /// Those of the child and of binding.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let bound = Bound::new(self, &plan.child().output(), plan, context)?;
        // Sorted groups must come out in order, which setting them aside would break.
        let spills = context.memory.limit().is_some() && !bound.partial && !self.grouping.is_empty() && self.kind != AggregateKind::Sort;
        let merging = if spills {
            let (aggregate, input) = self.over_buffers()?;
            Some((Bound::new(&aggregate, &input, plan, context)?, arrow_schema(&input)))
        } else {
            None
        };
        let sorted = self.kind == AggregateKind::Sort && !self.grouping.is_empty();
        let time = context.metric(plan.id, "aggTime");
        let batch_size = context.settings.batch_size();
        let shared = Arc::new(Shared { bound, merging, sorted, name: self.name(), batch_size, node: plan.id, time });
        Ok(plan
            .child()
            .execute(context)?
            .map_partitions("Aggregate", move |_, input, task| Ok(results(shared.clone(), 0, input, task.query.clone()))))
    }
}

/// What all tasks share.
struct Shared {
    bound: Bound,
    /// The same aggregate over groups that were set aside, and their columns: keys, then buffers. Absent where nothing spills.
    merging: Option<(Bound, SchemaRef)>,
    /// Rows of a group come together: all groups but the last are complete at any time.
    sorted: bool,
    name: &'static str,
    batch_size: usize,
    node: u64,
    time: Counter,
}

impl Shared {
    /// For groups that were set aside `depth` times.
    fn bound(&self, depth: u32) -> &Bound {
        self.merging.as_ref().filter(|_| depth > 0).map_or(&self.bound, |(bound, _)| bound)
    }
}

/// An aggregate bound to its input.
struct Bound {
    key_types: Vec<DataType>,
    key_nullable: Vec<bool>,
    /// All calls are partial and there are keys: groups may be given out more than once.
    partial: bool,
    /// The first feed is unfiltered and begins with the keys.
    feeds: Vec<Feed>,
    slots: Vec<Slot>,
    /// The slot of each buffer, call by call.
    buffers: Vec<usize>,
    /// The buffers as columns, by which `outputs` refers to them.
    buffer_schema: SchemaRef,
    /// Keys and buffers.
    group_schema: SchemaRef,
    /// One expression over the buffers per column that calls add to the keys: a buffer, or a result.
    outputs: Vec<Expr>,
    /// Keys and `outputs`, over which `result` is bound.
    inner_schema: SchemaRef,
    result: Vec<Expr>,
    schema: SchemaRef,
    /// Whether what expressions have in common is computed once.
    eliminate: bool,
}

/// Rows that some slots see, and what they need of them.
struct Feed {
    filter: Option<Expr>,
    exprs: Vec<Expr>,
}

/// One accumulator: equal ones of several calls are one.
struct Slot {
    feed: usize,
    /// The column of the feed's expressions to accumulate; `None` when every row counts as one.
    input: Option<usize>,
    /// A boolean column without which a row is not looked at.
    only_if: Option<usize>,
    primitive: Accumulate,
    input_type: DataType,
    output_type: DataType,
    init: Scalar,
}

impl Bound {
    fn new(aggregate: &Aggregate, input: &[Attribute], plan: &SparkPlan, context: &QueryContext) -> Result<Self> {
        let keys = bind_all(aggregate.grouping.iter().map(Expr::unaliased), input, context)?;
        let key_attributes: Vec<Attribute> = aggregate.grouping.iter().map(Expr::to_attribute).collect();
        let mut bound = Bound {
            key_types: keys.iter().map(|k| k.data_type().to_arrow()).collect(),
            key_nullable: keys.iter().map(Expr::nullable).collect(),
            partial: !aggregate.grouping.is_empty()
                && aggregate.required_distribution.is_none()
                && aggregate.calls.iter().all(|c| c.mode == AggregateMode::Partial),
            feeds: vec![Feed { filter: None, exprs: keys }],
            slots: vec![],
            buffers: vec![],
            buffer_schema: arrow_schema(&[]),
            group_schema: arrow_schema(&[]),
            outputs: vec![],
            inner_schema: arrow_schema(&[]),
            result: vec![],
            schema: arrow_schema(&plan.output()),
            eliminate: context.settings.bool(&SUBEXPRESSION_ELIMINATION),
        };
        let mut buffer_attributes: Vec<Attribute> = vec![];
        let mut outputs: Vec<Expr> = vec![];
        let mut inner = key_attributes.clone();
        for call in &aggregate.calls {
            let description = describe(&call.expr)?;
            let update = matches!(call.mode, AggregateMode::Partial | AggregateMode::Complete);
            let filter = call.expr.filter.as_deref().filter(|_| update);
            let feed = bound.feed(filter.map(|f| bind(f, input, context)).transpose()?);
            for (i, buffer) in description.buffers.iter().enumerate() {
                let primitive = if update { buffer.update } else { buffer.merge };
                let source =
                    |i: usize| if update { description.buffers[i].input.clone() } else { Expr::Attribute(call.buffers[i].clone()) };
                // A partial first value that saw no row says nothing: the flag after it tells.
                let flagged = !update && matches!(primitive, Accumulate::First | Accumulate::Last) && i + 1 < description.buffers.len();
                let only_if = flagged.then(|| bind(&source(i + 1), input, context)).transpose()?;
                let slot =
                    bound.slot(feed, bind(&source(i), input, context)?, only_if, primitive, buffer.data_type.to_arrow(), &buffer.init);
                bound.buffers.push(slot);
            }
            buffer_attributes.extend(description.attributes.iter().cloned());
            match call.mode {
                AggregateMode::Partial | AggregateMode::PartialMerge => {
                    outputs.extend(description.attributes.iter().cloned().map(Expr::Attribute));
                    inner.extend(call.buffers.iter().cloned());
                }
                AggregateMode::Final | AggregateMode::Complete => {
                    outputs.push(description.finish);
                    inner.push(call.result.clone());
                }
            }
        }
        bound.buffer_schema = arrow_schema(&buffer_attributes);
        bound.group_schema = arrow_schema(&[key_attributes, buffer_attributes.clone()].concat());
        bound.outputs = bind_all(&outputs, &buffer_attributes, context)?;
        bound.inner_schema = arrow_schema(&inner);
        bound.result = bind_all(&aggregate.result, &inner, context)?;
        Ok(bound)
    }

    fn feed(&mut self, filter: Option<Expr>) -> usize {
        self.feeds.iter().position(|f| f.filter == filter).unwrap_or_else(|| {
            self.feeds.push(Feed { filter, exprs: vec![] });
            self.feeds.len() - 1
        })
    }

    fn slot(
        &mut self,
        feed: usize,
        input: Expr,
        only_if: Option<Expr>,
        primitive: Accumulate,
        output_type: DataType,
        init: &Scalar,
    ) -> usize {
        let input = without_cast(input, primitive, &output_type);
        let every_row = primitive == Accumulate::Count && matches!(&input, Expr::Literal(value) if !value.is_null());
        let exprs = &mut self.feeds[feed].exprs;
        let mut column = |expr: Expr| {
            exprs.iter().position(|e| *e == expr).unwrap_or_else(|| {
                exprs.push(expr);
                exprs.len() - 1
            })
        };
        let input_type = input.data_type().to_arrow();
        let input = if every_row { None } else { Some(column(input)) };
        let only_if = only_if.map(&mut column);
        let same = |s: &Slot| {
            (s.feed, s.input, s.only_if, s.primitive) == (feed, input, only_if, primitive)
                && s.output_type == output_type
                && s.init == *init
        };
        self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Slot { feed, input, only_if, primitive, input_type, output_type, init: init.clone() });
            self.slots.len() - 1
        })
    }

    /// The output for keys and buffers of some groups.
    fn output(&self, groups: &RecordBatch) -> Result<RecordBatch> {
        interrupt::check()?;
        let (keys, buffers) = groups.columns().split_at(self.key_types.len());
        let buffers = make_batch(&self.buffer_schema, buffers.to_vec(), groups.num_rows())?;
        let mut columns = keys.to_vec();
        columns.extend(evaluate_list(&self.outputs, &buffers, self.eliminate)?);
        let inner = make_batch(&self.inner_schema, columns, groups.num_rows())?;
        make_batch(&self.schema, evaluate_list(&self.result, &inner, self.eliminate)?, groups.num_rows())
    }

    /// The first row of the last group of a sorted batch, where the batch has several.
    fn last_group(&self, batch: &RecordBatch) -> Result<Option<usize>> {
        let keys = evaluate_list(&self.feeds[0].exprs[..self.key_types.len()], batch, self.eliminate)?;
        Ok(equal_runs(&keys, batch.num_rows())?.last().map(|run| run.start).filter(|start| *start > 0))
    }

    /// Whether to give out the groups so far and start anew: a partial aggregation that finds little but new groups would only carry a
    /// large table through the input.
    fn flushes(&self, state: &State) -> bool {
        self.partial && state.keys.len() >= FLUSH_GROUPS && state.keys.len() as u64 * 10 > state.rows * 9
    }
}

/// The batches of results of one task; they come when the input is used up, or in parts: sorted groups when they are complete, partial ones
/// where [`Bound::flushes`] or where memory ends.
/// Groups that may not be given out twice are set aside then, and merged part by part in the end; `depth` is how often they have been.
fn results(shared: Arc<Shared>, depth: u32, mut input: BatchStream, query: Arc<QueryContext>) -> BatchStream {
    let mut memory = query.spillable(shared.node, shared.name);
    let leaving = memory.pool().limit().map_or(LEAVING_BYTES, |limit| LEAVING_BYTES.min(limit / 16));
    let (mut ended, mut merged, mut pending) = (false, None::<BatchStream>, None);
    let mut finished = None::<BatchStream>;
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(batch) = finished.as_mut().and_then(Iterator::next) {
                return Some(batch);
            }
            finished = None;
            if let Some(merged) = &mut merged {
                return merged.next();
            }
            if ended {
                return None;
            }
            let started = Instant::now();
            let mut step = || {
                let bound = shared.bound(depth);
                let mut aside: Option<SetAside> = None;
                let mut full = false;
                let mut state = State::new(bound)?;
                memory.free();
                while !bound.flushes(&state) {
                    let Some(batch) = pending.take().map(Ok).or_else(|| input.next()) else {
                        ended = true;
                        break;
                    };
                    let batch = batch?;
                    let leave = shared.sorted && (full || state.keys.len() >= shared.batch_size || state.memory() >= leaving);
                    if leave && let Some(last) = bound.last_group(&batch)? {
                        state.update(bound, &batch.slice(0, last))?;
                        pending = Some(batch.slice(last, batch.num_rows() - last));
                        break;
                    }
                    state.update(bound, &batch)?;
                    // Once as groups, and once as they leave.
                    let wanted = 2 * state.memory();
                    if memory.try_resize(wanted)? {
                        continue;
                    }
                    if bound.partial {
                        break;
                    }
                    // All but the last leave with the next batch.
                    full = shared.sorted && bound.last_group(&batch)?.is_some();
                    if full {
                        memory.force(wanted - memory.size());
                        continue;
                    }
                    match &shared.merging {
                        Some((_, schema)) if depth < MOST_DEPTH => {
                            let full = std::mem::replace(&mut state, State::new(bound)?);
                            memory.free();
                            let aside = aside.get_or_insert_with(|| {
                                query.metric(shared.node, "numTasksFallBacked").fetch_add(u64::from(depth == 0), Ordering::Relaxed);
                                SetAside::new(depth, shared.node, &query)
                            });
                            full.set_aside(bound, schema, aside)?;
                        }
                        _ => memory.resize(wanted)?,
                    }
                }
                let (Some(mut aside), Some((_, schema))) = (aside, &shared.merging) else {
                    let (groups, shared) = (state.finish(bound)?, shared.clone());
                    finished = Some(Box::new(slices(groups, shared.batch_size).map(move |groups| shared.bound(depth).output(&groups))));
                    return Ok(());
                };
                state.set_aside(bound, schema, &mut aside)?;
                memory.free();
                let (parts, shared, query) = (aside.finish(), shared.clone(), query.clone());
                let of_part = move |part| results(shared.clone(), depth + 1, parts.read(part), query.clone());
                merged = Some(Box::new((0..PARTS).flat_map(of_part)));
                Ok(())
            };
            let result = step();
            shared.time.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
            if let Err(e) = result {
                ended = true;
                return Some(Err(e));
            }
        }
    }))
}

impl Aggregate {
    /// The same aggregate over its own keys and buffers, and these as attributes.
    fn over_buffers(&self) -> Result<(Aggregate, Vec<Attribute>)> {
        let mut input = self.keys();
        let mut calls = vec![];
        for call in &self.calls {
            let buffers = if call.buffers.is_empty() { describe(&call.expr)?.attributes } else { call.buffers.clone() };
            input.extend(buffers.iter().cloned());
            let mode = if call.mode.gives_results() { AggregateMode::Final } else { AggregateMode::PartialMerge };
            calls.push(AggregateCall { mode, buffers, ..call.clone() });
        }
        let grouping = self.keys().into_iter().map(Expr::Attribute).collect();
        let input = input.into_iter().map(|a| a.with_nullable(true)).collect();
        Ok((Aggregate { grouping, calls, ..self.clone() }, input))
    }
}

/// Sums accept narrower inputs than their buffers: a widening cast over the input is not worth a pass.
fn without_cast(input: Expr, primitive: Accumulate, output_type: &DataType) -> Expr {
    match &input {
        Expr::Cast { expr, .. } if primitive == Accumulate::Sum && sums_directly(&expr.data_type().to_arrow(), output_type) => {
            (**expr).clone()
        }
        _ => input,
    }
}

/// The groups of one task.
struct State {
    keys: GroupKeys,
    accumulators: Vec<Box<dyn Accumulator>>,
    /// Rows per group that each feed let through; kept for feeds that count.
    counts: Vec<Option<Vec<i64>>>,
    ids: Vec<u32>,
    /// Rows seen.
    rows: u64,
}

impl State {
    fn new(bound: &Bound) -> Result<Self> {
        let accumulators =
            bound.slots.iter().map(|s| accumulator(s.primitive, &s.input_type, &s.output_type)).collect::<Result<Vec<_>>>()?;
        let counting = |feed| bound.slots.iter().zip(&accumulators).any(|(s, a)| s.feed == feed && a.needs_counts());
        let counts = (0..bound.feeds.len()).map(|feed| counting(feed).then(Vec::new)).collect();
        Ok(Self { keys: GroupKeys::new(&bound.key_types, &bound.key_nullable)?, accumulators, counts, ids: vec![], rows: 0 })
    }

    fn update(&mut self, bound: &Bound, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        let columns = evaluate_list(&bound.feeds[0].exprs, batch, bound.eliminate)?;
        let mut ids = std::mem::take(&mut self.ids);
        let global = bound.key_types.is_empty();
        if !global {
            self.keys.intern(&columns[..bound.key_types.len()], batch.num_rows(), &mut ids)?;
        }
        let groups = self.keys.len();
        let rows = Rows { ids: (!global).then_some(ids.as_slice()), len: batch.num_rows(), groups, complete: true };
        self.accumulate(bound, 0, rows, &columns)?;
        for (feed, Feed { filter, exprs }) in bound.feeds.iter().enumerate().skip(1) {
            let Some(filter) = filter else { continue };
            let mask = predicate(filter, batch)?;
            let kept = filter_record_batch(batch, &mask)?;
            let kept_ids: Vec<u32> = if global { vec![] } else { mask.values().set_indices().map(|i| ids[i]).collect() };
            let rows = Rows { ids: (!global).then_some(kept_ids.as_slice()), len: kept.num_rows(), groups, complete: false };
            self.accumulate(bound, feed, rows, &evaluate_list(exprs, &kept, bound.eliminate)?)?;
        }
        self.ids = ids;
        Ok(())
    }

    fn accumulate(&mut self, bound: &Bound, feed: usize, rows: Rows, columns: &[ArrayRef]) -> Result<()> {
        if let Some(counts) = &mut self.counts[feed] {
            counts.resize(rows.groups, 0);
            match rows.ids {
                None => counts[0] += rows.len as i64,
                Some(ids) => ids.iter().for_each(|g| counts[*g as usize] += 1),
            }
        }
        for (slot, accumulator) in bound.slots.iter().zip(&mut self.accumulators).filter(|(s, _)| s.feed == feed) {
            let Some(input) = slot.input else { continue };
            match slot.only_if {
                None => accumulator.update(rows, &columns[input])?,
                Some(flag) => {
                    let mask = true_only(columns[flag].as_boolean_opt().ok_or_else(|| mismatch("flag", &columns[flag]))?);
                    let ids: Option<Vec<u32>> = rows.ids.map(|ids| mask.values().set_indices().map(|i| ids[i]).collect());
                    let values = filter(&columns[input], &mask)?;
                    let rows = Rows { ids: ids.as_deref(), len: values.len(), groups: rows.groups, complete: false };
                    accumulator.update(rows, &values)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes held, about.
    fn memory(&self) -> usize {
        let counts: usize = self.counts.iter().flatten().map(|c| c.capacity() * 8).sum();
        self.keys.memory() + counts + self.accumulators.iter().map(|a| a.memory()).sum::<usize>()
    }

    /// The buffers of all calls.
    fn buffers(&mut self, bound: &Bound) -> Result<Vec<ArrayRef>> {
        let mut slots = Vec::with_capacity(bound.slots.len());
        for (slot, accumulator) in bound.slots.iter().zip(&mut self.accumulators) {
            let counts = self.counts[slot.feed].as_deref().unwrap_or_default();
            interrupt::check()?;
            slots.push(or_init(accumulator.finish(self.keys.len(), counts)?, &slot.init)?);
        }
        Ok(bound.buffers.iter().map(|slot| slots[*slot].clone()).collect())
    }

    /// Sets keys and buffers aside, to be merged later.
    fn set_aside(mut self, bound: &Bound, schema: &SchemaRef, aside: &mut SetAside) -> Result<()> {
        let groups = self.emit(bound, schema)?;
        for piece in interrupt::pieces(groups.num_rows()) {
            let piece = piece?;
            let groups = groups.slice(piece.start, piece.len());
            aside.push(&groups, &groups.columns()[..bound.key_types.len()])?;
        }
        Ok(())
    }

    /// Keys and buffers.
    fn finish(mut self, bound: &Bound) -> Result<RecordBatch> {
        self.emit(bound, &bound.group_schema)
    }

    fn emit(&mut self, bound: &Bound, schema: &SchemaRef) -> Result<RecordBatch> {
        let (groups, buffers) = (self.keys.len(), self.buffers(bound)?);
        let mut columns = self.keys.emit()?;
        columns.extend(buffers);
        make_batch(schema, columns, groups)
    }
}

/// Groups that no value reached have the buffer's initial value.
fn or_init(values: ArrayRef, init: &Scalar) -> Result<ArrayRef> {
    if init.is_null() || values.null_count() == 0 {
        return Ok(values);
    }
    let mask: BooleanArray = is_not_null(&values)?;
    let init = scalar::to_array(init, 1)?;
    if init.data_type() != values.data_type() {
        return Err(Error::internal(format!("an initial value of type {} for {}", init.data_type(), values.data_type())));
    }
    Ok(zip(&mask, &values, &ArrowScalar::new(init))?)
}
