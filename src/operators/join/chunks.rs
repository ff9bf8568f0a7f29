//! Joins whose build side does not fit memory and cannot be cut by keys: the build side comes in chunks that fit, and each meets the
//! whole stream side, which can be read again.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::matches::{Candidates, Joiner};
use super::rows::{Build, JoinRows};
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Result};
use crate::expr::{Expr, SortOrder};
use crate::operators::SparkPlan;
use crate::operators::execute::bind_orders;
use crate::operators::properties::project_ordering;
use crate::operators::sort::Sorter;
use crate::rdd::size::compacted;
use crate::rdd::{BatchStream, Counter, QueryContext, Reservation, TaskContext, data_size};

/// What a build row costs beside itself: its key, hash, place and mark.
const ROW_BYTES: usize = 48;

/// What `rows` build rows of `bytes` take: once as they come and once as one batch, with what makes them found.
pub fn bytes_held(rows: usize, bytes: usize) -> usize {
    2 * bytes + ROW_BYTES * rows
}

/// As [`bytes_held`], of the rows of a batch.
pub fn held_bytes(batch: &RecordBatch) -> usize {
    bytes_held(batch.num_rows(), data_size(batch))
}

/// What brings back the order that the join `plan` promises, where it was not joined row by row; `columns` of its output are there. Absent
/// where it promises none.
///
/// # Errors
/// `Internal` only.
pub fn restorer(plan: &SparkPlan, columns: &[usize], context: &QueryContext) -> Result<Option<Arc<Sorter>>> {
    let output = plan.output();
    let attributes: Vec<Attribute> = columns.iter().map(|c| output[*c].clone()).collect();
    let list: Vec<Expr> = attributes.iter().cloned().map(Expr::Attribute).collect();
    let order: Vec<SortOrder> = project_ordering(plan.output_ordering(), &list).into_iter().map(|p| p.order).collect();
    if order.is_empty() {
        return Ok(None);
    }
    let order = bind_orders(&order, &attributes, context)?;
    Sorter::new(&order, arrow_schema(&attributes), plan.id, Counter::default(), context).map(Some)
}

/// Build rows, as many at a time as memory allows.
pub struct ChunkReader {
    input: Option<BatchStream>,
    /// The rows that did not fit.
    next: Option<RecordBatch>,
    memory: Reservation,
}

impl ChunkReader {
    /// `memory` is for the chunk that was read last.
    pub fn new(input: BatchStream, memory: Reservation) -> Self {
        Self { input: Some(input), next: None, memory }
    }

    /// The rows of the next chunk, at least one batch unless there are no more; those of the last one must be gone.
    ///
    /// # Errors
    /// Those of the input, and `Io` of making place.
    pub fn read(&mut self) -> Result<Vec<RecordBatch>> {
        self.memory.free();
        let mut rows = vec![];
        while let Some(batch) = self.next_batch()? {
            let bytes = held_bytes(&batch);
            if !self.memory.try_grow(bytes)? {
                if !rows.is_empty() {
                    self.next = Some(batch);
                    break;
                }
                self.memory.force(bytes);
            }
            rows.push(if self.memory.limited() { compacted(&batch)? } else { batch });
        }
        Ok(rows)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(batch) = self.next.take() {
            return Ok(Some(batch));
        }
        let batch = self.input.as_mut().and_then(Iterator::next).transpose()?;
        if batch.is_none() {
            // What the input holds is not needed any more.
            self.input = None;
        }
        Ok(batch)
    }

    /// Whether all rows have been read.
    pub fn ended(&self) -> bool {
        self.input.is_none() && self.next.is_none()
    }

    /// The rows not read yet, and the memory of those that were.
    pub fn into_rest(self) -> (BatchStream, Reservation) {
        let input = self.input.unwrap_or_else(|| Box::new(std::iter::empty()));
        (Box::new(self.next.into_iter().map(Ok).chain(input)), self.memory)
    }

    pub fn memory(&mut self) -> &mut Reservation {
        &mut self.memory
    }
}

/// How candidates among the build rows of a chunk are found.
pub type Find = Box<dyn FnMut(&RecordBatch) -> Result<Candidates> + Send>;

