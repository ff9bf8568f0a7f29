//! Hash joins whose build side, a task's own or a broadcast, may not fit memory.
//!
//! Both sides are set aside then, by a hash of their keys, and joined part by part; a part that does not fit either is cut again, by
//! another hash (Grace hash join; Kitsuregawa and others 1983). A part of mostly one key cannot be cut: its build rows come in chunks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::RecordBatch;

use super::JoinIndex;
use super::chunks::{ChunkReader, ChunkedJoin, restorer};
use super::hash_join::Shared;
use super::rows::whole_batches;
use crate::base::Result;
use crate::expr::Expr;
use crate::expr::evaluate::evaluate_all;
use crate::operators::SparkPlan;
use crate::operators::set_aside::{MOST_DEPTH, PARTS, SetAside};
use crate::operators::sort::Sorter;
use crate::rdd::{BatchStream, MapOutput, QueryContext, Reservation, TaskContext};

/// What all tasks share.
pub struct Partitioned {
    pub shared: Shared,
    node: u64,
    /// Of the operator.
    name: &'static str,
    /// Brings back the order of the streamed side, which parts break; absent where it has none.
    sorter: Option<Arc<Sorter>>,
}

impl Partitioned {
    /// For the join `plan`, of whose output `columns` are wanted.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn new(shared: Shared, plan: &SparkPlan, columns: &[usize], context: &QueryContext) -> Result<Self> {
        let sorter = restorer(plan, columns, context)?;
        Ok(Self { shared, node: plan.id, name: plan.name(), sorter })
    }

    /// The output of a task.
    ///
    /// # Errors
    /// Those of both sides and of the keys, and `Io` of spilling.
    pub fn join(self: &Arc<Self>, build: BatchStream, stream: BatchStream, task: &TaskContext) -> Result<BatchStream> {
        let mut build = ChunkReader::new(build, self.memory(task));
        let rows = build.read()?;
        if build.ended() {
            return self.join_indexed(rows, build, stream, task);
        }
        let parts = self.join_parts(0, rows, build, stream, task)?;
        match &self.sorter {
            Some(sorter) => sorter.sort(parts, &task.query),
            None => Ok(parts),
        }
    }

    fn memory(&self, task: &TaskContext) -> Reservation {
        task.query.spillable(self.node, self.name)
    }

    fn index(&self, rows: Vec<RecordBatch>, memory: &mut Reservation, task: &TaskContext) -> Result<Arc<JoinIndex>> {
        let start = Instant::now();
        let index = JoinIndex::build(&self.shared.build_schema, &rows, &self.shared.build_keys)?;
        drop(rows);
        // What it took to make is more.
        memory.try_resize(index.memory().min(memory.size()))?;
        let add = |key, number: usize| task.query.metric(self.node, key).fetch_add(number as u64, Ordering::Relaxed);
        add("buildTime", start.elapsed().as_nanos() as usize);
        add("buildDataSize", index.memory());
        Ok(Arc::new(index))
    }

    /// All build rows are there.
    fn join_indexed(&self, rows: Vec<RecordBatch>, build: ChunkReader, stream: BatchStream, task: &TaskContext) -> Result<BatchStream> {
        let (_, mut memory) = build.into_rest();
        let index = self.index(rows, &mut memory, task)?;
        Ok(memory.while_read(self.shared.join(index, stream, task)))
    }

    /// Sets both sides aside, which have been so `depth` times; the build rows begin with `rows`.
    fn join_parts(
        self: &Arc<Self>,
        depth: u32,
        rows: Vec<RecordBatch>,
        build: ChunkReader,
        stream: BatchStream,
        task: &TaskContext,
    ) -> Result<BatchStream> {
        let (rest, memory) = build.into_rest();
        drop(memory);
        let (build, null_keys) = self.set_aside(depth, Box::new(rows.into_iter().map(Ok).chain(rest)), &self.shared.build_keys, task)?;
        let mut stream = stream;
        if self.shared.null_aware {
            if null_keys {
                return Ok(Box::new(std::iter::empty()));
            }
            stream = self.shared.without_null_keys(stream);
        }
        let (stream, _) = self.set_aside(depth, stream, &self.shared.stream_keys, task)?;
        let (this, task) = (self.clone(), task.clone());
        Ok(Box::new((0..PARTS).flat_map(move |part| match this.join_part(depth + 1, part, &build, &stream, &task) {
            Ok(rows) => rows,
            Err(e) => Box::new(std::iter::once(Err(e))),
        })))
    }

    /// The rows by parts, and whether any has a NULL key.
    fn set_aside(&self, depth: u32, rows: BatchStream, keys: &[Expr], task: &TaskContext) -> Result<(Arc<MapOutput>, bool)> {
        let mut aside = SetAside::new(depth, self.node, &task.query);
        let mut nulls = false;
        for batch in rows {
            let batch = batch?;
            let keys = evaluate_all(keys, &batch)?;
            nulls |= keys.iter().any(|key| key.null_count() > 0);
            aside.push(&batch, &keys)?;
        }
        Ok((aside.finish(), nulls))
    }

    fn join_part(
        self: &Arc<Self>,
        depth: u32,
        part: usize,
        builds: &Arc<MapOutput>,
        streams: &Arc<MapOutput>,
        task: &TaskContext,
    ) -> Result<BatchStream> {
        let joiner = &self.shared.joiner;
        let (built, streamed) = (builds.size(part).rows, streams.size(part).rows);
        if streamed == 0 && !joiner.tracks_build() || built == 0 && joiner.needs_build() {
            return Ok(Box::new(std::iter::empty()));
        }
        let mut build = ChunkReader::new(builds.read(part), self.memory(task));
        let rows = build.read()?;
        if build.ended() {
            return self.join_indexed(rows, build, streams.read(part), task);
        }
        if depth < MOST_DEPTH && built * 2 <= builds.written().rows {
            return self.join_parts(depth, rows, build, streams.read(part), task);
        }
        let streams = streams.clone();
        let again = Box::new(move || streams.read(part));
        let mut join = ChunkedJoin::new(joiner.clone(), &self.shared.build_schema, again, streamed, self.memory(task), task);
        let (this, task, mut first) = (self.clone(), task.clone(), Some(rows));
        let mut chunk = move || {
            let rows = first.take().map_or_else(|| build.read(), Ok)?;
            if rows.is_empty() {
                return Ok(None);
            }
            let index = this.index(rows, build.memory(), &task)?;
            Ok(Some(this.shared.lookup(index)))
        };
        Ok(whole_batches(joiner, Box::new(std::iter::from_fn(move || join.next(&mut chunk).transpose()))))
    }
}
