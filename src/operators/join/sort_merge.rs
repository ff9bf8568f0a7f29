//! Interpreted face of SortMergeJoin: both sides arrive sorted by their keys, ascending, NULLs first.
//!
//! For each stream batch, a window of build rows is held that reaches past the batch's last key. The candidates of a row are then
//! a range of the window, found by walking both once; what lies before the batch's last key leaves the window afterwards.
//!
//! Where memory does not let the window reach that far, the batch is cut at what the window has. If that is nothing, since the window
//! is full of rows of one key, the stream rows of that key are set aside, and the build rows come in chunks.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::RecordBatch;
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;

use super::chunks::{ChunkedJoin, Find, all_rows, held_bytes};
use super::join_index::gather;
use super::matches::{BuildRows, Candidates, Joiner, NONE, Probe};
use super::rows::{Build, whole_batches};
use super::{BuildSide, SortMergeJoin};
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result};
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder};
use crate::logical::JoinType;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_all;
use crate::operators::sort::{EncodedKeys, SortKeys};
use crate::rdd::{BatchStream, MapWriter, QueryContext, Rdd, Reservation, TaskContext};

/// What all tasks of a join share.
struct Shared {
    node: u64,
    joiner: Arc<Joiner>,
    layout: SortKeys,
    stream_keys: Vec<Expr>,
    build_keys: Vec<Expr>,
    build_schema: SchemaRef,
}

impl SortMergeJoin {
    /// # Errors
    /// Those of the children and of binding expressions.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        self.execute_columns(plan, &(0..plan.output().len()).collect::<Vec<_>>(), context)
    }

    /// Only these columns of the output, ascending: a projection above spares copying the others.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_columns(&self, plan: &Arc<SparkPlan>, columns: &[usize], context: &Arc<QueryContext>) -> Result<Rdd> {
        let outputs = [plan.children[0].output(), plan.children[1].output()];
        let build = if self.join_type == JoinType::RightOuter { BuildSide::Left } else { BuildSide::Right };
        let keys = [&self.left_keys, &self.right_keys];
        let bound = |side: BuildSide| bind_all(keys[side.index()], &outputs[side.index()], context);
        let stream_keys = bound(build.stream())?;
        let shared = Arc::new(Shared {
            node: plan.id,
            joiner: Arc::new(Joiner::new(&self.join_type, build, self.condition.as_ref(), &outputs[0], &outputs[1], columns, context)?),
            layout: SortKeys::new(&stream_keys.iter().cloned().map(SortOrder::ascending).collect::<Vec<_>>())?,
            stream_keys,
            build_keys: bound(build)?,
            build_schema: arrow_schema(&outputs[build.index()]),
        });
        let execute = |side: BuildSide| plan.children[side.index()].execute(context);
        let (stream, build) = (execute(build.stream())?, execute(build)?);
        Ok(stream.zip_partitions(&build, "SortMergeJoin", move |_, stream, build, task| {
            let mut merge = Merge::new(shared.clone(), stream, build, task);
            Ok(whole_batches(&shared.joiner, Box::new(std::iter::from_fn(move || merge.next().transpose()))))
        }))
    }
}

/// Keys that compare like the rows they stand for.
struct SortedKeys {
    keys: EncodedKeys,
    /// NULL where any key is: such rows equal none.
    nulls: Option<NullBuffer>,
}

impl SortedKeys {
    fn of(layout: &SortKeys, keys: &[Expr], batch: &RecordBatch) -> Result<Self> {
        let columns = evaluate_all(keys, batch)?;
        let nulls = columns.iter().fold(None, |nulls, c| NullBuffer::union(nulls.as_ref(), c.logical_nulls().as_ref()));
        Ok(Self { keys: layout.encode(&columns, batch.num_rows())?, nulls })
    }

    /// Whether the last key is beyond that of `other`, which no later one can then equal.
    fn reaches_past(&self, other: &SortedKeys) -> bool {
        match (self.keys.len().checked_sub(1), other.keys.len().checked_sub(1)) {
            (Some(own), Some(wanted)) => self.keys.compare_with(own, &other.keys, wanted).is_gt(),
            (own, _) => own.is_some(),
        }
    }

