//! Interpreted face of SortMergeJoin: both sides arrive sorted by their keys, ascending, NULLs first.
//!
//! For each stream batch, a window of build rows is held that reaches past the batch's last key. The candidates of a row are then
//! a range of the window, found by walking both once; what lies before the batch's last key leaves the window afterwards.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::RecordBatch;
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;

use super::join_index::gather;
use super::matches::{BuildRows, Candidates, Joiner, Probe};
use super::rows::whole_batches;
use super::{BuildSide, SortMergeJoin};
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result};
use crate::expr::evaluate::evaluate_all;
use crate::expr::{Expr, SortOrder};
use crate::logical::JoinType;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_all;
use crate::operators::sort::{EncodedKeys, SortKeys};
use crate::rdd::{BatchStream, QueryContext, Rdd, TaskContext};

/// What all tasks of a join share.
struct Shared {
    joiner: Joiner,
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
            joiner: Joiner::new(&self.join_type, build, self.condition.as_ref(), &outputs[0], &outputs[1], columns, context)?,
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
    build: BatchStream,
    build_ended: bool,
    first_window: bool,
    /// The build rows that can still match, and whether they have.
    window: RecordBatch,
    window_keys: SortedKeys,
    matched: Vec<bool>,
    /// The first window row that rows after the current stream batch can match.
    keep_from: usize,
    probe: Option<Probe>,
    /// Output of build rows that have left the window.
    left: VecDeque<RecordBatch>,
    ended: bool,
    task: TaskContext,
}

impl Merge {
    fn new(shared: Arc<Shared>, stream: BatchStream, build: BatchStream, task: &TaskContext) -> Self {
        let window = RecordBatch::new_empty(shared.build_schema.clone());
        let window_keys = SortedKeys { keys: EncodedKeys::Short(vec![]), nulls: None };
        Self {
            shared,
            stream,
            build,
            build_ended: false,
            first_window: true,
            window,
            window_keys,
            matched: vec![],
            keep_from: 0,
            probe: None,
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
            if self.build_ended && shared.joiner.needs_build() && self.keep_from == self.window.num_rows() && !shared.joiner.tracks_build()
            {
                self.ended = true;
                continue;
            }
            match self.stream.next().transpose()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let keys = SortedKeys::of(&shared.layout, &shared.stream_keys, &batch)?;
                    self.reach_past(&keys)?;
                    let (candidates, keep_from) = keys.merge(&self.window_keys, self.keep_from)?;
                    self.keep_from = keep_from;
                    self.probe = Some(Probe::new(batch, candidates));
                }
                None if shared.joiner.tracks_build() && !(self.build_ended && self.window.num_rows() == 0) => {
                    self.keep_from = self.window.num_rows();
                    let rest = self.build.next().transpose()?;
                    self.build_ended = rest.is_none();
                    self.advance(rest.into_iter().collect())?;
                }
                None => self.ended = true,
            }
        }
    }

    /// Reads build rows until the window has all that can equal a key of the stream batch.
    fn reach_past(&mut self, keys: &SortedKeys) -> Result<()> {
        let mut batches = vec![];
        let mut reached = self.window_keys.reaches_past(keys);
        while !self.build_ended && !reached {
            match self.build.next().transpose()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let last = batch.slice(batch.num_rows() - 1, 1);
                    reached = SortedKeys::of(&self.shared.layout, &self.shared.build_keys, &last)?.reaches_past(keys);
                    batches.push(batch);
                }
                None => self.build_ended = true,
            }
        }
        // Long runs of equal keys stay in place: only new rows are worth a copy.
        if !batches.is_empty() || self.first_window {
            self.first_window = false;
            self.advance(batches)?;
            self.window_keys = SortedKeys::of(&self.shared.layout, &self.shared.build_keys, &self.window)?;
        }
        Ok(())
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
        if shared.joiner.tracks_build() {
            self.matched.drain(..from);
            self.matched.resize(self.window.num_rows(), false);
        }
        self.keep_from = 0;
        Ok(())
    }
}
