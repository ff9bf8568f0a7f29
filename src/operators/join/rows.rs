//! The output of one task of a join whose build side is complete before the first stream row comes.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::chunks::Seen;
use super::matches::{BuildRows, Candidates, Joiner, Probe};
use crate::base::Result;
use crate::operators::stream::coalesced;
use crate::rdd::{BatchStream, TaskContext};

/// The build side of [`join_rows`].
pub struct Build {
    pub rows: RecordBatch,
    /// See [`BuildRows::order`].
    pub order: Option<Arc<Vec<u32>>>,
}

/// Joins each batch of `stream` with the candidates that `find` names; then come the build rows that the join type asks for.
pub fn join_rows(
    joiner: Arc<Joiner>,
    build: Build,
    stream: BatchStream,
    find: impl FnMut(&RecordBatch) -> Result<Candidates> + Send + 'static,
    task: &TaskContext,
) -> BatchStream {
    if build.rows.num_rows() == 0 && joiner.needs_build() {
        return Box::new(std::iter::empty());
    }
    let mut rows = JoinRows::new(joiner.clone(), build, stream, find, task);
    whole_batches(&joiner, Box::new(std::iter::from_fn(move || rows.next().transpose())))
}

/// Puts small output batches together.
pub fn whole_batches(joiner: &Joiner, output: BatchStream) -> BatchStream {
    if joiner.schema().fields().is_empty() {
        return output;
    }
    coalesced(output, joiner.schema().clone(), joiner.batch_size(), |buffer, batch| Ok(buffer.push_batch(batch)?))
}

/// See [`join_rows`].
pub struct JoinRows<F> {
    joiner: Arc<Joiner>,
    build: Build,
    stream: BatchStream,
    find: F,
    probe: Option<Probe>,
    matched: Vec<bool>,
    /// Where the build side is a chunk of several and it matters: the stream rows that have had a match.
    seen: Option<Seen>,
    /// Once the stream has ended: how many build rows have had their turn.
    finished: Option<usize>,
    task: TaskContext,
}

impl<F: FnMut(&RecordBatch) -> Result<Candidates>> JoinRows<F> {
    pub fn new(joiner: Arc<Joiner>, build: Build, stream: BatchStream, find: F, task: &TaskContext) -> Self {
        let matched = vec![false; if joiner.tracks_build() { build.rows.num_rows() } else { 0 }];
        let task = task.clone();
        Self { joiner, build, stream, find, probe: None, matched, seen: None, finished: None, task }
    }

    /// Where the build side is one chunk of several and it matters which stream rows have had a match: those without one wait.
    pub fn noting(mut self, seen: Option<Seen>) -> Self {
        self.seen = seen;
        self
    }

    pub fn take_seen(&mut self) -> Seen {
        self.seen.take().unwrap_or_default()
    }

    /// # Errors
    /// Those of the stream, of finding candidates, and of the condition.
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(from) = self.finished {
                return Ok(self.joiner.finish(&self.build.rows, &self.matched, from)?.map(|(batch, to)| {
                    self.finished = Some(to);
                    batch
                }));
            }
            // A batch may have many candidates and few matches.
            self.task.query.check_cancelled()?;
            if let Some(mut probe) = self.probe.take() {
                let build = BuildRows { rows: &self.build.rows, order: self.build.order.as_ref().map(|o| o.as_slice()) };
                if let Some(batch) = self.joiner.next(&mut probe, build, &mut self.matched)? {
                    self.probe = Some(probe);
                    return Ok(Some(batch));
                }
                if let Some(seen) = &mut self.seen {
                    seen.put_back(&probe.into_seen());
                }
            }
            match self.stream.next().transpose()? {
                Some(batch) => {
                    let candidates = (self.find)(&batch)?;
                    self.probe = Some(match &mut self.seen {
                        None => Probe::new(batch, candidates),
                        Some(seen) => {
                            let flags = seen.next(batch.num_rows());
                            Probe::of_chunk(batch, candidates, flags)
                        }
                    });
                }
                None => self.finished = Some(0),
            }
        }
    }
}