    /// How many rows from the first on have a key below that of row `row` of `other`; with `equal`, or that key.
    fn rows_below(&self, other: &SortedKeys, row: usize, equal: bool) -> usize {
        let (mut low, mut high) = (0, self.keys.len());
        while low < high {
            let middle = low.midpoint(high);
            let order = self.keys.compare_with(middle, &other.keys, row);
            if order.is_lt() || equal && order.is_eq() { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// For each own row the range of equal rows in `window` from row `from` on, and where the window's rows begin that a later row can equal.
    fn merge(&self, window: &SortedKeys, from: usize) -> Result<(Candidates, usize)> {
        let valid = |r: usize| self.nulls.as_ref().is_none_or(|n| n.is_valid(r));
        Ok(match (&self.keys, &window.keys) {
            (EncodedKeys::Short(own), EncodedKeys::Short(window)) => merge(own.len(), from..window.len(), valid, |r| own[r], |p| window[p]),
            (EncodedKeys::Long(own), EncodedKeys::Long(window)) => merge(own.len(), from..window.len(), valid, |r| own[r], |p| window[p]),
            (EncodedKeys::Bytes(own), EncodedKeys::Bytes(window)) => {
                merge(own.num_rows(), from..window.num_rows(), valid, |r| own.row(r).data(), |p| window.row(p).data())
            }
            _ => return Err(Error::internal("the two sides of a join have keys of different types")),
        })
    }
}

/// Walks stream and window keys together. Stream rows that are not `valid` equal nothing.
fn merge<K: Ord>(
    count: usize,
    window_rows: std::ops::Range<usize>,
    valid: impl Fn(usize) -> bool,
    stream: impl Fn(usize) -> K,
    window: impl Fn(usize) -> K,
) -> (Candidates, usize) {
    let (mut starts, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut start, mut end) = (window_rows.start, window_rows.start);
    let mut previous = None;
    for r in 0..count {
        if !valid(r) {
            starts.push(start as u32);
            ends.push(start as u32);
            continue;
        }
        let key = stream(r);
        if previous.as_ref() != Some(&key) {
            start = end;
            while start < window_rows.end && window(start) < key {
                start += 1;
            }
            end = start;
            while end < window_rows.end && window(end) == key {
                end += 1;
            }
            previous = Some(key);
        }
        starts.push(start as u32);
        ends.push(end as u32);
    }
    (Candidates::Ranges { starts, ends }, start)
}

/// One task of the join.
struct Merge {
    shared: Arc<Shared>,
    stream: BatchStream,
    /// The rest of a stream batch that was cut.
    stream_rest: Option<RecordBatch>,
    build: BatchStream,
    /// Build rows read before they had a place.
    build_rest: Option<RecordBatch>,
    build_ended: bool,
    first_window: bool,
    /// The build rows that can still match, and whether they have.
    window: RecordBatch,
    window_keys: SortedKeys,
    matched: Vec<bool>,
    /// For the window, or a chunk of a run.
    memory: Reservation,
    /// The first window row that rows after the current stream batch can match.
    keep_from: usize,
    probe: Option<Probe>,
    run: Option<Run>,
    /// Output of build rows that have left the window.
    left: VecDeque<RecordBatch>,
    ended: bool,
    task: TaskContext,
}

/// Rows of one key, of which the build side has more than memory.
struct Run {
    key: SortedKeys,
    join: ChunkedJoin,
    /// Whether there may be more build rows of the key.
    more: bool,
}

impl Merge {
    fn new(shared: Arc<Shared>, stream: BatchStream, build: BatchStream, task: &TaskContext) -> Self {
        let window = RecordBatch::new_empty(shared.build_schema.clone());
        let window_keys = SortedKeys { keys: EncodedKeys::Short(vec![]), nulls: None };
        let memory = task.query.spillable(shared.node, "SortMergeJoin");
        Self {
            shared,
            stream,
            stream_rest: None,
            build,
            build_rest: None,
            build_ended: false,
            first_window: true,
            window,
            window_keys,
            matched: vec![],
            memory,
            keep_from: 0,
            probe: None,
            run: None,
            left: VecDeque::new(),
            ended: false,
            task: task.clone(),
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let shared = self.shared.clone();
        loop {
            if let Some(batch) = self.left.pop_front() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            // A batch may have many candidates and few matches.
            self.task.query.check_cancelled()?;
            if let Some(probe) = &mut self.probe {
                let build = BuildRows { rows: &self.window, order: None };
                if let Some(batch) = shared.joiner.next(probe, build, &mut self.matched)? {
                    return Ok(Some(batch));
                }
                self.probe = None;
            }
            if let Some(mut run) = self.run.take() {
                let Run { key, join, more } = &mut run;
                if let Some(batch) = join.next(&mut || self.next_of_run(key, more))? {
                    self.run = Some(run);
                    return Ok(Some(batch));
                }
            }
            if self.build_ended && shared.joiner.needs_build() && self.keep_from == self.window.num_rows() && !shared.joiner.tracks_build()
            {
                self.ended = true;
                continue;
            }
            match self.next_stream()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => self.meet(batch)?,
                None if shared.joiner.tracks_build() && !(self.build_ended && self.window.num_rows() == 0) => {
                    self.keep_from = self.window.num_rows();
                    let rest = self.next_build()?;
                    self.build_ended = rest.is_none();
                    self.advance(rest.into_iter().collect())?;
                }
                None => self.ended = true,
            }
        }
    }

    fn next_stream(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(rest) = self.stream_rest.take() {
            return Ok(Some(rest));
        }
        self.stream.next().transpose()
    }

    fn next_build(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(rest) = self.build_rest.take() {
            return Ok(Some(rest));
        }
        self.build.next().transpose()
    }

    fn stream_keys(&self, batch: &RecordBatch) -> Result<SortedKeys> {
        SortedKeys::of(&self.shared.layout, &self.shared.stream_keys, batch)
    }

    fn build_keys(&self, batch: &RecordBatch) -> Result<SortedKeys> {
        SortedKeys::of(&self.shared.layout, &self.shared.build_keys, batch)
    }

    /// Finds the candidates of a stream batch.
    fn meet(&mut self, mut batch: RecordBatch) -> Result<()> {
        let mut keys = self.stream_keys(&batch)?;
        loop {
            if !self.reach_past(&keys)? {
                let last = self.window.num_rows() - 1;
                let reached = keys.rows_below(&self.window_keys, last, false);
                if reached == 0 {
                    // Nothing before the first stream row is wanted any more.
                    self.keep_from = self.window_keys.rows_below(&keys, 0, false);
                    if self.keep_from == 0 {
                        return self.start_run(batch, keys);
                    }
                    self.advance(vec![])?;
                    continue;
                }
                self.stream_rest = Some(batch.slice(reached, batch.num_rows() - reached));
                batch = batch.slice(0, reached);
                keys = self.stream_keys(&batch)?;
            }
            let (candidates, keep_from) = keys.merge(&self.window_keys, self.keep_from)?;
            self.keep_from = keep_from;
            self.probe = Some(Probe::new(batch, candidates));
            return Ok(());
        }
    }

    /// Reads build rows until the window has all that can equal a key of the stream batch: whether it has. If not, for want of memory,
    /// the window has some rows.
    fn reach_past(&mut self, keys: &SortedKeys) -> Result<bool> {
        let mut batches = vec![];
        let mut reached = self.window_keys.reaches_past(keys);
        let mut refused = false;
        while !self.build_ended && !reached && !refused {
            match self.next_build()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let bytes = held_bytes(&batch);
                    if !self.memory.try_grow(bytes)? {
                        if self.window.num_rows() > self.keep_from || !batches.is_empty() {
                            self.build_rest = Some(batch);
                            refused = true;
                            continue;
                        }
                        self.memory.force(bytes);
                    }
                    let last = batch.slice(batch.num_rows() - 1, 1);
                    reached = self.build_keys(&last)?.reaches_past(keys);
                    batches.push(batch);
                }
                None => self.build_ended = true,
            }
        }
        // Long runs of equal keys stay in place: only new rows are worth a copy.
        if !batches.is_empty() || self.first_window {
            self.first_window = false;
            self.advance(batches)?;
        }
        Ok(!refused)
    }

    /// Lets rows before `keep_from` leave the window and new ones enter.
    fn advance(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        let (from, shared) = (self.keep_from, self.shared.clone());
        if shared.joiner.tracks_build() {
            let (leaving, mut at) = (self.window.slice(0, from), 0);
            while let Some((batch, next)) = shared.joiner.finish(&leaving, &self.matched, at)? {
                at = next;
                if batch.num_rows() > 0 {
                    self.left.push_back(batch);
                }
            }
        }
        let kept = self.window.slice(from, self.window.num_rows() - from);
        let kept_and_new: Vec<_> = std::iter::once(kept).chain(batches).filter(|b| b.num_rows() > 0).collect();
        self.window = gather(&shared.build_schema, &kept_and_new)?;
        self.window_keys = self.build_keys(&self.window)?;
        if shared.joiner.tracks_build() {
            self.matched.drain(..from);
            self.matched.resize(self.window.num_rows(), false);
        }
        self.keep_from = 0;
        self.memory.try_resize(held_bytes(&self.window).min(self.memory.size()))?;
        Ok(())
    }

    /// Sets the stream rows of the window's only key aside, the first ones of `batch`.
    fn start_run(&mut self, batch: RecordBatch, keys: SortedKeys) -> Result<()> {
        let shared = self.shared.clone();
        let key = self.stream_keys(&batch.slice(0, 1))?;
        let mut aside = MapWriter::new(1, shared.node, &self.task.query);
        let mut next = Some((batch, keys));
        while let Some((batch, keys)) = next.take() {
            let equal = keys.rows_below(&key, 0, true);
            if equal > 0 {
                aside.push(0, batch.slice(0, equal))?;
            }
            if equal < batch.num_rows() {
                self.stream_rest = Some(batch.slice(equal, batch.num_rows() - equal));
            } else if let Some(batch) = self.next_stream()? {
                let keys = self.stream_keys(&batch)?;
                next = Some((batch, keys));
            }
        }
        let aside = aside.finish();
        let (rows, memory) = (aside.written().rows, self.task.query.spillable(shared.node, "SortMergeJoin"));
        let again = Box::new(move || aside.read(0));
        let join = ChunkedJoin::new(shared.joiner.clone(), &shared.build_schema, again, rows, memory, &self.task);
        self.run = Some(Run { key, join, more: true });
        Ok(())
    }

    /// The next build rows of a run: the window, then what follows it as far as it is of the key.
    fn next_of_run(&mut self, key: &SortedKeys, more: &mut bool) -> Result<Option<(Build, Find)>> {
        let mut batches = vec![];
        if self.window.num_rows() > 0 {
            batches.push(std::mem::replace(&mut self.window, RecordBatch::new_empty(self.shared.build_schema.clone())));
            self.window_keys = self.build_keys(&self.window)?;
            self.matched.clear();
        } else {
            self.memory.free();
            while *more {
                let Some(batch) = self.next_build()? else {
                    (*more, self.build_ended) = (false, true);
                    break;
                };
                let equal = self.build_keys(&batch)?.rows_below(key, 0, true);
                let rows = batch.slice(0, equal);
                let bytes = held_bytes(&rows);
                if !self.memory.try_grow(bytes)? {
                    if !batches.is_empty() {
                        self.build_rest = Some(batch);
                        break;
                    }
                    self.memory.force(bytes);
                }
                batches.push(rows);
                if equal < batch.num_rows() {
                    self.build_rest = Some(batch.slice(equal, batch.num_rows() - equal));
                    *more = false;
                }
            }
        }
        let rows = gather(&self.shared.build_schema, &batches)?;
        if rows.num_rows() == 0 {
            self.memory.free();
            return Ok(None);
        }
        let find: Find = match key.nulls.as_ref().is_none_or(|n| n.is_valid(0)) {
            true => all_rows(rows.num_rows()),
            // NULL equals nothing.
            false => Box::new(|batch| Ok(Candidates::One(vec![NONE; batch.num_rows()]))),
        };
        Ok(Some((Build { rows, order: None }, find)))
    }
}