/// Every build row is a candidate.
pub fn all_rows(count: usize) -> Find {
    Box::new(move |batch| match count {
        // Each stream row once, as it is.
        1 => Ok(Candidates::One(vec![0; batch.num_rows()])),
        _ => Ok(Candidates::All(count as u32)),
    })
}

/// For every stream row, in the order in which they are read, whether it has had a match.
#[derive(Default)]
pub struct Seen {
    bits: Vec<u64>,
    at: usize,
}

impl Seen {
    /// The flags of the next `count` rows.
    pub fn next(&mut self, count: usize) -> Vec<bool> {
        let words = (self.at + count).div_ceil(64);
        if self.bits.len() < words {
            self.bits.resize(words, 0);
        }
        let flags = (self.at..self.at + count).map(|i| (self.bits[i / 64] >> (i % 64)) & 1 == 1).collect();
        self.at += count;
        flags
    }

    /// Sets the flags of the rows that were given out last.
    pub fn put_back(&mut self, flags: &[bool]) {
        let first = self.at - flags.len();
        for (i, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
            self.bits[(first + i) / 64] |= 1 << ((first + i) % 64);
        }
    }

    fn rewind(&mut self) {
        self.at = 0;
    }
}

/// The join of one task; its user has the chunks.
pub struct ChunkedJoin {
    joiner: Arc<Joiner>,
    stream: Box<dyn Fn() -> BatchStream + Send>,
    seen: Seen,
    /// For the flags of stream rows.
    _memory: Reservation,
    none: RecordBatch,
    step: Step,
    task: TaskContext,
}

enum Step {
    /// A chunk is wanted.
    Wanted,
    Chunk(Box<JoinRows<Find>>),
    /// All chunks have been met: the stream rows once more, for what their matches say.
    Rest(BatchStream),
    Ended,
}

impl ChunkedJoin {
    /// `stream` gives the same `rows` rows in the same order each time; `memory` is for what must be noted about them.
    pub fn new(
        joiner: Arc<Joiner>,
        build_schema: &SchemaRef,
        stream: Box<dyn Fn() -> BatchStream + Send>,
        rows: u64,
        mut memory: Reservation,
        task: &TaskContext,
    ) -> Self {
        if joiner.tracks_stream() {
            memory.force(rows as usize / 8);
        }
        let none = RecordBatch::new_empty(build_schema.clone());
        Self { joiner, stream, seen: Seen::default(), _memory: memory, none, step: Step::Wanted, task: task.clone() }
    }

    /// The next output batch. `chunk` gives the next rows of the build side, and how to find candidates among them; it is called when the
    /// rows that it gave before are gone.
    ///
    /// # Errors
    /// Those of both sides, of the condition and of `chunk`.
    pub fn next(&mut self, chunk: &mut dyn FnMut() -> Result<Option<(Build, Find)>>) -> Result<Option<RecordBatch>> {
        loop {
            match &mut self.step {
                Step::Wanted => match chunk()? {
                    Some((build, find)) => {
                        self.seen.rewind();
                        let seen = self.joiner.tracks_stream().then(|| std::mem::take(&mut self.seen));
                        let rows = JoinRows::new(self.joiner.clone(), build, (self.stream)(), find, &self.task).noting(seen);
                        self.step = Step::Chunk(Box::new(rows));
                    }
                    None if self.joiner.tracks_stream() => {
                        self.seen.rewind();
                        self.step = Step::Rest((self.stream)());
                    }
                    None => self.step = Step::Ended,
                },
                Step::Chunk(rows) => {
                    if let Some(batch) = rows.next()? {
                        return Ok(Some(batch));
                    }
                    self.seen = rows.take_seen();
                    self.step = Step::Wanted;
                }
                Step::Rest(stream) => match stream.next().transpose()? {
                    Some(batch) => {
                        self.task.query.check_cancelled()?;
                        let seen = self.seen.next(batch.num_rows());
                        let rows = self.joiner.finish_stream(&batch, seen, &self.none)?;
                        if rows.num_rows() > 0 {
                            return Ok(Some(rows));
                        }
                    }
                    None => self.step = Step::Ended,
                },
                Step::Ended => return Ok(None),
            }
        }
    }
}
